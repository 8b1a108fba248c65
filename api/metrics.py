"""Prometheus metrics of the API. One process by default; several workers share PROMETHEUS_MULTIPROC_DIR."""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
# Dense around the goals: a p99 of 75 ms to the outcome, and 2 s and 30 s, the waits that clients ask for.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The API's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "circle_http_requests",
            "Requests answered, by route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "circle_http_request_seconds",
            "From the complete request to its answer, including the wait for the outcome.",
            ["method", "route"],
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.forged = Counter(
            "circle_api_messages_forged",
            "Messages from Redis that were dropped: their seal was wrong.",
            registry=self.registry,
        )
        self.unacknowledged = Gauge(
            "circle_api_commands_unacknowledged",
            "Commands sent to the log and not acknowledged yet.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.waiting = Gauge(
            "circle_api_requests_waiting",
            "Requests that wait for the outcome of their command.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.streams = Gauge(
            "circle_api_live_streams",
            "Open server-sent event streams.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._refused = Counter(
            "circle_api_share_refused",
            "Requests refused because a share (user, network) or all places (all) of a pool are in use.",
            ["share", "why"],
            registry=self.registry,
        )

    def share_refused(self, share: str, why: str) -> None:
        """Counts a request that found no place."""
        self._refused.labels(share, why).inc()

    def observer(self, method: str, route: str) -> Callable[[int, float], None]:
        """A function that counts one answer of a route: status, seconds. It finds each series once, not per request."""
        statuses: dict[int, Counter] = {}
        seconds = self._seconds.labels(method, route)

        def observe(status: int, duration_s: float) -> None:
            counter = statuses.get(status)
            if counter is None:
                counter = statuses[status] = self._requests.labels(method, route, str(status))
            counter.inc()
            seconds.observe(duration_s)

        return observe

    def exposition(self) -> bytes:
        """The text for a scrape."""
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self.registry)


METRICS = Metrics()
