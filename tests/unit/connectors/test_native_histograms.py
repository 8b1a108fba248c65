"""Native buckets count each value once, between the bounds of Prometheus' schema. The classic ones stay the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.samples import NativeHistogram

from connectors.metrics_server import wants_protobuf
from connectors.native_histograms import SCHEMA, BothHistogram, NativeBuckets


def counts(found: NativeHistogram) -> dict[int, int]:
    """The buckets by index, as a reader of spans and deltas has them."""
    by_index, index, count = {}, 0, 0
    deltas = iter(found.pos_deltas or ())
    for span in found.pos_spans or ():
        index += span.offset
        for _ in range(span.length):
            count += next(deltas)
            by_index[index] = count
            index += 1
    assert next(deltas, None) is None
    return by_index


@given(st.lists(st.floats(min_value=0, max_value=1e9, allow_nan=False)))
def test_each_value_is_in_the_bucket_whose_bounds_hold_it(values: list[float]) -> None:
    buckets = NativeBuckets()
    for value in values:
        buckets.add(value)
    found = buckets.now()
    by_index = counts(found)
    assert found.count_value == len(values) == sum(by_index.values()) + found.zero_count
    assert found.sum_value == pytest.approx(sum(values))
    assert found.zero_count == sum(value <= found.zero_threshold for value in values)
    growth = 2.0 ** (2.0**-SCHEMA)
    for index, count in by_index.items():
        low, high = growth ** (index - 1), growth**index
        assert count <= sum(low * (1 - 1e-9) <= value <= high * (1 + 1e-9) for value in values)


def test_spans_leave_out_empty_buckets() -> None:
    buckets = NativeBuckets()
    for value, times in ((1.0, 2), (1.05, 1), (8.0, 5)):
        buckets.add(value, times)
    found = buckets.now()
    assert [tuple(span) for span in found.pos_spans or ()] == [(0, 2), (22, 1)]
    assert (found.pos_deltas, found.count_value, found.sum_value) == ([2, -1, 4], 8, pytest.approx(43.05))


def test_the_classic_buckets_and_the_text_are_those_of_the_client() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    both = BothHistogram("circle_test_seconds", "A test.", ["step"], buckets=(0.1, 1.0), registry=ours)
    classic = Histogram("circle_test_seconds", "A test.", ["step"], buckets=(0.1, 1.0), registry=theirs)
    for one in (both, classic):
        for value in (0.05, 0.5, 5.0):
            one.labels("write").observe(value)
    ours_text, theirs_text = (
        [line for line in generate_latest(one).decode().splitlines() if "_created" not in line]
        for one in (ours, theirs)
    )
    assert ours_text == theirs_text


NATIVE = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("application/vnd.google.protobuf", False),
        (NATIVE, True),
        (f"text/plain;q=0.5, {NATIVE.replace(';', '; ')}; q=0.7", True),
        (f"text/plain, {NATIVE};q=0.6", False),
        (f"{NATIVE};q=0", False),
        (NATIVE.replace("delimited", "text"), False),
        ("text/plain;q=nonsense", False),
    ],
)
def test_protocol_buffers_are_for_those_who_prefer_them(accept: str, wanted: bool) -> None:
    assert wants_protobuf(accept) is wanted
