"""Does due work outside the flow's own steps: mails, webhook calls, messages about accounts.

Each desk has its rows in PostgreSQL and its own pace, so a slow server delays only its own desk. All desks run in an
event loop in a separate thread. While PostgreSQL or the broker is away, the desks wait. An unexpected error ends the
flow, like an error in one of its steps.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Self

import asyncpg

from connectors.errors import ServiceUnreachable
from connectors.logs import Log
from connectors.postgres import (
    BACKOFF,
    COMMAND_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    SERVER_GONE,
    create_pool,
)
from connectors.settings import Settings

LOOK_S = 1.0  # how often a desk looks for due rows; another process may have written them
CONNECTIONS_MAX = 6
CLOSE_TIMEOUT_S = 1.0  # for the connections of one desk; after that they are cut
STOP_TIMEOUT_S = 3.0  # unfinished work is due again after its lease

log = Log("postman")


class Desk(ABC):
    """One kind of work."""

    name: str

    @abstractmethod
    async def work(self, pool: asyncpg.Pool[asyncpg.Record]) -> bool:
        """Do some work. Returns whether there may be more at once."""

    async def close(self) -> None:  # noqa: B027 - most desks keep no connections
        """Close the connections that the desk keeps, after its work has ended."""


class Postman:
    """Runs the desks. Public methods belong to the flow's thread."""

    def __init__(self, settings: Settings, desks: Sequence[Desk]) -> None:
        self._settings, self._desks = settings, desks
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postman", daemon=True)
        self._news = {desk.name: asyncio.Event() for desk in desks}
        self._tasks: list[Future[None]] = []
        self._failed: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        for desk in self._desks:
            task = asyncio.run_coroutine_threadsafe(self._serve(desk), self._loop)
            task.add_done_callback(self._done)
            self._tasks.append(task)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(2 * STOP_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_TIMEOUT_S)
        self._loop.close()

    def wake(self, name: str) -> None:
        """Signal new work to a desk."""
        if name in self._news:
            self._loop.call_soon_threadsafe(self._news[name].set)

    def look_after(self) -> None:
        """Between polls: raise the unexpected error of a desk, which ends the flow."""
        if self._failed is not None:
            raise self._failed

    async def _serve(self, desk: Desk) -> None:
        pool = await create_pool(
            self._settings.postgres_url,
            min_size=0,
            max_size=CONNECTIONS_MAX,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
        )
        try:
            await self._work(desk, pool)
        finally:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await pool.close()
            except (TimeoutError, *SERVER_GONE):
                pool.terminate()

    async def _work(self, desk: Desk, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        news, tries = self._news[desk.name], 0
        while True:
            news.clear()
            try:
                more = await desk.work(pool)
            except (ServiceUnreachable, *SERVER_GONE) as error:
                log.warning("desk.waits", desk=desk.name, error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(BACKOFF.spread_s(tries))
                tries += 1
                continue
            tries = 0
            if not more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await news.wait()

    async def _shut(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S) if tasks else None
        for desk in self._desks:
            await desk.close()

    def _done(self, task: Future[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failed = task.exception()
