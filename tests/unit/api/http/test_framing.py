"""One reading of a request's head, or none: the ambiguous cases, and similar valid ones. By the compiled twin, too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.fairness.limits import CHUNK_LINE_BYTES_MAX, HEADER_LINES_MAX
from api.http import framing, heads
from api.http.framing import CHUNKED, Head, TooManyHeaders, UnreadableRequest
from tests.harness.native import native_framing, needs_native, without_twins

HOST = b"Host: x\r\n"


def text(*lines: bytes, request: bytes = b"POST /v1/things HTTP/1.1", host: bytes = HOST) -> bytes:
    return (request + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines)).removesuffix(b"\r\n")


@pytest.fixture(scope="module", params=["plain", pytest.param("compiled", marks=needs_native)])
def read(request: pytest.FixtureRequest) -> Callable[[bytes], Head]:
    found: Callable[[bytes], Head] = (framing if request.param == "plain" else native_framing).head
    return found


@pytest.fixture(scope="module")
def head(read: Callable[[bytes], Head]) -> Callable[..., Head]:
    return lambda *lines, **others: read(text(*lines, **others))


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length : 5",
        b"Content-Length\t: 5",
        b" Content-Length: 5",
        b"\tx: y",
        b"x: y\r\n folded",
        b"x: y\r\n\tfolded",
        b"x y",
        b": y",
        b"",
        b"x",
        b"x: a\nb",
        b"x: a\rb",
        b"x: a\x00b",
        b"x: a\x01b",
        b"x: a\x7fb",
        b"x: a\x0bb",
        b"x\x00: y",
        b"x\x01: y",
        b"x(: y",
        b"x@y: z",
        b"\xc3\xa9: y",
        b'x"y: z',
        b"x: y\n",
        b"x: y\r\n\r\nGET /healthz HTTP/1.1",
        b"Host: x",
        b"Host: y",
        b"hOST: x",
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5, 5",
        b"Content-Length: +5",
        b"Content-Length: -5",
        b"Content-Length: 0x5",
        b"Content-Length: 5 5",
        b"Content-Length: 5_0",
        b"Content-Length: 5.0",
        b"Content-Length:",
        b"Content-Length: x",
        b"Content-Length: \xd9\xa3",
        b"Content-Length: \xc2\xb2",
        b"Content-Length: 9999999999999999",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked;q=1",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: \xa0chunked",
        b'Transfer-Encoding: "chunked"',
        b"Transfer-Encoding:",
        b"Transfer_Encoding : chunked",
        b"Content-Type: application/json\r\nContent-Type: text/plain",
        b"Authorization: Bearer a\r\nAuthorization: Bearer b",
        b"Idempotency-Key: a\r\nidempotency-key: b",
    ],
)
def test_a_doubtful_header_makes_no_request(head: Callable[..., Head], line: bytes) -> None:
    with pytest.raises(UnreadableRequest):
        head(line)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET\t/\tHTTP/1.1",
        b"GET /",
        b"GET / ",
        b"GET",
        b"",
        b"GET / HTTP/1.2",
        b"GET / HTTP/2.0",
        b"GET / HTTP/2",
        b"GET / HTTP/0.9",
        b"GET / http/1.1",
        b"GET / HTTP/01.1",
        b"GET / HTTP/1.1x",
        b"GET / HTTP/1,1",
        b"PRI * HTTP/2.0",
        b"G\x00T / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GE(T / HTTP/1.1",
        b"GET http://x/v1/events HTTP/1.1",
        b"GET https://x HTTP/1.1",
        b"CONNECT x:443 HTTP/1.1",
        b"GET x:80 HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET v1/events HTTP/1.1",
        b"GET ?x HTTP/1.1",
        b"GET /a#b HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_a_doubtful_first_line_makes_no_request(head: Callable[..., Head], request_: bytes) -> None:
    with pytest.raises(UnreadableRequest):
        head(request=request_)


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"Host:\r\n",
        b"Host: \r\n",
        b"Host: a b\r\n",
        b"Host: a,b\r\n",
        b"Host: a/b\r\n",
        b"Host: a@b\r\n",
        b"Host: http://a\r\n",
        b"Host: a:b\r\n",
        b"Host: a:123456\r\n",
        b"Host: [::1\r\n",
        b"Host: ::1\r\n",
        b"Host: a\xc3\xa9\r\n",
        b"Host: a?b\r\n",
    ],
)
def test_without_one_good_host_there_is_no_request(head: Callable[..., Head], host: bytes) -> None:
    with pytest.raises(UnreadableRequest, match="Host"):
        head(host=host)


@pytest.mark.parametrize(
    "host",
    [
        "x",
        "x:80",
        "tickets.example.org",
        "a_b-c.example:65535",
        "127.0.0.1:8000",
        "[::1]:80",
        "[2001:db8::1]",
        "xn--mller-kva.example",
    ],
)
def test_good_hosts_are_taken(head: Callable[..., Head], host: str) -> None:
    assert head(host=b"Host: %b\r\n" % host.encode()).fields == [("host", host)]


def test_http_1_0_needs_no_host_and_ends_after_one_answer(head: Callable[..., Head]) -> None:
    assert head(request=b"GET / HTTP/1.0", host=b"").keep_alive is False
    assert head(b"Connection: keep-alive", request=b"GET / HTTP/1.0", host=b"").keep_alive is True
    with pytest.raises(UnreadableRequest):
        head(b"Transfer-Encoding: chunked", request=b"POST / HTTP/1.0")


@pytest.mark.parametrize(
    ("lines", "length", "keep_alive"),
    [
        ([], 0, True),
        ([b"Content-Length: 0"], 0, True),
        ([b"content-length:5"], 5, True),
        ([b"Content-Length: \t 5 \t"], 5, True),
        ([b"Content-Length: 005"], 5, True),
        ([b"Transfer-Encoding: chunked"], CHUNKED, True),
        ([b"TRANSFER-ENCODING: Chunked "], CHUNKED, True),
        ([b"Connection: close"], 0, False),
        ([b"Connection: Close, TE"], 0, False),
        ([b"Connection: keep-alive, Upgrade"], 0, True),
        ([b"Connection: TE", b"Connection: close"], 0, False),
        ([b"X-Empty:", b"X-Tab: a\tb", b"X-High: \xff\xc3\xa9", b"X_under.score!: ok"], 0, True),
        ([b"Accept: a", b"Accept: b", b"Prefer: wait=1", b"Prefer: receipt", b"Cookie: a=b; c=d"], 0, True),
    ],
)
def test_good_heads_are_read(head: Callable[..., Head], lines: list[bytes], length: int, keep_alive: bool) -> None:
    found = head(*lines)
    assert (found.method, found.target, found.version) == ("POST", "/v1/things", "1.1")
    assert (found.length, found.keep_alive) == (length, keep_alive)


def test_the_only_target_without_a_slash_is_that_of_options(head: Callable[..., Head]) -> None:
    assert head(request=b"OPTIONS * HTTP/1.1").target == "*"
    assert head(request=b"GET /v1/events?q=a%20b&x=[1]|{}\\^ HTTP/1.1").target == "/v1/events?q=a%20b&x=[1]|{}\\^"


def test_the_number_of_headers_is_bounded(head: Callable[..., Head]) -> None:
    assert len(head(*[b"x: y"] * (HEADER_LINES_MAX - 1)).fields) == HEADER_LINES_MAX
    with pytest.raises(TooManyHeaders):
        head(*[b"x: y"] * HEADER_LINES_MAX)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_unreadable(read: Callable[[bytes], Head], data: bytes) -> None:
    with suppress(UnreadableRequest):
        assert isinstance(read(data), Head)


@given(st.binary(max_size=80))
def test_a_head_that_is_read_ends_where_it_ends(head: Callable[..., Head], junk: bytes) -> None:
    """For every value: the next line never becomes a part of it, and no part of it becomes a line of its own."""
    try:
        found = head(b"x: " + junk, b"y: z")
    except UnreadableRequest:
        return
    assert [name for name, _ in found.fields] == ["host", "x", "y"]


@pytest.mark.parametrize(
    ("data", "bad"),
    [
        (b"GET / HTTP/1.1\n", True),
        (b"GET / HTTP/1.1\r", False),
        (b"GET / HTTP/1.1\r\nHo", False),
        (b"a\rb", True),
        (b"a\x00", True),
        (b"\n", True),
        (b"a\r\nb\r\n\r", False),
    ],
)
def test_a_head_that_cannot_become_one_is_known_before_it_ends(data: bytes, bad: bool) -> None:
    assert framing.trouble(data) is bad
    assert framing.trouble(data, len(data) - 1) is bad or data == b"a\rb"


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"0", 0),
        (b"5", 5),
        (b"00000005", 5),
        (b"aF", 175),
        (b"5;x", 5),
        (b"5;x=y", 5),
        (b'5 ; x="a b"', 5),
        (b"5;a;b=c", 5),
    ],
)
def test_chunk_sizes_are_hexadecimal_digits(line: bytes, size: int) -> None:
    assert framing.chunk_size(line)[0] == size


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" 5",
        b"5 ",
        b"0x5",
        b"+5",
        b"-5",
        b"5_0",
        b"5\n",
        b"5;\n",
        b"5;x\n",
        b"5;x=a\rb",
        b"5;x=a\x00",
        b"5;",
        b"5; =",
        b'5;x="',
        b"000000005",
        b"g",
        b"5,5",
        b"\xd9\xa3",
        b"5;" + b"x" * CHUNK_LINE_BYTES_MAX,
    ],
)
def test_other_chunk_sizes_are_refused(line: bytes) -> None:
    with pytest.raises(UnreadableRequest):
        framing.chunk_size(line)


def test_trailers_say_nothing_that_only_a_head_may() -> None:
    framing.check_trailers(b"")
    framing.check_trailers(b"X-Checksum: abc\r\nServer-Timing: 1\r\n")
    for trailers in (
        b"Content-Length: 5\r\n",
        b"transfer-encoding: chunked\r\n",
        b"Host: y\r\n",
        b"Authorization: x\r\n",
        b"Idempotency-Key: x\r\n",
        b"X : y\r\n",
        b" x: y\r\n",
        b"x: y\n",
        b"GET / HTTP/1.1\r\n",
    ):
        with pytest.raises(UnreadableRequest):
            framing.check_trailers(trailers)


NAMES = st.sampled_from(
    [
        "Host",
        "content-length",
        "Connection",
        "Transfer-Encoding",
        "Authorization",
        "x",
        "X-Long-" + "n" * 60,
        "bad name",
        "",
    ]
)
VALUES = st.sampled_from(
    ["x", "example.org:8080", "[::1]:80", "a:b", "a:123456", ":80", "5", "005", "-1", "9" * 15, "9" * 16, "close",
     "Close, te", "keep-alive", "chunked", " padded\t", "\xff", "a\x00", "a\rb", ""]
)  # fmt: skip
LINES = st.sampled_from(
    ["POST / HTTP/1.1", "GET /a?b=c HTTP/1.0", "GET /a#b HTTP/1.1", "OPTIONS * HTTP/1.1", "GET  / HTTP/1.1",
     "GET / HTTP/1.1 ", "G@T / HTTP/1.1", "GET /\xe9 HTTP/1.1", "GET http://x/ HTTP/1.1", " / HTTP/1.1", "GET",
     "GET /", ""]
)  # fmt: skip
HEADS = st.builds(
    lambda line, fields, end: "\r\n".join([line, *(f"{name}:{value}" for name, value in fields)]) + end,
    LINES,
    st.lists(st.tuples(NAMES, VALUES), max_size=6),
    st.sampled_from(["", "", "", "\r\n", "\r", "\n"]),
)


def outcome(read: Callable[[bytes], Head], data: bytes) -> object:
    try:
        return read(data)
    except (UnreadableRequest, TooManyHeaders) as error:
        return type(error), str(error)


@needs_native
@given(HEADS | st.builds(lambda fields: "POST / HTTP/1.1\r\nHost: x\r\n" + fields, HEADS) | st.text(max_size=60))
def test_the_twin_reads_and_refuses_as_the_plain_module(head: str) -> None:
    data = head.encode("latin-1", "replace")
    assert outcome(native_framing.head, data) == outcome(framing.head, data)


@needs_native
def test_the_twin_reads_a_plain_head_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    data = text(
        b"Accept: */*",
        b"Content-Length: 5",
        b"Connection: keep-alive",
        b"Authorization: Bearer x",
        host=b"Host: x:80\r\n",
    )
    expected = framing.head(data)
    monkeypatch.setattr(native_framing.framing, "head", None)  # it would raise
    assert native_framing.head(data) == expected


def test_heads_are_read_by_the_twin_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ("plain" if native_framing is None else "compiled") == heads.HEADS
    without = without_twins(heads, monkeypatch)
    assert (without.HEADS, without.head) == ("plain", framing.head)
