"""Ends tasks of an event loop, also those that a cancellation does not reach.

A cancellation can get lost, and the task then goes on: `wait_for` of Python 3.11 drops one that comes in the same turn
of the loop as its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic
from typing import Any

AGAIN_S = 0.5  # a task that was reached has ended and cleaned up by then


async def cancel_all(tasks: Iterable[asyncio.Task[Any]], within_s: float) -> set[asyncio.Task[Any]]:
    """Cancel tasks, each AGAIN_S once more, until they have ended. Returns those that still run after `within_s`."""
    pending, deadline = set(tasks), monotonic() + within_s
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
        if monotonic() >= deadline:
            break
    return pending
