"""A fold may stop anywhere, hear things twice and go on: it comes to the digest of the states that were decided."""

from __future__ import annotations

import random

import pytest

from pipelines.replay.fold import Fold
from schemas.codec import Codec
from schemas.facts import TicketsHeld
from tests.harness.command_logs import BothLogs, fact_records

CODEC = Codec()
Records = list[tuple[int, bytes | None]]


def records_of(log: BothLogs) -> Records:
    return [(record.offset, record.value) for record in fact_records(log.facts)]


def folded(records: Records) -> Fold:
    fold = Fold(CODEC)
    fold.take(records)
    return fold


@pytest.mark.parametrize("seed", range(8))
def test_a_fold_stopped_at_random_places_comes_to_the_same_digest(seed: int) -> None:
    log, chance = BothLogs(0, seed), random.Random(seed)
    log.take(300)
    records, fold = records_of(log), Fold(CODEC)
    while fold.next_offset < len(records):
        start = max(0, fold.next_offset - chance.randrange(4))  # a little of what is known already is told again
        fold.take(records[start : fold.next_offset + chance.randrange(1, 40)])
    assert fold.digest() == folded(records).digest()
    assert fold.facts == len(log.facts)
    last = log.facts[-1].envelope
    assert fold.through == (last.offset, last.index)


def test_its_states_are_those_that_were_decided() -> None:
    log = BothLogs(0, 3)
    log.take(300)
    fold, decided = folded(records_of(log)), Fold(CODEC)
    decided.states = {event_id: log.states[event_id] for event_id in fold.states}
    assert fold.digest() == decided.digest()


def test_one_hold_more_is_another_digest() -> None:
    log = BothLogs(0, 3)
    log.take(300)
    last = max(at for at, one in enumerate(log.facts) if isinstance(one.fact, TicketsHeld))
    records = records_of(log)
    assert folded(records[:last]).digest() != folded(records[: last + 1]).digest()


def test_what_is_no_fact_is_counted_and_gone_past() -> None:
    log = BothLogs(0, 3)
    log.take(50)
    records = records_of(log)
    broken: Records = [(0, b"\xff"), (1, None), *[(offset + 2, value) for offset, value in records]]
    fold = folded(broken)
    assert (fold.unreadable, fold.facts) == (2, len(log.facts))
    assert fold.digest() == folded(records).digest()
