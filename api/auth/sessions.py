"""Sessions that ended early: by a logout, a new password, a stolen refresh token, or an erased account.

A session is a family of refresh tokens; its id is the `sid` of its access tokens. Guarantee: the process that ends a
session refuses its access tokens at once. Every other process does as soon as Redis delivers the message, and without
Redis within RELOAD_S. Postgres keeps ended sessions for as long as an access token is valid.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.fairness.limits import ACCESS_TOKEN_TTL_S, SESSIONS_ENDED_MAX
from api.http.problem import Problem
from api.log.seals import Seals
from connectors import logs
from schemas.ids import SessionId

CHANNEL = "circle:sessions"
RELOAD_S = 30.0  # a message may be lost, so Postgres is asked this often

log = logs.get("api.sessions")


class EndedSessions:
    """The ids of ended sessions, each for as long as its access tokens may be valid."""

    __slots__ = ("_clock", "_until")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._until: dict[SessionId, float] = {}

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._until

    def __len__(self) -> int:
        return len(self._until)

    def add(self, session_ids: Iterable[SessionId]) -> None:
        """Add sessions that end now. The oldest are forgotten when their tokens have expired, or above the maximum."""
        now = self._clock()
        for one in session_ids:
            self._until.setdefault(one, now + ACCESS_TOKEN_TTL_S)
        for oldest, until in tuple(self._until.items()):
            if until > now and len(self._until) <= SESSIONS_ENDED_MAX:
                break
            del self._until[oldest]


class Sessions:
    """Ends sessions in this process, and informs the other processes."""

    def __init__(self, redis: Redis, ask: Callable[[], Awaitable[Iterable[SessionId]]], seals: Seals) -> None:
        self.ended = EndedSessions()
        self._redis, self._ask, self._seals = redis, ask, seals
        self._reload = asyncio.Event()

    async def end(self, session_ids: Iterable[SessionId]) -> None:
        """End sessions, which have ended in Postgres, in this process and soon in all."""
        ids = list(session_ids)
        if not ids:
            return
        self.ended.add(ids)
        try:
            await self._redis.publish(CHANNEL, self._seals.seal(msgspec.json.encode(ids)))
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("sessions.not_told", sessions=len(ids), error=f"{type(error).__name__}: {error}")

    def message(self, data: bytes) -> None:
        """A message of `circle:sessions`."""
        message = self._seals.open(data)
        if message is not None:
            self.ended.add(msgspec.json.decode(message, type=list[SessionId]))

    def reload(self) -> None:
        """Ask Postgres soon, because messages may have been missed."""
        self._reload.set()

    async def keep_up(self) -> None:
        """Ask Postgres at start, after `reload`, and every RELOAD_S, until cancelled."""
        while True:
            self._reload.clear()
            try:
                self.ended.add(await self._ask())
            except Problem as problem:
                log.warning("sessions.not_read", reason=problem.detail)
            try:
                async with asyncio.timeout(RELOAD_S):
                    await self._reload.wait()
            except TimeoutError:
                continue
