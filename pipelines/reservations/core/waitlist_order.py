"""The order of a waiting list: the next entry for the free places. Pure.

Guarantee: `first_that_fits` is the entry with the earliest request among those whose quantity fits, for any order of
additions. There is one heap for each quantity, so a look costs the same with ten and with 50,000 entries.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from schemas.ids import EntryId

Place = tuple[int, EntryId]
"""(offset, entry id): the order of the log."""


class WaitingLine:
    """The waiting entries of one ticket type. Entries that stopped waiting are dropped when they come to the front."""

    __slots__ = ("_by_quantity",)

    def __init__(self) -> None:
        self._by_quantity: dict[int, list[Place]] = {}

    def add(self, place: Place, quantity: int) -> None:
        """Add a waiting entry. Adding it twice does no harm."""
        heapq.heappush(self._by_quantity.setdefault(quantity, []), place)

    def first_that_fits(self, available: int, waits: Callable[[EntryId], bool]) -> EntryId | None:
        """The id of the first entry for at most `available` places that still `waits`."""
        best: Place | None = None
        for quantity in [quantity for quantity in self._by_quantity if quantity <= available]:
            heap = self._by_quantity[quantity]
            while heap and not waits(heap[0][1]):
                heapq.heappop(heap)
            if not heap:
                del self._by_quantity[quantity]
            elif best is None or heap[0] < best:
                best = heap[0]
        return best[1] if best is not None else None
