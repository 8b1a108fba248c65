"""One fetch for all callers that want the same: many watchers of an event cost as much as one.

Guarantee: a fetch begins after its callers asked, so no answer is older than its question. For each key at most one
fetch runs and one more waits, for any number of callers. Answers are not cached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from api.fairness.owner import Lane, Who, asking

T = TypeVar("T")
EVERYBODY = Who("", (), Lane.READ)


class SharedFetch(Generic[T]):
    """Fetches by key. Not for use outside its event loop."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[T]] = {}
        self._next: dict[str, asyncio.Task[T]] = {}

    async def get(self, key: str, fetch: Callable[[], Awaitable[T]]) -> T:
        """The result of a `fetch` that begins after this call. Raises what it raises."""
        running = self._running.get(key)
        if running is None:
            task = self._running[key] = asyncio.create_task(self._run(key, fetch, None))
        else:
            waiting = self._next.get(key)
            task = waiting or asyncio.create_task(self._run(key, fetch, running))
            self._next[key] = task
        # Shielded: a client that disconnects does not cancel the fetch for the others.
        return await asyncio.shield(task)

    def is_under_way(self, key: str) -> bool:
        """Whether a fetch is already running, so that one more caller costs nothing."""
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
