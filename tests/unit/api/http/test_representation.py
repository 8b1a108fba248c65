"""ETags, If-None-Match, Accept-Encoding, origins: each header in every spelling."""

from __future__ import annotations

import asyncio
import gzip
from types import SimpleNamespace
from typing import Any

import pytest
from sanic import HTTPResponse
from sanic.compat import Header

from api.fairness.limits import GZIP_BYTES_MIN, GZIP_WAITING_MAX, INLINE_BYTES_MAX
from api.http.cors import Cors
from api.http.representation import Representations, matches, tag_of, takes_gzip

TAG = tag_of(b"x")


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (TAG, True),
        (TAG.removeprefix("W/"), True),
        (f'"a", {TAG}', True),
        (f'{TAG},"a"', True),
        ("*", True),
        (" * ", True),
        (None, False),
        ("", False),
        ('"a"', False),
        (TAG.strip('W/"'), False),
        (TAG[:-1], False),
    ],
)
def test_a_client_that_has_it_is_told_so(header: str | None, known: bool) -> None:
    assert matches(header, TAG) is known


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.8", True),
        ("*", True),
        ("gzip ; q=0.001", True),
        (None, False),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("xgzip", False),
        ("br", False),
    ],
)
def test_gzip_is_for_those_who_take_it(header: str | None, takes: bool) -> None:
    assert takes_gzip(header) is takes


async def represented(representations: Representations, body: bytes, **options: Any) -> HTTPResponse:
    headers = Header({name.replace("_", "-"): value for name, value in options.items()})
    return await representations.of(SimpleNamespace(headers=headers), HTTPResponse(body), private=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "size", [0, 10, GZIP_BYTES_MIN - 1, GZIP_BYTES_MIN, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 10**6]
)
async def test_an_answer_is_smaller_when_that_is_worthwhile_and_says_the_same(size: int) -> None:
    made, body = Representations(), b"abcdefghij" * (size // 10) + b"x" * (size % 10)
    plain = await represented(made, body)
    assert (plain.body, plain.headers["etag"]) == (body, tag_of(body))
    small = await represented(made, body, accept_encoding="gzip")
    assert small.headers["etag"] == plain.headers["etag"]
    assert small.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    assert ("content-encoding" in small.headers) is (size >= GZIP_BYTES_MIN)
    if size >= GZIP_BYTES_MIN:
        assert small.body is not None
        assert gzip.decompress(small.body) == body
        assert len(small.body) < size / 10
    known = await represented(made, body, accept_encoding="gzip", if_none_match=plain.headers["etag"])
    assert (known.status, known.body or b"", known.headers["etag"]) == (304, b"", plain.headers["etag"])
    made.close()


async def test_what_does_not_get_smaller_is_sent_as_it_is() -> None:
    made = Representations()
    noise = b"".join(tag_of(str(n).encode()).encode() for n in range(2))
    body = gzip.compress(b"".join(str(hash((n, n * n))).encode() for n in range(2_000))) + noise
    answer = await represented(made, body, accept_encoding="gzip")
    assert answer.body == body
    assert "content-encoding" not in answer.headers
    made.close()


async def test_when_too_many_wait_to_be_made_smaller_the_others_are_sent_at_once() -> None:
    made = Representations()
    bodies = [str(n).encode() * 300_000 for n in range(GZIP_WAITING_MAX * 2)]
    answers = await asyncio.gather(*(represented(made, body, accept_encoding="gzip") for body in bodies))
    for body, answer in zip(bodies, answers, strict=True):
        assert answer.body is not None
        small = "content-encoding" in answer.headers
        assert (gzip.decompress(answer.body) if small else answer.body) == body
    assert sum("content-encoding" in answer.headers for answer in answers) > 0
    made.close()


def test_an_origin_is_named_exactly_or_not_at_all() -> None:
    cors = Cors(["https://a.example", "http://127.0.0.1:3000"])
    for origin, allowed in (
        ("https://a.example", True),
        ("http://127.0.0.1:3000", True),
        ("http://a.example", False),
        ("https://a.example:444", False),
        ("https://b.a.example", False),
        ("null", False),
        ("https://a.example.evil", False),
        ("HTTPS://A.EXAMPLE", False),
        (None, False),
    ):
        headers = Header({"vary": "accept-encoding"})
        cors.answer(origin, headers)
        assert headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert "access-control-allow-credentials" not in headers
        assert headers["vary"] == "accept-encoding, origin"
