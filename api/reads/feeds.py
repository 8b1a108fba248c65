"""What many watch, by event: one reading for all watchers of a moment.

Guarantee: the readings of an event keep the feed's `Period`. A reading has the position at which it began, so a watcher
knows whether it lacks a change. The last readings of FEEDS_MAX events are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from api.fairness.shared_fetch import SharedFetch
from connectors.period import Period
from schemas.ids import EventId

FEEDS_MAX = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What was read, the event's position when the reading began, the seconds that it took, and when the next one may
    begin."""

    value: T
    position: int
    took_s: float
    next_at: float


class Feeds(Generic[T]):
    """The last reading of each watched event. One per process, for its event loop."""

    def __init__(self, period: Period, clock: Callable[[], float] = monotonic) -> None:
        self._period, self._clock = period, clock
        self._readings: OrderedDict[EventId, Reading[T]] = OrderedDict()
        self._fetches: SharedFetch[Reading[T]] = SharedFetch()

    async def get(self, event_id: EventId, read: Callable[[], Awaitable[T]], position: Callable[[], int]) -> Reading[T]:
        """The event's last reading, or a new one if it may be read now. `position` says how far the event is. Raises
        what `read` raises."""
        known = self._readings.get(event_id)
        if known is not None and self._clock() < known.next_at:
            return known
        return await self._fetches.get(event_id, lambda: self._read(event_id, read, position))

    def due_s(self, reading: Reading[T]) -> float:
        """The seconds until the event may be read again."""
        return max(0.0, reading.next_at - self._clock())

    def _after(self, known: T, found: T) -> T:
        """What a new reading holds. Here it is what was found."""
        return found

    async def _read(
        self, event_id: EventId, read: Callable[[], Awaitable[T]], position: Callable[[], int]
    ) -> Reading[T]:
        known, began, at = self._readings.get(event_id), self._clock(), position()
        if known is not None and began < known.next_at:
            return known  # read while this call waited
        value = await read()
        took_s = self._clock() - began
        before_s = took_s
        if known is not None:
            value, before_s = self._after(known.value, value), known.took_s
        reading = Reading(value, at, took_s, began + self._period.after_s(took_s, before_s))
        self._readings[event_id] = reading
        self._readings.move_to_end(event_id)
        if len(self._readings) > FEEDS_MAX:
            self._readings.popitem(last=False)
        return reading
