"""All that one look at the platform has found."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.monitoring.board import VerifierProgress
from pipelines.monitoring.host import DiskSpace
from pipelines.monitoring.outbox import OutboxLag
from pipelines.monitoring.sales import Sales
from pipelines.monitoring.services import BrokerState, PostgresFigures, RedisFigures
from pipelines.monitoring.survey import Surveyed

SHOWING = ("circle.reservations", "circle.projections")
"""The flows between a command and its rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LookFigures:
    """One look. A service that did not answer about itself is None; `outbox` is None where nothing is exported."""

    surveyed: Surveyed
    last_fact_us: int
    verified: VerifierProgress | None
    broker: BrokerState | None
    redis: RedisFigures | None
    postgres: PostgresFigures
    sales: Sales | None
    disks: dict[str, DiskSpace]
    certificate_ends: dict[str, float]
    outbox: OutboxLag | None
    deliveries: dict[str, OutboxLag]

    @property
    def facts_behind_s(self) -> float:
        """How long the oldest command has waited that is not decided, or whose facts are not in the rows."""
        return max([0.0, *(lag.seconds for lag in self.surveyed.lags if lag.flow in SHOWING)])

    @property
    def clock_skews_s(self) -> dict[str, float]:
        """How far the clocks of services are ahead of ours, by service."""
        skews = {"postgresql": self.postgres.clock_skew_s, **self.surveyed.broker_skews_s}
        if self.redis is not None:
            skews["redis"] = self.redis.clock_skew_s
        return skews
