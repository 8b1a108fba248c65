"""Totals of requests are those of a scrape of all processes. Watching is no business; an outcome has its bucket."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import Metrics
from api.reads.request_totals import ANSWERS, BUCKETS, OWN_ROUTES, RESERVE, STREAMS, WAITING, is_counted, request_totals
from api.shapes.console import RequestTotals
from api.shared_series import SeriesValue

OF = {"method": "POST", "route": RESERVE}
EVENTS = {"method": "GET", "route": "/v1/events"}
SERIES = [
    SeriesValue(ANSWERS, OF | {"status": "201"}, 5.0),
    SeriesValue(ANSWERS, OF | {"status": "409"}, 2.0),
    SeriesValue(ANSWERS, EVENTS | {"status": "200"}, 3.0),
    SeriesValue(ANSWERS, {"method": "GET", "route": "/v1/operator/platform", "status": "200"}, 900.0),
    SeriesValue(ANSWERS, {"method": "GET", "route": "/readyz", "status": "503"}, 40.0),
    SeriesValue(BUCKETS, OF | {"le": "+Inf"}, 3.0),
    SeriesValue(BUCKETS, OF | {"le": "0.01"}, 4.0),
    SeriesValue(BUCKETS, EVENTS | {"le": "0.01"}, 3.0),
    SeriesValue(WAITING, {}, 6.0),
    SeriesValue(STREAMS, {}, 11.0),
]
PROCESS = """
import sys
import msgspec
from api.metrics import METRICS
from api.reads.request_totals import RESERVE, request_totals, is_counted

reserve = METRICS.observer("POST", RESERVE)
reserve(201, 0.004)
METRICS.set_gauges(unacknowledged=1, waiting=2, streams=3, admission=4, cpu_s=5.0)
first = request_totals(METRICS.series(is_counted))
reserve(409, 0.2)
METRICS.observer("GET", "/v1/events")(200, 0.001)
METRICS.observer("GET", "/readyz")(503, 0.001)
found = [first, request_totals(METRICS.series(is_counted)), METRICS.exposition().decode()]
sys.stdout.buffer.write(msgspec.json.encode(found))
"""


def test_answers_are_counted_by_their_kind_without_those_to_watchers() -> None:
    assert request_totals(SERIES).answers == {"2": 8, "4": 2}


def test_reservations_have_their_times() -> None:
    found = request_totals(SERIES)
    assert (found.reservations, found.buckets) == (7, [[0.01, 4], [None, 7]])
    assert (found.waiting, found.streams) == (6, 11)


def test_the_series_of_several_processes_are_added() -> None:
    found = request_totals(SERIES * 2)
    assert (found.answers, found.reservations, found.buckets) == ({"2": 16, "4": 4}, 14, [[0.01, 8], [None, 14]])
    assert (found.waiting, found.streams) == (12, 22)


def test_a_platform_without_requests_has_none() -> None:
    found = request_totals([])
    assert (found.answers, found.reservations, found.buckets) == ({}, 0, [])


def test_the_totals_of_one_process_are_those_of_a_scrape() -> None:
    metrics = Metrics()
    reserve, events = metrics.observer("POST", RESERVE), metrics.observer("GET", "/v1/events")
    for status, seconds in ((201, 0.004), (201, 0.06), (409, 0.004), (503, 31.0)):
        reserve(status, seconds)
    events(200, 0.002)
    metrics.observer("GET", "/readyz")(503, 0.002)
    metrics.set_gauges(unacknowledged=1, waiting=2, streams=3, admission=4, cpu_s=5.0)
    found = request_totals(metrics.series(is_counted))
    assert found == _of_scrape(metrics.exposition().decode())
    assert (found.answers, found.reservations) == ({"2": 3, "4": 1, "5": 1}, 4)


def test_the_totals_need_no_text_of_all_metrics() -> None:
    """An open console asks once a second, and a text took most of what watching cost."""
    metrics = Metrics()
    metrics.observer("POST", RESERVE)(201, 0.004)
    with patch("prometheus_client.CollectorRegistry.collect", side_effect=AssertionError("all was read")):
        assert request_totals(metrics.series(is_counted)).reservations == 1
        with pytest.raises(AssertionError):
            metrics.exposition()


@pytest.mark.parametrize("processes", [1, 3])
def test_the_totals_of_workers_are_those_of_a_scrape(tmp_path: Path, processes: int) -> None:
    """Ended workers count as well, and so do series that are made after the first look."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for number in range(1, processes + 1):
        done = subprocess.run([sys.executable, "-c", PROCESS], env=environment, check=True, capture_output=True)
        first, found, scrape = msgspec.json.decode(done.stdout, type=tuple[RequestTotals, RequestTotals, str])
        assert found == _of_scrape(scrape)
        assert (found.answers, found.reservations) == ({"2": 2 * number, "4": number}, 2 * number)
        assert first.reservations == found.reservations - 1


def _of_scrape(text: str) -> RequestTotals:
    """The totals in a text of Prometheus' format, found in another way."""
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    answers: dict[str, int] = {}
    for one in samples:
        if one.name == ANSWERS and not one.labels["route"].startswith(OWN_ROUTES):
            first = one.labels["status"][0]
            answers[first] = answers.get(first, 0) + int(one.value)
    bounds = {
        one.labels["le"]: int(one.value) for one in samples if one.name == BUCKETS and one.labels["route"] == RESERVE
    }
    (waiting,) = (int(one.value) for one in samples if one.name == WAITING)
    (streams,) = (int(one.value) for one in samples if one.name == STREAMS)
    return RequestTotals(
        answers=answers,
        reservations=bounds["+Inf"],
        buckets=[
            [None if bound == "+Inf" else float(bound), bounds[bound]]
            for bound in sorted(bounds, key=lambda bound: float(bound))
        ],
        waiting=waiting,
        streams=streams,
    )
