"""A cost law holds when no larger size costs more than 1.3 times the smallest one, round by round."""

from __future__ import annotations

from collections import Counter

from ops.proof.bench.kernel import Observed
from ops.proof.bench.mix import GRANTED, PLACES_MEAN, SETUP
from ops.proof.bench.scaling.bench import decided_us
from ops.proof.bench.scaling.laws import (
    LAWS,
    Law,
    MeasuredCost,
    Point,
    charts_of,
    figures_of,
    goals_of,
    growth_of,
    holds_of,
    layout_of,
)
from pipelines.reservations.core.limits import SEATS_PER_EVENT_MAX, TICKET_TYPES_PER_EVENT_MAX


def point(size: int, number: int, kernel: float, *, rows: float = 50.0, law: Law = Law.EVENTS) -> Point:
    cost = MeasuredCost(kernel=kernel, valkey=2.0, broker=5.0, read_side=rows, postgres=rows)
    return Point(law=law, size=size, round=number, commands=1_000, cost=cost, sound=True)


def test_every_size_of_every_law_has_room_for_its_commands_within_an_events_limits() -> None:
    commands = 20_000
    for law, sizes in LAWS.items():
        for size in {*sizes.full, *sizes.quick}:
            shape = layout_of(law, size, commands)
            assert shape.places >= (commands + holds_of(law, size)) * PLACES_MEAN
            assert shape.sections <= TICKET_TYPES_PER_EVENT_MAX
            assert shape.sections * shape.seats <= SEATS_PER_EVENT_MAX
    assert layout_of(Law.SEATS, 100, commands).seats == 100
    assert layout_of(Law.EVENTS, 30, commands).events == 30
    assert holds_of(Law.HOLDS, 5_000) == 5_000


def test_a_size_is_compared_with_the_smallest_one_of_the_same_round() -> None:
    slow_second_round = [point(1, 0, 10.0), point(10, 0, 12.0), point(1, 1, 30.0), point(10, 1, 36.0)]
    sizes = {1: slow_second_round[::2], 10: slow_second_round[1::2]}
    assert growth_of(sizes, "kernel") == {10: 1.2}


def test_each_law_has_a_verdict_of_the_kernel_and_of_the_whole() -> None:
    points = [point(1, 0, 10.0), point(1_000, 0, 15.0)]
    kernel, whole = goals_of(points)
    assert (kernel.holds, kernel.detail) == (False, "1,000: 1.50 times")
    assert (whole.holds, whole.detail) == (True, "1,000: 1.04 times")
    assert "flat from 1 to 1,000 events on sale" in kernel.name


def test_a_cost_that_falls_breaks_no_law() -> None:
    assert all(goal.holds for goal in goals_of([point(1, 0, 30.0), point(10, 0, 10.0)]))


def test_figures_and_charts_have_every_size_in_its_order() -> None:
    points = [point(1_000, 0, 15.0), point(1, 0, 10.0), point(1_000, 1, 17.0), point(1, 1, 12.0)]
    figures = {figure.name: figure.values for figure in figures_of(points)}
    assert figures["kernel, 1 events on sale"] == [10.0, 12.0]
    assert figures["whole, 1,000 events on sale"] == [117.0, 119.0]
    (chart,) = charts_of(points)
    assert chart.labels == ["1", "1,000"]
    assert chart.series["kernel"] == [11.0, 16.0]


def test_what_was_there_before_does_not_count() -> None:
    observed = [
        Observed(0.0, 1.0, Counter({SETUP: 10}), {"valkey": 0.5}),
        Observed(1.0, 2.0, Counter({SETUP: 1, GRANTED: 9}), {"valkey": 0.6}),
        Observed(2.0, 2.001, Counter({GRANTED: 10}), {"valkey": 0.6002}),
        Observed(3.0, 2.003, Counter({GRANTED: 10}), {"valkey": 0.6004}),
    ]
    assert decided_us(observed) == {"kernel": 150.0, "valkey": 20.0}
