"""Parses bytes into one request's head, chunk sizes and trailers, strictly by RFC 9112. No I/O.

Guarantee: if two HTTP/1.1 parsers could read different requests, this one raises `UnreadableRequest`. So no request
hides in the body of another one, however a proxy before us reads an ambiguous byte.

On purpose it is stricter than the RFC. It refuses absolute-form and authority-form targets (this is not a proxy, and
they would name a host twice), any Transfer-Encoding but `chunked`, Transfer-Encoding together with Content-Length, an
empty Host, and a second line of a header that must be single.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sanic.exceptions import BadRequest, PayloadTooLarge

from api.fairness.limits import CHUNK_EXTENSION_BYTES_MAX, CHUNK_LINE_BYTES_MAX, HEADER_LINES_MAX

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# A value has no control bytes except the tab. The reader of the field judges bytes above 127.
_FIELD = _TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r\n"
_HEAD = re.compile(
    rb"(?P<method>"
    + _TOKEN
    + rb") (?P<target>[\x21-\x7e]+) HTTP/(?P<version>1\.[01])\r\n(?P<fields>(?:"
    + _FIELD
    + rb")*)"
)
_FIELDS = re.compile(rb"(?:" + _FIELD + rb")*")
_BARE = re.compile(rb"(?<!\r)\n|\r(?=[^\n])|\x00")
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?", re.ASCII)
_LENGTH = re.compile(r"\d{1,15}", re.ASCII)  # fewer digits than a petabyte
_CHUNK = re.compile(
    rb"(?P<size>[0-9A-Fa-f]{1,8})(?P<extensions>(?:[\t ]*;[\t ]*" + _TOKEN
    + rb"(?:[\t ]*=[\t ]*(?:" + _TOKEN + rb'|"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e]|\\[\t\x20-\x7e])*"))?)*)'
)  # fmt: skip
# If one of these comes twice, different HTTP parsers choose different ones.
SINGLE = frozenset(
    {"host", "content-length", "transfer-encoding", "content-type", "authorization", "idempotency-key", "expect",
     "last-event-id", "origin"}
)  # fmt: skip
# A trailer must not decide where a message ends, who sent it or where it goes (RFC 9110, section 6.5.1).
FORBIDDEN_IN_TRAILERS = SINGLE | frozenset(
    {"connection", "content-encoding", "content-range", "cookie", "forwarded", "keep-alive", "prefer", "te", "trailer",
     "upgrade", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
)  # fmt: skip
CHUNKED = -1


class UnreadableRequest(BadRequest):
    """400: the bytes are not a request, or could be read as more than one. The connection ends after the answer."""


class TooManyHeaders(PayloadTooLarge):
    """431."""


class Head(NamedTuple):  # made for each request: a frozen dataclass takes 0.8 µs longer
    """A request's head that can be read in one way only. `length` is the body's, or CHUNKED."""

    method: str
    target: str
    version: str
    fields: list[tuple[str, str]]  # names in lower case
    length: int
    keep_alive: bool


def trouble(received: bytes | bytearray, start: int = 0) -> bool:
    """Whether a partly received head has a byte that no valid head has: a bare CR or LF, or NUL."""
    return _BARE.search(received, max(0, start - 1)) is not None


def head(data: bytes) -> Head:
    """The head in `data`, up to the line end before the empty line. Raises UnreadableRequest or TooManyHeaders."""
    match = _HEAD.fullmatch(data + b"\r\n")
    if match is None:
        raise UnreadableRequest(_why(data))
    line, _, lines = data.decode("utf-8", "surrogateescape").partition("\r\n")
    method, target, version = line.split(" ")
    version = version.removeprefix("HTTP/")
    _check_target(method, target)
    fields = _fields(lines)
    if len(fields) > HEADER_LINES_MAX:
        raise TooManyHeaders(f"Request header has more than {HEADER_LINES_MAX} lines")
    values: dict[str, str] = {}
    options: set[str] = set()
    for name, value in fields:
        if name in SINGLE:
            if name in values:
                raise UnreadableRequest(f"{name} is given more than once")
            values[name] = value
        elif name == "connection":
            options.update(option.strip().lower() for option in value.split(","))
    _check_host(values.get("host"), version)
    keep_alive = "close" not in options and (version == "1.1" or "keep-alive" in options)
    length = _length(values.get("content-length"), values.get("transfer-encoding"), version)
    return Head(method=method, target=target, version=version, fields=fields, length=length, keep_alive=keep_alive)


def chunk_size(line: bytes) -> tuple[int, int]:
    """A chunk's size from its first line, and the bytes of its extensions. Raises UnreadableRequest."""
    match = _CHUNK.fullmatch(line) if len(line) <= CHUNK_LINE_BYTES_MAX else None
    if match is None:
        raise UnreadableRequest("a chunk has to begin with its size in hexadecimal digits")
    return int(match["size"], 16), len(match["extensions"])


def check_extensions(total: int) -> None:
    """Raises UnreadableRequest if a body's chunk extensions are too long. The API ignores their content."""
    if total > CHUNK_EXTENSION_BYTES_MAX:
        raise UnreadableRequest(f"chunk extensions have more than {CHUNK_EXTENSION_BYTES_MAX} bytes")


def check_trailers(data: bytes) -> None:
    """Raises UnreadableRequest for malformed trailers and for fields of a head. `data` has no empty line at its end."""
    if _FIELDS.fullmatch(data) is None:
        raise UnreadableRequest("trailers have to be name: value lines that end in CRLF")
    for name, _ in _fields(data.decode("utf-8", "surrogateescape")):
        if name in FORBIDDEN_IN_TRAILERS:
            raise UnreadableRequest(f"{name} cannot be a trailer")


def _fields(lines: str) -> list[tuple[str, str]]:
    pairs = [line.partition(":") for line in lines.split("\r\n") if line]
    return [(name.lower(), value.strip(" \t")) for name, _, value in pairs]


def _check_target(method: str, target: str) -> None:
    if target.startswith("/"):
        if "#" in target:
            raise UnreadableRequest("a request's target cannot have a fragment")
    elif not (target == "*" and method == "OPTIONS"):
        raise UnreadableRequest("a request's target has to begin with /: this is not a proxy")


def _check_host(host: str | None, version: str) -> None:
    if host is None:
        if version == "1.1":
            raise UnreadableRequest("Host is missing")
    elif _HOST.fullmatch(host) is None:
        raise UnreadableRequest("Host has to be one name or address, with or without a port")


def _length(length: str | None, encoding: str | None, version: str) -> int:
    if encoding is not None:
        if length is not None:
            raise UnreadableRequest("Content-Length and Transfer-Encoding exclude each other")
        if version != "1.1" or encoding.lower() != "chunked":
            raise UnreadableRequest("Transfer-Encoding can only be chunked, and only in HTTP/1.1")
        return CHUNKED
    if length is None:
        return 0
    if _LENGTH.fullmatch(length) is None:
        raise UnreadableRequest("Content-Length has to be one number of decimal digits")
    return int(length)


def _why(data: bytes) -> str:
    """The error of a head that does not match. The text quotes nothing from the head."""
    if _BARE.search(data):
        return "lines have to end in CRLF, and no header can have a bare CR or LF or NUL"
    line, *others = data.split(b"\r\n")
    if re.fullmatch(_TOKEN + rb" [\x21-\x7e]+ HTTP/1\.[01]", line) is None:
        return "a request has to begin with: method, target, HTTP/1.1 or HTTP/1.0, with one space between them"
    for number, field in enumerate(others, start=1):
        if field[:1] in (b" ", b"\t"):
            return f"header {number} begins with white space: folded lines are obsolete"
        if re.match(_TOKEN + rb"[\t ]+:", field):
            return f"header {number} has white space before its colon"
        if re.fullmatch(_FIELD, field + b"\r\n") is None:
            return f"header {number} is not name: value, or has control characters"
    return "the request's head cannot be read"
