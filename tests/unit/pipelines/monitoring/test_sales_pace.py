"""The sales are asked for every ten seconds, and less often if each survey takes long. One slow survey delays none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest

from pipelines.monitoring import sales
from pipelines.monitoring.sales import PERIOD, HoldCounts, Sales, SalesSurvey

if TYPE_CHECKING:
    from connectors.postgres import Database

LOOK_S = 1.0
NOTHING = Sales(HoldCounts(0, 0, 0), [], 0)


class Timed:
    """A clock, and a database whose queries take the given times and then note when they began."""

    def __init__(self, took_s: Iterator[float]) -> None:
        self.now, self.took_s, self.began = 1_000.0, took_s, list[float]()

    def monotonic(self) -> float:
        return self.now

    def run(self, _: Any, *, readonly: bool) -> Sales:
        assert readonly
        self.began.append(self.now)
        self.now += next(self.took_s)
        return NOTHING


def surveys(monkeypatch: pytest.MonkeyPatch, *took_s: float) -> list[float]:
    """The seconds from the beginning of each survey to that of the next, by looks of a second."""
    timed = Timed(iter(took_s))
    monkeypatch.setattr(sales, "time", timed)
    survey = SalesSurvey(cast("Database", timed))
    while len(timed.began) < len(took_s):
        assert survey.look(0) is NOTHING
        timed.now += LOOK_S
    return [after - before for before, after in pairwise(timed.began)]


def test_quick_surveys_are_made_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    for between in surveys(monkeypatch, 0.01, 0.01, 0.01, 0.01):
        assert PERIOD.least_s <= between < PERIOD.least_s + 2 * LOOK_S


def test_one_slow_survey_delays_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for between in surveys(monkeypatch, 2.0, 0.01, 3.0, 0.01, 0.01):
        assert between < PERIOD.least_s + 2 * LOOK_S


def test_surveys_that_all_take_long_take_a_small_part_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = surveys(monkeypatch, 0.5, 0.5, 0.5, 0.5)
    assert first < PERIOD.least_s + 2 * LOOK_S
    assert all(between >= 0.5 / PERIOD.part_max for between in others)
