"""Whether there is an event for a caller: what is asked of one that there is not need not go on the log.

Guarantee: "there is none" is said only when the projection has applied everything that was on the event's partition
when the question came, and has no such row, or the row of somebody else's draft. An event that this or another process
has just created is known before its row is. Where a service is away, or the projection is behind or has not begun,
nothing is known, and the log decides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic

from api.fairness.limits import EVENTS_ABSENT_MAX, EVENTS_ABSENT_S, EVENTS_KNOWN_MAX, PROJECTION_WAIT_MAX_S
from api.fairness.shared_fetch import SharedFetch
from api.http.problem import Problem
from api.log.watermarks import Watermarks
from schemas.placement import partition_of

PUBLIC = ""


class Existence:
    """The events that this process knows of, the latest EVENTS_KNOWN_MAX, and for a moment those that there are not."""

    def __init__(
        self,
        *,
        draft_of: Callable[[str], Awaitable[str | None]],
        end_of: Callable[[int], Awaitable[int | None]],
        watermarks: Watermarks,
        partitions: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`draft_of` an event is its organizer while it is a draft, PUBLIC afterwards, None without a row; it raises
        Problem while PostgreSQL is away. `end_of` a partition is the offset behind its last command, None while the
        broker does not say."""
        self._draft_of, self._end_of, self._watermarks = draft_of, end_of, watermarks
        self._partitions, self._clock = partitions, clock
        self._known: OrderedDict[str, bool] = OrderedDict()  # whether it is public for certain
        self._absent: OrderedDict[str, float] = OrderedDict()
        self._ends: SharedFetch[int | None] = SharedFetch()

    def made(self, event_id: str) -> None:
        """Something about the event was written by somebody who knew it."""
        self._learn(event_id, public=False)

    async def is_absent(self, event_id: str, user_id: str | None = None) -> bool:
        """Whether there is certainly no such event for this caller. None, an administrator, sees all drafts."""
        if self._known.get(event_id):
            return False
        until = self._absent.get(event_id)
        if until is not None and self._clock() < until:
            return True
        try:
            if self._is_there(event_id, user_id, await self._draft_of(event_id)):
                return False
            if not await self._is_projected(partition_of(event_id, self._partitions)):
                return False
            found = await self._draft_of(event_id)
        except Problem:
            return False
        if self._is_there(event_id, user_id, found):  # or made while we looked
            return False
        if found is None:  # a draft may be published in the next moment: it is looked up each time
            self._absent[event_id] = self._clock() + EVENTS_ABSENT_S
            self._absent.move_to_end(event_id)
            if len(self._absent) > EVENTS_ABSENT_MAX:
                self._absent.popitem(last=False)
        return True

    def _is_there(self, event_id: str, user_id: str | None, draft_of: str | None) -> bool:
        if draft_of is None:
            return event_id in self._known  # its row is on its way
        self._learn(event_id, public=draft_of == PUBLIC)
        return draft_of == PUBLIC or user_id is None or user_id == draft_of

    def _learn(self, event_id: str, *, public: bool) -> None:
        if self._known.get(event_id, not public) is not public:
            self._known[event_id] = public or self._known.get(event_id, False)
            self._absent.pop(event_id, None)
            if len(self._known) > EVENTS_KNOWN_MAX:
                self._known.popitem(last=False)

    async def _is_projected(self, partition: int) -> bool:
        """Whether the rows have everything that is on the partition now. Waits for it."""
        if self._watermarks.applied(partition) < 0:
            await self._watermarks.refresh()
            if self._watermarks.applied(partition) < 0:
                return False
        end = await self._ends.get(str(partition), lambda: self._end_of(partition))
        if end is None:
            return False
        return not end or await self._watermarks.wait(partition, end - 1, PROJECTION_WAIT_MAX_S)
