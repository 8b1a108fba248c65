"""The pages of routes, metrics and topics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from prometheus_client.metrics import MetricWrapperBase

from api.metrics import METRICS
from api.routes.table import ROUTES
from connectors import metrics as flow_metrics
from connectors.metrics import RecordAges
from connectors.settings import Settings
from ops.reference.markdown import WRITTEN, table
from ops.verify import metrics as verify_metrics
from pipelines.monitoring import metrics as monitoring_metrics
from pipelines.notifications import metrics as notification_metrics
from pipelines.payments import metrics as payment_metrics
from pipelines.reservations import metrics as reservation_metrics
from schemas.topics import DAY_MS, RETENTION_FOREVER_MS, all_topics
from sinks import metrics as transaction_metrics

Declared: TypeAlias = "MetricWrapperBase | RecordAges"

PROCESSES: dict[str, Sequence[object]] = {
    "The API": [METRICS],
    "Each dataflow": [flow_metrics, transaction_metrics],
    "Reservations": [reservation_metrics],
    "Notifications": [notification_metrics],
    "Payments": [payment_metrics],
    "Monitoring": [monitoring_metrics],
    "circle verify --follow": [verify_metrics],
}
"""The objects whose metrics a process has."""

METRICS_INTRODUCTION = """\
The API serves its metrics on `/metrics`, for [operators](../operations.md#what-operators-see). With several workers,
each has the figures of all. Each other process serves its metrics on `CIRCLE_METRICS_PORT`, with those of the Python
process (`process_…`). Several monitoring processes have the same totals, which are those of the log: take `max` over
them, not `sum`. A histogram also has the series `…_bucket`, `…_sum` and `…_count`.
A Prometheus with `--enable-feature=native-histograms` takes those of the dataflows that count seconds, and the API's
request time, with native buckets instead ([0050](../adr/0050-native-histograms.md)).
[Alerts](../operations.md#alerts) are made of these metrics.
"""


def routes() -> str:
    """Every route: who may call it, and what it answers."""
    parts = [
        "# Routes\n",
        f"{WRITTEN} `/openapi.json` has each route's body, query, answers and problems.\n",
    ]
    for tag in dict.fromkeys(route.tag for route in ROUTES):
        rows = [
            (
                f"`{route.method} {route.path}`",
                route.summary,
                route.access.value,
                ", ".join(str(status) for status in route.answers),
            )
            for route in ROUTES
            if route.tag == tag
        ]
        parts.append(f"## {tag.capitalize()}\n\n" + table(("route", "what it does", "for", "answers"), rows))
    return "\n".join(parts)


def metrics() -> str:
    """Every metric, with its type and labels, by the process that has it."""
    parts = ["# Metrics\n", f"{WRITTEN}\n", METRICS_INTRODUCTION]
    for process, declared in _declared().items():
        head = ("metric", "type", "labels", "what it counts")
        parts.append(f"## {process}\n\n" + table(head, sorted(_metric(one) for one in declared)))
    return "\n".join(parts)


def metric_names() -> set[str]:
    """Each name under which Prometheus knows a metric of ours, without the suffixes of histograms."""
    return {_metric(one)[0].strip("`") for declared in _declared().values() for one in declared}


def _declared() -> dict[str, list[Declared]]:
    """The metrics of each process. A module that only uses a metric of another one does not declare it."""
    declared: dict[str, list[Declared]] = {process: [] for process in PROCESSES}
    for process, holders in PROCESSES.items():
        for one in (value for holder in holders for value in vars(holder).values()):
            known = any(one is other for others in declared.values() for other in others)
            child = isinstance(one, MetricWrapperBase) and one._labelvalues  # noqa: SLF001 — no other way to ask
            if isinstance(one, MetricWrapperBase | RecordAges) and not known and not child:
                declared[process].append(one)
    return declared


def _metric(metric: Declared) -> tuple[str, str, str, str]:
    (family,) = metric.describe()
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = ("stage",) if isinstance(metric, RecordAges) else metric._labelnames  # noqa: SLF001 — no other way to ask
    return f"`{name}`", family.type, ", ".join(f"`{label}`" for label in labels) or "none", family.documentation


def topics() -> str:
    """Every topic, as `circle topics apply` makes it."""
    rows = [
        (
            f"`{topic.name}`",
            topic.key,
            str(topic.partitions),
            "for ever" if topic.retention_ms == RETENTION_FOREVER_MS else f"{topic.retention_ms // DAY_MS} days",
            "the broker's" if topic.log_append_time else "the writer's",
            topic.holds,
        )
        for topic in all_topics(Settings().partitions)
    ]
    head = ("topic", "key", "partitions", "kept", "timestamp", "what it holds")
    return "\n".join(["# Topics\n", f"{WRITTEN} Partitions are those of the default settings.\n", table(head, rows)])
