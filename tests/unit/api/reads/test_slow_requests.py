"""The slowest requests of the last ten minutes are kept, a bounded number of them, and no one else's."""

from __future__ import annotations

import time

import pytest

from api.reads import slow_requests
from api.reads.slow_requests import KEPT_MAX, KEPT_S, SLOW_S, SlowRequests, together

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def kept(slow: SlowRequests) -> list[float]:
    return [one.seconds for one in together([slow.report(time.time())], time.time())]


def test_the_slowest_stay_and_the_bar_rises_with_them() -> None:
    slow = SlowRequests()
    for number in range(KEPT_MAX + 5):
        slow.note("GET", "/v1/events", 200, 1 + number, None)
    assert kept(slow) == [float(number) for number in range(KEPT_MAX + 5, 5, -1)]
    assert slow.floor_s == 6.0


def test_requests_of_operators_are_left_out() -> None:
    slow = SlowRequests()
    slow.note("GET", "/v1/operator/topics", 200, 9.0, None)
    slow.note("GET", "/v1/events", 200, 1.0, None)
    assert kept(slow) == [1.0]


def test_old_ones_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, now = SlowRequests(), time.time()
    for number in range(KEPT_MAX):
        slow.note("GET", "/v1/events", 200, 1 + number, None)
    monkeypatch.setattr(slow_requests.time, "time", lambda: now + KEPT_S + 60)
    assert kept(slow) == []
    assert slow.floor_s == SLOW_S


def test_a_request_has_the_id_of_its_trace() -> None:
    slow = SlowRequests()
    slow.note("POST", "/v1/events", 201, 2.0, TRACE)
    slow.note("POST", "/v1/events", 201, 1.0, "nonsense")
    found = together([slow.report(time.time()), b"of another release"], time.time())
    assert [one.trace for one in found] == ["0af7651916cd43dd8448eb211c80319c", ""]
