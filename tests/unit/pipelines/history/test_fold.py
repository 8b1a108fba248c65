"""A fold may stop anywhere, read facts twice and continue: its digest is that of the decided states."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from itertools import islice

import msgspec
import pytest

from pipelines.history.fold import Fold
from schemas.codec import Codec
from schemas.facts import TicketsHeld, TickObserved
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
        start = max(0, fold.next_offset - chance.randrange(4))  # some known facts are repeated
        fold.take(records[start : fold.next_offset + chance.randrange(1, 40)])
    assert fold.digest() == folded(records).digest()
    assert fold.facts == len(log.facts)
    last = log.facts[-1].envelope
    assert fold.through == (last.offset, last.index)


def test_its_states_are_those_that_were_decided() -> None:
    log = BothLogs(0, 3)
    log.take(300)
    fold, decided = folded(records_of(log)), Fold(CODEC)
    decided.states.recent |= {event_id: log.states[event_id] for event_id in fold.states}
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


def test_states_are_all_it_keeps() -> None:
    """Memory is that of the states, for any length of the log: here they are the same after each of 20,000 facts."""
    log = BothLogs(0, 3)
    log.take(60)
    at = log.facts[-1].envelope
    fold = folded(records_of(log))

    def ticks() -> Iterator[tuple[int, bytes | None]]:
        for number in range(1, 20_001):
            envelope = msgspec.structs.replace(at, offset=at.offset + number, index=0, count=1)
            yield len(log.facts) + number, CODEC.encode_fact(envelope, TickObserved())

    fold.take(islice(ticks(), 2_000))  # decoders are made, tables filled
    before, told = fold.digest(), ticks()
    tracemalloc.start()
    try:
        fold.take(islice(told, 2_000, None))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert fold.facts == len(log.facts) + 20_000
    assert fold.digest() == before
    assert kept < 18_000 * 4  # any kept part of a fact would need at least 100 bytes
