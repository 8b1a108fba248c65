"""Availability that is watched: one reading for all watchers of an event, and one message for those who see the same.

A watcher's news are at most SHARED_S older than its look, beyond the time of the reading itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from sanic import Request

from api.http.stream_groups import LiveStream
from api.reads.feeds import Feeds
from api.shapes.door import CountsOut
from api.shapes.events import AvailabilityOut, EventAvailabilityOut
from connectors.period import Period

if TYPE_CHECKING:
    from api.reads.visibility import Sight  # it imports api.deps, which imports this

SHARED_S = 0.04  # watchers who look within it share a reading
PERIOD = Period(least_s=SHARED_S, part_max=1.0)  # a reading is one short query


class SeenAvailability(NamedTuple):
    """What a watcher sees of an event, and the message that says so, as a chunk of the stream."""

    items: list[AvailabilityOut]
    message: bytes


@dataclass(frozen=True, slots=True)
class WatchedAvailability:
    """An event's availability at one moment. It lives for a moment, so `by_sight` has no more than one entry for each
    watcher."""

    whole: EventAvailabilityOut
    by_sight: dict[Sight, SeenAvailability] = field(default_factory=dict)


class Counted(NamedTuple):
    """The door's counts, and the message that says so, as a chunk of the stream."""

    counts: CountsOut
    message: bytes


class EventWatcher(LiveStream):
    """One live stream of an event, and what it has got."""

    def __init__(self, request: Request, is_open: Callable[[], bool], eyes: Sight) -> None:
        """`eyes` are the ticket types that its caller sees."""
        super().__init__(request, is_open)
        self.eyes = eyes
        self._items: list[AvailabilityOut] | None = None
        self._counts: CountsOut | None = None
        self._shown_at = -inf

    def show(self, at: float, seen: SeenAvailability, counted: Counted | None) -> bool:
        """Send what has changed; False if the client has not read what came before. `at` orders the readings: an
        earlier one than the last is left out."""
        if at < self._shown_at:
            return True
        if seen.items != self._items:
            if not self.send(seen.message):
                return False
            self._items = seen.items
        if counted is not None and counted.counts != self._counts:
            if not self.send(counted.message):
                return False
            self._counts = counted.counts
        self._shown_at = at
        return True


class AvailabilityFeeds(Feeds[WatchedAvailability]):
    """The last availability of each watched event. One per process, for its event loop."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(PERIOD, clock)
