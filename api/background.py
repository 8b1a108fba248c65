"""Work that would hold the event loop up, in threads behind a bounded queue: who does not fit is told to come again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from api.problem import busy

T = TypeVar("T")


class Background:
    """A few threads and the calls that wait for one."""

    def __init__(self, name: str, *, threads: int, queue_max: int, full: str) -> None:
        self._threads = ThreadPoolExecutor(threads, name)
        self._queue_max = queue_max
        self._full = full
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises. Raises Problem busy (503) when the queue is full."""
        if self._waiting >= self._queue_max:
            raise busy(self._full)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Forget what waits."""
        self._threads.shutdown(wait=False, cancel_futures=True)
