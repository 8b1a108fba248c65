"""Cacheable answers: their ETag, 304 for a client that has the answer already, gzip where it pays.

Only for `cacheable` routes. Their answers hold no secrets, so the length of a compressed answer can reveal none
(BREACH). Other answers and streams are never compressed.

ETags are weak: they name an answer's content, not its bytes, which differ by encoding and by `now`. An `etag` header
that the handler has set stays.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import TypeVar

from sanic import HTTPResponse, Request

from api.fairness.limits import (
    GZIP_BYTES_MIN,
    GZIP_KEPT_MAX,
    GZIP_KEPT_S,
    GZIP_LEVEL,
    INLINE_BYTES_MAX,
)
from api.fairness.pools import COMPRESSION
from api.fairness.shares import Places
from api.fairness.short_cache import ShortCache
from api.http.cors import vary
from api.http.problem import Problem

T = TypeVar("T")

NO_CACHE = "no-cache"  # caches keep the answer, and ask each time whether it is still valid
_TAG = re.compile(r'(?:W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"')
_CODING = re.compile(r"\s*(?P<name>[\w*-]+)\s*(?:;\s*q\s*=\s*(?P<quality>[01](?:\.\d{0,3})?))?\s*", re.ASCII)


class Representations:
    """Compresses answers, large ones in a thread. One for each process."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "gzip")
        self._places = Places(COMPRESSION, "answers to be compressed")
        self._kept: ShortCache[bytes] = ShortCache(GZIP_KEPT_S, GZIP_KEPT_MAX)

    async def of(self, request: Request, response: HTTPResponse, *, private: bool) -> HTTPResponse:
        """The answer to send. `private`: it can differ by caller, so no proxy keeps it."""
        body, headers = response.body or b"", response.headers
        large = len(body) > INLINE_BYTES_MAX
        own_tag = headers.get("etag")
        tag = own_tag or (await self._beside(lambda: tag_of(body)) if large else None) or tag_of(body)
        known = known_already(request, labelled(response, tag, private=private))
        if known is not None:
            return known
        if len(body) >= GZIP_BYTES_MIN and takes_gzip(request.headers.get("accept-encoding")):
            small = await self._small(body, tag if own_tag is None else None)
            if small is not None and len(small) < len(body):
                headers["content-encoding"] = "gzip"
                response.body = small
        return response

    async def _small(self, body: bytes, tag: str | None) -> bytes | None:
        """The compressed body. None if too many answers wait for the thread: then the plain body is sent."""
        if len(body) <= INLINE_BYTES_MAX:
            return gzip.compress(body, GZIP_LEVEL, mtime=0)
        if tag is None:
            return await self._beside(lambda: gzip.compress(body, GZIP_LEVEL, mtime=0))

        async def compressed() -> bytes:
            return await self._beside(lambda: gzip.compress(body, GZIP_LEVEL, mtime=0)) or b""

        return await self._kept.get(tag, compressed) or None

    async def _beside(self, work: Callable[[], T]) -> T | None:
        try:
            turn = await self._places.enter()
        except Problem:
            return None
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._places.give_back(turn)

    def close(self) -> None:
        """Drop the waiting work."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def tag_of(body: bytes) -> str:
    """The weak ETag of an answer with this body."""
    return f'W/"{blake2b(body, digest_size=16).hexdigest()}"'


def labelled(response: HTTPResponse, tag: str, *, private: bool) -> HTTPResponse:
    """The answer with its ETag and its rules for caches."""
    headers = response.headers
    headers["etag"] = tag
    if private:
        headers["cache-control"] = f"private, {NO_CACHE}"
    elif "cache-control" not in headers:
        headers["cache-control"] = NO_CACHE
    vary(headers, "accept-encoding")
    if private:
        vary(headers, "authorization")
    return response


def known_already(request: Request, response: HTTPResponse) -> HTTPResponse | None:
    """304, if the client already has the answer; else None."""
    headers = response.headers
    if not matches(request.headers.get("if-none-match"), headers["etag"]):
        return None
    return HTTPResponse(status=304, headers={name: headers[name] for name in ("etag", "cache-control", "vary")})


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether If-None-Match names the tag (RFC 9110, section 13.1.2: weak comparison)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    known = {match["opaque"] for match in _TAG.finditer(if_none_match)}
    return tag.removeprefix("W/").strip('"') in known


def takes_gzip(accept_encoding: str | None) -> bool:
    """Whether Accept-Encoding allows gzip, by name or by `*`."""
    weights: dict[str, float] = {}
    for part in (accept_encoding or "").split(","):
        match = _CODING.fullmatch(part)
        if match is not None:
            weights[match["name"].lower()] = float(match["quality"] or 1)
    return weights.get("gzip", weights.get("*", 0.0)) > 0
