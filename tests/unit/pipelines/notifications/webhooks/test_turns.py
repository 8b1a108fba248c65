"""Turns of webhook calls: no organizer and no endpoint has more than its share; silent ones rest, none is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.notifications.webhooks.turns import (
    ENDPOINT_MAX,
    IN_FLIGHT_MAX,
    ORGANIZER_MAX,
    QUICK_S,
    REST,
    SILENT_MAX,
    TRIALS_MAX,
    TRIALS_PER_ORGANIZER_MAX,
    CallUnderWay,
    EndpointTurns,
)


def answer(
    turns: EndpointTurns, endpoint: str, *, now: float = 0.0, seconds: float = 0.1, answered: bool = True
) -> float:
    """One call of an endpoint of its own organizer."""
    return turns.end(turns.begin(endpoint, f"of-{endpoint}"), answered=answered, seconds=seconds, now=now)


def places_of(turns: EndpointTurns, endpoint: str, now: float = 0.0) -> tuple[int, bool]:
    """The number of calls that an endpoint may have, and whether it is on trial."""
    places = turns.places(now)
    found = zip(places.endpoints, places.of_endpoint, places.on_trial, strict=True)
    return {key: (count, trial) for key, count, trial in found}.get(endpoint, (1, True))


def test_an_endpoint_has_one_call_until_it_answers_quickly_and_again_when_it_does_not() -> None:
    turns = EndpointTurns()
    assert places_of(turns, "e") == (1, True)
    call = turns.begin("e", "o")
    assert places_of(turns, "e") == (0, True)
    turns.end(call, answered=True, seconds=QUICK_S, now=0.0)
    assert places_of(turns, "e") == (ENDPOINT_MAX, False)
    turns.end(turns.begin("e", "o"), answered=True, seconds=QUICK_S + 0.1, now=0.0)
    assert places_of(turns, "e") == (1, True)


def test_a_silent_endpoint_rests_longer_each_time_and_one_answer_ends_it() -> None:
    turns = EndpointTurns()
    rests = [answer(turns, "e", answered=False, now=100.0) for _ in range(SILENT_MAX + 6)]
    assert rests[: SILENT_MAX - 1] == [0.0] * (SILENT_MAX - 1)
    assert rests[SILENT_MAX - 1 : SILENT_MAX + 1] == [REST.first_s, 2 * REST.first_s]
    assert rests[-1] == REST.max_s
    assert places_of(turns, "e", now=100.0 + REST.max_s - 1) == (0, True)
    assert places_of(turns, "e", now=100.0 + REST.max_s) == (1, True)
    assert answer(turns, "e", now=800.0) == 0.0
    assert places_of(turns, "e", now=800.0) == (ENDPOINT_MAX, False)


def test_an_organizer_has_a_quarter_of_the_calls() -> None:
    turns = EndpointTurns()
    for number in range(ORGANIZER_MAX):
        answer(turns, f"e{number}")
    for number in range(ORGANIZER_MAX):
        turns.begin(f"e{number}", "greedy")
    places = turns.places(0.0)
    assert (places.organizers, places.of_organizer) == (["greedy"], [0])
    assert places.free == IN_FLIGHT_MAX - ORGANIZER_MAX
    assert (places.trials, places.trials_of_organizer) == (TRIALS_MAX, [TRIALS_PER_ORGANIZER_MAX])


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.floats(0, 10), st.booleans()), max_size=60))
def test_whatever_is_answered_counts_come_back_to_nothing(steps: list[tuple[int, bool, float, bool]]) -> None:
    turns, calls = EndpointTurns(), list[CallUnderWay]()
    for endpoint, answered, seconds, ends in steps:
        if ends and calls:
            turns.end(calls.pop(0), answered=answered, seconds=seconds, now=seconds)
        else:
            calls.append(turns.begin(f"e{endpoint}", f"o{endpoint % 2}"))
        assert turns.in_flight == len(calls)
        places = turns.places(0.0)
        assert places.free == IN_FLIGHT_MAX - len(calls)
        assert min([*places.of_endpoint, *places.of_organizer, *places.trials_of_organizer, places.trials]) >= 0
    for call in calls:
        turns.end(call, answered=True, seconds=0.0, now=0.0)
    assert turns.in_flight == 0
    assert turns.places(0.0).organizers == []
