"""State equals folded facts, `take_back` restores exactly, and due work is found in order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.reservations.core.decide import step
from pipelines.reservations.core.digest import canonical, digest
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import At, EventState
from schemas import commands as c
from schemas import facts as f
from schemas.ids import US_PER_S, LogTime
from tests.harness.words import (
    ALICE,
    BOB,
    DEADLINE,
    DETAILS,
    EVENT,
    FLOOR,
    R1,
    R2,
    STALLS,
    T,
    add_type,
    confirm,
    confirmed,
    create,
    declined,
    folded,
    general,
    held,
    hold_expired,
    locks,
    on_sale,
    paid,
    payment_requested,
    publish,
    refunded,
    release,
    reserve,
    tick,
    type_added,
    update,
)

RESERVATIONS = [f"r{number}" for number in range(6)]
SEATS = [f"{row}-{seat}" for row in "ABC" for seat in range(1, 7)]
PLACES = [f"stalls/{seat}" for seat in SEATS[:6]] + ["floor/A-1", "stalls/Z-99"]

_buyer = st.sampled_from([ALICE, BOB])
_reservation = st.sampled_from(RESERVATIONS)
_attempt = st.sampled_from(["a1", "a2"])
COMMANDS = st.one_of(
    st.builds(lambda ttl: create(hold_ttl_s=ttl, max_tickets_per_user=6), st.integers(1, 60)),
    st.builds(lambda limit: update(max_tickets_per_user=limit), st.integers(1, 9)),
    st.just(publish()),
    st.just(add_type()),
    st.just(add_type(FLOOR, kind="general", capacity=4, price_minor=0)),
    st.builds(
        lambda q, by, r, of: reserve(q, by=by, rid=r, of=of),
        st.integers(1, 4),
        _buyer,
        _reservation,
        st.sampled_from([STALLS, FLOOR]),
    ),
    st.builds(
        lambda seats, by, r: reserve(seats=seats, by=by, rid=r),
        st.lists(st.sampled_from(SEATS[:7]), min_size=1, max_size=3, unique=True),
        _buyer,
        _reservation,
    ),
    st.builds(lambda r, by, a: confirm(r, by=by, attempt=a), _reservation, _buyer, _attempt),
    st.builds(lambda r, a: paid(r, attempt=a), _reservation, _attempt),
    st.builds(lambda r, a: declined(r, attempt=a), _reservation, _attempt),
    st.builds(lambda r: refunded(r), _reservation),
    st.builds(lambda r, by: release(r, by=by), _reservation, _buyer),
    st.just(tick()),
)
OBSERVED = st.builds(
    lambda locked, freed: locks(sorted(locked), sorted(freed - locked)),
    st.sets(st.sampled_from(PLACES), max_size=3),
    st.sets(st.sampled_from(PLACES), max_size=3),
)
STEPS = st.lists(st.tuples(st.one_of(COMMANDS, COMMANDS, COMMANDS, OBSERVED), st.integers(0, 40)), max_size=40)
OPENING: list[tuple[c.Command | f.Fact, int]] = [(create(), 0), (add_type(), 0), (publish(), 0)]

Steps = list[tuple[c.Command | f.Fact, int]]


def live(state: EventState, steps: Steps, *, offset: int = 0) -> list[tuple[f.Fact, At]]:
    """Go through the steps as a partition does. Returns each fact with its place."""
    now = T + offset * US_PER_S
    facts: list[tuple[f.Fact, At]] = []
    for one, seconds in steps:
        now += seconds * US_PER_S
        at = At(0, offset, LogTime(now))
        offset += 1
        if isinstance(one, c.Command):
            facts += [(fact, at) for fact in step(state, one, at)]
        else:
            evolve(state, one, at)
            facts.append((one, at))
    return facts


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_state_equals_folded_facts(steps: Steps) -> None:
    state, other = EventState(EVENT), EventState(EVENT)
    for fact, at in live(state, OPENING + steps):
        evolve(other, fact, at)
    assert canonical(other) == canonical(state)


@settings(max_examples=150, deadline=None)
@given(before=STEPS, within=STEPS, after=STEPS)
def test_taking_back_restores_exactly(before: Steps, within: Steps, after: Steps) -> None:
    """A batch that was taken back leaves no trace, not even in later decisions."""
    state, untouched = EventState(EVENT), EventState(EVENT)
    for one in (state, untouched):
        live(one, OPENING + before)
    state.begin()
    live(state, within, offset=1_000)
    state.take_back()
    assert canonical(state) == canonical(untouched)
    assert live(state, after, offset=2_000) == live(untouched, after, offset=2_000)


@settings(max_examples=60, deadline=None)
@given(first=STEPS, second=STEPS)
def test_a_batch_may_be_taken_back_more_than_once(first: Steps, second: Steps) -> None:
    state = EventState(EVENT)
    live(state, OPENING)
    before = canonical(state)
    state.begin()
    live(state, first)
    state.take_back()
    live(state, second)
    state.take_back()
    assert canonical(state) == before


@settings(max_examples=60, deadline=None)
@given(before=STEPS, within=STEPS)
def test_a_batch_that_creates_the_event_is_taken_back_too(before: Steps, within: Steps) -> None:
    state = EventState(EVENT)
    live(state, before)
    untouched = canonical(state)
    state.begin()
    live(state, OPENING + within)
    state.take_back()
    assert canonical(state) == untouched


def test_beginning_a_batch_forgets_the_batch_before() -> None:
    state = folded(*on_sale())
    state.begin()
    evolve(state, held(["A-1"]), At(0, 9, LogTime(T)))
    state.begin()
    evolve(state, held(["A-2"], rid=R2), At(0, 10, LogTime(T)))
    state.take_back()
    assert list(state.reservations) == [R1]


def test_taking_back_without_a_beginning_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="take_back without begin"):
        folded(*on_sale()).take_back()


def test_counters_follow_a_reservation_through_its_life() -> None:
    state = folded(*on_sale())
    section = state.sections[STALLS]
    seen = [(section.held, section.sold, section.available, dict(state.tickets_of))]
    life = [held(["A-1", "A-2"]), payment_requested(), confirmed(["A-1", "A-2"])]
    for fact in life:
        evolve(state, fact, At(0, 9, LogTime(T)))
        seen.append((section.held, section.sold, section.available, dict(state.tickets_of)))
    assert seen == [
        (0, 0, 18, {}),
        (2, 0, 16, {ALICE: 2}),
        (2, 0, 16, {ALICE: 2}),
        (0, 2, 16, {ALICE: 2}),
    ]


def test_a_locked_seat_is_not_available_but_neither_held_nor_sold() -> None:
    section = folded(*on_sale(), locks(["stalls/A-1", "stalls/A-2"])).sections[STALLS]
    assert (section.total, section.available, section.held, section.sold) == (18, 16, 0, 0)


def test_a_lock_on_a_claimed_seat_stays_when_the_claim_ends() -> None:
    state = folded(*on_sale(), held(["A-1"]), locks(["stalls/A-1"]), hold_expired(["A-1"]))
    assert state.sections[STALLS].available == 17


def test_the_next_deadline_is_the_earliest_of_what_is_held() -> None:
    state = folded(*on_sale(), held(["A-1"], rid=R1, until=DEADLINE), held(["A-2"], rid=R2, until=DEADLINE - 5))
    assert state.next_deadline() == DEADLINE - 5
    evolve(state, hold_expired(["A-2"], rid=R2), At(0, 9, LogTime(T)))
    assert state.next_deadline() == DEADLINE
    evolve(state, hold_expired(["A-1"], rid=R1), At(0, 10, LogTime(T)))
    assert state.next_deadline() == DETAILS["ends_at"]  # when the event is over
    state.status = "ended"
    assert state.next_deadline() is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.integers(0, 20), st.integers(1, 50))
def test_what_is_due_comes_earliest_first_and_within_the_limit(deadlines: list[int], now: int, limit: int) -> None:
    state = folded(*general(100))
    for number, deadline in enumerate(deadlines):
        fact = held(quantity=1, rid=f"r{number:02}", until=T + deadline)
        evolve(state, fact, At(0, number, LogTime(T)))
    wanted = sorted((deadline, f"r{number:02}") for number, deadline in enumerate(deadlines) if deadline <= now)
    assert [hold.id for hold in state.due(LogTime(T + now), limit)] == [name for _, name in wanted][:limit]


def test_a_log_that_speaks_of_what_never_was_is_a_broken_log() -> None:
    with pytest.raises(KeyError):
        folded(*on_sale(), confirmed(["A-1"]))


def test_a_seat_claimed_twice_by_the_facts_stops_the_fold() -> None:
    with pytest.raises(AssertionError, match="claimed already"):
        folded(*on_sale(), held(["A-1"]), held(["A-1"], rid=R2, by=BOB))


def test_a_digest_tells_states_apart_and_nothing_else() -> None:
    one = folded(*on_sale(), type_added(FLOOR, 1, kind="general", capacity=3), held(["A-1"]), locks(["stalls/A-9"]))
    same = folded(*on_sale(), type_added(FLOOR, 1, kind="general", capacity=3), held(["A-1"]), locks(["stalls/A-9"]))
    same.begin()
    assert digest(one) == digest(same)
    others = [
        folded(*on_sale()),
        folded(*on_sale(), held(["A-2"])),
        folded(*on_sale(), held(["A-1"], by=BOB)),
        folded(*on_sale(), held(["A-1"]), locks(["stalls/A-9"])),
        folded(*on_sale(), held(["A-1"], until=DEADLINE + 1)),
    ]
    assert len({digest(one), *map(digest, others)}) == 6
