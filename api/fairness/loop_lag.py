"""How long the event loop lets what has come wait, since one turn of it takes that long. For its loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PERIOD_S = 0.02
IDLE_S = 1.0  # after the last use the timer ends: an idle process wakes up for nothing


class LoopLag:
    """Measured by a timer, for as long as it is used."""

    def __init__(self, clock: Callable[[], float], observe: Callable[[float], None]) -> None:
        """`observe` takes the seconds by which each timer was late."""
        self._clock, self._observe = clock, observe
        self._ticking = False
        self._ticked_at = self._used_at = 0.0
        self._before_s = self._last_s = 0.0

    def use(self, now: float) -> None:
        """Go on measuring."""
        self._used_at = now
        if not self._ticking:
            self._ticking, self._ticked_at = True, now
            self._before_s = self._last_s = 0.0
            asyncio.get_running_loop().call_later(PERIOD_S, self._tick)

    def seconds(self, now: float) -> float:
        """The seconds that an answer seen `now` may have waited for: the longer of two turns, and this one so far."""
        if not self._ticking:
            return 0.0
        return max(self._before_s, self._last_s) + self._late_s(now)

    def _late_s(self, now: float) -> float:
        return max(0.0, now - self._ticked_at - PERIOD_S)

    def _tick(self) -> None:
        now = self._clock()
        self._before_s, self._last_s = self._last_s, self._late_s(now)
        self._observe(self._last_s)
        self._ticked_at = now
        if now - self._used_at < IDLE_S:
            asyncio.get_running_loop().call_later(PERIOD_S, self._tick)
        else:
            self._ticking = False
