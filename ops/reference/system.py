"""The pages of routes, metrics and topics."""

from __future__ import annotations

from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from api.metrics import METRICS
from api.routes.table import ROUTES
from connectors.settings import Settings
from ops.reference.markdown import WRITTEN, table
from pipelines.monitoring import metrics as monitoring_metrics
from pipelines.notifications import metrics as notification_metrics
from pipelines.reservations import metrics as reservation_metrics
from schemas.topics import DAY_MS, RETENTION_FOREVER_MS, all_topics
from sinks import metrics as transaction_metrics


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
    parts = ["# Metrics\n", f"{WRITTEN} [Operations](../operations.md#metrics) says when to worry.\n"]
    processes: dict[str, list[Any]] = {
        "The API": [METRICS],
        "Dataflows": [monitoring_metrics, notification_metrics, reservation_metrics, transaction_metrics],
    }
    for process, holders in processes.items():
        found = [one for holder in holders for one in vars(holder).values() if isinstance(one, MetricWrapperBase)]
        head = ("metric", "type", "labels", "what it counts")
        parts.append(f"## {process}\n\n" + table(head, sorted(_metric(one) for one in found)))
    return "\n".join(parts)


def _metric(metric: MetricWrapperBase) -> tuple[str, str, str, str]:
    (family,) = metric.describe()
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 — there is no other way to ask
    return f"`{name}`", family.type, labels or "none", family.documentation


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
