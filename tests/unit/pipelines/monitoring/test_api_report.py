"""What API processes report of their last minute counts while it is fresh."""

from __future__ import annotations

import msgspec
import pytest

from pipelines.monitoring import api_report
from pipelines.monitoring.api_report import FRESH_S, STALE_S, ApiReport, LastMinute, stale, totals_of


def test_a_process_reports_its_last_minute_and_not_what_was_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(api_report.time, "monotonic", lambda: now)
    minute = LastMinute()
    reports = []
    for tick in range(30):
        now = 1_000.0 + 5 * tick
        reports.append(minute.report(100 * tick, tick, 2 * tick))
    assert (reports[0].answers, reports[5].answers) == (0, 500)
    assert (reports[-1].answers, reports[-1].errors, reports[-1].unavailable) == (1_200, 12, 24)


def test_old_reports_do_not_count_and_are_forgotten_later() -> None:
    def report(at: float) -> bytes:
        return msgspec.json.encode(ApiReport(at=at, answers=10, errors=1, unavailable=5))

    now = 10_000.0
    reports = {b"a": report(now), b"b": report(now - FRESH_S - 1), b"c": report(now - STALE_S - 1), b"d": b"{}"}
    totals = totals_of(reports, now)
    assert (totals.processes, totals.answers, totals.errors, totals.unavailable_ratio) == (1, 10, 1, 0.5)
    assert stale(reports, now) == [b"c", b"d"]
    assert totals_of({}, now).unavailable_ratio == 0.0
