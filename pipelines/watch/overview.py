"""The platform at a glance, as `circle top` shows it: rates, lags, sales, dead letters, alerts. Writes nothing.

Monitoring's counts come from its report in Redis, at most half a minute old. While monitoring or Redis is
away, that part is None, and the rest is shown.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import msgspec

from connectors import clock
from connectors.errors import ServiceUnreachable
from connectors.settings import Settings
from pipelines.monitoring.board import Board
from pipelines.monitoring.lag_trend import STALLED_S
from pipelines.watch.alerts import AlertView, alerts
from pipelines.watch.consumer_groups import GroupView, groups
from schemas.ids import US_PER_S
from schemas.times import rfc3339
from schemas.topics import COMMANDS, FACTS

ALERTS_MAX = 50


class TopicRate(msgspec.Struct, frozen=True, kw_only=True):
    """A topic's records by its offsets, and how many came per second since the last look; None at the first look.

    A transaction's mark counts as a record.
    """

    topic: str
    records: int
    per_s: float | None


class FlowLine(msgspec.Struct, frozen=True, kw_only=True):
    """One reader of a topic: its group's state, its processes, its lag.

    `stalled_s` and `stalled_since` (RFC 3339) say how long it has not moved, by monitoring's last look: 0 and "" for a
    reader that moves, has nothing to read, or that monitoring does not know.
    """

    name: str
    topic: str
    state: str
    members: int
    lag_records: int
    lag_seconds: float
    unknown: str
    stalled_s: float = 0.0
    stalled_since: str = ""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """One look. `monitored` is monitoring's own report: totals, places, refusals, dead letters."""

    at: str
    topics: list[TopicRate]
    flows: list[FlowLine]
    monitored: dict[str, Any] | None
    alerts: list[AlertView] | None


class Observer:
    """Looks again and again, and derives rates from one look to the next."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._before: tuple[float, dict[str, int]] | None = None

    def look(self) -> Overview:
        """One look. Raises ServiceUnreachable when Kafka is away."""
        views = groups(self._settings)
        now, ends = time.monotonic(), _ends(views)
        topics = [TopicRate(topic=topic, records=end, per_s=self._rate(topic, end, now)) for topic, end in ends.items()]
        self._before = now, ends
        with closing(Board(self._settings)) as board:
            monitored = board.monitored()
        try:
            firing: list[AlertView] | None = alerts(self._settings, firing=True, limit=ALERTS_MAX)
        except ServiceUnreachable:
            firing = None
        lines = [_line(view, stalls_of(monitored).get(f"circle.{view.name}")) for view in views]
        return Overview(at=clock.now_rfc3339(), topics=topics, flows=lines, monitored=monitored, alerts=firing)

    def _rate(self, topic: str, end: int, now: float) -> float | None:
        if self._before is None or topic not in self._before[1]:
            return None
        before, ends = self._before
        return round(max(0, end - ends[topic]) / max(now - before, 0.001), 1)


def _ends(views: list[GroupView]) -> dict[str, int]:
    """The ends of commands and facts, over all partitions."""
    found = {view.topic: sum(one.end for one in view.partitions) for view in views if view.partitions}
    return {topic: found[topic] for topic in (COMMANDS, FACTS) if topic in found}


def stalls_of(monitored: dict[str, Any] | None) -> dict[str, tuple[float, str]]:
    """By flow, in monitoring's report: the seconds that it has not moved, and since when."""
    if monitored is None:
        return {}
    sample = monitored["sample"]
    return {
        flow: (seconds, rfc3339(round((sample["at"] - seconds) * US_PER_S)))
        for flow, seconds in sample["stalled"].items()
        if seconds >= STALLED_S
    }


def _line(view: GroupView, stall: tuple[float, str] | None) -> FlowLine:
    return FlowLine(
        name=view.name,
        topic=view.topic,
        state=view.state,
        members=len(view.members),
        lag_records=view.lag_records,
        lag_seconds=view.lag_seconds,
        unknown=view.unknown,
        stalled_s=stall[0] if stall else 0.0,
        stalled_since=stall[1] if stall else "",
    )
