"""The ages of a batch's records are counted together, as Prometheus' own histogram counts each alone."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from connectors.age_buckets import AGE_BUCKETS_S
from connectors.metrics import RecordAges
from schemas.ids import MS_PER_S

NAME, TEXT = "circle_test_seconds", "A test."


def test_a_batch_counts_as_its_records_one_by_one() -> None:
    now_ms = 1_700_000_000_000
    ages_ms = [0, 4, 5, 6, 10, 11, 99, 100, 2_500, 2_501, 59_999, 5_000_000, 5_000_000, *([7] * 40)]
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    ages = RecordAges(NAME, TEXT, ("decided", "replied"))
    ours.register(ages)
    one_by_one = Histogram(NAME, TEXT, ["stage"], buckets=AGE_BUCKETS_S, registry=theirs)
    for start in (0, 5):
        ages.observe("decided", [now_ms - age for age in ages_ms[start : start + 5 if not start else None]], now_ms)
    for age in ages_ms:
        one_by_one.labels("decided").observe(age / MS_PER_S)
    one_by_one.labels("replied")

    def series(registry: CollectorRegistry) -> dict[str, float]:
        text = generate_latest(registry).decode()
        lines = [line for line in text.splitlines() if not line.startswith("#") and "_created" not in line]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    assert series(ours) == pytest.approx(series(theirs))


def test_a_record_of_the_future_counts_as_new() -> None:
    ages = RecordAges(NAME, TEXT, ("decided",))
    ages.observe("decided", [2_000], 1_000)
    (family,) = ages.collect()
    assert {sample.value for sample in family.samples if sample.name.endswith("_sum")} == {0.0}
