"""Waiting for a service to come back, and hearing a stop meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

from connectors.errors import CircleError

LOOK_S = 0.05


class Stopped(CircleError):
    """The process was told to stop while it waited for a service. What was not committed is read again."""

    exit_code = 0


def pause(seconds: float, stop_requested: Callable[[], bool]) -> bool:
    """Whether the whole pause went by; False as soon as a stop is requested.

    Looked at, not waited for: a signal handler sets it, and may not take the lock that an event has.
    """
    end = time.monotonic() + seconds
    while not stop_requested():
        left = end - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(LOOK_S, left))
    return False
