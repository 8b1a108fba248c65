"""Whether an event exists for a caller: a request for an event that does not exist stays off the log.

Guarantee: the answer is "absent" only if the projection has applied everything that was on the event's partition at
the time of the question, and has no such row, or the row of another organizer's draft. A process knows an event that it
or another process has just created before its row exists. If a service is down, or the projection lags or has not
begun, the answer is unknown, and the log decides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic

from api.fairness.limits import EVENTS_ABSENT_MAX, EVENTS_ABSENT_S, EVENTS_KNOWN_MAX, PROJECTION_WAIT_MAX_S
from api.fairness.shared_fetch import SharedFetch
from api.http.problem import Problem
from api.log.watermarks import Watermarks
from schemas.ids import NOBODY, EventId, UserId
from schemas.placement import partition_of

PUBLIC = NOBODY


class Existence:
    """The latest EVENTS_KNOWN_MAX events that this process knows, and for a moment the absent ones."""

    def __init__(
        self,
        *,
        draft_of: Callable[[EventId], Awaitable[UserId | None]],
        end_of: Callable[[int], Awaitable[int | None]],
        watermarks: Watermarks,
        partitions: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`draft_of` gives a draft's organizer, PUBLIC for a published event, None without a row; it raises Problem
        while PostgreSQL does not answer. `end_of` gives the offset after a partition's last command, None while the
        broker does not answer."""
        self._draft_of, self._end_of, self._watermarks = draft_of, end_of, watermarks
        self._partitions, self._clock = partitions, clock
        self._known: OrderedDict[EventId, bool] = OrderedDict()  # True: certainly public
        self._absent: OrderedDict[EventId, float] = OrderedDict()
        self._ends: SharedFetch[int | None] = SharedFetch()

    def made(self, event_id: EventId) -> None:
        """Remember an event: a command about it is on the log."""
        self._learn(event_id, public=False)

    async def is_absent(self, event_id: EventId, user_id: UserId | None = None) -> bool:
        """Whether the event is certainly absent for this user. `user_id` None: an administrator, who sees drafts."""
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
            draft = await self._draft_of(event_id)
        except Problem:
            return False
        if self._is_there(event_id, user_id, draft):  # or created during the look-up
            return False
        if draft is None:  # a draft may be published at any moment, so it is looked up each time
            self._absent[event_id] = self._clock() + EVENTS_ABSENT_S
            self._absent.move_to_end(event_id)
            if len(self._absent) > EVENTS_ABSENT_MAX:
                self._absent.popitem(last=False)
        return True

    def _is_there(self, event_id: EventId, user_id: UserId | None, draft_of: UserId | None) -> bool:
        if draft_of is None:
            return event_id in self._known  # its row follows
        self._learn(event_id, public=draft_of == PUBLIC)
        return draft_of == PUBLIC or user_id is None or user_id == draft_of

    def _learn(self, event_id: EventId, *, public: bool) -> None:
        if self._known.get(event_id, not public) is not public:
            self._known[event_id] = public or self._known.get(event_id, False)
            self._absent.pop(event_id, None)
            if len(self._known) > EVENTS_KNOWN_MAX:
                self._known.popitem(last=False)

    async def _is_projected(self, partition: int) -> bool:
        """Wait until the rows have everything that is on the partition now. False if that takes too long."""
        if self._watermarks.applied(partition) < 0:
            await self._watermarks.refresh()
            if self._watermarks.applied(partition) < 0:
                return False
        end = await self._ends.get(str(partition), lambda: self._end_of(partition))
        if end is None:
            return False
        return not end or await self._watermarks.wait(partition, end - 1, PROJECTION_WAIT_MAX_S)
