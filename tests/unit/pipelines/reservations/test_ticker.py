"""A tick is written when something is due by the broker's time, also by a worker whose clock is behind."""

from __future__ import annotations

from typing import Any

import pytest

from connectors import clock
from pipelines.reservations.partition import Partition
from pipelines.reservations.ticker import Ticker
from schemas.codec import Codec
from schemas.ids import TIME_MS_MAX, US_PER_MS, US_PER_S, EventId, LogTime

NOW_US = 1_900_000_000 * US_PER_S
BEHIND_US = 180 * US_PER_S


class Written:
    """A producer that keeps the keys of its records."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []

    def produce(self, _topic: str, _value: bytes, key: bytes, _partition: int, **_: Any) -> None:
        self.keys.append(key)

    def poll(self, _timeout_s: float) -> int:
        return 0


class OwnClock:
    """The worker's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at_us: int) -> None:
        self.at_us = at_us
        monkeypatch.setattr(clock, "now_us", lambda: self.at_us)


def worker(log_time: int) -> tuple[Ticker, Partition, Written]:
    partition, written = Partition(0, 1, LogTime(log_time), set()), Written()
    return Ticker(lambda: written, Codec(), {0: partition}), partition, written  # type: ignore[arg-type, return-value]


def test_a_worker_whose_clock_is_behind_ticks_by_the_newest_record_and_the_time_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = OwnClock(monkeypatch, NOW_US - BEHIND_US)
    ticker, partition, written = worker(NOW_US)
    partition.watch(EventId("e"), NOW_US + 20 * US_PER_S)
    ticker.tick()
    own.at_us += 19 * US_PER_S
    ticker.tick()
    assert written.keys == []
    own.at_us += 1 * US_PER_S
    ticker.tick()
    assert written.keys == [b"e"]


def test_an_old_record_says_nothing_about_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    own = OwnClock(monkeypatch, NOW_US)
    ticker, partition, written = worker(NOW_US - 3_600 * US_PER_S)
    partition.watch(EventId("e"), NOW_US + US_PER_S)
    ticker.tick()
    assert written.keys == []
    own.at_us += US_PER_S
    ticker.tick()
    assert written.keys == [b"e"]


def test_a_clock_that_was_put_right_counts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    own = OwnClock(monkeypatch, NOW_US - BEHIND_US)
    ticker, partition, written = worker(NOW_US)
    ticker.tick()
    own.at_us = NOW_US + US_PER_S
    partition.advance(NOW_US + US_PER_S)
    partition.watch(EventId("e"), NOW_US + BEHIND_US)
    ticker.tick()
    assert written.keys == []


def test_a_broker_that_is_ahead_makes_no_tick_early_on_the_partitions_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    OwnClock(monkeypatch, NOW_US)
    ahead, right, written = (
        Partition(0, 1, LogTime(NOW_US + BEHIND_US), set()),
        Partition(1, 1, LogTime(NOW_US), set()),
        Written(),
    )
    ahead.watch(EventId("ahead"), NOW_US + BEHIND_US)
    right.watch(EventId("right"), NOW_US + BEHIND_US)
    Ticker(lambda: written, Codec(), {0: ahead, 1: right}).tick()  # type: ignore[arg-type, return-value]
    assert written.keys == [b"ahead"]


def test_a_record_from_the_end_of_the_calendar_stops_no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    own = OwnClock(monkeypatch, NOW_US)
    ticker, partition, written = worker(TIME_MS_MAX * US_PER_MS)
    ticker.tick()
    own.at_us += 60 * US_PER_S
    partition.watch(EventId("e"), NOW_US)
    ticker.tick()
    assert written.keys == [b"e"]
