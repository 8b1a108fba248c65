"""Deadlines in order, looked at without being taken: deciding must change nothing. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Current = Callable[[int, str], bool]
"""Whether a deadline still stands for this id; one that was moved or met otherwise does not."""


class Deadlines:
    """(time, id) pairs. Those that no longer stand are dropped when they come to the top."""

    __slots__ = ("_current", "_heap")

    def __init__(self, current: Current) -> None:
        self._current = current
        self._heap: list[tuple[int, str]] = []

    def add(self, time: int, key: str) -> None:
        """From here on `key` is due at `time`."""
        heapq.heappush(self._heap, (time, key))

    def next(self) -> int | None:
        """The earliest deadline; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: int, limit: int) -> list[str]:
        """Ids whose deadline is reached, earliest first, each once, at most `limit`. Looks only at what is due."""
        heap = self._heap
        if not heap or heap[0][0] > now:
            return []
        found: dict[str, None] = {}
        frontier = [(heap[0], 0)]
        while frontier and len(found) < limit:
            (deadline, key), place = heapq.heappop(frontier)
            if self._current(deadline, key):
                found[key] = None
            for child in (2 * place + 1, 2 * place + 2):
                if child < len(heap) and heap[child][0] <= now:
                    heapq.heappush(frontier, (heap[child], child))
        return list(found)

    def drop_stale(self) -> None:
        """Let go of deadlines at the top that no longer stand."""
        heap = self._heap
        while heap and not self._current(*heap[0]):
            heapq.heappop(heap)
