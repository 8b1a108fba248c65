"""What each API process reports about its last minute, in a hash in Redis that monitoring reads.

A report that is older than FRESH_S is of a process that has ended: it counts no more.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

import msgspec

REPORTS = "circle:api-reports"
REPORT_EVERY_S = 5.0
WINDOW_S = 60.0
FRESH_S = 30.0
STALE_S = 600.0
KEPT_S = 3_600  # the hash goes when no API process runs any more


class ApiReport(msgspec.Struct, frozen=True, kw_only=True):
    """The answers of one API process in its last minute: all, unexpected errors, and 503."""

    at: float
    answers: int
    errors: int
    unavailable: int


class ApiTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The same of all API processes."""

    processes: int
    answers: int
    errors: int
    unavailable: int

    @property
    def unavailable_ratio(self) -> float:
        return self.unavailable / self.answers if self.answers else 0.0


class LastMinute:
    """Turns totals of a process, which only grow, into those of its last minute."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int, int, int]] = deque([(time.monotonic(), 0, 0, 0)])

    def report(self, answers: int, errors: int, unavailable: int) -> ApiReport:
        """The report for these totals."""
        now = time.monotonic()
        self._looks.append((now, answers, errors, unavailable))
        while len(self._looks) > 2 and now - self._looks[1][0] >= WINDOW_S:
            self._looks.popleft()
        _, first, first_errors, first_unavailable = self._looks[0]
        return ApiReport(
            at=time.time(),
            answers=answers - first,
            errors=errors - first_errors,
            unavailable=unavailable - first_unavailable,
        )


def totals_of(reports: Mapping[bytes, bytes], now_s: float) -> ApiTotals:
    """The totals of the processes that have reported lately."""
    fresh = [report for report in map(_read, reports.values()) if report is not None and now_s - report.at <= FRESH_S]
    return ApiTotals(
        processes=len(fresh),
        answers=sum(one.answers for one in fresh),
        errors=sum(one.errors for one in fresh),
        unavailable=sum(one.unavailable for one in fresh),
    )


def stale(reports: Mapping[bytes, bytes], now_s: float) -> list[bytes]:
    """The processes that have not reported for so long that they have ended."""
    read = {name: _read(text) for name, text in reports.items()}
    return [name for name, report in read.items() if report is None or now_s - report.at > STALE_S]


def _read(text: bytes) -> ApiReport | None:
    """A report; None if it has another form, of another release."""
    try:
        return msgspec.json.decode(text, type=ApiReport)
    except msgspec.MsgspecError:
        return None
