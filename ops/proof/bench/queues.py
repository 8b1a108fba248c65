"""The queues of a platform second by second, from the metrics of its processes: they explain how long it is calm after.

A thread reads the metrics of the API and of each dataflow once a second while a block lasts. Its own CPU is not
counted, that of the answers is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from api.fairness.pools import UNDECIDED
from connectors.errors import CircleError
from schemas.ids import MS_PER_S

EVERY_S = 1.0
TIMEOUT_S = 30.0
METRICS = "/metrics"
RESERVE = "/v1/events/<event_id>/reservations"
Series = tuple[str, tuple[tuple[str, str], ...]]


class QueueSecond(msgspec.Struct, frozen=True, kw_only=True):
    """The queues at one moment, and what happened since the moment before.

    `unacknowledged`: commands that the broker has not acknowledged. `undecided`: commands that have a place in the
    admission, of at most `limit`. `in_line`: requests that wait for a place. `waiting`: requests that wait for the
    outcome of their command. `refused`: requests that found no place, by reason. The milliseconds are means: of an
    answer to a reservation, of the lateness of the API's event loop, from a command's time to its decision, and from a
    fact's time to its rows.
    """

    at_s: float  # after the first request
    unacknowledged: int
    undecided: int
    limit: int
    in_line: int
    waiting: int
    refused: dict[str, int]
    answer_ms: float
    loop_lag_ms: float
    decided_ms: float
    persisted_ms: float


class Sample(NamedTuple):
    """All series of all processes, at a time of the clock in seconds."""

    at: float
    values: Mapping[Series, float]


@contextmanager
def sampled(url: str, token: str, metrics_urls: Sequence[str]) -> Iterator[list[Sample]]:
    """Samples of the platform at `url` while the block lasts. `metrics_urls` has those of its dataflows' processes.

    Raises CircleError when a process did not give its metrics.
    """
    samples, failures, over = list[Sample](), list[str](), threading.Event()
    thread = threading.Thread(
        target=_sample, args=(url, token, metrics_urls, samples, failures, over), name="queue-samples"
    )
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()
    if failures:
        raise CircleError(f"the platform's metrics could not be read: {failures[0]}")


def queues_of(samples: Sequence[Sample], began_at: float) -> list[QueueSecond]:
    """One entry for each sample after `began_at`, the time of the first request; none for the first sample. Pure."""
    return [
        _second(before.values, sample.values, round(sample.at - began_at, 2))
        for before, sample in pairwise(samples)
        if sample.at > began_at
    ]


def parsed(text: str) -> dict[Series, float]:
    """The series of a process's metrics. Pure."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _second(before: Mapping[Series, float], now: Mapping[Series, float], at_s: float) -> QueueSecond:
    share = ("share", UNDECIDED.name)

    def gauge(name: str, *labels: tuple[str, str]) -> int:
        return int(now.get((name, labels), 0.0))

    def grown(series: Series) -> float:
        return now.get(series, 0.0) - before.get(series, 0.0)

    def mean_ms(name: str, *labels: tuple[str, str]) -> float:
        count = grown((f"{name}_count", labels))
        return round(grown((f"{name}_sum", labels)) / count * MS_PER_S, 1) if count else 0.0

    refused = {
        dict(labels)["why"]: round(grown((name, labels)))
        for name, labels in now
        if name == "circle_api_share_refused_total" and share in labels
    }
    return QueueSecond(
        at_s=at_s,
        unacknowledged=gauge("circle_api_commands_unacknowledged"),
        undecided=gauge("circle_api_share_in_use", share),
        limit=gauge("circle_api_admission_limit"),
        in_line=gauge("circle_api_share_waiting", share),
        waiting=gauge("circle_api_requests_waiting"),
        refused={why: count for why, count in refused.items() if count},
        answer_ms=mean_ms("circle_http_request_seconds", ("method", "POST"), ("route", RESERVE)),
        loop_lag_ms=mean_ms("circle_api_loop_lag_seconds"),
        decided_ms=mean_ms("circle_record_age_seconds", ("stage", "decided")),
        persisted_ms=mean_ms("circle_record_age_seconds", ("stage", "persisted")),
    )


def _sample(
    url: str,
    token: str,
    metrics_urls: Sequence[str],
    samples: list[Sample],
    failures: list[str],
    over: threading.Event,
) -> None:
    """Until `over`, and once after it, so that a short block has a second sample."""
    due, ended = time.monotonic(), False
    try:
        with httpx.Client(timeout=TIMEOUT_S) as client:
            while not ended:
                ended = over.is_set()
                at, values = time.time(), dict[Series, float]()
                for address, headers in (
                    (f"{url}{METRICS}", {"authorization": f"Bearer {token}"}),
                    *((one, dict[str, str]()) for one in metrics_urls),  # they do not get the token
                ):
                    for series, value in parsed(client.get(address, headers=headers).raise_for_status().text).items():
                        values[series] = values.get(series, 0.0) + value
                samples.append(Sample(at, values))
                due += EVERY_S
                over.wait(max(0.0, due - time.monotonic()))
    except httpx.HTTPError as error:
        failures.append(f"{type(error).__name__}: {error}")
