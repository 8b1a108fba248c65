"""SIGINT and SIGTERM of a process that serves: once they are taken, neither is lost, and neither kills the process.

Handlers of an event loop cannot give that: uvloop hears no signal between two runs of its loop, of which Sanic's start
has many.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial
from types import FrameType

from sanic.server import runners

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Whether one of both has come. For the main thread; one per process."""

    def __init__(self) -> None:
        self._came = False
        self._wake: Callable[[], object] | None = None

    @classmethod
    def take(cls) -> StopSignals:
        """Take both signals for as long as the process lives."""
        stop = cls()
        for number in STOP_SIGNALS:
            signal.signal(number, stop._hear)
        # Sanic would ignore both for a moment, and then register the loop's handlers.
        runners._setup_system_signals = _register_none  # type: ignore[assignment]  # noqa: SLF001
        return stop

    async def wait(self) -> None:
        """Wait for the first signal, which may have come already."""
        woken = asyncio.Event()
        self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, woken.set)
        try:
            if not self._came:
                await woken.wait()
        finally:
            self._wake = None

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True
        if self._wake is not None:
            self._wake()


def _register_none(*_: object) -> None:
    """In the place of Sanic's function. It also tells Sanic's own `app.run` of a worker that it is one."""
    os.environ["SANIC_WORKER_PROCESS"] = "true"
