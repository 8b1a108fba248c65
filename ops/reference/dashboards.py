"""The dashboards for Grafana, as code: a drop as its operators see it, the pipeline, the services below it.

`python -m ops.reference` writes them to `ops/grafana/dashboards`. A test asks a Prometheus that has watched a drop for
each query.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
PLACES = "circle_event_places"
WIDTH, HEIGHT, COLUMNS = 12, 8, 2


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph: its queries in PromQL, each with its legend. `unit` is Grafana's."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    quiet: bool = False
    """Whether the graph is empty on a platform without an event and without certificates: there is nothing to draw."""


NATIVE = frozenset({"circle_record_age_seconds", "circle_batch_seconds", "circle_transaction_seconds",
                    "circle_payment_request_seconds", "circle_http_request_seconds"})  # fmt: skip
"""Histograms with native buckets. A Prometheus that takes these has no classic ones of them."""


def quantile(part: float, metric: str, by: str = "", where: str = "") -> str:
    """A quantile of a histogram, by labels if given, from the buckets that Prometheus has."""
    labels = f"le, {by}" if by else "le"
    classic = f"histogram_quantile({part}, sum by ({labels}) (rate({metric}_bucket{where}[1m])))"
    if metric not in NATIVE:
        return classic
    return f"{classic} or histogram_quantile({part}, sum by ({by}) (rate({metric}{where}[1m])))"


def quantiles(metric: str, by: str = "", where: str = "") -> tuple[tuple[str, str], ...]:
    """p50, p95 and p99 of a histogram, by a label if given."""
    legend = f" {{{{{by}}}}}" if by else ""
    return tuple((quantile(part, metric, by, where), f"p{round(part * 100)}{legend}") for part in (0.5, 0.95, 0.99))


def mean(metric: str) -> tuple[tuple[str, str], ...]:
    """The mean of what a summary has seen in a minute, of all processes."""
    return ((f"sum(rate({metric}_sum[1m])) / sum(rate({metric}_count[1m]))", "mean"),)


def or_zero(query: str, by: str) -> tuple[tuple[str, str], ...]:
    """A query by a label whose series begin with the first thing to count. Before that the graph is zero, not empty."""
    return ((f'{query} or on() label_replace(vector(0), "{by}", "none", "", "")', f"{{{{{by}}}}}"),)


def rate(metric: str, by: str) -> tuple[tuple[str, str], ...]:
    """How fast a counter grows, by a label."""
    return or_zero(f"sum by ({by}) (rate({metric}[1m]))", by)


def largest(metric: str, by: str) -> tuple[tuple[str, str], ...]:
    """A gauge of monitoring, by labels: all its processes have the same."""
    names = [name.strip() for name in by.split(",")]
    return ((f"max by ({by}) ({metric})", " ".join(f"{{{{{name}}}}}" for name in names)),)


DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "drop": (
        "General Circle: a drop",
        (
            Panel("Requests by status", "reqps", rate("circle_http_requests_total", "status")),
            Panel("Requests by route", "reqps", rate("circle_http_requests_total", "route")),
            Panel("Time to the answer", "s", quantiles("circle_http_request_seconds")),
            Panel(
                "From the record to its outcome, its rows, its mail (p99)",
                "s",
                (
                    (
                        quantile(0.99, "circle_record_age_seconds", "stage"),
                        "{{stage}}",
                    ),
                ),
            ),
            Panel(
                "Places of the events that sell most",
                "short",
                largest("circle_event_places", "event, what"),
                quiet=True,
            ),
            Panel(
                "Sold of all places",
                "percentunit",
                (
                    (
                        f"max by (event) ({PLACES}{{what='sold'}}) / max by (event) ({PLACES}{{what='total'}} > 0)",
                        "{{event}}",
                    ),
                ),
                quiet=True,
            ),
            Panel("Money", "short", largest("circle_event_money_minor", "event, currency, what"), quiet=True),
            Panel("Holds", "short", largest("circle_holds", "state")),
            Panel("Places held, sold, freed", "short", or_zero("max by (what) (circle_places_total)", "what")),
            Panel("Refusals by reason", "ops", rate("circle_refusals_total", "reason")),
            Panel("Alerts that fire", "short", or_zero("max by (alert) (circle_alerts_firing)", "alert")),
            Panel("Live streams", "short", (("sum(circle_api_live_streams)", "streams"),)),
        ),
    ),
    "pipeline": (
        "General Circle: the pipeline",
        (
            Panel("Lag, records", "short", largest("circle_lag_records", "flow")),
            Panel("Lag, seconds", "s", largest("circle_lag_seconds", "flow")),
            Panel("Lag by partition", "short", largest("circle_partition_lag_records", "flow, partition")),
            Panel("Growth of the lag", "short", largest("circle_lag_growth_records_per_second", "flow")),
            Panel("Time to catch up", "s", largest("circle_lag_catch_up_seconds", "flow")),
            Panel("Standing still", "s", largest("circle_stalled_seconds", "flow")),
            Panel("Records of a batch", "short", quantiles("circle_batch_records", "flow")),
            Panel(
                "Time of each step (p99)",
                "s",
                (
                    (
                        quantile(0.99, "circle_batch_seconds", "flow, step"),
                        "{{flow}} {{step}}",
                    ),
                ),
            ),
            Panel(
                "Calls of a transaction (p99)",
                "s",
                (
                    (
                        quantile(0.99, "circle_transaction_seconds", "call"),
                        "{{call}}",
                    ),
                ),
            ),
            Panel("Transactions", "ops", rate("circle_transactions_total", "outcome")),
            Panel("Facts by type", "ops", rate("circle_facts_total", "type")),
            Panel("Rebalances", "ops", rate("circle_rebalances_total", "what")),
            Panel("Dead letters", "short", largest("circle_dead_letters", "topic")),
            Panel("Payments", "ops", rate("circle_payment_requests_total", "outcome")),
            Panel("Mails and webhook calls", "ops", rate("circle_deliveries_total", "outcome")),
            Panel("Divergences", "short", (("max(circle_verified_divergences)", "divergences"),)),
        ),
    ),
    "services": (
        "General Circle: processes and services",
        (
            Panel("Processes up", "short", (("sum by (job) (up)", "{{job}}"),)),
            Panel("Processes by flow", "short", largest("circle_flow_processes", "flow")),
            Panel(
                "CPU of dataflows", "percentunit", (("sum by (job) (rate(process_cpu_seconds_total[1m]))", "{{job}}"),)
            ),
            Panel("CPU of the API", "percentunit", (("sum(rate(circle_api_cpu_seconds_total[1m]))", "api"),)),
            Panel("Places in shares of the API", "short", (("sum by (share) (circle_api_share_in_use)", "{{share}}"),)),
            Panel(
                "Requests that wait, commands not acknowledged",
                "short",
                (
                    ("sum(circle_api_requests_waiting)", "waiting"),
                    ("sum(circle_api_commands_unacknowledged)", "unacknowledged"),
                ),
            ),
            Panel("Mean wait for the API's event loop", "s", mean("circle_api_loop_lag_seconds")),
            Panel(
                "PostgreSQL: sessions",
                "short",
                (
                    ("max(circle_postgres_connections)", "open"),
                    ("max(circle_postgres_max_connections)", "allowed"),
                ),
            ),
            Panel(
                "PostgreSQL: transactions",
                "ops",
                (
                    ("max(rate(circle_postgres_commits_total[1m]))", "committed"),
                    ("max(rate(circle_postgres_rollbacks_total[1m]))", "rolled back"),
                ),
            ),
            Panel("PostgreSQL: size", "bytes", (("max(circle_postgres_size_bytes)", "database"),)),
            Panel("Redis: memory", "bytes", (("max(circle_redis_memory_bytes)", "used"),)),
            Panel("Redis: commands", "ops", (("max(rate(circle_redis_commands_total[1m]))", "commands"),)),
            Panel(
                "Kafka: brokers, partitions in trouble",
                "short",
                (
                    ("max(circle_kafka_brokers)", "brokers"),
                    ("max(circle_kafka_leaderless_partitions)", "without a leader"),
                    ("max(circle_kafka_under_replicated_partitions)", "under-replicated"),
                ),
            ),
            Panel("Clocks", "s", largest("circle_clock_skew_seconds", "service")),
            Panel(
                "Disks",
                "percentunit",
                (("min by (path) (circle_disk_free_bytes / circle_disk_size_bytes)", "{{path}}"),),
            ),
            Panel(
                "Certificates",
                "s",
                (("min by (file) (circle_certificate_expiry_timestamp_seconds) - time()", "{{file}}"),),
                quiet=True,
            ),
            Panel("Age of monitoring's figures", "s", (("time() - max(circle_survey_timestamp_seconds)", "age"),)),
        ),
    ),
}


def dashboard(name: str) -> str:
    """A dashboard's JSON, as Grafana provisions it."""
    title, panels = DASHBOARDS[name]
    whole = {
        "uid": f"general-circle-{name}",
        "title": title,
        "schemaVersion": 39,
        "timezone": "browser",
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }
    return json.dumps(whole, indent=2) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "title": panel.title,
        "type": "timeseries",
        "datasource": DATASOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": row * HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend}
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }
