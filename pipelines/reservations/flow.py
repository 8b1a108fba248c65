"""The reservations dataflow: tickets.commands to tickets.facts, exactly once per position.

One poll is one batch is one transaction: poll, place, decide, guard, commit. `build` has one line for each operator. An
unexpected error ends the process. It starts again, loads its state, and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Protocol

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource
from bytewax.outputs import DynamicSink
from confluent_kafka import Message

from connectors import tracing
from connectors.execution import execute
from connectors.kafka import (
    BatchSource,
    Gate,
    Pace,
    StopFlag,
    consumer,
    end_transactions,
    producer,
    transactional_producer,
)
from connectors.logs import Log
from connectors.postgres import Database
from connectors.readiness import signal_ready
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from pipelines.command_places import CommandPlaces
from pipelines.reservations.batch import Batch, passed_on
from pipelines.reservations.core.state import EventState
from pipelines.reservations.decision_sink import DecisionSink
from pipelines.reservations.decision_spans import DecisionSpans
from pipelines.reservations.guard import Guard
from pipelines.reservations.loader import PartitionLoader, state_apart
from pipelines.reservations.metrics import RECORDS, STEP_SECONDS
from pipelines.reservations.outgoing import RawRecord
from pipelines.reservations.partition import Partition
from pipelines.reservations.seat_locks import SeatLocks
from pipelines.reservations.snapshot_store import SnapshotStore
from pipelines.reservations.ticker import Ticker
from schemas.codec import Codec
from schemas.ids import EventId
from schemas.topics import COMMANDS
from sinks.kafka_transaction import KafkaTransactions

GROUP = "circle.reservations"
TICK_TIMEOUT_MS = 10_000  # after this time a tick is given up and written again

log = Log("reservations")


class Owner(Protocol):
    """Keeps the partitions of this process, and loads their states."""

    partitions: dict[int, Partition]

    def states_of(self, events: Mapping[EventId, int], firsts: Mapping[int, int]) -> dict[EventId, EventState]:
        """The states of a batch's events, by id. `events` has the partition of each, `firsts` the batch's first offset
        on each partition."""


class Claims(Protocol):
    """Claims the places that a batch grants, or lets it be decided again."""

    def claim(self, batch: Batch) -> Batch:
        """The batch, ready for the commit."""


@dataclass(frozen=True, slots=True)
class ReservationsDeps:
    """What the dataflow is built from. `circle replay shadow` builds it with another source and another sink."""

    source: DynamicSource[list[Message]]
    codec: Codec
    loader: Owner
    guard: Claims
    sink: DynamicSink[Batch]


def build(deps: ReservationsDeps) -> Dataflow:
    """The dataflow, one operator a line."""
    flow = Dataflow("reservations")
    polled = op.input("poll", flow, deps.source)
    placed = op.map("place", polled, lambda messages: place(messages, deps))
    decided = op.map("decide", placed, lambda batch: decide(batch, deps))
    guarded = op.map("guard", decided, lambda batch: guard(batch, deps))
    op.output("commit", guarded, deps.sink)
    return flow


def run(settings: Settings, *, stop: StopFlag | None = None) -> int:
    """Run until a stop is requested or an error ends the flow. Returns the process's exit code."""
    stop = stop or StopFlag().install()
    database = Database(settings.postgres_url)
    locks = SeatLocks(settings.redis_url, stop_requested=lambda: stop.requested)
    with closing(database), closing(locks):
        return execute(build(wire(settings, stop, database, locks)), log)


def wire(settings: Settings, stop: StopFlag, database: Database, locks: SeatLocks) -> ReservationsDeps:
    """Connect everything that the dataflow needs."""
    codec, gate = codec_of(settings), Gate()
    store = SnapshotStore(database, stop_requested=lambda: stop.requested)
    partitions: dict[int, Partition] = {}
    guard = Guard(locks, settings, partitions, partial(state_apart, store))
    fenced = "no-fence" not in settings.test_switches
    name = f"circle-reservations-{settings.instance}"
    loader = PartitionLoader(
        partitions=partitions,
        store=store,
        codec=codec,
        installer=guard,
        facts_reader=lambda: consumer(settings, group=None, **{"enable.partition.eof": True}),
        transactional_id=name if fenced else "",
        end_transactions=lambda former: end_transactions(settings, former),
        in_place=CommandPlaces(settings).in_place,
    )
    client = consumer(settings, group=GROUP)
    facts = transactional_producer(settings, name) if fenced else producer(settings)
    transactions = KafkaTransactions(facts, client, fenced=fenced)
    ticker = Ticker(lambda: producer(settings, **{"delivery.timeout.ms": TICK_TIMEOUT_MS}), codec, partitions)

    def before_poll() -> None:
        ticker.tick()
        guard.look_after()

    source = BatchSource(
        client,
        topic=COMMANDS,
        owner=loader,
        gate=gate,
        stop=stop,
        pace=Pace.of(settings),
        before_poll=before_poll,
        on_assigned=lambda partitions: signal_ready(f"partitions {partitions}"),
    )
    return ReservationsDeps(
        source=source,
        codec=codec,
        loader=loader,
        guard=guard,
        sink=DecisionSink(transactions, codec, gate=gate, after_commit=guard.tell),
    )


def place(messages: list[Message], deps: ReservationsDeps) -> Batch:
    """A poll's records as a batch: decoded, each with its log time."""
    RECORDS.observe(len(messages))
    with STEP_SECONDS["place"].time():
        batch = Batch(records_of(messages), messages)
        batch.place(deps.codec, deps.loader.partitions)
    if (tracer := tracing.active()) is not None:
        batch.spans = DecisionSpans.begin(tracer, batch)
    return batch


def records_of(messages: list[Message]) -> list[RawRecord]:
    """The client's records as ours.

    Each header is an object of its own, and few are needed. They are chosen here, while the processor's cache has them.
    """
    fields = {
        "partition": map(Message.partition, messages),
        "offset": map(Message.offset, messages),
        "timestamp_ms": map(itemgetter(1), map(Message.timestamp, messages)),
        "key": map(Message.key, messages),
        "value": map(Message.value, messages),
        "headers": map(passed_on, map(Message.headers, messages)),  # type: ignore[arg-type]
    }
    columns = [fields[name] for name in RawRecord.__struct_fields__]
    return list(map(RawRecord, *columns))


def decide(batch: Batch, deps: ReservationsDeps) -> Batch:
    """The batch with the facts of each command."""
    with STEP_SECONDS["decide"].time():
        batch.decide(deps.loader.states_of(batch.events(), batch.first_offsets))
    return batch


def guard(batch: Batch, deps: ReservationsDeps) -> Batch:
    """The batch with its places claimed, decided again where a place was not free."""
    with STEP_SECONDS["guard"].time():
        return deps.guard.claim(batch)
