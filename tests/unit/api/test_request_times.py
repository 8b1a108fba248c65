"""The request times of several processes are one histogram for each route, and no count goes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram

from api.request_times import RequestTimes, WithNative
from connectors.native_histograms import NativeFamily

READ, WRITE = ("GET", "/v1/events"), ("POST", "/v1/events")


def test_the_processes_are_summed_by_route_also_one_that_has_ended(tmp_path: Path) -> None:
    first, second = RequestTimes(), RequestTimes()
    for seconds in (0.002, 0.002, 4.0):
        first.of(*READ).add(seconds)
    first.share(tmp_path)
    del first
    second.of(*READ).add(0.002)
    second.of(*WRITE).add(0.0)
    found = second.now(tmp_path)
    assert (found[READ].count_value, found[WRITE].count_value, found[WRITE].zero_count) == (4, 1, 1)
    assert found[READ].sum_value == pytest.approx(4.006)
    assert list(found[READ].pos_deltas or ()) == [3, -2], "three of 2 ms, one of 4 s"


def test_no_count_goes_back_when_another_process_is_asked(tmp_path: Path) -> None:
    first, second = RequestTimes(), RequestTimes()
    counts = []
    for asked, other in ((first, second), (second, first)) * 5:
        first.of(*READ).add(0.01)
        second.of(*READ).add(0.01)
        counts.append(asked.now(tmp_path)[READ].count_value)
        assert other.of(*READ) is other.of(*READ)
    assert counts == sorted(counts)
    first.share(tmp_path)
    assert second.now(tmp_path)[READ].count_value == 20


def test_a_process_alone_needs_no_directory() -> None:
    alone = RequestTimes()
    alone.of(*READ).add(0.5)
    assert alone.now()[READ].count_value == 1


def test_a_scrape_has_the_native_buckets_with_the_family_of_that_name_alone() -> None:
    registry, times = CollectorRegistry(), RequestTimes()
    for name in ("asked_seconds", "other_seconds"):
        Histogram(name, "Seconds.", ["method", "route"], registry=registry).labels(*READ).observe(0.3)
    times.of(*READ).add(0.3)
    families = {one.name: one for one in WithNative(registry.collect, "asked_seconds", times.now()).collect()}
    assert isinstance(families["asked_seconds"], NativeFamily)
    assert not isinstance(families["other_seconds"], NativeFamily)
    assert families["asked_seconds"].samples == next(
        one.samples for one in registry.collect() if one.name == "asked_seconds"
    )
