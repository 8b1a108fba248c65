"""The readings that alerts are evaluated on, from one look at the platform. Pure."""

from __future__ import annotations

from pipelines.monitoring.alert_rules import AlertName
from pipelines.monitoring.alerts import Readings
from pipelines.monitoring.figures import LookFigures
from schemas.ids import DAY_S

TRIPWIRE_ERROR = "TripwireBroken"


def readings(figures: LookFigures, now_s: float) -> Readings:
    """What this look says about each alert. An alert about which it says nothing is missing."""
    found = figures.surveyed
    read: dict[AlertName, dict[str, float]] = {
        AlertName.LAG: {lag.flow: lag.seconds for lag in found.lags},
        AlertName.STALL: {flow: trend.stalled_s for flow, trend in found.trends.items()},
        AlertName.AGE: {"": figures.facts_behind_s},
        AlertName.DEAD_LETTERS: {
            topic: float(letters.put_aside - letters.redriven) for topic, letters in found.dead_letters.items()
        },
        AlertName.CERTIFICATE: {file: (end - now_s) / DAY_S for file, end in figures.certificate_ends.items()},
        AlertName.DISK: {path: space.free / space.size for path, space in figures.disks.items() if space.size},
        AlertName.TIME_SKEW: {service: abs(skew) for service, skew in figures.clock_skews_s.items()},
    }
    if figures.verified is not None:
        read[AlertName.DIVERGENCE] = {"": float(figures.verified.divergences)}
    if figures.sales is not None:
        read[AlertName.OVERSELL] = {"": float(figures.sales.oversold_places)}
    if (report := figures.redis) is not None:
        read[AlertName.ERRORS] = {"": float(report.api.errors)}
        read[AlertName.UNAVAILABLE] = {"": report.api.unavailable_ratio}
        read[AlertName.KEEPS_DYING] = {flow: float(dying) for flow, dying in report.dying.items()}
        read[AlertName.TRIPWIRE] = {flow: float(report.deaths.get((flow, TRIPWIRE_ERROR), 0)) for flow in report.dying}
    return read
