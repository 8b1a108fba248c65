"""Sets the metrics of monitoring from each look. One per process, as the metrics are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge

from pipelines.monitoring import metrics as m
from pipelines.monitoring.figures import LookFigures
from pipelines.monitoring.sales import Sales
from pipelines.monitoring.services import BrokerState, PostgresFigures, RedisFigures
from pipelines.monitoring.survey import Lag, PartitionLag, Surveyed
from pipelines.monitoring.tally import FACT, PLACES, REFUSED
from pipelines.monitoring.totals import Totals
from schemas.ids import US_PER_S

COUNTED = {FACT: m.FACTS_COUNTED, PLACES: m.PLACES_COUNTED, REFUSED: m.REFUSALS_COUNTED}
POSTGRES: dict[str, Gauge | Counter] = {
    "connections": m.POSTGRES_CONNECTIONS,
    "connections_max": m.POSTGRES_CONNECTIONS_MAX,
    "oldest_transaction_s": m.POSTGRES_OLDEST,
    "bytes": m.POSTGRES_BYTES,
    "commits": m.POSTGRES_COMMITS,
    "rollbacks": m.POSTGRES_ROLLBACKS,
    "deadlocks": m.POSTGRES_DEADLOCKS,
    "blocks_cached": m.POSTGRES_CACHED,
    "blocks_read": m.POSTGRES_READ,
}
REDIS: dict[str, Gauge | Counter] = {
    "connected_clients": m.REDIS_CLIENTS,
    "used_memory": m.REDIS_BYTES,
    "maxmemory": m.REDIS_BYTES_MAX,
    "total_commands_processed": m.REDIS_COMMANDS,
    "evicted_keys": m.REDIS_EVICTED,
}

Series = Mapping[tuple[str, ...], float]
"""Values by the labels of a series."""


class MetricSetter:
    """Remembers what it has set: counters never go down, and a series whose subject is gone is removed."""

    def __init__(self) -> None:
        self._totals: Totals = {}
        self._own: dict[str, float] = {}
        self._deaths: dict[tuple[str, str], int] = {}
        self._series: dict[Gauge, set[tuple[str, ...]]] = {}

    def totals(self, totals: Totals) -> None:
        """Raise each counter by the growth of its total."""
        for (measure, label), total in totals.items():
            more = total - self._totals.get((measure, label), 0)
            if more > 0 and measure in COUNTED:
                COUNTED[measure].labels(label).inc(more)
        self._totals = totals

    def figures(self, figures: LookFigures, now_s: float, took_s: float) -> None:
        """Set the gauges from one look."""
        m.SURVEYED_AT.set(now_s)
        m.SURVEY_SECONDS.set(took_s)
        if figures.last_fact_us:
            m.LAST_FACT.set(figures.last_fact_us / US_PER_S)
        m.FACTS_BEHIND.set(figures.facts_behind_s)
        if figures.verified is not None:
            m.VERIFIED_DIVERGENCES.set(figures.verified.divergences)
            self._set(m.VERIFIED_THROUGH, {(str(one.partition),): one.through for one in figures.verified.partitions})
        self._set(m.CLOCK_SKEW, {(service,): skew for service, skew in figures.clock_skews_s.items()})
        self._set(m.DISK_SIZE, {(path,): float(space.size) for path, space in figures.disks.items()})
        self._set(m.DISK_FREE, {(path,): float(space.free) for path, space in figures.disks.items()})
        self._set(m.CERTIFICATE_END, {(file,): end for file, end in figures.certificate_ends.items()})
        self._surveyed(figures.surveyed)
        self._postgres(figures.postgres)
        if figures.broker is not None:
            self._broker(figures.broker)
        if figures.redis is not None:
            self._redis(figures.redis)
        if figures.sales is not None:
            self._sales(figures.sales)

    def firing(self, alerts: Mapping[str, int]) -> None:
        """How many alerts of each name fire."""
        self._set(m.ALERTS_FIRING, {(name,): float(number) for name, number in alerts.items()})

    def _surveyed(self, found: Surveyed) -> None:
        lags: dict[tuple[str, ...], Lag] = {(lag.flow, lag.topic): lag for lag in found.lags}
        trends = {labels: found.trends[labels[0]] for labels in lags}
        self._set(m.LAG_RECORDS, {labels: float(lag.records) for labels, lag in lags.items()})
        self._set(m.LAG_SECONDS, {labels: lag.seconds for labels, lag in lags.items()})
        self._set(m.LAG_GROWTH, {labels: trend.growth_per_s for labels, trend in trends.items()})
        self._set(m.CATCH_UP, {labels: trend.catch_up_s for labels, trend in trends.items()})
        self._set(m.STALLED, {labels: trend.stalled_s for labels, trend in trends.items()})
        partitions: dict[tuple[str, ...], PartitionLag] = {
            (lag.flow, lag.topic, str(lag.partition)): lag for lag in found.partitions
        }
        self._set(m.PARTITION_LAG_RECORDS, {labels: float(lag.records) for labels, lag in partitions.items()})
        self._set(m.PARTITION_LAG_SECONDS, {labels: lag.seconds for labels, lag in partitions.items()})
        self._set(m.NEXT_OFFSET, {labels: float(lag.next_offset) for labels, lag in partitions.items()})
        ends: Series = {
            (topic, str(part)): float(end) for topic, ends in found.ends.items() for part, end in ends.items()
        }
        self._set(m.END_OFFSET, ends)
        self._set(m.LAST_RECORD, {(topic,): at for topic, at in found.last_record_s.items()})
        letters: Series = {(topic,): float(one.put_aside - one.redriven) for topic, one in found.dead_letters.items()}
        self._set(m.LETTERS, letters)

    def _broker(self, state: BrokerState) -> None:
        m.BROKERS.set(state.brokers)
        m.LEADERLESS.set(state.leaderless)
        m.UNDER_REPLICATED.set(state.under_replicated)
        self._set(m.GROUP_STATE, {(name, group.state): 1.0 for name, group in state.groups.items()})
        self._set(m.GROUP_MEMBERS, {(name,): float(group.members) for name, group in state.groups.items()})

    def _postgres(self, report: PostgresFigures) -> None:
        self._server(POSTGRES, report.figures)

    def _redis(self, report: RedisFigures) -> None:
        self._server(REDIS, report.info)
        self._set(m.FLOW_PROCESSES, {(flow,): float(number) for flow, number in report.processes.items()})
        for labels, deaths in report.deaths_since_ever.items():
            former = self._deaths.get(labels, 0)
            m.FLOW_DEATHS.labels(*labels).inc(deaths - former if deaths >= former else deaths)
        self._deaths = dict(report.deaths_since_ever)
        m.API_PROCESSES.set(report.api.processes)
        m.API_ERRORS.set(report.api.errors)
        m.API_UNAVAILABLE.set(report.api.unavailable_ratio)

    def _sales(self, sales: Sales) -> None:
        self._set(m.HOLDS, {(state,): float(number) for state, number in sales.holds._asdict().items()})
        m.OVERSOLD.set(sales.oversold_places)
        places: dict[tuple[str, ...], float] = {}
        money: dict[tuple[str, ...], float] = {}
        for event in sales.events:
            for what in ("total", "held", "sold"):
                places[event.event_id, what] = float(getattr(event, what))
            for what, amounts in (("taken", event.taken_minor), ("given-back", event.given_back_minor)):
                money |= {(event.event_id, currency, what): float(amount) for currency, amount in amounts.items()}
        self._set(m.EVENT_PLACES, places)
        self._set(m.EVENT_MONEY, money)

    def _server(self, metrics: Mapping[str, Gauge | Counter], values: Mapping[str, Any]) -> None:
        """A server's own counter starts again with the server; ours grow by its growth while we look."""
        for name, metric in metrics.items():
            value = float(values.get(name, 0))
            if isinstance(metric, Gauge):
                metric.set(value)
            else:
                former = self._own.get(name, value)
                metric.inc(value - former if value >= former else value)
                self._own[name] = value

    def _set(self, gauge: Gauge, series: Series) -> None:
        if gauge not in self._series:
            gauge.clear()  # an earlier setter of this process may have left series
        for labels, value in series.items():
            gauge.labels(*labels).set(value)
        for gone in self._series.get(gauge, set()) - set(series):
            gauge.remove(*gone)
        self._series[gauge] = set(series)
