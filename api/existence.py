"""Whether there is an event at all: what is asked of one that there is not need not go on the log.

Guarantee: "there is none" is said only when the projection has applied everything that was on the event's partition
when the question came, and has no such row. An event that this or another process has just created is known before its
row is. Where a service is away, or the projection is behind or has not begun, nothing is known, and the log decides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic

from api.coalesced import Coalesced
from api.limits import EVENTS_ABSENT_MAX, EVENTS_ABSENT_S, EVENTS_KNOWN_MAX, PROJECTION_WAIT_MAX_S
from api.problem import Problem
from api.watermarks import Watermarks
from schemas.placement import partition_of


class Existence:
    """The events that this process knows of, the latest EVENTS_KNOWN_MAX, and for a moment those that there are not."""

    def __init__(
        self,
        *,
        has_row: Callable[[str], Awaitable[bool]],
        end_of: Callable[[int], Awaitable[int | None]],
        watermarks: Watermarks,
        partitions: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`has_row` raises Problem while PostgreSQL is away; `end_of` a partition is the offset behind its last
        command, None while the broker does not say."""
        self._has_row, self._end_of, self._watermarks = has_row, end_of, watermarks
        self._partitions, self._clock = partitions, clock
        self._known: OrderedDict[str, None] = OrderedDict()
        self._absent: OrderedDict[str, float] = OrderedDict()
        self._ends: Coalesced[int | None] = Coalesced()

    def made(self, event_id: str) -> None:
        """Something about the event was written by somebody who knew it."""
        if event_id not in self._known:
            self._known[event_id] = None
            self._absent.pop(event_id, None)
            if len(self._known) > EVENTS_KNOWN_MAX:
                self._known.popitem(last=False)

    async def is_absent(self, event_id: str) -> bool:
        """Whether there is certainly no such event."""
        if event_id in self._known:
            return False
        until = self._absent.get(event_id)
        if until is not None and self._clock() < until:
            return True
        try:
            if await self._has_row(event_id):
                self.made(event_id)
                return False
            absent = await self._is_absent_now(event_id)
        except Problem:
            return False
        if not absent or event_id in self._known:  # or made while we looked
            return False
        self._absent[event_id] = self._clock() + EVENTS_ABSENT_S
        self._absent.move_to_end(event_id)
        if len(self._absent) > EVENTS_ABSENT_MAX:
            self._absent.popitem(last=False)
        return True

    async def _is_absent_now(self, event_id: str) -> bool:
        partition = partition_of(event_id, self._partitions)
        if self._watermarks.applied(partition) < 0:
            await self._watermarks.refresh()
            if self._watermarks.applied(partition) < 0:
                return False
        end = await self._ends.get(str(partition), lambda: self._end_of(partition))
        if end is None:
            return False
        if end and not await self._watermarks.wait(partition, end - 1, PROJECTION_WAIT_MAX_S):
            return False
        return not await self._has_row(event_id)
