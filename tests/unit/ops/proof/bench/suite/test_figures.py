"""The figures of a bench are those of its rounds, and a check fails as soon as one round broke it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ops.proof.bench.drop import Step
from ops.proof.bench.oversold import Oversold
from ops.proof.bench.suite.figures import (
    Figure,
    checks_of,
    figures_of,
    goals_of,
    goodput_of,
    peak_of,
    recovered_s,
)
from ops.proof.bench.suite.scenarios import SCENARIOS, sized
from ops.proof.load.open_loop import LoadSecond
from ops.statistics import latencies
from tests.harness.bench_results import STEP, result_of

OVERLOAD = sized(SCENARIOS["overload"], rate=10, seconds=2, overload_s=4)
CALM, SLOW = LoadSecond(10, 5.0, 9.0), LoadSecond(40, 800.0, 900.0)


def test_a_figure_has_the_median_and_the_spread_of_its_rounds() -> None:
    figure = Figure(name="p99", unit="ms", values=[12.0, 8.0, 10.0])
    assert (figure.median, figure.spread) == (10.0, 0.4)
    assert Figure(name="p99", unit="ms", values=[0.0]).spread == 0.0


def test_the_figures_of_the_rounds() -> None:
    slower = replace(STEP, latency=latencies([0.020]), outcomes={"held": 100})
    figures = {
        figure.name: figure.values
        for figure in figures_of(SCENARIOS["quiet"], [STEP, slower], [latencies([0.001]), latencies([0.002])])
    }
    assert figures["p50"] == [10.0, 20.0]
    assert figures["p99.9"] == [50.0, 20.0]
    assert figures["baseline p99"] == [1.0, 2.0]
    assert figures["refused"] == [0.25, 0.0]
    assert figures["all CPU"] == [300.0, 300.0]
    assert figures["CPU of postgres"] == [100.0, 100.0]
    assert figures["persisted"] == [10.25, 10.25]
    assert figures["in the inbox"] == [10.5, 10.5]
    assert "goodput" not in figures


@pytest.mark.parametrize(
    ("rounds", "oversold", "failed"),
    [
        ([STEP, STEP], Oversold(0, 0), []),
        ([STEP, replace(STEP, notified=99)], Oversold(0, 0), ["nothing is lost"]),
        ([STEP, replace(STEP, persisted=101)], Oversold(0, 0), ["nothing is lost"]),
        ([STEP], Oversold(1, 0), ["nothing is sold twice"]),
        ([STEP], Oversold(0, 1), ["nothing is sold twice"]),
        ([replace(STEP, latency=latencies([]))], Oversold(0, 0), ["every round has outcomes"]),
    ],
)
def test_the_checks(rounds: list[Step], oversold: Oversold, failed: list[str]) -> None:
    checks = checks_of(SCENARIOS["quiet"], rounds, oversold)
    assert [check.name for check in checks if not check.holds] == failed


def test_a_sellout_fails_without_a_seat_for_each_request() -> None:
    full = replace(STEP, outcomes={"held": 100})
    assert result_of(SCENARIOS["sellout"], rounds=[full]).passed
    assert not result_of(SCENARIOS["sellout"], rounds=[full, STEP]).passed


def test_goodput_is_compared_with_the_peak_of_the_whole_run() -> None:
    run = [CALM] * 2 + [LoadSecond(count, 800.0, 900.0) for count in (50, 40, 30, 40)] + [CALM] * 2
    assert goodput_of(OVERLOAD, run) == 40.0
    assert peak_of(run) == 40.0
    collapsed = [CALM] * 2 + [LoadSecond(count, 800.0, 900.0) for count in (60, 60, 60, 0)] + [CALM] * 2
    assert goodput_of(OVERLOAD, collapsed) == 45.0
    assert peak_of(collapsed) == 60.0
    assert peak_of([]) == 0.0


def test_it_is_calm_again_after_the_last_slow_second() -> None:
    assert recovered_s(OVERLOAD, [CALM] * 2 + [SLOW] * 4 + [CALM] * 2) == 0
    assert recovered_s(OVERLOAD, [CALM] * 2 + [SLOW] * 4 + [SLOW, CALM]) == 1
    assert recovered_s(OVERLOAD, [CALM] * 2 + [SLOW] * 4 + [CALM, SLOW]) == 2


def test_a_second_without_any_outcome_is_not_calm() -> None:
    assert recovered_s(OVERLOAD, [CALM] * 2 + [SLOW] * 4 + [LoadSecond(0, 0.0, 0.0), CALM]) == 1
    assert recovered_s(OVERLOAD, [CALM] * 2 + [SLOW] * 4) == 2


def test_the_goals_of_an_overload() -> None:
    def met(*timeline: LoadSecond) -> list[bool]:
        return [goal.holds for goal in goals_of(OVERLOAD, [replace(STEP, timeline=list(timeline))])]

    busy, stuck = LoadSecond(40, 800.0, 900.0), LoadSecond(0, 0.0, 0.0)
    assert met(CALM, CALM, busy, busy, busy, busy, CALM, CALM) == [True, True, True]
    assert met(CALM, CALM, busy, busy, busy, stuck, CALM, CALM) == [True, False, True]
    assert met(CALM, CALM, busy, busy, busy, busy, busy, busy) == [True, True, False]
    assert met(LoadSecond(10, 5.0, 1_500.0), CALM, busy, busy, busy, busy, CALM, CALM) == [False, True, True]


def test_the_goal_of_another_scenario_is_to_keep_up() -> None:
    assert [goal.holds for goal in goals_of(SCENARIOS["hot"], [STEP])] == [True]
    late = replace(STEP, latency=latencies([1.5] * 100))
    assert [goal.holds for goal in goals_of(SCENARIOS["hot"], [STEP, late])] == [False]
