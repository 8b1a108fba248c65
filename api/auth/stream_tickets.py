"""Tickets for live streams, because a browser's EventSource cannot send an Authorization header.

A ticket is signed with the keys of access tokens, as another type, so write access to Redis is not enough to make one.
It is valid for one user, one session and one stream, expires after STREAM_TICKET_TTL_S, and opens its stream once:
Redis keeps the digest of a used ticket for as long. A ticket is part of an address; one that is found in a log is
worthless.
"""

from __future__ import annotations

import secrets
import time
from hashlib import sha256

import jwt
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.auth.keys import KeyRing
from api.auth.tokens import ALGORITHM, ISSUER, AccessTokens, Caller, Role, unauthorized
from api.fairness.limits import STREAM_TICKET_TTL_S
from api.http.problem import unavailable

TYPE = "stream-ticket"
KEY_PREFIX = "circle:stream-tickets:"
TICKET_CHARS_MAX = 1_024
_CLAIMS = ["sub", "role", "iss", "iat", "exp", "typ", "jti", "path", "until"]


class StreamTickets:
    """Issues tickets, and accepts each once."""

    def __init__(self, redis: Redis, keys: KeyRing, tokens: AccessTokens) -> None:
        self._redis, self._keys, self._tokens = redis, keys, tokens

    def issue(self, caller: Caller, path: str) -> str:
        """A ticket for the stream at `path`. It allows no more, and lasts no longer, than the caller's token."""
        now = int(time.time())
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
        digest = sha256(ticket.encode("utf-8", "surrogateescape")).hexdigest()
        try:
            first = await self._redis.set(KEY_PREFIX + digest, b"", nx=True, ex=STREAM_TICKET_TTL_S * 2)
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable("redis", "the API cannot check at the moment whether the ticket was used") from error
        if not first:
            raise unauthorized("the ticket was already used; get another one")
        if not self._tokens.is_open(caller):
            raise unauthorized("the session has ended; log in again")
        return caller

    def _read(self, ticket: str, path: str) -> Caller:
        try:
            if len(ticket) > TICKET_CHARS_MAX:
                raise ValueError
            key = self._keys.by_kid[jwt.get_unverified_header(ticket)["kid"]]
            claims = jwt.decode(
                ticket, key.public, algorithms=[ALGORITHM], issuer=ISSUER,
                options={"require": _CLAIMS, "verify_aud": False, "verify_iat": False},  # hosts' clocks differ
            )  # fmt: skip
            if claims["typ"] != TYPE or claims["path"] != path:
                raise unauthorized("the ticket is for another stream")
            return Caller(claims["sub"], Role(claims["role"]), int(claims["until"]), claims.get("sid", ""))
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            raise unauthorized("the ticket is not valid, or has expired") from None
