"""What an answer that many may read looks like on the way: its ETag, 304 when it is known, gzip when worthwhile.

Only for routes that say `cacheable`: their answers hold no secrets, and nothing of a stranger's choosing beside one, so
that compressing tells nobody anything by its length (BREACH). Nothing else is ever compressed, and no stream is.

ETags are weak: they name what an answer says, not its bytes, which differ by encoding and by `now`. An answer's own
`etag` header, where a handler has set one, stands.
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

NO_CACHE = "no-cache"  # keep it, and ask each time whether it still holds
_TAG = re.compile(r'(?:W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"')
_CODING = re.compile(r"\s*(?P<name>[\w*-]+)\s*(?:;\s*q\s*=\s*(?P<quality>[01](?:\.\d{0,3})?))?\s*", re.ASCII)


class Representations:
    """Makes answers smaller, beside the event loop where they are large. One for each process."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "gzip")
        self._places = Places(COMPRESSION, "answers to be compressed")
        self._kept: ShortCache[bytes] = ShortCache(GZIP_KEPT_S, GZIP_KEPT_MAX)

    async def of(self, request: Request, response: HTTPResponse, *, private: bool) -> HTTPResponse:
        """The answer as it is sent. `private`: it may be another one for another caller, so no proxy keeps it."""
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
        """The body compressed; None when too many wait for that, and the body is sent as it is."""
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
        """Forget what waits."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def tag_of(body: bytes) -> str:
    """The weak ETag of an answer that says this."""
    return f'W/"{blake2b(body, digest_size=16).hexdigest()}"'


def labelled(response: HTTPResponse, tag: str, *, private: bool) -> HTTPResponse:
    """The answer with its ETag, and with what caches may do with it."""
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
    """304, if the client has what the answer's ETag names."""
    headers = response.headers
    if not matches(request.headers.get("if-none-match"), headers["etag"]):
        return None
    return HTTPResponse(status=304, headers={name: headers[name] for name in ("etag", "cache-control", "vary")})


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether the client has what the tag names (RFC 9110, section 13.1.2: weak comparison)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    known = {match["opaque"] for match in _TAG.finditer(if_none_match)}
    return tag.removeprefix("W/").strip('"') in known


def takes_gzip(accept_encoding: str | None) -> bool:
    """Whether the client named gzip, or anything, and did not refuse it."""
    found: dict[str, float] = {}
    for part in (accept_encoding or "").split(","):
        match = _CODING.fullmatch(part)
        if match is not None:
            found[match["name"].lower()] = float(match["quality"] or 1)
    return found.get("gzip", found.get("*", 0.0)) > 0
