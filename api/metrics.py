"""Prometheus metrics of the API. One process by default; several workers share PROMETHEUS_MULTIPROC_DIR."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    generate_latest,
    multiprocess,
)
from prometheus_client.metrics_core import Metric

from api.request_times import RequestTimes, WithNative
from api.route_seconds import MEANING, NAME, RouteSeconds, text_of
from api.shared_metrics import SharedMetrics, Wanted
from api.shared_series import FILES, SeriesValue
from connectors.metrics_server import exposition as protocol_buffers

CONTENT_TYPE = CONTENT_TYPE_LATEST
# Dense around the goals: a p99 of 75 ms to the outcome, and 2 s and 30 s, the waits that clients ask for.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

UNAVAILABLE = 503
SHARED_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The API's metrics. `answers`, `errors` (5xx but 503) and `unavailable` (503) are totals of this process."""

    def __init__(self) -> None:
        self.answers = self.errors = self.unavailable = 0
        self.registry = CollectorRegistry()  # all but the seconds of routes
        self._requests = Counter(
            "circle_http_requests",
            "Requests answered, by route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._native = RequestTimes()
        self._seconds = Histogram(
            "circle_http_request_seconds",  # NAME; a test reads the names from the code
            MEANING,
            ["method", "route"],
            buckets=BUCKETS_S,
            registry=None,  # `exposition` has the text of each route from before, if nothing has changed
        )
        self._routes: dict[tuple[str, str], RouteSeconds] = {}
        self._shared: SharedMetrics | None = None
        self.forged = Counter(
            "circle_api_messages_forged",
            "Messages from Redis that were dropped: their seal was wrong.",
            registry=self.registry,
        )
        self.tokens = Counter(
            "circle_api_tokens_verified",
            "First looks at an access token: recognized as ours, or given the full check, at four times the cost.",
            ["how"],
            registry=self.registry,
        )
        self.tokens_recognized, self.tokens_checked = map(self.tokens.labels, ("recognized", "checked"))
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
        self.admission = Gauge(
            "circle_api_admission_limit",
            "How many undecided commands the API lets through, all partitions together.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.loop_lag = Summary(
            "circle_api_loop_lag_seconds",
            "How late a timer of the event loop ran: what has come waits so long. Measured while commands are sent.",
            registry=self.registry,
        )
        self.streams = Gauge(
            "circle_api_live_streams",
            "Open server-sent event streams.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._cpu_s = 0.0
        self._cpu = Counter(
            "circle_api_cpu_seconds", "Processor time of all API processes of this machine.", registry=self.registry
        )
        self._dying = Gauge(
            "circle_flow_dying",
            "1 for a flow whose processes keep dying. The API says it, because monitoring may be what dies.",
            ["flow"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._deaths = Gauge(
            "circle_flow_deaths_recent",
            "Deaths of a flow's processes within ten minutes, by the error's class, until one is steady again.",
            ["flow", "kind"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._died: set[tuple[str, str]] = set()
        self._in_share = Gauge(
            "circle_api_share_in_use",
            "Requests that have a place in a share.",
            ["share"],
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._before_share = Gauge(
            "circle_api_share_waiting",
            "Requests that wait for a place in a share.",
            ["share"],
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.edge_refusals = Counter(
            "circle_api_edge_refusals",
            "Requests refused as sold out that went to the log together with others.",
            registry=self.registry,
        )
        self.edge_records = Counter(
            "circle_api_edge_records",
            "Records with requests that went to the log together.",
            registry=self.registry,
        )
        self._refused = Counter(
            "circle_api_share_refused",
            "Requests refused because a share (user, network) or all places (all) of a pool are in use.",
            ["share", "why"],
            registry=self.registry,
        )

    def set_lives(self, dying: Mapping[str, bool], deaths: Mapping[tuple[str, str], int]) -> None:
        """Which flows keep dying, and their deaths by flow and kind. A kind that is over goes to 0."""
        for flow, is_dying in dying.items():
            self._dying.labels(flow).set(is_dying)
        self._died |= set(deaths)
        for flow, kind in self._died:
            self._deaths.labels(flow, kind).set(deaths.get((flow, kind), 0))

    def set_share(self, share: str, running: int, waiting: int) -> None:
        """How many requests are in a share now, and how many wait for a place in it."""
        self._in_share.labels(share).set(running)
        self._before_share.labels(share).set(waiting)

    def set_gauges(self, *, unacknowledged: int, waiting: int, streams: int, admission: int, cpu_s: float) -> None:
        """What this process has under way now, and the processor time that it has used."""
        self._cpu.inc(max(0.0, cpu_s - self._cpu_s))
        self._cpu_s = cpu_s
        self.unacknowledged.set(unacknowledged)
        self.waiting.set(waiting)
        self.streams.set(streams)
        self.admission.set(admission)

    def share_refused(self, share: str, why: str) -> None:
        """Counts a request that found no place."""
        self._refused.labels(share, why).inc()

    def observer(self, method: str, route: str) -> Callable[[int, float], None]:
        """A function that counts one answer of a route: status, seconds. It finds each series once, not per request."""
        statuses: dict[int, Counter] = {}
        labels = {"method": method, "route": route}
        seconds = self._routes.setdefault((method, route), RouteSeconds(self._seconds.labels(**labels), labels))
        native = self._native.of(method, route)

        def observe(status: int, duration_s: float) -> None:
            counter = statuses.get(status)
            if counter is None:
                counter = statuses[status] = self._requests.labels(method, route, str(status))
            counter.inc()
            self.answers += 1
            if status >= 500:
                if status == UNAVAILABLE:
                    self.unavailable += 1
                else:
                    self.errors += 1
            seconds.observe(duration_s)
            native.add(duration_s)

        return observe

    def exposition(self) -> bytes:
        """The text for a scrape."""
        if shared := self._of_workers():
            return shared.exposition()
        return generate_latest(self.registry) + text_of(self._routes.values()).encode()

    def native_exposition(self) -> bytes:
        """The protocol buffers for a scrape, which have native buckets of the requests' time. Raises OSError."""
        return protocol_buffers(WithNative(self._families, NAME, self._native.now(_directory())))

    def share(self) -> None:
        """Show the other processes what the client does not share. Raises OSError."""
        if (directory := _directory()) is not None:
            self._native.share(directory)

    def _families(self) -> Iterable[Metric]:
        """All families, with the times of all routes in one."""
        directory = _directory()
        if directory is None:
            return [*self.registry.collect(), *self._seconds.collect()]
        files = [str(one) for one in directory.glob(FILES)]
        merged: Iterable[Metric] = multiprocess.MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return merged

    def series(self, wanted: Wanted) -> Iterator[SeriesValue]:
        """The wanted ones of these series, of all processes: answers, their times in buckets, requests that wait, live
        streams. `wanted` decides by name and labels."""
        if shared := self._of_workers():
            return shared.series(wanted)
        return (one for one in self._own_series(wanted) if wanted(one.name, one.labels))

    def _of_workers(self) -> SharedMetrics | None:
        """The metrics of all workers, if there are several."""
        directory = _directory()
        if directory is not None and self._shared is None:
            self._shared = SharedMetrics(directory)
        return self._shared if directory is not None else None

    def _own_series(self, wanted: Wanted) -> Iterator[SeriesValue]:
        for metric in (self._requests, self.waiting, self.streams):
            for family in metric.collect():
                for sample in family.samples:
                    yield SeriesValue(sample.name, sample.labels, sample.value)
        for (method, route), seconds in self._routes.items():
            if wanted(f"{NAME}_bucket", {"method": method, "route": route}):
                below = 0.0
                for sample in (one for family in seconds.collect() for one in family.samples if "le" in one.labels):
                    yield SeriesValue(sample.name, sample.labels, sample.value - below)
                    below = sample.value


def _directory() -> Path | None:
    """Where several processes share their figures; None for one process alone."""
    found = os.environ.get(SHARED_DIRECTORY)
    return Path(found) if found else None


METRICS = Metrics()
