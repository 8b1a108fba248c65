"""A loader's reads: the last facts, until silence ends the wait, and the states that it gives to a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.positions import AppliedPosition
from pipelines.reservations import loader as partition_loader
from pipelines.reservations.core.state import EventState
from pipelines.reservations.loader import LogDisagrees, PartitionLoader
from pipelines.reservations.partition import Partition
from pipelines.reservations.snapshot_rows import EventSnapshot
from schemas.codec import Codec
from schemas.facts import CommandDuplicated, Envelope
from schemas.ids import LogTime

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


class Clock:
    """A time that moves only while a reader polls, on a busy machine as on an idle one."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


CLOCK = Clock()


class Reader:
    """Gives the test's records, one poll after the other; then nothing."""

    def __init__(self, told: Iterator[Any]) -> None:
        self._told = told

    def assign(self, _partitions: object) -> None:
        pass

    def poll(self, timeout_s: float) -> Any:
        CLOCK.now += min(timeout_s, 0.02)
        return next(self._told, None)

    def close(self) -> None:
        pass


def facts(told: list[Any], wanted: int) -> list[int]:
    loader = PartitionLoader(
        partitions={},
        store=None,  # type: ignore[arg-type]
        codec=CODEC,
        installer=None,  # type: ignore[arg-type]
        facts_reader=lambda: Reader(iter(told)),  # type: ignore[arg-type, return-value]
        transactional_id="",
        end_transactions=lambda _: None,
        in_place=lambda _, found: found,
    )
    return [one.envelope.offset for one in loader._facts(0, 0, wanted, -1)]


class Rows:
    """A store whose events are all projected to one offset; it counts its calls."""

    def __init__(self, offset: int) -> None:
        self.offset, self.asked = offset, list[str]()

    def load_event(self, event_id: str, _number: int) -> EventSnapshot:
        self.asked.append(event_id)
        empty = {
            name: []
            for name in EventSnapshot.__struct_fields__
            if name not in ("event_id", "position", "event", "incomplete")
        }
        return EventSnapshot(event_id=event_id, position=AppliedPosition(self.offset, 0), event=None, **empty)


class Installer:
    """Keeps the ids of the installed events."""

    def __init__(self) -> None:
        self.installed: list[str] = []

    def install(self, _partition: Partition, states: list[EventState]) -> None:
        self.installed += [state.event_id for state in states]

    def distrust(self, _partition: Partition) -> None:
        raise AssertionError("no former owner died here")


def owner(partition: Partition, rows: Rows, installer: Installer) -> PartitionLoader:
    return PartitionLoader(
        partitions={partition.number: partition},
        store=rows,  # type: ignore[arg-type]
        codec=CODEC,
        installer=installer,
        facts_reader=lambda: Reader(iter(())),  # type: ignore[arg-type, return-value]
        transactional_id="",
        end_transactions=lambda _: None,
        in_place=lambda _, found: found,
    )


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_loader, "FACTS_WAIT_S", WAIT_S)
    monkeypatch.setattr(partition_loader, "time", CLOCK)


def test_a_tail_that_takes_longer_than_the_wait_is_read_to_its_end() -> None:
    slow = [one for offset in range(15) for one in (Fact(offset), None)]
    assert len(slow) * 0.02 > 2 * WAIT_S
    assert facts(slow, wanted=14) == list(range(15))


def test_silence_ends_it() -> None:
    assert facts([Fact(0)], wanted=5) == [0]


def test_a_batch_loads_an_event_once_and_an_unknown_event_begins_empty() -> None:
    partition, rows, installer = Partition(3, 1, LogTime(0), {"known"}), Rows(9), Installer()
    loader = owner(partition, rows, installer)
    first = loader.states_of({"unknown": 3, "known": 3}, {3: 10})
    again = loader.states_of({"known": 3}, {3: 11})
    assert list(first) == ["unknown", "known"]
    assert first == partition.states
    assert again["known"] is first["known"]
    assert (rows.asked, installer.installed) == (["known"], ["known"])


@pytest.mark.parametrize(("projected", "disagrees"), [(9, False), (10, True), (11, True)])
def test_rows_that_know_facts_of_this_batch_end_the_process(projected: int, disagrees: bool) -> None:
    loader = owner(Partition(3, 1, LogTime(0), {"known"}), Rows(projected), Installer())
    if not disagrees:
        assert loader.states_of({"known": 3}, {3: 10})["known"].event_id == "known"
        return
    with pytest.raises(LogDisagrees, match=f"to be decided from 10, but the rows of known know facts to {projected}"):
        loader.states_of({"known": 3}, {3: 10})
