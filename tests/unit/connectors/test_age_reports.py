"""Monitoring sums the ages of records over the processes that report, and over no other."""

from __future__ import annotations

import msgspec

from connectors.age_buckets import AGE_BUCKETS_S
from connectors.age_reports import FRESH_S, AgeReport, together
from connectors.metrics import RecordAges

NOW_S = 1_700_000_000.0


def reported(at_s: float, **ages: list[int]) -> bytes:
    return msgspec.json.encode(AgeReport(at=at_s, ages=ages))


def test_a_process_reports_the_stages_that_it_has() -> None:
    ages = RecordAges("circle_test_seconds", "A test.", ("decided", "replied"))
    ages.observe("decided", [1_000, 1_000, 900], 1_006)
    counts = ages.counted()
    assert set(counts) == {"decided"}
    assert len(counts["decided"]) == len(AGE_BUCKETS_S) + 1
    assert counts["decided"][AGE_BUCKETS_S.index(0.01)] == 2
    assert counts["decided"][AGE_BUCKETS_S.index(0.25)] == 1


def test_processes_of_one_stage_count_together() -> None:
    reports = {b"a/1": reported(NOW_S, decided=[1, 2]), b"a/2": reported(NOW_S - 5, decided=[3, 4], replied=[5, 6])}
    assert together(reports, NOW_S) == {"decided": [4, 6], "replied": [5, 6]}


def test_a_process_that_has_ended_counts_no_more() -> None:
    reports = {b"a/1": reported(NOW_S, decided=[1, 2]), b"a/2": reported(NOW_S - FRESH_S - 1, decided=[3, 4])}
    assert together(reports, NOW_S) == {"decided": [1, 2]}


def test_a_report_of_another_release_counts_as_none() -> None:
    reports = {b"a/1": reported(NOW_S, decided=[1, 2]), b"a/2": b"[1]", b"a/3": reported(NOW_S, decided=[1, 2, 3])}
    assert together(reports, NOW_S) == {"decided": [1, 2]}
