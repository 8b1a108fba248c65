"""A rule that raises an error refuses its command and changes nothing, and the log still verifies with every later
build."""

from __future__ import annotations

import pytest

from pipelines.history.verification import PartitionVerifier
from pipelines.reservations.availability import RedisCounters
from pipelines.reservations.batch import Batch
from pipelines.reservations.core import decide as rules
from pipelines.reservations.core.decide import RULES, NotFolded, step
from pipelines.reservations.core.digest import canonical
from pipelines.reservations.core.evolve import fold
from pipelines.reservations.core.state import At, EventState
from pipelines.reservations.outgoing import RawRecord
from pipelines.reservations.partition import Partition
from pipelines.reservations.replies import answers_in_turn
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec
from schemas.facts import Reason
from schemas.ids import LogTime
from schemas.record import LogRecord
from tests.harness.histories import Feed
from tests.harness.words import (
    ALICE,
    DEADLINE,
    EVENT,
    STALLS,
    add_type,
    create,
    folded,
    held,
    hold_expired,
    in_turn,
    on_sale,
    publish,
    reserve,
    tick,
)

CODEC = Codec()


def broken(_state: EventState, _command: c.Command, _now: LogTime) -> list[f.Fact]:
    raise KeyError("nobody foresaw this")


def refusal(kind: str = "ReserveTickets", by: str = ALICE) -> f.CommandRefused:
    return f.CommandRefused(
        command_type=kind,
        subject_id=EVENT,
        user_id=by,
        reason=Reason.COMMAND_FAILED,
        detail="the rules raised KeyError",
    )


def decided(commands: list[c.Command]) -> tuple[Batch, list[bytes]]:
    """A batch of one partition's first commands, one a second, and its facts."""
    partition = Partition(0, 1, LogTime(0), set())
    batch = Batch(
        [
            RawRecord(
                partition=0,
                offset=offset,
                timestamp_ms=1_000 * offset,
                key=None,
                value=CODEC.encode(command),
                headers=[],
            )
            for offset, command in enumerate(commands)
        ]
    )
    batch.place(CODEC, {0: partition})
    batch.decide({event_id: EventState(event_id) for event_id in batch.events()})
    return batch, [fact.value for fact in batch.encoded(CODEC)]


def divergences(batch: Batch, facts: list[bytes]) -> list[str]:
    verifier = PartitionVerifier(0, CODEC, Feed(facts))
    for record in batch.records:
        verifier.read(LogRecord(record.offset, record.timestamp_ms, record.key, record.value))
    verifier.finish()
    return [one.text() for one in verifier.divergences]


def test_a_rule_that_raises_refuses_its_command_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, c.ReserveTickets, broken)
    state, failures = folded(*on_sale()), list[Exception]()
    before = canonical(state)
    assert step(state, reserve(by=ALICE), At(0, 500, LogTime(1)), failures) == [refusal()]
    assert canonical(state) == before
    assert [type(one) for one in failures] == [KeyError]


def test_what_is_due_happens_and_the_next_command_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, c.ReserveTickets, broken)
    state = folded(*on_sale(), held(["A-1"]))
    assert step(state, reserve(by=ALICE, rid="r9"), At(0, 500, LogTime(DEADLINE))) == [refusal(), hold_expired(["A-1"])]
    assert step(state, tick(), At(0, 501, LogTime(DEADLINE))) == [f.TickObserved()]


def test_a_defect_in_what_is_due_stops_that_event_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: object) -> list[f.Fact]:
        raise KeyError("due")

    monkeypatch.setattr(rules, "due", raises)
    state = folded(*on_sale(), held(["A-1"]))
    assert step(state, tick(), At(0, 500, LogTime(DEADLINE))) == [refusal("Tick", tick().user_id)]
    assert step(folded(*on_sale()), tick(), At(0, 501, LogTime(1))) == [f.TickObserved()]


UNFOLDABLE = hold_expired(["A-1"], rid="no such reservation")
OTHER = "44444444-4444-4444-8444-444444444444"


def set_aside(command: c.Command, at: str, fact: str = "HoldExpired", error: str = "KeyError") -> f.CommandRefused:
    detail = f"a fact of this event cannot be folded: {fact} at {at} ({error})"
    return f.CommandRefused(
        command_type=type(command).__name__,
        subject_id=EVENT,
        user_id=command.user_id,
        reason=Reason.COMMAND_FAILED,
        detail=detail,
        unfolded=1,
    )


def unfoldable(_state: EventState, _command: c.Command, _now: LogTime) -> list[f.Fact]:
    return [UNFOLDABLE]


def test_a_fact_that_cannot_be_folded_sets_its_event_aside_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, c.JoinWaitlist, unfoldable)
    join, other = (
        c.JoinWaitlist(
            event_id=EVENT, user_id=ALICE, command_id="cmd", entry_id="w1", ticket_type_id=STALLS, quantity=1
        ),
        c.Tick(OTHER, "", "t"),
    )
    states = {EVENT: folded(*on_sale()), OTHER: EventState(OTHER)}
    partition = Partition(0, 1, LogTime(0), set(states), states=dict(states))
    for first in (0, 4):  # the batch with that fact, and the next one
        commands = [reserve(by=ALICE), join, other, reserve(by=ALICE, rid="r9")]
        batch = Batch(
            [
                RawRecord(partition=0, offset=first + n, timestamp_ms=0, key=None, value=CODEC.encode(one), headers=[])
                for n, one in enumerate(commands)
            ]
        )
        batch.place(CODEC, {0: partition})
        batch.decide(states)
        refused = [set_aside(one, "0-1") for one in commands]
        assert [facts for _, _, facts in batch.facts()] == [
            [refused[0]], [refused[1]], [f.TickObserved()], [refused[3]]
        ]  # fmt: skip
        assert [(place, type(error)) for place, error in batch.failed] == [(n, NotFolded) for n in (0, 1, 3)]
        assert [group.claims for group in batch.groups] == [{}, {}]
        assert RedisCounters().changes(group.state for group in batch.groups) == {}
        batch.settle({0: partition})
    assert states[EVENT].next_deadline() is None
    assert partition.states[EVENT] is states[EVENT]


def test_an_event_that_is_set_aside_before_it_has_details_is_not_taken_for_none() -> None:
    state = EventState(EVENT)
    assert not fold(state, UNFOLDABLE, At(0, 7, LogTime(1)))
    create = on_sale()[0]
    assert not fold(state, create, At(0, 8, LogTime(1))), "nothing behind it is folded"
    assert state.details is None
    assert step(state, tick(), At(0, 9, LogTime(1))) == [set_aside(tick(), "0-7")]


def test_the_log_of_an_event_that_was_set_aside_is_verified_by_that_build_and_by_the_one_that_is_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = [
        reserve(by=ALICE),
        c.JoinWaitlist(
            event_id=EVENT, user_id=ALICE, command_id="cmd", entry_id="w1", ticket_type_id=STALLS, quantity=1
        ),
        tick(),
    ]
    with monkeypatch.context() as patched:
        patched.setitem(RULES, c.JoinWaitlist, unfoldable)
        batch, facts = decided(commands)
        assert len(batch.failed) == 3
        assert divergences(batch, facts) == []
    assert divergences(batch, facts) == [], "that it was set aside is on record"


def test_verify_names_the_decision_that_it_cannot_fold_and_goes_on_with_other_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    join = c.JoinWaitlist(
        event_id=EVENT, user_id=ALICE, command_id="cmd", entry_id="w1", ticket_type_id=STALLS, quantity=1
    )
    commands = [reserve(by=ALICE), join, c.Tick(OTHER, "", "t"), tick(), c.Tick(OTHER, "", "t")]
    batch, facts = decided(commands)
    monkeypatch.setitem(RULES, c.JoinWaitlist, unfoldable)
    (found,) = divergences(batch, facts)
    assert found == (
        f"not-folded at 0-1-0: event {EVENT}: HoldExpired at 0-1 (KeyError): 'no such reservation'; "
        "nothing of it is verified from here on"
    )
    other = Codec().decode(facts[4])
    assert isinstance(other, f.RecordedFact)
    facts[4] = CODEC.encode_fact(other.envelope, hold_expired(["A-1"]))
    assert [one.split(" ")[0] for one in divergences(batch, facts)] == ["not-folded", "fact-differs"]


def test_memory_and_signals_are_no_defects_of_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> list[f.Fact]:
        raise MemoryError

    monkeypatch.setitem(RULES, c.Tick, exhausted)
    with pytest.raises(MemoryError):
        step(folded(*on_sale()), tick(), At(0, 500, LogTime(1)))


def test_the_log_of_a_failed_command_is_verified_by_the_build_that_failed_and_by_the_one_that_is_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = [
        reserve(by=ALICE),
        c.JoinWaitlist(
            event_id=EVENT, user_id=ALICE, command_id="cmd", entry_id="w1", ticket_type_id=STALLS, quantity=1
        ),
        tick(),
    ]
    with monkeypatch.context() as patched:
        patched.setitem(RULES, c.JoinWaitlist, broken)
        batch, facts = decided(commands)
        assert [(place, type(error)) for place, error in batch.failed] == [(1, KeyError)]
        assert divergences(batch, facts) == []
    assert divergences(batch, facts) == [], "that it failed is on record"
    _, mended = decided(commands)
    assert mended != facts
    verifier = PartitionVerifier(0, CODEC, Feed(facts))
    for record in batch.records:
        verifier.read(LogRecord(record.offset, record.timestamp_ms, record.key, record.value))
    assert verifier.failed == 1, "and counted"


def test_of_requests_in_turn_those_before_an_error_stand_and_the_others_can_be_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = RULES[c.ReserveTickets]

    def breaks(state: EventState, command: c.ReserveTickets, now: LogTime) -> list[f.Fact]:
        if command.reservation_id == "r2":
            raise KeyError("nobody foresaw this")
        return sound(state, command, now)

    opening = [create(), add_type(), publish()]
    turn = in_turn(*(reserve(rid=rid) for rid in ("r1", "r2", "r3")))
    with monkeypatch.context() as patched:
        patched.setitem(RULES, c.ReserveTickets, breaks)
        batch, facts = decided([*opening, turn, reserve(rid="r4")])
        assert divergences(batch, facts) == []
        first, second = batch.groups[0].facts[-2:]
        assert first[0] == f.CommandRefused(
            command_type="ReserveInTurn",
            subject_id=EVENT,
            user_id="",
            reason=Reason.COMMAND_FAILED,
            detail="the rules raised KeyError",
            amount=1,
        )
        assert [(type(fact), fact.reservation_id) for fact in (*first[1:], *second)] == [
            (f.TicketsHeld, "r1"), (f.TicketsHeld, "r4")
        ]  # fmt: skip
        answers = answers_in_turn(turn, first)
        assert [(request.reservation_id, own) for request, own in answers] == [
            ("r1", [first[1]]), ("r2", [first[0]]), ("r3", [first[0]])
        ]  # fmt: skip
        assert [number for number, _ in batch.failed] == [3]
    assert divergences(batch, facts) == [], "what that build refused is on record"
