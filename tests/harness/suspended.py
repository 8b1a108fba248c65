"""Holds a process for a block: it keeps its memory and its connections, and does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from ops.run.services.process import suspend


@contextmanager
def suspended(pid: int | None) -> Iterator[None]:
    """SIGSTOP at the start, when none of its threads runs any more; SIGCONT at the end."""
    assert pid is not None, "it has not started"
    process = psutil.Process(pid)
    suspend(process)
    try:
        yield
    finally:
        process.resume()
