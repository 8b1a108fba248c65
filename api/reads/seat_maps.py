"""Makes seat maps in a thread, one for all requests for the same event at the same time.

Guarantee: a map is read after its request arrived. For a map of 100,000 seats the event loop only asks Redis and sends
the answer. Users and networks have shares of the one thread; a request that joins a running one costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import TypeVar

from api.fairness.pools import SEAT_MAPS, SEAT_MAPS_SENT
from api.fairness.shared_fetch import SharedFetch
from api.fairness.shares import Held, Places
from api.reads.seat_sections import SeatSections, SectionBody
from schemas.ids import EventId, TicketTypeId

T = TypeVar("T")
REST_S_MAX = 0.2  # a map of 100,000 seats takes half of that on an idle machine


@dataclass(frozen=True, slots=True)
class EventSeats:
    """An event's seat map before it is filtered for a caller: each section by its ticket type, in their order."""

    sections: dict[TicketTypeId, SectionBody]
    hidden: dict[TicketTypeId, bool]
    source: str


class SeatMapReads:
    """One per process. Not for use outside its event loop, except `sections`, which belongs to the thread."""

    def __init__(self) -> None:
        self._places = Places(SEAT_MAPS, "seat maps")
        self._sent = Places(SEAT_MAPS_SENT, "seat maps")
        self._thread = ThreadPoolExecutor(1, "seat-maps")
        self._fetches: SharedFetch[EventSeats] = SharedFetch()
        self.sections = SeatSections()

    async def get(self, event_id: EventId, fetch: Callable[[], Awaitable[EventSeats]]) -> EventSeats:
        """The map from `fetch`. Raises what it raises, and Problem too-many-at-once (429) and busy (503)."""
        if self._fetches.is_under_way(event_id):
            return await self._fetches.get(event_id, fetch)
        async with self._places.of():
            return await self._fetches.get(event_id, fetch)

    async def of_the_past(self, work: Callable[[], T]) -> T:
        """What `work` returns, in the thread, for a map that no other request shares. Raises as `get` does."""
        async with self._places.of():
            return await self.make(work)

    async def make(self, work: Callable[[], T]) -> T:
        """What `work` returns, in the thread. The thread then rests for as long, so the event loop always has at least
        half of the interpreter."""
        began = perf_counter()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._thread.submit(sleep, min(perf_counter() - began, REST_S_MAX))

    def sending(self, *, patience_s: float) -> Held:
        """A place among the large maps that are being sent."""
        return self._sent.of(patience_s=patience_s)

    def close(self) -> None:
        """Drop the waiting work."""
        self._thread.shutdown(wait=False, cancel_futures=True)
