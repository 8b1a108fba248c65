"""The admitted facts: each position once, in order, a command's facts together."""

from __future__ import annotations

import random

import pytest

from pipelines.history.intake import Intake
from schemas.codec import Undecodable
from schemas.facts import RecordedFact, TickObserved
from tests.harness.fact_logs import FactLog, recorded


def fact(offset: int, index: int = 0, count: int = 1) -> RecordedFact:
    return recorded(TickObserved(), offset=offset, index=index, count=count)


def places(facts: list[RecordedFact]) -> list[tuple[int, int]]:
    return [(one.envelope.offset, one.envelope.index) for one in facts]


def take(intake: Intake, *facts: RecordedFact, first: int = 0) -> list[tuple[int, int]]:
    return places([one for at, each in enumerate(facts, first) for one in intake.take(at, each)])


def test_each_position_is_let_through_once() -> None:
    assert take(Intake(), fact(0), fact(0), fact(1), fact(0), fact(1)) == [(0, 0), (1, 0)]


def test_what_was_applied_before_is_dropped_and_read_past() -> None:
    intake = Intake(applied=(4, 1), next_offset=9)
    assert take(intake, fact(4, 0, 2), fact(4, 1, 2), fact(5), first=9) == [(5, 0)]
    assert intake.next_offset == 12


def test_an_incomplete_command_is_held_back_and_a_successor_reads_it_again() -> None:
    intake = Intake()
    assert take(intake, fact(0), fact(1, 0, 2)) == [(0, 0)]
    assert (intake.applied, intake.next_offset, intake.held_back) == ((0, 0), 1, 1)
    assert take(intake, fact(1, 1, 2), first=2) == [(1, 0), (1, 1)]
    assert (intake.applied, intake.next_offset, intake.held_back) == ((1, 1), 3, 0)


def test_the_remains_of_an_aborted_batch_give_way_to_its_repetition() -> None:
    intake = Intake()
    aborted = [fact(0), fact(1, 0, 3), fact(1, 1, 3)]
    again = [fact(0), fact(1, 0, 3), fact(1, 1, 3), fact(1, 2, 3), fact(2)]
    assert take(intake, *aborted, *again) == [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)]
    assert intake.next_offset == 8


def test_a_repetition_may_have_another_number_of_facts() -> None:
    assert take(Intake(), fact(3, 0, 3), fact(3, 0, 2), fact(3, 1, 2)) == [(3, 0), (3, 1)]


def test_a_command_whose_last_fact_cannot_be_read_is_let_through_when_the_next_begins() -> None:
    intake = Intake()
    assert take(intake, fact(0, 0, 2)) == []
    intake.skip(1)
    assert intake.next_offset == 0
    assert take(intake, fact(1), first=2) == [(0, 0), (1, 0)]
    assert intake.next_offset == 3


def test_an_unreadable_record_alone_is_read_past() -> None:
    intake = Intake(next_offset=5)
    intake.skip(5)
    assert intake.next_offset == 6


def test_without_dedupe_what_comes_twice_is_let_through_twice() -> None:
    assert take(Intake(dedupe=False), fact(0), fact(0)) == [(0, 0), (0, 0)]


@pytest.mark.parametrize("seed", range(20))
def test_any_log_with_repetitions_and_restarts_gives_every_fact_once_in_order(seed: int) -> None:
    chance = random.Random(seed)
    facts = FactLog(partition=0, seed=seed).take(200)
    log: list[RecordedFact] = []
    at = 0
    while at < len(facts):  # a worker writes some facts and dies, and its successor begins with that batch
        start = at - facts[at].envelope.index
        size = chance.randint(1, 12)
        log += facts[start : start + size]
        at = start + size if chance.random() < 0.6 else start
    intake, got = Intake(), []
    offset = 0
    while offset < len(log):
        got += intake.take(offset, log[offset])
        offset += 1
        if chance.random() < 0.05:  # this consumer restarts from its stored position
            assert intake.next_offset is not None
            offset = intake.next_offset
            intake = Intake(applied=intake.applied, next_offset=offset, log_time=intake.log_time)
    complete = [one for one in facts if (one.envelope.offset, one.envelope.index) <= intake.applied]
    assert got == complete
    assert len(complete) >= len(facts) - facts[-1].envelope.count


@pytest.mark.parametrize("seed", range(10))
def test_records_that_are_taken_together_give_what_they_give_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    facts = FactLog(partition=0, seed=seed).take(150)
    log: list[object] = [chance.choice(facts[max(0, at - 2) : at + 1]) for at in range(len(facts))]
    for _ in range(10):
        log[chance.randrange(len(log))] = Undecodable("not one of ours")
    for dedupe in (True, False):
        one_by_one, together = Intake(dedupe=dedupe), Intake(dedupe=dedupe)
        expected: list[RecordedFact] = []
        for at, record in enumerate(log):
            if isinstance(record, RecordedFact):
                expected += one_by_one.take(at, record)
            else:
                one_by_one.skip(at)
        got, at = [], 0
        while at < len(log):
            size = chance.randint(1, 20)
            got += together.take_all(list(enumerate(log))[at : at + size])
            at += size
        assert got == expected
        for name in ("applied", "next_offset", "log_time", "skipped", "held_back"):
            assert getattr(together, name) == getattr(one_by_one, name), name
        assert together.skipped >= 1
