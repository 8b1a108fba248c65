"""tickets.facts → the rows of some branches: source → decode → admit → one step for each branch → write.

Exactly once per position and branch: one transaction writes the rows of a batch and its positions, and an applied fact
is not admitted again. After the commit, readers learn over Redis what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from confluent_kafka import Message

from connectors import tracing
from connectors.clock import now_ms
from connectors.execution import execute
from connectors.kafka import BatchSource, Gate, Pace, StopFlag, consumer
from connectors.logs import Log
from connectors.metrics import BATCH_RECORDS, BATCH_SECONDS, RECORD_AGES
from connectors.postgres import Database
from connectors.publisher import Publisher
from connectors.readiness import signal_ready
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from pipelines.branches.branch import Branch, FailedFact, PreparedPart, prepared
from pipelines.branches.positions import Admitted, BranchPositions, DecodedFact
from pipelines.branches.read_spans import ReadSpans
from pipelines.branches.redrives import Redrives
from pipelines.branches.store import BranchStore, PutAside
from pipelines.command_places import CommandPlaces
from pipelines.stored_records import recorded_again
from schemas.codec import Codec, Undecodable
from schemas.facts import RecordedFact
from schemas.ids import US_PER_MS
from schemas.topics import FACTS
from sinks.batch_sink import BatchSink
from sinks.dead_letters import DeadLetters

log = Log("read-side")

A = TypeVar("A")
B = TypeVar("B")
S = TypeVar("S", bound=Settings)
Branches = Sequence[Branch[Any, Any]]


class PreparedBranch(NamedTuple):
    """A batch as one branch has prepared it."""

    batch: Admitted
    prepared: PreparedPart


@dataclass(frozen=True, slots=True)
class ReadSideDeps:
    """What the flow is made of."""

    source: BatchSource
    decode: Callable[[list[Message]], list[DecodedFact]]
    admit: Callable[[list[DecodedFact]], Admitted]
    branches: Branches
    write: Callable[[PreparedBranch], None]


def build(name: str, deps: ReadSideDeps) -> Dataflow:
    """The flow: the branches part after `admit`, and join in one transaction."""
    flow = Dataflow(name)
    records = op.input("facts", flow, deps.source)
    decoded = op.map("decode", records, deps.decode)
    admitted = op.map("admit", decoded, deps.admit)
    branches: list[Stream[PreparedBranch]] = [op.map(one.name, admitted, preparer(name, one)) for one in deps.branches]
    op.output("postgres", op.merge("join", *branches), BatchSink(deps.write))
    return flow


def run_branches(
    name: str,
    settings: Settings,
    branches: Branches,
    database: Database,
    publisher: Publisher,
    *,
    stop: StopFlag,
) -> int:
    """Run these branches as the flow `name` until a stop is requested or an error ends it. Returns the exit code.

    The consumer group is `circle.` and the name. Several processes of one name share its partitions.
    """
    store = BranchStore(database, branches, stop_requested=lambda: stop.requested)
    positions, gate, codec = BranchPositions(settings, store, branches), Gate(), codec_of(settings)

    dead_letters = DeadLetters(settings)
    redrives = Redrives(
        settings,
        store,
        positions,
        branches,
        put_aside_of=lambda found: dead_letter_writer([DecodedFact(*found)], dead_letters, codec),
        publish=publisher.publish_json,
    )

    def look_after() -> None:
        for branch in branches:
            branch.look_after()
        redrives.look_after()

    source = BatchSource(
        consumer(settings, group=f"circle.{name}"),
        topic=FACTS,
        owner=positions,
        gate=gate,
        stop=stop,
        pace=Pace.of(settings),
        before_poll=look_after,
        on_assigned=lambda partitions: signal_ready(f"{name} {partitions}"),
    )
    deps = ReadSideDeps(
        source=source,
        decode=timed(name, "decode", reader(codec, CommandPlaces(settings))),
        admit=timed(name, "admit", traced(positions.admit)),
        branches=branches,
        write=Join(branches, writer(name, store, dead_letters, publisher, gate, codec)),
    )
    return execute(build(name, deps), log)


def run_alone(settings: S, made: Callable[[S, Database], Branch[Any, Any]], stop: StopFlag | None = None) -> int:
    """Run one branch as a flow of its own. Returns the exit code."""
    stop = stop or StopFlag().install()
    with closing(Database(settings.postgres_url)) as database, closing(Publisher(settings)) as publisher:
        branch = made(settings, database)
        with branch:
            return run_branches(branch.name, settings, [branch], database, publisher, stop=stop)


def reader(codec: Codec, places: CommandPlaces) -> Callable[[list[Message]], list[DecodedFact]]:
    """The decode step: a fact, or why the record is no fact or cannot have this position."""

    def decode(record: Message) -> RecordedFact | Undecodable:
        found = places.in_place(record.partition(), codec.decode(record.value()))
        if isinstance(found, RecordedFact | Undecodable):
            return found
        return Undecodable(f"a {type(found).__name__}, which is no fact")

    return lambda batch: [DecodedFact(record, decode(record)) for record in batch]


def preparer(name: str, branch: Branch[Any, Any]) -> Callable[[Admitted], PreparedBranch]:
    """The step of a branch. If it cannot prepare the facts together, the write step takes them one by one."""
    seconds = BATCH_SECONDS.labels(name, branch.name)

    def prepare(batch: Admitted) -> PreparedBranch:
        with seconds.time():
            return PreparedBranch(batch, prepared(batch.parts[branch.name]))

    return prepare


def traced(admit: Callable[[list[DecodedFact]], Admitted]) -> Callable[[list[DecodedFact]], Admitted]:
    """The step that admits, and begins the spans of its facts while traces are on."""
    tracer = tracing.active()
    return admit if tracer is None else lambda batch: ReadSpans.begin(tracer, admit(batch))


class Join:
    """Collects a batch from all branches, then hands it on. At most one batch is in flight."""

    def __init__(self, branches: Branches, write: Callable[[Admitted, Sequence[PreparedPart]], None]) -> None:
        self._order = {branch.name: number for number, branch in enumerate(branches)}
        self._write = write
        self._waiting: list[PreparedPart] = []

    def __call__(self, one: PreparedBranch) -> None:
        self._waiting.append(one.prepared)
        if len(self._waiting) == len(self._order):
            parts = sorted(self._waiting, key=lambda entry: self._order[entry.part.branch.name])
            self._waiting = []
            self._write(one.batch, parts)


def timed(name: str, step: str, work: Callable[[list[A]], B]) -> Callable[[list[A]], B]:
    """The step, which also notes its time. The first one notes the batch's size, too."""
    seconds = BATCH_SECONDS.labels(name, step)
    records = BATCH_RECORDS.labels(name) if step == "decode" else None

    def run(batch: list[A]) -> B:
        if records is not None:
            records.observe(len(batch))
        with seconds.time():
            return work(batch)

    return run


def writer(
    name: str, store: BranchStore, dead_letters: DeadLetters, publisher: Publisher, gate: Gate, codec: Codec
) -> Callable[[Admitted, Sequence[PreparedPart]], None]:
    """The sink's step: first the dead letters (they must not be lost), then the transaction, then the news."""

    write_seconds, publish_seconds = BATCH_SECONDS.labels(name, "write"), BATCH_SECONDS.labels(name, "publish")

    def write(batch: Admitted, parts: Sequence[PreparedPart]) -> None:
        for read in batch.unreadable:
            assert isinstance(read.fact, Undecodable)
            dead_letters.put(read.record, read.fact.error)
        dead_letters.flush()
        with write_seconds.time(), nullcontext() if batch.spans is None else batch.spans.writing():
            results = store.write(parts, dead_letter_writer(batch.batch, dead_letters, codec))
        gate.done()
        facts = (one.fact for one in batch.batch if isinstance(one.fact, RecordedFact))
        RECORD_AGES.observe("persisted", [fact.envelope.log_time // US_PER_MS for fact in facts], now_ms())
        news = [
            one for part, _ in parts for one in part.branch.committed(results.get(part.branch.name, ()), part.after)
        ]
        with publish_seconds.time():
            publisher.publish_json(news)
        log.debug("batch.written", facts=len(batch.batch), branches=[part.branch.name for part, _ in parts])

    return write


def dead_letter_writer(batch: Sequence[DecodedFact], dead_letters: DeadLetters, codec: Codec) -> PutAside:
    """Puts the records of facts into the dead letters. A fact that had waited for the rest of its command has no record
    in this batch: it is encoded again."""

    def put_aside(branch: Branch[Any, Any], failed: Sequence[FailedFact]) -> None:
        records = {id(read.fact): read.record for read in batch}
        for fact, error in failed:
            dead_letters.put(records.get(id(fact)) or recorded_again(fact, codec), error, by=branch.name)
        dead_letters.flush()

    return put_aside
