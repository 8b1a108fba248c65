"""Redis gets the counters that a batch changed, and no others."""

from __future__ import annotations

import msgspec

from pipelines.reservations.availability import RedisCounters
from pipelines.reservations.core.counters import Availability, availability_of
from pipelines.reservations.core.state import EventState
from tests.harness.words import EVENT, STALLS, folded, held, on_sale, type_added


def test_only_ticket_types_that_changed_are_shown_again() -> None:
    counters, state = RedisCounters(), folded(*on_sale())
    first = counters.changes([state])
    assert first == {EVENT: availability_of(state)}
    assert counters.parts(first) == set()
    assert counters.changes([state]) == {}
    later = folded(*on_sale(), held(["A-1"]))
    changed = counters.changes([later])
    assert msgspec.json.decode(changed[EVENT][STALLS], type=Availability).held > 0
    assert changed[EVENT].items() <= availability_of(later).items()
    assert counters.changes([later]) == {}


def test_a_part_is_said_to_be_one_and_an_installed_event_is_shown_whole() -> None:
    floor = type_added("floor")
    counters, state = RedisCounters(), folded(*on_sale(), floor)
    counters.changes([state])
    changed = counters.changes([folded(*on_sale(), floor, held(["A-1"]))])
    assert list(changed[EVENT]) == [STALLS]
    assert counters.parts(changed) == {EVENT}
    assert counters.whole([state]) == {EVENT: availability_of(state)}


def test_an_event_without_ticket_types_shows_nothing() -> None:
    assert RedisCounters().changes([EventState(EVENT)]) == {}
