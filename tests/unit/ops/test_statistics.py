"""A percentile is the nearest rank; CPU time is counted from the start, and services are not counted as ours."""

import os

import pytest

from ops.statistics import (
    CpuMeter,
    Latencies,
    ProcessCpu,
    latencies,
    our_us_per_request,
    percentile,
    tree_cpu_s,
)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, 0.0), ([7.0], 0.99, 7.0), ([1, 2, 3, 4], 0.5, 2), ([1, 2, 3, 4], 0.51, 3), (range(1, 101), 0.99, 99)],
)
def test_percentile_is_the_nearest_rank(values: list[float], share: float, expected: float) -> None:
    assert percentile(list(values), share) == expected


def test_latencies_are_milliseconds_of_unordered_seconds() -> None:
    assert latencies([0.003, 0.001, 0.002]) == Latencies(
        count=3, p50_ms=2.0, p95_ms=3.0, p99_ms=3.0, max_ms=3.0, p999_ms=3.0
    )


def test_latencies_of_nothing_are_zero() -> None:
    assert latencies([]) == Latencies(count=0, p50_ms=0.0, p95_ms=0.0, p99_ms=0.0, max_ms=0.0)


def test_cpu_meter_counts_what_is_used_after_its_start() -> None:
    meter = CpuMeter({"us": os.getpid()}, {"gone": 2**22 + 1})
    before = tree_cpu_s(os.getpid())
    meter.start()
    while tree_cpu_s(os.getpid()) < before + 0.05:
        sum(range(10_000))
    us, gone = meter.read(1_000)
    assert us.ours
    assert us.cpu_s >= 0.04
    assert us.us_per_request == pytest.approx(us.cpu_s * 1_000, rel=0.05)
    assert not gone.ours
    assert gone.cpu_s == 0.0


def test_our_cpu_leaves_the_services_out() -> None:
    figures = [ProcessCpu("api", 1, 50.0, True), ProcessCpu("postgres", 1, 70.0, False), ProcessCpu("x", 1, 5.5, True)]
    assert our_us_per_request(figures) == 55.5
