"""How often regular work is done, when it may take only a part of the time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Period:
    """Runs begin at least `least_s` seconds apart, and take at most `part_max` of the time.

    One slow run does not count, as when the process was busy for a moment: the quicker one of the last two does.
    """

    least_s: float
    part_max: float

    def after_s(self, took_s: float, before_s: float) -> float:
        """From the beginning of a run to that of the next, in seconds: it took `took_s`, the one before `before_s`."""
        return max(self.least_s, min(took_s, before_s) / self.part_max)
