"""One fetch for all who want the same: what many watch costs as much as what one watches.

Guarantee: an answer was asked for after its caller came, so nobody gets one that is older than their question. Of one
key one fetch is under way and one more waits behind it, however many ask; nothing is kept once it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from api.fairness.shares import Lane, Who, asking

T = TypeVar("T")
EVERYBODY = Who("", (), Lane.READ)


class SharedFetch(Generic[T]):
    """Fetches by key. Not for use outside its event loop."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[T]] = {}
        self._next: dict[str, asyncio.Task[T]] = {}

    async def get(self, key: str, fetch: Callable[[], Awaitable[T]]) -> T:
        """What `fetch` gives, begun after now. Raises what it raises."""
        running = self._running.get(key)
        if running is None:
            task = self._running[key] = asyncio.create_task(self._run(key, fetch, None))
        else:
            waiting = self._next.get(key)
            task = waiting or asyncio.create_task(self._run(key, fetch, running))
            self._next[key] = task
        # Shielded: one client that goes away does not take the answer from the others.
        return await asyncio.shield(task)

    def is_under_way(self, key: str) -> bool:
        """Whether somebody asks already, so that one more costs nothing."""
        return key in self._running

    async def _run(self, key: str, fetch: Callable[[], Awaitable[T]], after: asyncio.Task[T] | None) -> T:
        asking.set(EVERYBODY)
        if after is not None:
            await asyncio.wait([after])
        try:
            return await fetch()
        finally:
            following = self._next.pop(key, None)
            if following is None:
                del self._running[key]
            else:
                self._running[key] = following
