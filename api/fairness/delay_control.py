"""How many undecided commands one partition may have: few enough that a decision takes about the target. Pure.

As CoDel does, it looks at the shortest delay of an interval: a burst that drains within the interval is no overload,
and a queue that stays is one. By Little's law the delay grows with the number of undecided commands, so the number
follows the ratio of target and delay: down at once, by half at most in an interval, and up again while delays are
short. Without any decision, the age of the oldest undecided command counts as the delay, and also when it is beyond
LATE_FACTOR times the target: the decisions of the interval then say what was, not what is.
"""

from __future__ import annotations

INTERVAL_S = 0.25  # ten batches of a dataflow; two intervals end an overshoot
CUT_MIN = 0.5  # of the number, in one interval: one slow interval does not close the platform
GROWTH = 0.5  # of the number, in one interval, at no delay; less near the target
GROWTH_UNUSED = 0.1  # while the number is not used up: after an overload, bursts are welcome again within seconds
USED_SHARE = 0.7  # a network has at most 0.9 of the places, and new holds leave a tenth to other commands
LATE_FACTOR = 2
RATE_SHARE = 0.5  # of the latest interval in the rate


class DelayControl:
    """The limit of one partition. Times are seconds of any clock that never goes back."""

    def __init__(self, *, target_s: float, least: int, most: int, now: float) -> None:
        """`least`: so many commands are never refused, however long a decision takes."""
        self.limit = most
        self.rate_per_s = 0.0
        self._target_s, self._least, self._most = target_s, least, most
        self._began, self._lowest_s, self._decided, self._peak = now, 0.0, 0, 0

    def decided(self, delay_s: float) -> None:
        """A command's decision came `delay_s` after it was sent."""
        if not self._decided or delay_s < self._lowest_s:
            self._lowest_s = delay_s
        self._decided += 1

    def adjusted(self, now: float, undecided: int, oldest_s: float) -> bool:
        """Look at the interval if it is over. Returns whether the limit is another one.

        `undecided` commands are under way, and the oldest was sent `oldest_s` seconds ago.
        """
        self._peak = max(self._peak, undecided)
        elapsed = now - self._began
        if elapsed < INTERVAL_S:
            return False
        before = self.limit
        late = not self._decided or oldest_s > LATE_FACTOR * self._target_s
        delay_s = oldest_s if late else self._lowest_s
        if delay_s > self._target_s:
            self._cut(delay_s)
        else:
            self._grow(delay_s, int(elapsed / INTERVAL_S))
        if self._decided or undecided:
            self.rate_per_s += RATE_SHARE * (self._decided / elapsed - self.rate_per_s)
        self._began, self._decided, self._peak = now, 0, undecided
        return self.limit != before

    def _cut(self, delay_s: float) -> None:
        used = min(self.limit, self._peak)
        if used > self._least:  # fewer commands cannot be the reason
            self.limit = max(self._least, int(used * max(CUT_MIN, self._target_s / delay_s)))

    def _grow(self, delay_s: float, intervals: int) -> None:
        if self._peak >= USED_SHARE * self.limit:
            factor = 1 + GROWTH * (1 - delay_s / self._target_s)
        else:
            factor = (1 + GROWTH_UNUSED) ** min(intervals, 100)
        self.limit = min(self._most, int(self.limit * factor) + 1)
