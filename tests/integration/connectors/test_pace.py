"""A source takes batches by load: no record waits alone, those of a moment share a batch, a rebalance loses none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, Producer

from connectors.kafka import BatchSource, Gate, Pace, StopFlag, consumer, producer
from connectors.settings import Settings
from ops.run.services.process import wait_for
from schemas.topics import FACTS

LONG_S = 60.0  # longer than the test: what does not wait for it does not wait at all
SESSION_MS = 1_500


class Reader:
    """A process of a group that takes batches, and remembers what it was given."""

    def __init__(self, settings: Settings, pace: Pace, taken: dict[int, int], *, group: str = "pace") -> None:
        self._taken = taken
        self.assignments: list[list[int]] = []
        self.batches: list[list[tuple[int, int]]] = []
        self._gate = Gate()
        self._source = BatchSource(
            consumer(settings, group=group), topic=FACTS, owner=self, gate=self._gate, stop=StopFlag(), pace=pace
        ).build("source", 0, 1)

    def assigned(self, consumer: Consumer, partitions: list[int]) -> Mapping[int, int | None]:
        self.assignments.append(partitions)
        return {number: self._taken.get(number) for number in partitions}

    def revoked(self, partitions: list[int]) -> None:
        self.assignments.append([])

    def take(self) -> list[tuple[int, int]]:
        """One turn of the source: the positions of its batch, which is then committed."""
        batch = [
            (record.partition() or 0, record.offset() or 0)
            for records in self._source.next_batch()
            for record in records
        ]
        if batch:
            self.batches.append(batch)
            self._taken.update({partition: offset + 1 for partition, offset in batch})
            self._gate.done()
        return batch

    def take_until(self, count: int) -> None:
        """Turns until so many records came, all together."""
        assert wait_for(lambda: self.take() is not None and self.count >= count, timeout_s=20) is None

    @property
    def count(self) -> int:
        return sum(map(len, self.batches))

    def close(self) -> None:
        self._source.close()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, session_timeout_ms=SESSION_MS)


@pytest.fixture
def writer(settings: Settings) -> Iterator[Producer]:
    client = producer(settings)
    yield client
    client.flush(5)


def write(client: Producer, records: int, partition: int = 0) -> None:
    for number in range(records):
        client.produce(FACTS, b"%d" % number, partition=partition)
    assert client.flush(10) == 0


def test_a_record_that_comes_after_the_pace_is_taken_at_once(settings: Settings, writer: Producer) -> None:
    with closing(Reader(settings, Pace(batch_s=0.001, records=1_000), {})) as reader:
        write(writer, 1)
        reader.take_until(1)
        write(writer, 1)
        reader.take_until(2)
    assert reader.batches == [[(0, 0)], [(0, 1)]]


def test_records_of_a_moment_are_one_batch(settings: Settings, writer: Producer) -> None:
    with closing(Reader(settings, Pace(batch_s=1.0, records=1_000), {})) as reader:
        write(writer, 1)
        reader.take_until(1)
        began = time.monotonic()
        for partition in range(4):  # each is its own request to the broker, and its own moment
            write(writer, 2, partition)
        reader.take_until(9)
    assert [len(batch) for batch in reader.batches] == [1, 8]
    assert time.monotonic() - began > 0.5


def test_a_batch_does_not_wait_once_enough_records_do(settings: Settings, writer: Producer) -> None:
    with closing(Reader(settings, Pace(batch_s=LONG_S, records=20), {})) as reader:
        write(writer, 1)
        reader.take_until(1)
        write(writer, 20)
        reader.take_until(21)
    assert reader.count == 21


@pytest.mark.parametrize(
    ("records", "seconds", "wait_s"),
    [
        (31, 0.025, 0.025),
        (62, 0.025, 0.05),
        (125, 0.05, 0.05),  # the same rate in the longer batches
        (62, 0.05, 0.025),  # a process that was held up for a moment
        (200, 60.0, 0.025),
    ],
)
def test_at_a_high_rate_batches_come_half_as_often(records: int, seconds: float, wait_s: float) -> None:
    assert Pace(batch_s=0.025).after(records, seconds) == wait_s


def test_a_rebalance_while_records_are_collected_gives_each_record_to_one_process_once(
    settings: Settings, writer: Producer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    taken: dict[int, int] = {}
    first = Reader(settings, Pace(batch_s=6.0, records=1_000), taken)
    write(writer, 1)
    first.take_until(1)
    for partition in range(settings.partitions):
        write(writer, 3, partition)
    collecting = threading.Thread(target=first.take)  # it has records, and waits for more
    collecting.start()
    second = Reader(settings, Pace(), taken)
    assert wait_for(lambda: second.take() is not None and bool(second.assignments), timeout_s=20) is None
    collecting.join(20)
    assert not collecting.is_alive()
    assert "batch.dropped" in caplog.text
    wanted = 1 + 3 * settings.partitions

    def all_came() -> bool:
        first.take()
        second.take()
        return first.count + second.count >= wanted

    assert wait_for(all_came, timeout_s=30) is None
    first.close()
    second.close()
    positions = sorted(position for reader in (first, second) for batch in reader.batches for position in batch)
    assert positions == sorted((part, at) for part in range(settings.partitions) for at in range(4 - (part != 0)))
