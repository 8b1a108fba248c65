"""Ends the process when a call into a library does not return.

Guarantee: if a block under `watching` takes longer than its limit, another thread ends this process, with a line in the
log. A dead worker is restarted and its partitions are taken over. A worker that hangs would keep them for ever.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connectors.logs import Log

LOOK_S = 0.5
EXIT_CODE = 1

log = Log("watchdog")


class Watchdog:
    """Watches one block at a time. One thread serves all blocks, so a block costs two assignments."""

    def __init__(self, what: str, limit_s: float, *, end: Callable[[int], object] = os._exit) -> None:
        self._what, self._limit_s, self._end = what, limit_s, end
        self._since: float | None = None
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the block."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name=f"watchdog {self._what}", daemon=True)
            self._thread.start()
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    def _watch(self) -> None:
        # Time is counted in looks, so the time of a stopped process (SIGSTOP, a frozen machine) does not count.
        look_s = min(LOOK_S, self._limit_s)
        seen: float | None = None
        looks = 0
        while True:
            time.sleep(look_s)
            since = self._since
            looks = looks + 1 if since is not None and since == seen else 0
            seen = since
            if looks * look_s > self._limit_s:
                log.error("process.hangs", what=self._what, limit_s=self._limit_s)
                self._end(EXIT_CODE)
                return
