"""The Prometheus metrics of the monitoring dataflow. The totals are those of the log and go on after a restart."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from pipelines.monitoring.board import VerifierProgress
from pipelines.monitoring.survey import Surveyed
from pipelines.monitoring.tally import FACT, PLACES, REFUSED
from pipelines.monitoring.totals import Totals
from schemas.ids import US_PER_S

FACTS_COUNTED = Counter("circle_facts", "Facts on the log, by type.", ["type"])
PLACES_COUNTED = Counter("circle_places", "Places that were held, sold, or became free again.", ["what"])
REFUSALS_COUNTED = Counter("circle_refusals", "Commands that were turned down, by reason.", ["reason"])
LAG_RECORDS = Gauge("circle_lag_records", "Records that a flow has not read yet.", ["flow", "topic"])
LAG_SECONDS = Gauge("circle_lag_seconds", "How long the oldest of them has waited.", ["flow", "topic"])
LAST_FACT = Gauge("circle_last_fact_timestamp_seconds", "When the last fact was decided, by its log time.")
LETTERS = Gauge("circle_dead_letters", "Dead letters that were not sent back.", ["topic"])
VERIFIED_THROUGH = Gauge("circle_verified_offset", "The last command that verify --follow has seen.", ["partition"])
VERIFIED_DIVERGENCES = Gauge("circle_verified_divergences", "What verify --follow has found to differ.")

COUNTED = {FACT: FACTS_COUNTED, PLACES: PLACES_COUNTED, REFUSED: REFUSALS_COUNTED}


class Exported:
    """Sets the metrics. One per process, as the metrics are."""

    def __init__(self) -> None:
        self._told: Totals = {}

    def totals(self, totals: Totals) -> None:
        """Raise each counter by the growth of its total. Counters never go down."""
        for (measure, label), total in totals.items():
            more = total - self._told.get((measure, label), 0)
            if more > 0 and measure in COUNTED:
                COUNTED[measure].labels(label).inc(more)
        self._told = totals

    def surveyed(self, found: Surveyed, verified: VerifierProgress | None, last_fact_us: int) -> None:
        """Set the gauges from one look."""
        for lag in found.lags:
            LAG_RECORDS.labels(lag.flow, lag.topic).set(lag.records)
            LAG_SECONDS.labels(lag.flow, lag.topic).set(lag.seconds)
        for topic, letters in found.dead_letters.items():
            LETTERS.labels(topic).set(letters.put_aside - letters.redriven)
        if last_fact_us:
            LAST_FACT.set(last_fact_us / US_PER_S)
        if verified is not None:
            VERIFIED_DIVERGENCES.set(verified.divergences)
            for one in verified.partitions:
                VERIFIED_THROUGH.labels(str(one.partition)).set(one.through)
