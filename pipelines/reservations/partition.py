"""A partition in its owner's memory: log time, the states of its events, and their deadlines. Pure.

Guarantee: a record is placed at log time, the largest record timestamp seen on the partition. It never goes back.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import msgspec

from pipelines.reservations.core.entities import At
from pipelines.reservations.core.state import NOW, EventState
from schemas import commands as c
from schemas.codec import Codec, Undecodable
from schemas.command_reading import command_in
from schemas.ids import US_PER_S, EventId, LogTime

TICK_AGAIN_US = US_PER_S // 4  # after a tick that was too early by the broker's clock, another one follows
TICK_AGAIN_US_MAX = 10 * US_PER_S  # when it was early by minutes: another broker may lead by then, with another clock
TICK_LOST_US = 30 * US_PER_S  # a tick that was not read in this time is written again, so a backlog gets no flood


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A command or an unreadable record, with its position on the log."""

    at: At
    key: bytes | None
    command: c.Command | Undecodable


@dataclass(slots=True)
class _Ticked:
    """An event's last tick: when it was written, and at which log time; the wait after it, and after a read one."""

    sent_us: int
    log_time: LogTime
    wait_us: int
    read_us: int = 0


@dataclass(slots=True)
class Partition:
    """A partition in its owner's memory: log time, the states of its events, and one heap of their deadlines."""

    number: int
    epoch: int
    log_time: LogTime
    known_events: set[EventId]
    states: dict[EventId, EventState] = field(default_factory=dict)
    of: int | None = None  # the topic's number of partitions; None if events may be on any partition
    _deadlines: list[tuple[int, EventId]] = field(default_factory=list)
    _queued: dict[EventId, int] = field(default_factory=dict)  # by event: its deadline in the heap
    _ticked: dict[EventId, _Ticked] = field(default_factory=dict)

    def advance(self, timestamp_us: int) -> LogTime:
        """Move log time to a record with this timestamp. It never goes back."""
        if timestamp_us > self.log_time:
            self.log_time = LogTime(timestamp_us)
        return self.log_time

    def read(self, codec: Codec, value: bytes | None) -> c.Command | Undecodable:
        """The command in a record of this partition, or why it cannot be decided here."""
        return command_in(codec, value, self.number, self.of)

    def watch(self, event_id: EventId, deadline: int | None) -> None:
        """Note that the event has something due at `deadline`; None changes nothing."""
        if deadline is not None and self._queued.get(event_id, deadline + 1) > deadline:
            self._queued[event_id] = deadline
            heapq.heappush(self._deadlines, (deadline, event_id))

    def due_events(self, wall_us: int, limit: int, *, steady_us: int) -> list[EventId]:
        """Events that need a tick now, at most `limit`. Not again until an event's last tick is read or lost.

        `wall_us` is the time by which something is due. `steady_us` is of a clock that is never set: it spaces ticks.
        """
        heap = self._deadlines
        due: list[EventId] = []
        later: list[tuple[int, EventId]] = []
        while heap and heap[0][0] <= wall_us and len(due) < limit:
            deadline, event_id = heapq.heappop(heap)
            if self._queued.get(event_id) != deadline:
                continue
            del self._queued[event_id]
            state = self.states.get(event_id)
            actual = deadline if state is None else state.next_deadline()
            if actual is None:
                self._ticked.pop(event_id, None)
            elif actual > wall_us:
                later.append((actual, event_id))
            else:
                later.append((actual, event_id))
                ticked = self._ticked.get(event_id)
                if ticked is None or steady_us - ticked.sent_us >= ticked.wait_us:
                    read_us = 0 if ticked is None else ticked.read_us
                    self._ticked[event_id] = _Ticked(steady_us, self.log_time, TICK_LOST_US, read_us)
                    due.append(event_id)
        for deadline, event_id in later:
            self.watch(event_id, deadline)
        return due

    def settle(self, state: EventState, *, failed: bool) -> None:
        """After the commit: watch the event's new deadline, or forget an event that does not exist.

        `failed` is whether the rules have raised on a command of the event.
        """
        if state.details is None and not state.unfolded:
            self.states.pop(state.event_id, None)
            return
        self.known_events.add(state.event_id)
        deadline, ticked = state.next_deadline(), self._ticked.get(state.event_id)
        if ticked is not None:
            ticked.read_us = self._wait_us(deadline, ticked)
            # If the rules raise, the work may stay due. So the next tick is as late as after a lost one.
            ticked.wait_us = TICK_LOST_US if failed else ticked.read_us
        self.watch(state.event_id, deadline)

    def _wait_us(self, deadline: int | None, ticked: _Ticked) -> int:
        """The wait after a tick that was read: until its event's next deadline by log time, within bounds.

        Log time stands still when another broker leads whose clock is behind the former one's: then waits grow.
        """
        if deadline is None or deadline == NOW:
            return 0
        stands_us = ticked.read_us * 2 if self.log_time == ticked.log_time else 0
        return min(max(deadline - self.log_time, stands_us, TICK_AGAIN_US), TICK_AGAIN_US_MAX)
