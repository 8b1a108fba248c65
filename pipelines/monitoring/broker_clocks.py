"""How far the brokers' clocks are from ours, by the times that they stamped on new commands. Pure.

The leader of a partition stamped a command that came between two looks in the time between them, by its own clock. So a
clock that is ahead shows at once, and one that is behind shows when it is behind by more than that time. A broker
without `LogAppendTime` stamps nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

KEPT_S = 300.0  # without new commands a clock is unknown after this time


class _Seen(NamedTuple):
    leader: int
    skew_s: float
    at_s: float


class BrokerClocks:
    """Remembers the last difference on each partition, while its leader stays."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}

    def note(
        self, leaders: Mapping[int, int], stamps_s: Mapping[int, float], *, before_s: float, after_s: float
    ) -> dict[str, float]:
        """How far each broker is ahead, in seconds, by its name: "kafka-" and its number; negative is behind.

        `leaders` and `stamps_s` are by partition. The stamped commands came after `before_s` and before `after_s`.
        """
        for partition, stamp_s in stamps_s.items():
            self._seen[partition] = _Seen(leaders[partition], skew(stamp_s, before_s, after_s), after_s)
        skews: dict[str, float] = {}
        for partition, seen in self._seen.items():
            if leaders.get(partition) == seen.leader and after_s - seen.at_s <= KEPT_S:
                name = f"kafka-{seen.leader}"
                skews[name] = max(skews.get(name, 0.0), seen.skew_s, key=abs)
        return skews


def skew(theirs: float, before: float, after: float) -> float:
    """How far their clock is ahead of ours, in seconds; 0 if the answer's own time explains the difference."""
    if before <= theirs <= after:
        return 0.0
    return theirs - after if theirs > after else theirs - before
