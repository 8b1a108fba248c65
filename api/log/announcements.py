"""Announcements between API processes over Redis: each write's position on the log.

So users read their own writes through any process, and every process knows an Idempotency-Key that was used for another
event. No request waits for this: writes are announced, several at once, after the log has acknowledged them. A process
without listeners announces its writes once a second. A process that begins to listen says so, and hears at once.

Guarantee: a process knows every write that was announced while it listened. After its start and after an outage of
Redis it reads the writes that it may have missed from the rows: the latest RECALLED_MAX reservations of the last
RECALLED_S. A lost or late announcement can cause a read that is a moment old, or a used key that this process does not
know. It never loses a record of the log.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import msgspec
from redis.exceptions import RedisError

from api.fairness.limits import REDIS_TIMEOUT_S, REMEMBERED_MAX
from api.http.problem import Problem
from api.log.watermarks import Memory, PendingReservation
from connectors import logs
from schemas.commands import Command
from schemas.ids import NO_RESERVATION, US_PER_S, EventId, ReservationId, UserId

INTERVAL_S = 0.02  # the first write is announced at once, those within this time after it together
ALONE_S = 1.0  # … and so long when no other process hears; one that begins to listen ends the wait
ANNOUNCED_MAX = 2_000  # in one message: about 300 KB
RECALLED_MAX = REMEMBERED_MAX
RECALLED_S = 24 * 3600.0
RECALLED_AT_ONCE = 1_000  # then other tasks get their turn

log = logs.get("api.log.announcements")


class AnnouncedWrite(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One write: its user, its position, and its reservation, or "" for none."""

    user_id: UserId
    event_id: EventId
    reservation_id: ReservationId
    partition: int
    offset: int


class Announced(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A message: the sending process and its writes."""

    sender: str
    writes: list[AnnouncedWrite]


class Announcements:
    """Announces this process's writes, and remembers those of the others."""

    def __init__(
        self,
        sender: str,
        memory: Memory,
        *,
        publish: Callable[[bytes], Awaitable[int]],
        recent: Callable[[int, int], Awaitable[Iterable[tuple[ReservationId, PendingReservation]]]],
        known: Callable[[EventId], None] = lambda _: None,
        listening: Callable[[], bool] = lambda: True,
    ) -> None:
        """`publish` returns how many processes have heard, this one included if `listening`. `recent(since_us, count)`
        gives the latest reservations that have rows, the oldest first. `known` is called with the id of each event that
        a write is about."""
        self._sender, self._memory, self._publish, self._recent = sender, memory, publish, recent
        self._known, self._listening = known, listening
        self._alone = False
        self._others_heard = asyncio.Event()
        self._pending: deque[AnnouncedWrite] = deque(maxlen=REMEMBERED_MAX)
        self._telling: asyncio.Task[None] | None = None
        self._recalling: asyncio.Task[None] | None = None
        self._encode = msgspec.msgpack.Encoder().encode
        self._decoder = msgspec.msgpack.Decoder(Announced)

    def written(self, command: Command, partition: int, offset: int) -> None:
        """The log has acknowledged a command of this process."""
        self._known(command.event_id)
        reservation_id: ReservationId = getattr(command, "reservation_id", NO_RESERVATION)
        self._pending.append(
            AnnouncedWrite(
                user_id=command.user_id,
                event_id=command.event_id,
                reservation_id=reservation_id,
                partition=partition,
                offset=offset,
            )
        )
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    def message(self, data: bytes) -> None:
        """Handle a message. This process's own messages come back too, and are skipped."""
        announced = self._decoder.decode(data)
        if announced.sender != self._sender:
            self._alone = False
            self._others_heard.set()
            for write in announced.writes:
                self._known(write.event_id)
                self._memory.heard_of_write(write.user_id, write.partition, write.offset)
                if write.reservation_id:
                    asked = PendingReservation(write.user_id, write.event_id, write.partition, write.offset)
                    self._memory.heard_of(write.reservation_id, asked)

    def catch_up(self) -> None:
        """Say that this process listens, and start to read possibly missed writes from the rows. Returns at once."""
        if self._recalling is None or self._recalling.done():
            self._recalling = asyncio.get_running_loop().create_task(self._recall())

    async def close(self) -> None:
        """Announce the remaining writes, and end."""
        if self._recalling is not None:
            self._recalling.cancel()
        self._others_heard.set()
        for task in (self._telling, self._recalling):
            if task is not None:
                await asyncio.wait([task], timeout=2 * REDIS_TIMEOUT_S)
                task.cancel()

    async def _tell(self) -> None:
        try:
            if self._alone:
                await self._while_alone()
            while self._pending:
                await self._announce([self._pending.popleft() for _ in range(min(len(self._pending), ANNOUNCED_MAX))])
                if not self._alone:
                    await asyncio.sleep(INTERVAL_S)
                elif len(self._pending) < ANNOUNCED_MAX:
                    await self._while_alone()
        finally:
            self._telling = None

    async def _announce(self, writes: list[AnnouncedWrite]) -> None:
        self._others_heard.clear()
        try:
            heard = await self._publish(self._encode(Announced(self._sender, writes)))
        except (RedisError, OSError, TimeoutError) as error:  # the other processes read the rows instead
            log.warning("writes.not_announced", writes=len(writes), error=f"{type(error).__name__}: {error}")
        else:
            self._alone = heard <= 1 and self._listening() and not self._others_heard.is_set()

    async def _while_alone(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(ALONE_S):
                await self._others_heard.wait()

    async def _recall(self) -> None:
        await self._announce([])
        since_us = int((time.time() - RECALLED_S) * US_PER_S)
        try:
            recent = await self._recent(since_us, RECALLED_MAX)
        except Problem as error:
            log.warning("reservations.not_recalled", error=error.detail)
            return
        for count, (reservation_id, asked) in enumerate(recent):
            self._memory.heard_of(reservation_id, asked)
            if count % RECALLED_AT_ONCE == RECALLED_AT_ONCE - 1:
                await asyncio.sleep(0)
        log.info("reservations.recalled")
