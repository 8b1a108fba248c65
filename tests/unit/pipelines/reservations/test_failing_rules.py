"""A rule that raises answers its command with a refusal, changes nothing, and is verified whatever comes after it."""

from __future__ import annotations

from collections import deque

import pytest

from pipelines.replay.verify import PartitionVerifier, Record
from pipelines.reservations import decide as rules
from pipelines.reservations.batch import Batch, RawRecord
from pipelines.reservations.decide import RULES, NotFolded, step
from pipelines.reservations.digest import canonical
from pipelines.reservations.partition import Partition
from pipelines.reservations.state import At, EventState
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec
from schemas.facts import Reason
from schemas.ids import LogTime
from tests.harness.words import ALICE, DEADLINE, EVENT, STALLS, folded, held, hold_expired, on_sale, reserve, tick

CODEC = Codec()


def broken(_state: EventState, _command: c.Command, _now: LogTime) -> list[f.Fact]:
    raise KeyError("nobody foresaw this")


def refusal(kind: str = "ReserveTickets", by: str = ALICE) -> f.CommandRefused:
    return f.CommandRefused(kind, EVENT, by, Reason.COMMAND_FAILED, "the rules raised KeyError")


class Feed:
    def __init__(self, values: list[bytes]) -> None:
        self._left = deque(Record(offset, 0, None, value) for offset, value in enumerate(values))

    def peek(self) -> Record | None:
        return self._left[0] if self._left else None

    def advance(self) -> None:
        self._left.popleft()


def decided(commands: list[c.Command]) -> tuple[Batch, list[bytes]]:
    """A batch of one partition's first commands, each a second after the one before, and its facts."""
    partition = Partition(0, 1, LogTime(0), set())
    batch = Batch(
        [
            RawRecord(0, offset, 1_000 * offset, None, CODEC.encode(command), [])
            for offset, command in enumerate(commands)
        ]
    )
    batch.place(CODEC, {0: partition})
    batch.decide(lambda _number, event_id: EventState(event_id))
    return batch, [fact.value for fact in batch.encoded(CODEC)]


def divergences(batch: Batch, facts: list[bytes]) -> list[str]:
    verifier = PartitionVerifier(0, CODEC, Feed(facts))
    for record in batch.records:
        verifier.read(Record(record.offset, record.timestamp_ms, record.key, record.value))
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


def test_a_fact_that_cannot_be_folded_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, c.Tick, lambda *_: [hold_expired(["A-1"], rid="no such reservation")])
    with pytest.raises(NotFolded, match="HoldExpired"):
        step(folded(*on_sale()), tick(), At(0, 500, LogTime(1)))


def test_memory_and_signals_are_no_defects_of_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> list[f.Fact]:
        raise MemoryError

    monkeypatch.setitem(RULES, c.Tick, exhausted)
    with pytest.raises(MemoryError):
        step(folded(*on_sale()), tick(), At(0, 500, LogTime(1)))


def test_the_log_of_a_failed_command_is_verified_by_the_build_that_failed_and_by_the_one_that_is_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = [reserve(by=ALICE), c.JoinWaitlist(EVENT, ALICE, "cmd", "w1", STALLS, 1), tick()]
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
        verifier.read(Record(record.offset, record.timestamp_ms, record.key, record.value))
    assert verifier.failed == 1, "and counted"
