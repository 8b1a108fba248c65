"""tickets.facts → rows in Postgres: source → decode → admit → project → write.

Exactly once per position: one transaction writes a batch's rows and its positions, and an applied fact is not admitted
again. After the commit, one message on CHANNEL says how far each partition is projected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from confluent_kafka import Consumer, Message

from connectors.execution import execute
from connectors.failure_policy import is_of_record
from connectors.kafka import UNHURRIED, BatchSource, Gate, StopFlag, consumer
from connectors.log_bounds import check_on_log
from connectors.log_reader import log_place
from connectors.logs import Log
from connectors.postgres import Database
from connectors.publisher import Publisher
from connectors.readiness import signal_ready
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from pipelines.command_places import CommandPlaces
from pipelines.intake import Intake
from pipelines.notifications.outbound import recorded_again
from pipelines.projections.changes import Changes
from pipelines.projections.project import project
from pipelines.projections.snapshot import PROJECTIONS, AppliedPosition
from pipelines.projections.store import ProjectionStore
from schemas.codec import Codec, Undecodable
from schemas.facts import RecordedFact
from schemas.topics import FACTS
from sinks.batch_sink import BatchSink
from sinks.dead_letters import DeadLetters, is_redriven_for

GROUP = "circle.projections"
CHANNEL = "circle:projected"

log = Log("projections")


class DecodedFact(NamedTuple):
    """A record of tickets.facts and its decoded fact."""

    record: Message
    fact: RecordedFact | Undecodable


@dataclass(frozen=True, slots=True)
class Admitted:
    """The facts of a batch to apply, and each partition's position before and after them."""

    facts: list[RecordedFact]
    unreadable: list[DecodedFact]
    batch: list[DecodedFact]
    before: dict[int, AppliedPosition]
    after: dict[int, AppliedPosition]


@dataclass(frozen=True, slots=True)
class ProjectedBatch:
    """An admitted batch with its row changes. They are None if the batch cannot be projected as a whole."""

    admitted: Admitted
    changes: Changes | None


class StoredPositions(Protocol):
    """The store of a consumer's positions."""

    def positions(self, partitions: Sequence[int]) -> dict[int, AppliedPosition]:
        """How far each partition has come."""


class Positions:
    """The positions of the assigned partitions, and the facts that wait for the rest of their command.

    A fact that `flow` had set aside may come again from the dead letters. It is admitted once more, although its
    position counts as applied. It joins the next facts whose effects are stored with a position behind its record.
    """

    def __init__(self, settings: Settings, store: StoredPositions, *, dedupe: bool, flow: str = "") -> None:
        self._settings, self._store, self._dedupe, self._flow = settings, store, dedupe, flow
        self._intakes: dict[int, Intake] = {}
        self._again: dict[int, list[RecordedFact]] = {}

    def assigned(self, client: Consumer, partitions: list[int]) -> Mapping[int, int | None]:
        """Load the stored positions and go on from there."""
        stored = self._store.positions(partitions)
        starts = {partition: at.next_offset for partition, at in stored.items()}
        check_on_log(self._settings, client, FACTS, starts)
        for partition, at in stored.items():
            self._intakes[partition] = Intake(
                applied=(at.offset, at.index), next_offset=at.next_offset, log_time=at.log_time, dedupe=self._dedupe
            )
        return starts

    def revoked(self, partitions: list[int]) -> None:
        for partition in partitions:
            self._intakes.pop(partition, None)
            self._again.pop(partition, None)

    def admit(self, batch: list[DecodedFact]) -> Admitted:
        """The facts of the batch to apply."""
        touched = {log_place(read.record)[0] for read in batch}
        before = {partition: self._at(partition) for partition in touched}
        facts: list[RecordedFact] = []
        unreadable: list[DecodedFact] = []
        for read in batch:
            partition, offset = log_place(read.record)
            intake = self._intakes[partition]
            if isinstance(read.fact, Undecodable):
                intake.skip(offset)
                unreadable.append(read)
            elif self._flow and is_redriven_for(read.record, self._flow):
                intake.skip(offset)
                self._again.setdefault(partition, []).append(read.fact)
            else:
                facts += intake.take(offset, read.fact)
            if partition in self._again and not intake.held_back:
                facts += self._again.pop(partition)
        return Admitted(
            facts=facts,
            unreadable=unreadable,
            batch=batch,
            before=before,
            after={partition: self._at(partition) for partition in touched},
        )

    def _at(self, partition: int) -> AppliedPosition:
        intake = self._intakes[partition]
        return AppliedPosition(*intake.applied, intake.next_offset, intake.log_time)


@dataclass(frozen=True, slots=True)
class ProjectionsDeps:
    """What the flow is made of."""

    source: BatchSource
    decode: Callable[[list[Message]], list[DecodedFact]]
    admit: Callable[[list[DecodedFact]], Admitted]
    write: Callable[[ProjectedBatch], None]


def build(deps: ProjectionsDeps) -> Dataflow:
    """The flow."""
    flow = Dataflow("projections")
    records = op.input("facts", flow, deps.source)
    decoded = op.map("decode", records, deps.decode)
    admitted = op.map("admit", decoded, deps.admit)
    projected = op.map("project", admitted, projected_whole)
    op.output("postgres", projected, BatchSink(deps.write))
    return flow


def run(settings: Settings, *, stop: StopFlag | None = None) -> int:
    """Run until a stop is requested or an error ends the flow. Returns the process's exit code."""
    stop = stop or StopFlag().install()
    dedupe = "no-dedupe" not in settings.test_switches
    database, publisher = Database(settings.postgres_url), Publisher(settings)
    store = ProjectionStore(database, PROJECTIONS, stop_requested=lambda: stop.requested, dedupe=dedupe)
    positions, gate = Positions(settings, store, dedupe=dedupe), Gate()
    source = BatchSource(
        consumer(settings, group=GROUP, **UNHURRIED),
        topic=FACTS,
        owner=positions,
        gate=gate,
        stop=stop,
        on_assigned=lambda partitions: signal_ready(f"projections {partitions}"),
    )
    codec = codec_of(settings)
    write = writer(store, DeadLetters(settings), publisher, gate, codec)
    with closing(database), closing(publisher):
        return execute(
            build(ProjectionsDeps(source, reader(codec, CommandPlaces(settings)), positions.admit, write)), log
        )


def reader(codec: Codec, places: CommandPlaces) -> Callable[[list[Message]], list[DecodedFact]]:
    """The decode step: a fact, or why the record is no fact or cannot have this position."""

    def decode(record: Message) -> RecordedFact | Undecodable:
        found = places.in_place(record.partition(), codec.decode(record.value()))
        if isinstance(found, RecordedFact | Undecodable):
            return found
        return Undecodable(f"a {type(found).__name__}, which is no fact")

    return lambda batch: [DecodedFact(record, decode(record)) for record in batch]


def projected_whole(batch: Admitted) -> ProjectedBatch:
    """The project step. If the facts cannot be projected together, the write step takes them one by one."""
    try:
        return ProjectedBatch(batch, project(batch.facts))
    except Exception as error:
        if not is_of_record(error):
            raise
        log.exception("batch.not_projected", error, facts=len(batch.facts))
        return ProjectedBatch(batch, None)


def writer(
    store: ProjectionStore, dead_letters: DeadLetters, publisher: Publisher, gate: Gate, codec: Codec
) -> Callable[[ProjectedBatch], None]:
    """The sink's step: first the dead letters (they must not be lost), then the transaction, then the message."""

    def write(batch: ProjectedBatch) -> None:
        admitted = batch.admitted
        for read in admitted.unreadable:
            assert isinstance(read.fact, Undecodable)
            dead_letters.put(read.record, read.fact.error)
        dead_letters.flush()
        span = {"before": admitted.before, "after": admitted.after}
        try:
            if batch.changes is not None:
                store.write(batch.changes, **span)
        except Exception as error:
            if not is_of_record(error):
                raise
            log.exception("batch.written_singly", error, facts=len(admitted.facts))
            batch = ProjectedBatch(admitted, None)
        if batch.changes is None:
            store.write_singly(admitted.facts, lambda failed: _put_aside(failed, admitted, dead_letters, codec), **span)
        gate.done()
        publisher.publish_json(
            CHANNEL,
            [
                {"partition": partition, "offset": at.offset, "index": at.index}
                for partition, at in admitted.after.items()
            ],
        )
        log.debug("batch.projected", facts=len(admitted.facts), partitions=sorted(admitted.after))

    return write


def _put_aside(
    failed: list[tuple[RecordedFact, str]], admitted: Admitted, dead_letters: DeadLetters, codec: Codec
) -> None:
    """Put the records of these facts into the dead letters."""
    records = {id(read.fact): read.record for read in admitted.batch}
    for fact, error in failed:
        record = records.get(id(fact)) or recorded_again(fact, codec)  # a fact that had waited for its command's rest
        dead_letters.put(record, error, by="projections")
    dead_letters.flush()
