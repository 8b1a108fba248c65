"""Waits for a service to come back; a requested stop ends the wait."""

from __future__ import annotations

import time
from collections.abc import Callable

from connectors.errors import CircleError

LOOK_S = 0.05


class Stopped(CircleError):
    """A stop was requested while the process waited for a service. Uncommitted records are read again."""

    exit_code = 0


def pause(seconds: float, stop_requested: Callable[[], bool]) -> bool:
    """Whether the whole pause has passed; False as soon as a stop is requested.

    This polls `stop_requested`. A signal handler sets the flag, and it must not take the lock of a threading event.
    """
    end = time.monotonic() + seconds
    while not stop_requested():
        left = end - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(LOOK_S, left))
    return False
