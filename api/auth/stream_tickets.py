"""Tickets for live streams, because a browser's EventSource cannot send an Authorization header.

A ticket is signed with the keys of access tokens, as another type, so write access to Redis is not enough to make one.
It is valid for one user, one session and one stream, and opens its stream once. Redis keeps its digest for
STREAM_TICKET_TTL_S and notes its use, so it lives as long between two hosts whose clocks differ by minutes. A ticket is
part of an address; one that is found in a log is worthless.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from hashlib import sha256

import jwt
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.auth.keys import KeyRing
from api.auth.tokens import AHEAD_S_MAX, ALGORITHM, ISSUER, AccessTokens, Caller, Role, unauthorized
from api.fairness.limits import STREAM_TICKET_TTL_S
from api.http.problem import unavailable

TYPE = "stream-ticket"
KEY_PREFIX = "circle:stream-tickets:issued:"  # a process of an earlier release marks used tickets under other keys
UNUSED, USED = b"unused", b"used"
TICKET_CHARS_MAX = 1_024
_CLAIMS = ["sub", "role", "iss", "iat", "exp", "typ", "jti", "path", "until"]


class StreamTickets:
    """Issues tickets, and accepts each once."""

    def __init__(
        self, redis: Redis, keys: KeyRing, tokens: AccessTokens, clock: Callable[[], float] = time.time
    ) -> None:
        self._redis, self._keys, self._tokens, self._clock = redis, keys, tokens, clock

    async def issue(self, caller: Caller, path: str) -> str:
        """A ticket for the stream at `path`. It allows no more, and lasts no longer, than the caller's token. Raises
        Problem unavailable (503) if Redis does not answer."""
        ticket = self.signed(caller, path)
        try:
            await self._redis.set(_key(ticket), UNUSED, ex=STREAM_TICKET_TTL_S)
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable("redis", "the API cannot issue a ticket at the moment") from error
        return ticket

    def signed(self, caller: Caller, path: str) -> str:
        """A ticket that Redis does not know: it opens nothing yet."""
        now = int(self._clock())
        claims = {
            "sub": caller.user_id,
            "role": caller.role.value,
            "sid": caller.session_id,
            "until": caller.expires_at,
            "path": path,
            "iss": ISSUER,
            "iat": now,
            "exp": now + STREAM_TICKET_TTL_S,
            "jti": secrets.token_urlsafe(16),
            "typ": TYPE,
        }
        key = self._keys.current
        return jwt.encode(claims, key.private, ALGORITHM, headers={"kid": key.kid})

    async def take(self, ticket: str, path: str) -> Caller:
        """The caller of a ticket. Raises Problem unauthorized (401), or unavailable (503) if Redis does not answer."""
        caller = self._read(ticket, path.lower())
        try:
            before = await self._redis.set(_key(ticket), USED, xx=True, get=True, keepttl=True)
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable("redis", "the API cannot check at the moment whether the ticket was used") from error
        if before is None:
            raise unauthorized("the ticket has expired; get another one")
        if before != UNUSED:
            raise unauthorized("the ticket was already used; get another one")
        if not self._tokens.is_open(caller):
            raise unauthorized("the session has ended; log in again")
        return caller

    def _read(self, ticket: str, path: str) -> Caller:
        """The caller, by the ticket alone. Redis bounds its life; `exp` bounds it, too, if Redis was written to."""
        try:
            if len(ticket) > TICKET_CHARS_MAX:
                raise ValueError
            key = self._keys.by_kid[jwt.get_unverified_header(ticket)["kid"]]
            claims = jwt.decode(
                ticket, key.public, algorithms=[ALGORITHM], issuer=ISSUER,
                options={"require": _CLAIMS, "verify_aud": False, "verify_iat": False, "verify_exp": False},
            )  # fmt: skip
            if int(claims["exp"]) + AHEAD_S_MAX <= self._clock():  # hosts' clocks differ
                raise unauthorized("the ticket has expired; get another one")
            if claims["typ"] != TYPE or claims["path"] != path:
                raise unauthorized("the ticket is for another stream")
            return Caller(claims["sub"], Role(claims["role"]), int(claims["until"]), claims.get("sid", ""))
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            raise unauthorized("the ticket is not valid, or has expired") from None


def _key(ticket: str) -> str:
    return KEY_PREFIX + sha256(ticket.encode("utf-8", "surrogateescape")).hexdigest()
