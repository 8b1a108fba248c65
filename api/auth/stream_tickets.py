"""Tickets for live streams: what a browser's EventSource shows, which can send no Authorization header.

A ticket is signed as access tokens are, by the same keys and as another type, so nobody who can write to Redis makes
one. It is for one user, one session and one stream, ends after STREAM_TICKET_TTL_S, and opens its stream once: Redis
keeps the digest of a used one for as long. It stands in an address, so it is worth nothing to who finds that in a log.
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
    """Issues them, and takes each once."""

    def __init__(self, redis: Redis, keys: KeyRing, tokens: AccessTokens) -> None:
        self._redis, self._keys, self._tokens = redis, keys, tokens

    def issue(self, caller: Caller, path: str) -> str:
        """A ticket for the stream at `path`, with what the caller's token allows and for no longer."""
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
        """Who the ticket is for. Raises Problem unauthorized (401), or unavailable (503) when Redis is away."""
        caller = self._read(ticket, path.lower())
        digest = sha256(ticket.encode("utf-8", "surrogateescape")).hexdigest()
        try:
            first = await self._redis.set(KEY_PREFIX + digest, b"", nx=True, ex=STREAM_TICKET_TTL_S * 2)
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable("redis", "whether the ticket was used cannot be known at the moment") from error
        if not first:
            raise unauthorized("the ticket was used; get another one")
        if not self._tokens.is_open(caller):
            raise unauthorized("the session was ended; log in again")
        return caller

    def _read(self, ticket: str, path: str) -> Caller:
        try:
            if len(ticket) > TICKET_CHARS_MAX:
                raise ValueError
            key = self._keys.by_kid[jwt.get_unverified_header(ticket)["kid"]]
            claims = jwt.decode(
                ticket, key.public, algorithms=[ALGORITHM], issuer=ISSUER,
                options={"require": _CLAIMS, "verify_aud": False},
            )  # fmt: skip
            if claims["typ"] != TYPE or claims["path"] != path:
                raise unauthorized("the ticket is for another stream")
            return Caller(claims["sub"], Role(claims["role"]), int(claims["until"]), claims.get("sid", ""))
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            raise unauthorized("the ticket is not one of ours, or has run out") from None
