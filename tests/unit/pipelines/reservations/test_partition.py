"""A partition keeps log time and one heap of deadlines, and decides a batch as if its commands came one by one."""

from __future__ import annotations

import pytest

from pipelines.reservations.batch import Batch, Group, grouped
from pipelines.reservations.core import limits
from pipelines.reservations.core.claims import live_claims
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.state import At, EventState
from pipelines.reservations.outgoing import RawRecord
from pipelines.reservations.partition import (
    TICK_AGAIN_US,
    TICK_AGAIN_US_MAX,
    TICK_LOST_US,
    Partition,
    Placed,
)
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec, Undecodable
from schemas.ids import US_PER_S, LogTime
from schemas.placement import partition_of
from tests.harness.words import (
    ALICE,
    BOB,
    DEADLINE,
    EVENT,
    R1,
    R2,
    STALLS,
    T,
    folded,
    general,
    held,
    on_sale,
    release,
    reserve,
    tick,
)


def partition() -> Partition:
    return Partition(0, 1, LogTime(0), set())


def placed(*commands: c.Command | Undecodable) -> list[Placed]:
    return [Placed(At(0, number, LogTime(T)), None, command) for number, command in enumerate(commands)]


def group(state: EventState, *commands: c.Command) -> Group:
    return Group(state, placed(*commands))


def test_log_time_never_goes_back() -> None:
    owned = partition()
    assert [owned.advance(timestamp) for timestamp in (5, 9, 7, 10)] == [5, 9, 9, 10]


def test_a_command_on_another_partition_than_its_events_is_not_decided_there() -> None:
    """Otherwise one event would have two orders: its seats would be sold on both, or its buyers refused on one of
    them."""
    codec, home = Codec(), partition_of(EVENT, 8)
    for number in range(8):
        read = Partition(number, 1, LogTime(0), set(), of=8).read(codec, codec.encode(tick()))
        if number == home:
            assert read == tick()
        else:
            assert read == Undecodable(f"event {EVENT} is on partition {home}, not on {number}")


def test_a_misplaced_command_beside_its_event_in_one_batch_changes_nothing() -> None:
    codec, home = Codec(), partition_of(EVENT, 8)
    astray, states = (home + 1) % 8, {EVENT: folded(*on_sale())}
    partitions = {number: Partition(number, 1, LogTime(0), set(), of=8) for number in (home, astray)}
    records = [
        RawRecord(
            partition=number,
            offset=0,
            timestamp_ms=T // 1_000,
            key=EVENT.encode(),
            value=codec.encode(reserve(rid=rid)),
            headers=None,
        )
        for number, rid in ((astray, R2), (home, R1))
    ]
    batch = Batch(records)
    batch.place(codec, partitions)
    assert batch.events() == {EVENT: home}
    batch.decide(states)
    kinds = [(placed.at.partition, [type(fact) for fact in facts]) for _, placed, facts in batch.facts()]
    assert kinds == [(astray, [f.CommandUnreadable]), (home, [f.TicketsHeld])]
    assert [number for number, _ in batch.unreadable] == [0]
    assert list(states[EVENT].reservations) == [R1]


def test_commands_are_grouped_by_event_in_the_order_of_the_log() -> None:
    states = {event_id: EventState(event_id) for event_id in (EVENT, "other")}
    other = tick()
    groups = grouped(placed(reserve(rid=R1), Undecodable("noise"), c.Tick("other", "", "t"), other), states)
    assert [(one.state.event_id, [placed.at.offset for placed in one.placed]) for one in groups] == [
        (EVENT, [0, 3]),
        ("other", [2]),
    ]


def test_a_foreign_lock_that_was_not_known_becomes_the_first_fact_and_the_seat_is_not_sold() -> None:
    batch = group(folded(*on_sale()), reserve(rid=R1, seats=["A-1"]), reserve(rid=R2, by=BOB, seats=["A-2"]))
    batch.decide()
    assert [type(facts[-1]) for facts in batch.facts] == [f.TicketsHeld, f.TicketsHeld]
    batch.decide({f"{STALLS}/A-1"})
    observed, rejected = batch.facts[0]
    assert observed == f.SeatLocksObserved([f"{STALLS}/A-1"], [])
    assert isinstance(rejected, f.ReservationRejected)
    assert rejected.reason == f.Reason.SEAT_TAKEN
    assert "another seller: A-1" in rejected.detail
    assert [type(fact) for fact in batch.facts[1]] == [f.TicketsHeld]
    assert set(batch.claims) == {f"{STALLS}/A-2"}


def test_a_foreign_lock_that_is_gone_is_said_once_and_the_seat_is_sold() -> None:
    state = folded(*on_sale(), f.SeatLocksObserved([f"{STALLS}/A-1"], []))
    batch = group(state, reserve(rid=R1, seats=["A-1"]))
    batch.decide()
    assert [type(fact) for fact in batch.facts[0]] == [f.ReservationRejected]
    batch.decide(set())
    assert batch.facts[0][0] == f.SeatLocksObserved([], [f"{STALLS}/A-1"])
    assert isinstance(batch.facts[0][1], f.TicketsHeld)
    batch.decide(set())
    assert [type(fact) for fact in batch.facts[0]] == [f.SeatLocksObserved, f.TicketsHeld]


def test_the_claims_of_a_batch_are_those_that_the_state_ends_with() -> None:
    state = folded(*on_sale())
    batch = group(state, reserve(2, rid=R1), c.ReleaseReservation(EVENT, ALICE, "x", R1), reserve(rid=R2, by=BOB))
    batch.decide()
    left = {place: claim for place, claim in batch.claims.items() if claim is not None}
    assert left == live_claims(state)
    assert None in batch.claims.values()


def owned_with_a_hold() -> tuple[Partition, EventState]:
    owned = partition()
    state = owned.states[EVENT] = folded(*on_sale(), held(["A-1"]))
    owned.watch(EVENT, state.next_deadline())
    return owned, state


def test_a_due_event_is_ticked_once_until_the_tick_was_read() -> None:
    owned, state = owned_with_a_hold()
    assert owned.due_events(DEADLINE - 1, 10, steady_us=0) == []
    assert owned.due_events(DEADLINE, 10, steady_us=0) == [EVENT]
    assert owned.due_events(DEADLINE + 1, 10, steady_us=TICK_AGAIN_US) == []
    owned.advance(DEADLINE - 1)
    owned.settle(state, failed=False)  # read, but too early by the broker's clock
    assert owned.due_events(DEADLINE + 1, 10, steady_us=TICK_AGAIN_US - 1) == []
    assert owned.due_events(DEADLINE + 1, 10, steady_us=TICK_AGAIN_US) == [EVENT]
    assert owned.due_events(DEADLINE + 1, 10, steady_us=TICK_AGAIN_US + TICK_LOST_US - 1) == []
    assert owned.due_events(DEADLINE + 1, 10, steady_us=TICK_AGAIN_US + TICK_LOST_US) == [EVENT]


def test_a_tick_that_was_early_by_minutes_is_followed_by_few_and_by_one_at_the_deadline() -> None:
    """The log keeps each of them for ever."""
    early_us = 180 * US_PER_S
    owned, state = owned_with_a_hold()
    ticks = []
    for passed_us in range(0, early_us + 1, TICK_AGAIN_US):
        if owned.due_events(DEADLINE + passed_us, 10, steady_us=passed_us):
            ticks.append(passed_us)
            owned.advance(DEADLINE - early_us + passed_us)
            owned.settle(state, failed=False)
    assert ticks[0] == 0
    assert ticks[-1] == early_us, "no later than its deadline by the broker's clock"
    assert len(ticks) <= early_us // TICK_AGAIN_US_MAX + 1


def test_while_log_time_stands_still_ticks_are_few_and_the_hold_ends_soon_after_it_moves() -> None:
    """A broker leads whose clock is minutes behind that of the former leader."""
    stands_us = 180 * US_PER_S
    owned, state = owned_with_a_hold()
    owned.advance(DEADLINE - 1)
    ticks, passed_us = [], 0
    while owned.log_time < DEADLINE:
        if owned.due_events(DEADLINE + passed_us, 10, steady_us=passed_us):
            ticks.append(passed_us)
            owned.advance(DEADLINE - stands_us + passed_us)
            owned.settle(state, failed=False)
        passed_us += TICK_AGAIN_US
    assert len(ticks) <= stands_us // TICK_AGAIN_US_MAX + 10
    assert stands_us <= ticks[-1] <= stands_us + TICK_AGAIN_US_MAX


def test_a_clock_that_is_put_back_delays_no_tick() -> None:
    owned, state = owned_with_a_hold()
    ahead_us = 180 * US_PER_S
    assert owned.due_events(DEADLINE + ahead_us, 10, steady_us=0) == [EVENT]
    owned.settle(state, failed=False)
    assert owned.due_events(DEADLINE, 10, steady_us=TICK_AGAIN_US_MAX) == [EVENT]


def test_a_hold_of_an_event_that_is_not_loaded_is_due_too() -> None:
    owned = partition()
    owned.watch("not loaded", DEADLINE)
    assert owned.due_events(DEADLINE, 10, steady_us=0) == ["not loaded"]


def test_an_event_that_does_not_exist_is_forgotten_after_the_batch() -> None:
    owned = partition()
    state = owned.states["nowhere"] = EventState("nowhere")
    owned.settle(state, failed=False)
    assert owned.states == {}
    assert owned.known_events == set()


def test_a_waiting_list_that_was_served_to_its_end_asks_for_no_more_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OFFERS_PER_COMMAND_MAX", 1)
    state = folded(*general(2), held(quantity=2), f.WaitlistJoined("w1", BOB, STALLS, 2))
    step(state, release(), At(0, 9, LogTime(T)))
    assert state.waitlist["w1"].status == "offered"
    assert state.next_deadline() == 0  # there might be others: the limit was reached
    step(state, tick(), At(0, 10, LogTime(T)))
    assert state.next_deadline() == DEADLINE
