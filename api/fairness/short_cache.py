"""Caches answers for a moment, so that many equal requests cost one query. Bounded: the oldest are dropped first."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class ShortCache(Generic[T]):
    """The latest answer by key. A caller joins a running query."""

    def __init__(self, seconds: float, keys_max: int, clock: Callable[[], float] = monotonic) -> None:
        self._seconds, self._keys_max, self._clock = seconds, keys_max, clock
        self._answers: OrderedDict[str, tuple[float, asyncio.Task[T]]] = OrderedDict()

    async def get(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        """An answer whose query began within the last `seconds`. Raises what `ask` raises; errors are not cached."""
        known = self._answers.get(key)
        if known is None or self._clock() - known[0] >= self._seconds or _failed(known[1]):
            known = (self._clock(), asyncio.ensure_future(_asked(ask)))
            known[1].add_done_callback(_failed)  # retrieve the error: no caller may wait for it any more
            self._answers[key] = known
            self._answers.move_to_end(key)
            if len(self._answers) > self._keys_max:
                self._answers.popitem(last=False)
        # Shielded: a client that disconnects does not cancel the query for the others.
        return await asyncio.shield(known[1])


async def _asked(ask: Callable[[], Awaitable[T]]) -> T:
    return await ask()


def _failed(task: asyncio.Task[T]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
