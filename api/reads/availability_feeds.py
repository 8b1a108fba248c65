"""Availability that is watched: one reading for all watchers of an event, and one text for those who see the same.

A watcher's news are at most SHARED_S older than its look, beyond the time of the reading itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple

from api.reads.feeds import Feeds
from api.shapes.events import AvailabilityOut, EventAvailabilityOut
from connectors.period import Period

SHARED_S = 0.04  # watchers who look within it share a reading
PERIOD = Period(least_s=SHARED_S, part_max=1.0)  # a reading is one short query


class SeenAvailability(NamedTuple):
    """What a watcher sees of an event, and the same as JSON."""

    items: list[AvailabilityOut]
    data: str


@dataclass(frozen=True, slots=True)
class WatchedAvailability:
    """An event's availability at one moment. It lives for a moment, so `by_sight` has no more than one entry for each
    watcher."""

    whole: EventAvailabilityOut
    by_sight: dict[Hashable, SeenAvailability] = field(default_factory=dict)


class AvailabilityFeeds(Feeds[WatchedAvailability]):
    """The last availability of each watched event. One per process, for its event loop."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(PERIOD, clock)
