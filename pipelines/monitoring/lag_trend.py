"""How each flow's lag moves: its trend, the time to catch up, and how long a flow has stood still. Pure.

Guarantee: a flow that has no records to read neither lags nor stands still.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

WINDOW_S = 60.0  # the trend's time: longer than a drop's first rush takes to be decided, shorter than a person waits
STALLED_S = 10.0  # what people are shown as a stall: longer than a flow needs between two batches
LOOKS_MAX = 100  # remembered of one flow; at a look every second, more than WINDOW_S

Positions = Mapping[int, int]
"""A flow's next offset by partition."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """`growth_per_s` is negative while the lag shrinks. `catch_up_s` is 0 without a lag, infinite while it grows."""

    growth_per_s: float
    catch_up_s: float
    stalled_s: float


@dataclass(slots=True)
class _Flow:
    looks: deque[tuple[float, int]]
    positions: Positions
    moved_at: float


class LagTrends:
    """Remembers the last looks of each flow."""

    def __init__(self) -> None:
        self._flows: dict[str, _Flow] = {}

    def note(self, flow: str, lag_records: int, positions: Positions, now_s: float) -> Trend:
        """The trend of a flow at a look, by a clock that never goes back."""
        known = self._flows.get(flow)
        if known is None:
            known = self._flows[flow] = _Flow(deque(maxlen=LOOKS_MAX), dict(positions), now_s)
        if not lag_records or positions != known.positions:
            known.positions, known.moved_at = dict(positions), now_s
        known.looks.append((now_s, lag_records))
        while len(known.looks) > 2 and now_s - known.looks[0][0] > WINDOW_S:
            known.looks.popleft()
        since, before = known.looks[0]
        growth = (lag_records - before) / (now_s - since) if now_s > since else 0.0
        return Trend(growth_per_s=growth, catch_up_s=_catch_up_s(lag_records, growth), stalled_s=now_s - known.moved_at)


def _catch_up_s(lag_records: int, growth_per_s: float) -> float:
    if not lag_records:
        return 0.0
    return lag_records / -growth_per_s if growth_per_s < 0 else math.inf
