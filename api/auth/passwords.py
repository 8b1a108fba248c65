"""Passwords: Argon2id at 19 MiB, t=2, p=1 (OWASP's figures), 18 ms each, in threads behind a bounded queue.

A login flood waits here, and beyond PASSWORD_QUEUE_MAX is told to come again; sales go on beside it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.limits import PASSWORD_QUEUE_MAX
from api.problem import busy

T = TypeVar("T")

MEMORY_KIB = 19 * 1024
ITERATIONS = 2
PARALLELISM = 1


class Passwords:
    """Hashes and verifies, a few at a time."""

    def __init__(self, threads: int | None = None, queue_max: int = PASSWORD_QUEUE_MAX) -> None:
        self._hasher = PasswordHasher(time_cost=ITERATIONS, memory_cost=MEMORY_KIB, parallelism=PARALLELISM)
        # The executor's threads are the semaphore: half of the cores stay with the sales.
        self._threads = ThreadPoolExecutor(threads or max(1, (os.cpu_count() or 2) // 2), "argon2")
        self._queue_max = queue_max
        self._waiting = 0
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to store. Raises Problem busy (503) when the queue is full."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` belongs to `stored`. An unknown account (None) takes as long as a known one."""
        return await self._run(lambda: self._verify(stored, password))

    def close(self) -> None:
        """Forget what waits."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str | None, password: str) -> bool:
        if self._nobodys is None:
            self._nobodys = self._hasher.hash("nobody's password")
        try:
            self._hasher.verify(stored or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._queue_max:
            raise busy("too many logins are waiting")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
