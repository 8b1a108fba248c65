"""Read-your-writes: how far the projection has come, and each user's last write through this process.

The reservations worker replies before the rows exist. So a read waits, for a bounded time, until the projection has
reached its user's last write. Positions come from `circle:projected`; without news there, from Postgres.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic

import msgspec

from api.fairness.limits import REMEMBERED_MAX
from api.http.problem import Problem
from schemas.ids import EventId, ReservationId, UserId

ASK_AFTER_S = 0.5  # without news for this long, ask Postgres: a message may have been lost
ASK_AGAIN_S = 0.2


class ProjectedPosition(msgspec.Struct, frozen=True, gc=False):
    """A message on `circle:projected`: the last position applied on a partition."""

    partition: int
    offset: int


class Watermarks:
    """The last applied offset of each partition, and the reads that wait for later ones."""

    def __init__(self, ask: Callable[[], Awaitable[Iterable[tuple[int, int]]]]) -> None:
        self._ask = ask
        self._applied: dict[int, int] = {}
        self._asked = 0.0
        self._waiting: dict[int, set[tuple[int, asyncio.Future[None]]]] = {}
        self._decoder = msgspec.json.Decoder(ProjectedPosition | list[ProjectedPosition])

    def message(self, data: bytes) -> None:
        """A message of `circle:projected`."""
        positions = self._decoder.decode(data)
        for projected in positions if isinstance(positions, list) else [positions]:
            self.advance(projected.partition, projected.offset)

    async def refresh(self) -> None:
        """Catch up from Postgres, at most every ASK_AGAIN_S for all waiting reads. Ignores an outage of Postgres."""
        if monotonic() - self._asked < ASK_AGAIN_S:
            return
        self._asked = monotonic()
        try:
            for partition, offset in await self._ask():
                self.advance(partition, offset)
        except Problem:
            return

    def applied(self, partition: int) -> int:
        """The last applied offset, -1 if it is not known."""
        return self._applied.get(partition, -1)

    def advance(self, partition: int, offset: int) -> None:
        """The projection has applied a partition up to and including `offset`."""
        if offset <= self._applied.get(partition, -1):
            return
        self._applied[partition] = offset
        waiting = self._waiting.get(partition)
        if waiting:
            for waiter in [waiter for waiter in waiting if waiter[0] <= offset]:
                waiting.discard(waiter)
                if not waiter[1].done():
                    waiter[1].set_result(None)

    async def wait(self, partition: int, offset: int, timeout_s: float, *, ask: bool = True) -> bool:
        """Whether the projection reaches `offset` within `timeout_s` seconds. With `ask`, Postgres is asked too."""
        deadline = monotonic() + timeout_s
        while self.applied(partition) < offset:
            left = deadline - monotonic()
            if left <= 0:
                return False
            future = asyncio.get_running_loop().create_future()
            waiter = (offset, future)
            waiting = self._waiting.setdefault(partition, set())
            waiting.add(waiter)
            try:
                async with asyncio.timeout(min(left, ASK_AFTER_S) if ask else left):
                    await future
            except TimeoutError:
                if ask:
                    await self.refresh()
            finally:
                waiting.discard(waiter)
        return True


class PendingReservation(msgspec.Struct, frozen=True, gc=False):
    """A reservation that was written to the log: its user, its event, its position."""

    user_id: UserId
    event_id: EventId
    partition: int
    offset: int


class RecentIds:
    """The latest ids, up to a maximum."""

    __slots__ = ("_ids", "_max")

    def __init__(self, limit: int) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._max = limit

    def __contains__(self, identity: str) -> bool:
        return identity in self._ids

    def add(self, identity: str) -> None:
        """Remember an id. Above the maximum the oldest is forgotten."""
        self._ids[identity] = None
        if len(self._ids) > self._max:
            self._ids.popitem(last=False)


class Memory:
    """Writes that this process knows before the projection has them. Bounded: the oldest is forgotten first."""

    __slots__ = ("_awaited", "_reservations", "_written")

    def __init__(self) -> None:
        # Not plain dictionaries: to find its oldest key, one steps over all keys that were deleted before it.
        self._reservations: OrderedDict[ReservationId, PendingReservation] = OrderedDict()
        self._written: OrderedDict[UserId, tuple[int, int]] = OrderedDict()
        self._awaited: dict[ReservationId, set[asyncio.Future[None]]] = {}  # one for each request that waits

    def wrote(self, user_id: UserId, partition: int, offset: int) -> None:
        """Remember the position of a user's last write."""
        written = self._written
        written[user_id] = (partition, offset)
        written.move_to_end(user_id)
        if len(written) > REMEMBERED_MAX:
            written.popitem(last=False)

    def last_written(self, user_id: UserId) -> tuple[int, int] | None:
        """The partition and offset of a user's last write."""
        return self._written.get(user_id)

    def reserved(
        self, reservation_id: ReservationId, user_id: UserId, event_id: EventId, partition: int, offset: int
    ) -> None:
        """A command that makes or changes a reservation is on the log at this position."""
        known = self._reservations
        known[reservation_id] = PendingReservation(user_id, event_id, partition, offset)
        known.move_to_end(reservation_id)
        if len(known) > REMEMBERED_MAX:
            known.popitem(last=False)
        for waiting in self._awaited.get(reservation_id, ()):
            if not waiting.done():
                waiting.set_result(None)

    def heard_of(self, reservation_id: ReservationId, asked: PendingReservation) -> None:
        """Remember a reservation from another process or a row. An id's event never changes."""
        known = self._reservations.get(reservation_id)
        if known is None or (known.event_id == asked.event_id and known.offset < asked.offset):
            self.reserved(reservation_id, asked.user_id, asked.event_id, asked.partition, asked.offset)

    def heard_of_write(self, user_id: UserId, partition: int, offset: int) -> None:
        """Remember a user's write from another process."""
        known = self._written.get(user_id)
        if known is None or known[0] != partition or known[1] < offset:
            self.wrote(user_id, partition, offset)

    async def announced(
        self, reservation_id: ReservationId, user_id: UserId, timeout_s: float
    ) -> PendingReservation | None:
        """The user's reservation, as soon as a process announces it; None when none does within `timeout_s` seconds.
        Takes as long for another user's reservation as for an unknown one."""
        known = self.asked(reservation_id)
        if known is not None and known.user_id == user_id:
            return known
        waiting = asyncio.get_running_loop().create_future()
        self._awaited.setdefault(reservation_id, set()).add(waiting)
        try:
            async with asyncio.timeout(timeout_s):
                await waiting
        except TimeoutError:
            return None
        finally:
            others = self._awaited[reservation_id]
            others.discard(waiting)
            if not others:
                del self._awaited[reservation_id]
        known = self.asked(reservation_id)
        return known if known is not None and known.user_id == user_id else None

    def asked(self, reservation_id: ReservationId) -> PendingReservation | None:
        """The known position of a reservation, or None."""
        return self._reservations.get(reservation_id)
