"""Deadlines in order. A look at them removes nothing, because a decision must change nothing. Pure.

Holds of the same length end in the order in which they were granted. They wait in a queue, whose cost does not grow
with their number. Only deadlines out of order are in a heap. Nothing is kept before the first question: a fold of a
whole log never needs the deadlines on the way.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=str)
Current = Callable[[int, K], bool]
"""Whether a deadline still stands for this id. A deadline that was moved or is no longer needed does not."""
Standing = Callable[[], Iterable[tuple[int, K]]]
"""Every deadline that stands, in any order."""


class Deadlines(Generic[K]):
    """(time, id) pairs. Those that no longer stand are dropped when they come to the top.

    `standing` is called once, at the first question. After that the owner reports changes with `add` and `ended`;
    before it, reports have no effect. From then on `first` is the earliest deadline; None when there is none.
    """

    __slots__ = ("_current", "_heap", "_queue", "_standing", "asked", "first")

    def __init__(self, current: Current[K], standing: Standing[K]) -> None:
        self._current, self._standing = current, standing
        self.asked = False
        self.first: int | None = None
        self._queue: deque[tuple[int, K]] = deque()  # ascending
        self._heap: list[tuple[int, K]] = []

    def add(self, time: int, key: K) -> None:
        """From here on `key` is due at `time`."""
        if not self.asked:
            return
        if self.first is None or time < self.first:
            self.first = time
        queue, deadline = self._queue, (time, key)
        if not queue or deadline >= queue[-1]:
            queue.append(deadline)
        else:
            heapq.heappush(self._heap, deadline)

    def next(self) -> int | None:
        """The earliest deadline; None when there is none."""
        if not self.asked:
            self.asked = True
            self._queue.extend(sorted(self._standing()))
            self._look()
        return self.first

    def due(self, now: int, limit: int) -> list[K]:
        """Ids whose deadline is reached, earliest first, each once, at most `limit`. Looks only at what is due."""
        first = self.next()
        if first is None or first > now:
            return []
        keys: dict[K, None] = {}
        for deadline, key in heapq.merge(self._queue, self._in_order(now)):
            if deadline > now or len(keys) >= limit:
                break
            if self._current(deadline, key):
                keys[key] = None
        return list(keys)

    def ended(self, key: K) -> None:
        """A deadline of `key` may no longer stand. If the owner reports each, the deadlines at the top always stand."""
        if not self.asked:
            return
        queue, heap = self._queue, self._heap
        if (queue and queue[0][1] == key) or (heap and heap[0][1] == key):
            self.drop_stale()

    def drop_stale(self) -> None:
        """Drop deadlines at the top that no longer stand."""
        queue, heap, current = self._queue, self._heap, self._current
        while queue and not current(*queue[0]):
            queue.popleft()
        while heap and not current(*heap[0]):
            heapq.heappop(heap)
        self._look()

    def _look(self) -> None:
        """Find the earliest deadline."""
        tops = [deadlines[0] for deadlines in (self._queue, self._heap) if deadlines]
        self.first = min(tops)[0] if tops else None

    def _in_order(self, now: int) -> Iterator[tuple[int, K]]:
        """The heap's deadlines that are due by `now`, without removing them."""
        heap = self._heap
        frontier = [(heap[0], 0)] if heap and heap[0][0] <= now else []
        while frontier:
            entry, place = heapq.heappop(frontier)
            yield entry
            for child in (2 * place + 1, 2 * place + 2):
                if child < len(heap) and heap[child][0] <= now:
                    heapq.heappush(frontier, (heap[child], child))
