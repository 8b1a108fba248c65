"""How long to wait before the next try: twice as long after each, up to a bound, and not all at once."""

from __future__ import annotations

import random
from dataclasses import dataclass

DOUBLINGS_MAX = 10  # 2 ** tries would overflow one day
SPREAD = 0.5, 1.0  # the shortest part of a wait: clients that lost one server must not all come back at once


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds that double from `first_s` and end at `max_s`."""

    first_s: float
    max_s: float

    def wait_s(self, doublings: int) -> float:
        """The wait after this many doublings; 0 gives the first one."""
        return min(self.max_s, self.first_s * 2.0 ** min(doublings, DOUBLINGS_MAX))

    def spread_s(self, doublings: int) -> float:
        """The same, shortened at random by up to a half."""
        return self.wait_s(doublings) * random.uniform(*SPREAD)  # noqa: S311
