"""Reads both topics whole, one partition at a time, and pairs each command with its facts.

Plain consumers, read_committed, from the first record to the last. A position that is there twice is a violation in
strict mode. On a broker that shows aborted records (`strict=False`) it counts once, if both records have the same
bytes. Memory: the tail of facts that wait for their command, and a digest of each of the last REMEMBERED_MAX positions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from hashlib import blake2b

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.errors import ServiceUnreachable
from connectors.kafka import consumer
from connectors.log_reader import offset_of
from connectors.settings import Settings
from ops.proof.checker.audit import ReadFact
from ops.proof.checker.report import Report
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.topics import COMMANDS, FACTS, dead_letters

READ_TIMEOUT_S = 20.0  # a longer silence of the broker is an outage, not an end
READ_BATCH = 5_000
REMEMBERED_MAX = 500_000


def reader(settings: Settings) -> Consumer:
    """A client for `records`. Its first read takes half a second, so it is kept for all partitions."""
    return consumer(settings, group=None, **{"enable.partition.eof": True})


def records(client: Consumer, topic: str, partition: int) -> Iterator[Message]:
    """Every committed record of a partition. Raises ServiceUnreachable when the broker stops answering."""
    client.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    yield from _to_the_end(client, f"{topic}[{partition}]")
    client.unassign()


def _to_the_end(client: Consumer, place: str) -> Iterator[Message]:
    deadline = time.monotonic() + READ_TIMEOUT_S
    while True:
        first = client.poll(0.2)
        # `consume` waits its whole time for a full batch, so it is only asked for records that are there.
        messages = [] if first is None else [first, *client.consume(READ_BATCH, 0)]
        for message in messages:
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                return
            elif error.fatal() or not error.retriable():
                raise KafkaException(error)
            else:
                continue
            deadline = time.monotonic() + READ_TIMEOUT_S
        if time.monotonic() > deadline:
            raise ServiceUnreachable("Kafka", place, f"no record and no end of the partition in {READ_TIMEOUT_S:.0f} s")


class FactsByPosition:
    """The facts of one partition, handed out position by position in the order of their commands."""

    def __init__(
        self, messages: Iterator[Message], partition: int, codec: Codec, report: Report, *, strict: bool
    ) -> None:
        self._messages, self._partition, self._codec = messages, partition, codec
        self._report, self._strict = report, strict
        self._next: ReadFact | None = None
        self._seen: dict[tuple[int, int], bytes] = {}
        self.last_record = -1  # the offset of the last record on the facts topic
        self._advance()

    def at(self, offset: int) -> list[ReadFact]:
        """Every fact at the position of the command at `offset`; facts of an older position are violations."""
        found: list[ReadFact] = []
        while self._next is not None and self._next.recorded.envelope.offset <= offset:
            if self._next.recorded.envelope.offset == offset:
                found.append(self._next)
            else:
                self._stray(self._next)
            self._advance()
        return found

    def finish(self) -> None:
        """The remaining facts belong to no command."""
        while self._next is not None:
            self._stray(self._next)
            self._advance()

    def _stray(self, fact: ReadFact) -> None:
        envelope = fact.recorded.envelope
        where = f"{envelope.partition}-{envelope.offset}-{envelope.index}"
        self._report.add(
            "positions", where, f"a {type(fact.recorded.fact).__name__} out of order, or without a command"
        )

    def _advance(self) -> None:
        self._next = None
        for message in self._messages:
            offset = self.last_record = offset_of(message)
            value = message.value()
            recorded = self._codec.decode(value)
            where = f"{FACTS} {self._partition}@{offset}"
            if not isinstance(recorded, RecordedFact) or value is None:
                self._report.add("unreadable-fact", where, str(recorded))
                continue
            position = (recorded.envelope.offset, recorded.envelope.index)
            digest = blake2b(value, digest_size=8).digest()
            former = self._seen.get(position)
            if former is not None:
                self._twice(recorded, same=former == digest)
                continue
            self._seen[position] = digest
            if len(self._seen) > REMEMBERED_MAX:
                del self._seen[next(iter(self._seen))]
            self._next = ReadFact(offset, value, recorded)
            return

    def _twice(self, recorded: RecordedFact, *, same: bool) -> None:
        at = recorded.envelope
        self._report.counts["facts_told_again"] += 1
        where = f"{at.partition}-{at.offset}-{at.index}"
        if not same:
            self._report.add("position-told-differently", where, f"the second one is {recorded.fact!r}")
        elif self._strict:
            self._report.add("position-twice", where, f"{type(recorded.fact).__name__} is committed twice")


class HistoryReader:
    """Both topics, through two clients at the same time."""

    def __init__(self, settings: Settings, codec: Codec, report: Report, *, strict: bool) -> None:
        self._commands, self._facts = reader(settings), reader(settings)
        self._codec, self._report, self._strict = codec, report, strict

    def partition(self, number: int) -> Iterator[tuple[Message, list[ReadFact]]]:
        """Every command of a partition with the facts at its position."""
        fact_records = records(self._facts, FACTS, number)
        facts = FactsByPosition(fact_records, number, self._codec, self._report, strict=self._strict)
        for message in records(self._commands, COMMANDS, number):
            yield message, facts.at(offset_of(message))
        facts.finish()

    def dead_letters(self) -> Iterator[Message]:
        """The dead letters of the commands."""
        return records(self._commands, dead_letters(COMMANDS), 0)

    def close(self) -> None:
        """Close the clients."""
        self._commands.close()
        self._facts.close()
