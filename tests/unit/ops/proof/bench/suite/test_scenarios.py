"""A scenario has the places that it promises, and sends its requests when they are due."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from ops.proof.bench.suite.scenarios import ROWS_MAX, SCENARIOS, SEATS_PER_ROW, exact_house, house_of, sized
from ops.proof.load.open_loop import Arrivals, LoadPhase, LoadSecond, Plan, due_times, timeline, zipf_shares
from pipelines.reservations.core.limits import CAPACITY_MAX, SEATS_PER_EVENT_MAX, TICKET_TYPES_PER_EVENT_MAX


def plan_of(
    rate: float, seconds: float, *, later: list[LoadPhase] | None = None, arrivals: Arrivals = Arrivals.EVEN
) -> Plan:
    return Plan(url="", tokens=[], targets=[], rate=rate, seconds=seconds, seed=1, later=later or [], arrivals=arrivals)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_platform_allows_the_events_of_each_scenario(name: str) -> None:
    houses = SCENARIOS[name].houses()
    assert len(houses) == SCENARIOS[name].events
    for house in houses:
        assert house.sections <= TICKET_TYPES_PER_EVENT_MAX
        assert house.places <= (CAPACITY_MAX if house.general else SEATS_PER_EVENT_MAX)


@pytest.mark.parametrize("places", [1, 4, 50, 51, 99, 1_999, 2_001, 12_345])
def test_a_house_has_room_for_each_place_and_little_more(places: int) -> None:
    house = house_of(places)
    assert places <= house.places <= places + house.sections * (SEATS_PER_ROW + house.rows)
    assert house.rows <= ROWS_MAX
    assert house.seats_per_row <= SEATS_PER_ROW
    assert house_of(places, general=True).places == places


@pytest.mark.parametrize("seats", [1, 49, 50, 100, 2_050, 5_000, 20_000])
def test_an_exact_house_has_no_seat_more(seats: int) -> None:
    house = exact_house(seats)
    assert house.places == seats
    assert house.rows <= ROWS_MAX


@pytest.mark.parametrize(("rate", "seconds", "requests"), [(20, 2, 40), (30, 2, 100), (500, 10, 5_000), (7, 9.3, 100)])
def test_a_sellout_has_one_seat_for_each_request(rate: float, seconds: float, requests: int) -> None:
    scenario = sized(SCENARIOS["sellout"], rate=rate, seconds=seconds)
    assert scenario.requests == requests
    assert sum(house.places for house in scenario.houses()) == requests
    assert len(due_times(plan_of(scenario.rate, scenario.seconds))) == requests


def test_a_stampede_has_places_for_one_request_in_twenty() -> None:
    scenario = SCENARIOS["stampede"]
    places = sum(house.places for house in scenario.houses())
    assert places == pytest.approx(scenario.requests * 2.5 * 0.05, rel=0.05)


def test_an_overload_is_ten_times_the_rate_between_two_calm_phases() -> None:
    scenario = sized(SCENARIOS["overload"], rate=20, seconds=2, overload_s=3)
    assert scenario.later == [LoadPhase(200, 3), LoadPhase(20, 2)]
    assert scenario.requests == 40 + 600 + 40
    times = due_times(plan_of(20, 2, later=scenario.later))
    assert [sum(began <= at < ended for at in times) for began, ended in ((0, 2), (2, 5), (5, 7))] == [40, 600, 40]
    assert times == sorted(times)


def test_requests_by_chance_are_as_many_as_even_ones_and_come_at_uneven_distances() -> None:
    times = due_times(plan_of(200, 10, arrivals=Arrivals.POISSON))
    assert len(times) == 2_000
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= 10
    gaps = [after - before for before, after in itertools.pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation / mean == pytest.approx(1.0, abs=0.1)  # of exponential gaps; 0 of even ones
    assert times == due_times(plan_of(200, 10, arrivals=Arrivals.POISSON))


def test_popularity_follows_the_rank() -> None:
    shares = zipf_shares(100, 1.1)
    assert sum(shares) == pytest.approx(1.0)
    assert shares[0] / shares[9] == pytest.approx(10**1.1)
    assert zipf_shares(4, 0.0) == [0.25] * 4


def test_a_timeline_counts_outcomes_when_they_come_and_latency_when_requests_were_due() -> None:
    answered = [(0.5, 0.6), (0.9, 2.1), (2.0, 2.5)]
    assert timeline(answered) == [LoadSecond(1, 100.0, 1_200.0), LoadSecond(0, 0.0, 0.0), LoadSecond(2, 500.0, 500.0)]
    assert timeline([]) == []


def test_a_timeline_also_counts_answers_that_are_no_outcomes_and_the_backlog() -> None:
    answers = {0: Counter(held=1), 2: Counter(busy=3)}
    first, second, third = timeline([(0.5, 0.6)], dues=[0.5, 0.7, 1.2], answers=answers, backlog=[(0, 2), (1, 2)])
    assert (first.outcomes, first.due, first.answers, first.unanswered) == (1, 2, {"held": 1}, 2)
    assert (second.outcomes, second.due, second.answers, second.unsent) == (0, 1, {}, 1)
    assert (third.outcomes, third.due, third.answers, third.unanswered) == (0, 0, {"busy": 3}, 0)
