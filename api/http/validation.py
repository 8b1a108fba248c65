"""Bytes and query strings to typed, bounded values. Guarantee: every input gives a value or a `Problem`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from api.fairness.limits import QUERY_PARAMETERS_MAX
from api.http.problem import FieldError, Problem, invalid
from api.reads.texts import LINE, LINE_OR_NONE, TEXT, InvalidText
from schemas.ids import AnyId
from schemas.times import micros_of, utc

T = TypeVar("T")

UUID_PATTERN = r"^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
# The length is fixed because `$` also matches before a final line feed.
Id = Annotated[AnyId, Meta(min_length=36, max_length=36, pattern=UUID_PATTERN, description="a UUID")]
Line200 = Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE)]
Line100 = Annotated[str, Meta(min_length=1, max_length=100, pattern=LINE)]
LineOrNone100 = Annotated[str, Meta(max_length=100, pattern=LINE_OR_NONE)]
LineOrNone200 = Annotated[str, Meta(max_length=200, pattern=LINE_OR_NONE)]
Text5000 = Annotated[str, Meta(max_length=5_000, pattern=TEXT)]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339, with an offset")]

TIME_MIN = datetime(2000, 1, 1, tzinfo=UTC)
TIME_MAX = datetime(2200, 1, 1, tzinfo=UTC)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_AT = re.compile(r"^(?P<text>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_NAMED = re.compile(r"(?:unknown|required) field `(?P<name>.*)`", re.DOTALL)
# A media type of JSON with any parameters (RFC 9110, section 8.3.1; RFC 6839 for the suffix).
_JSON = re.compile(
    r"\s*application/(?:json|[!#$&^\w.+-]{1,100}\+json)\s*(?:;.*)?", re.IGNORECASE | re.ASCII | re.DOTALL
)
_NAME_CHARS_MAX = 100


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The body as the decoder's struct. Raises Problem malformed-json (400) or invalid-request (422)."""
    try:
        decoded = decoder.decode(body)
        if body.count(b":") != _names_in(msgspec.json.decode(body)):  # a repeated name, or a text with a colon in it
            _refuse_repeated_names(body)
    except msgspec.ValidationError as error:
        raise problem_of(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = "the body is empty; a JSON object is expected" if not body.strip() else str(error)
        raise Problem("malformed-json", detail, field="body") from None
    return decoded


def is_json(content_type: str) -> bool:
    """Whether a Content-Type names JSON. Its parameters do not count: `text/plain; x=json` is not JSON."""
    return _JSON.fullmatch(content_type) is not None


def query(text: str, shape: type[T]) -> T:
    """A query string as a struct; every parameter at most once. Raises Problem invalid-request."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=QUERY_PARAMETERS_MAX)
    except ValueError:
        raise invalid("query", f"at most {QUERY_PARAMETERS_MAX} parameters are allowed") from None
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise invalid(_shortened(name), "is given more than once")
        values[name] = value
    return convert(values, shape)


def convert(values: Mapping[str, Any], shape: type[T]) -> T:
    """Strings as a struct's types, numbers and times included. Raises Problem invalid-request."""
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        raise problem_of(error) from None


def problem_of(error: msgspec.ValidationError) -> Problem:
    """The problem document for msgspec's error, with the field's path as `a.b[3]`.

    The check of a shape (`api.shapes.base`) is the cause of its error, and names its field. Msgspec's own errors have
    only a text.
    """
    match = _AT.match(str(error))
    text, path = (match["text"], match["path"] or "$") if match else (str(error), "$")
    field = path.removeprefix("$").removeprefix(".")
    cause, named = error.__cause__, _NAMED.search(text)
    if isinstance(cause, InvalidText):
        field, text = f"{field}.{cause.field}" if field else cause.field, cause.text
    elif named:
        field = f"{field}.{named['name']}" if field else named["name"]
        text = "is not a field of this request" if "unknown" in text else "is required"
    elif "matching regex" in text:
        text = _expected(text)
    field = _shortened(field or "body")
    return Problem("invalid-request", f"{field}: {text}", field=field, errors=(FieldError(field, text),))


def uuid_of(text: str, *, field: str) -> str:
    """A UUID in its canonical form. Raises Problem not-found: no other path exists."""
    if not _UUID.fullmatch(text):
        raise Problem("not-found", f"{field}: not an id (a UUID): {_shortened(text)!r}", field=field)
    return text.lower()


def micros(moment: datetime, *, field: str) -> int:
    """Microseconds since the epoch. Raises Problem outside 2000 to 2200."""
    if not TIME_MIN <= moment < TIME_MAX:
        raise invalid(field, f"has to lie between {TIME_MIN:%Y-%m-%d} and {TIME_MAX:%Y-%m-%d}")
    return micros_of(moment)


def moment_or_none(us: int | None) -> datetime | None:
    """A time as `utc` gives it; None for 0 and None, which mean "not set"."""
    return utc(us) if us else None


class _Object(list[tuple[str, Any]]):
    """A JSON object as its pairs, in order, with repeated names."""


def _names_in(value: Any) -> int:
    """How many names the objects in `value` have. A repeated name counts once."""
    if value.__class__ is dict:
        return len(value) + sum(map(_names_in, value.values()))
    return sum(map(_names_in, value)) if value.__class__ is list else 0


def _refuse_repeated_names(body: bytes) -> None:
    """Refuse an object with a repeated name: JSON parsers choose different values (RFC 8259, section 4)."""

    def look(value: Any, path: str) -> None:
        if isinstance(value, _Object):
            seen = set()
            for name, inner in value:
                field = f"{path}.{name}" if path else name
                if name in seen:
                    raise invalid(_shortened(field), "is given more than once")
                seen.add(name)
                look(inner, field)
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                look(inner, f"{path}[{number}]")

    look(json.loads(body, object_pairs_hook=_Object), "")


def _expected(text: str) -> str:
    if "[0-9a-fA-F]{8}-" in text:
        return "has to be an id (a UUID)"
    if "[A-Z]{3}" in text:
        return "has to be a currency of ISO 4217 in upper case, such as EUR"
    if r"\u0000" in text or r"\x00" in text:
        return "has to be readable text: not blank, no control characters, none that change the direction of writing"
    return text.replace("Expected `str` matching regex", "has to match")


def _shortened(name: str) -> str:
    clean = "".join(c if c.isprintable() else "�" for c in name)
    return clean if len(clean) <= _NAME_CHARS_MAX else clean[:_NAME_CHARS_MAX] + "…"
