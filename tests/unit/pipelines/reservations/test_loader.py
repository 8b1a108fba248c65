"""The tail of facts that a loader folds: it waits for what is hidden, for a bounded time without any news."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.reservations import loader as partition_loader
from pipelines.reservations.loader import PartitionLoader
from schemas.codec import Codec
from schemas.facts import CommandDuplicated, Envelope

CODEC = Codec()
WAIT_S = 0.2


class Fact:
    """A record of tickets.facts, of one fact."""

    def __init__(self, offset: int) -> None:
        envelope = Envelope(
            event_id="event", partition=0, offset=offset, index=0, count=1, log_time=offset, rules_version=1
        )
        self._value = CODEC.encode_fact(envelope, CommandDuplicated("ReserveTickets", "reservation", "user"))

    def error(self) -> None:
        return None

    def value(self) -> bytes:
        return self._value


class Reader:
    """Gives what is told, one poll after the other; then nothing."""

    def __init__(self, told: Iterator[Any]) -> None:
        self._told = told

    def assign(self, _partitions: object) -> None:
        pass

    def poll(self, timeout_s: float) -> Any:
        time.sleep(min(timeout_s, 0.02))
        return next(self._told, None)

    def close(self) -> None:
        pass


def facts(told: list[Any], wanted: int) -> list[int]:
    loader = PartitionLoader(
        store=None,  # type: ignore[arg-type]
        codec=CODEC,
        installer=None,  # type: ignore[arg-type]
        facts_reader=lambda: Reader(iter(told)),  # type: ignore[arg-type, return-value]
        transactional_id="",
        end_transactions=lambda _: None,
        in_place=lambda _, found: found,
    )
    return [one.envelope.offset for one in loader._facts(0, 0, wanted, -1)]


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_loader, "FACTS_WAIT_S", WAIT_S)


def test_a_tail_that_takes_longer_than_the_wait_is_read_to_its_end() -> None:
    slow = [one for offset in range(15) for one in (Fact(offset), None)]
    assert len(slow) * 0.02 > 2 * WAIT_S
    assert facts(slow, wanted=14) == list(range(15))


def test_silence_ends_it() -> None:
    assert facts([Fact(0)], wanted=5) == [0]
