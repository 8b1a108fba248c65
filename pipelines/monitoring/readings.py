"""The readings that alerts are evaluated on, from one look at the platform. Pure."""

from __future__ import annotations

from pipelines.monitoring.alert_rules import AlertName
from pipelines.monitoring.alerts import Readings
from pipelines.monitoring.board import VerifierProgress
from pipelines.monitoring.survey import Surveyed


def readings(found: Surveyed, verified: VerifierProgress | None) -> Readings:
    """What this look says about each alert. An alert about which it says nothing is missing."""
    read = {
        AlertName.LAG: {lag.flow: lag.seconds for lag in found.lags},
        AlertName.DEAD_LETTERS: {
            topic: float(letters.put_aside - letters.redriven) for topic, letters in found.dead_letters.items()
        },
    }
    if verified is not None:
        read[AlertName.DIVERGENCE] = {"": float(verified.divergences)}
    return read
