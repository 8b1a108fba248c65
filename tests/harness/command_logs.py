"""Both topics of a partition as a worker would leave them: seeded commands with the facts that they yield."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from connectors import kafka
from connectors.settings import PARTITIONS_DEFAULT, Settings
from pipelines.history.verification import PartitionVerifier
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import At, EventState
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.ids import US_PER_S, LogTime
from schemas.placement import partition_of
from schemas.record import LogRecord
from schemas.topics import COMMANDS, FACTS
from tests.harness.fact_logs import FactLog, recorded_at

CODEC = Codec()


@dataclass
class BothLogs(FactLog):
    """Random commands with their facts; timestamps are whole milliseconds, as on a broker."""

    commands: list[tuple[int, c.Command]] = field(default_factory=list)
    facts: list[RecordedFact] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._ids = [_at_home(event_id, self.partition) for event_id in self._ids]

    def _decide(self, command: c.Command) -> list[RecordedFact]:
        self.now += self._random.choice([0, 0, 1_000, 2 * US_PER_S, 15 * US_PER_S])
        locks = None
        state = self.states.get(command.event_id)
        if state is not None and self._random.random() < 0.03:
            locks = self._locks(state)
        return self.put(command, locks)

    def _locks(self, state: EventState) -> f.SeatLocksObserved | None:  # type: ignore[override]
        """Foreign locks as the guard observes them: never on a seat that a buyer has."""
        found = super()._locks(state)
        seating = state.sections["seated"].seating if "seated" in state.sections else None
        if seating is not None and any(not seating.is_free(place.partition("/")[2]) for place in found.locked):
            return None
        return found

    def put(self, command: c.Command, locks: f.SeatLocksObserved | None = None) -> list[RecordedFact]:
        """Decide one command at the log's end."""
        if isinstance(command, c.CreateEvent):  # a reader may refuse U+0000, but facts may have it
            command = msgspec.structs.replace(command, title=command.title.replace("\x00", "-"))
        at = At(self.partition, self.offset, LogTime(self.now))
        state = self.states.setdefault(command.event_id, EventState(command.event_id))
        facts: list[f.Fact] = []
        if locks is not None:
            facts.append(locks)
            evolve(state, locks, at)
        facts += step(state, command, at)
        records = recorded_at(at, command.event_id, facts)
        self.commands.append((self.now // 1_000, command))
        self.facts += records
        self.offset += 1
        return records

    def command_records(self) -> list[LogRecord]:
        return [
            LogRecord(offset, stamp, command.event_id.encode(), CODEC.encode(command))
            for offset, (stamp, command) in enumerate(self.commands)
        ]

    def fact_records(self) -> list[LogRecord]:
        return fact_records(self.facts)


def _at_home(event_id: str, partition: int) -> str:
    """The first id from this one on whose event is on the partition."""
    number = uuid.UUID(event_id).int
    while partition_of(event_id, PARTITIONS_DEFAULT) != partition:
        number += 1
        event_id = str(uuid.UUID(int=number))
    return event_id


class ListFeed:
    """Records that are there at once, or come later."""

    def __init__(self, records: Sequence[LogRecord]) -> None:
        self.records, self.at = list(records), 0

    def peek(self) -> LogRecord | None:
        return self.records[self.at] if self.at < len(self.records) else None

    def advance(self) -> None:
        self.at += 1


def fact_records(facts: Sequence[RecordedFact]) -> list[LogRecord]:
    return [
        LogRecord(offset, one.envelope.log_time // 1_000, one.envelope.event_id.encode(), encoded(one))
        for offset, one in enumerate(facts)
    ]


def encoded(one: RecordedFact) -> bytes:
    return CODEC.encode_fact(one.envelope, one.fact)


def verified(log: BothLogs, records: Sequence[LogRecord] | None = None) -> PartitionVerifier:
    """The log verified to its end, with these records on the facts topic."""
    feed = ListFeed(log.fact_records() if records is None else records)
    verifier = PartitionVerifier(log.partition, CODEC, feed)
    for record in log.command_records():
        verifier.read(record)
    verifier.finish()
    return verifier


def write_both(
    settings: Settings,
    logs: Sequence[BothLogs],
    facts: Sequence[RecordedFact] | None = None,
    *,
    batch_max: int | None = None,
    codec: Codec = CODEC,
    fact_bytes: Callable[[RecordedFact], bytes] | None = None,
) -> None:
    """Write both topics to a broker, with the log's own timestamps. `facts` replaces the logs' own facts; a batch of
    the broker has at most `batch_max` of them. `fact_bytes` encodes them in the place of `codec`.
    """
    fact_bytes = fact_bytes or (lambda one: codec.encode_fact(one.envelope, one.fact))
    producer = kafka.producer(settings)
    for log in logs:
        for stamp, command in log.commands:
            key = command.event_id.encode()
            producer.produce(COMMANDS, codec.encode(command), key, log.partition, timestamp=stamp)
        producer.poll(0)
    for number, one in enumerate([one for log in logs for one in log.facts] if facts is None else facts, start=1):
        producer.produce(FACTS, fact_bytes(one), one.envelope.event_id.encode(), one.envelope.partition)
        producer.poll(0)
        if batch_max is not None and number % batch_max == 0:
            assert producer.flush(30) == 0
    assert producer.flush(30) == 0
