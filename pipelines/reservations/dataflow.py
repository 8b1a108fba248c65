"""The reservations dataflow: tickets.commands to tickets.facts, exactly once per position.

One poll is one batch is one transaction. Read, place, decide, guard, commit and tell: an operator a line. Any error
that is not understood ends the process; it starts again, loads its state, and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from confluent_kafka import Message

from connectors.execution import execute
from connectors.guard import Guard
from connectors.kafka import (
    BatchSource,
    Gate,
    StopFlag,
    consumer,
    end_transactions,
    producer,
    transactional_producer,
)
from connectors.logs import Log
from connectors.partition_loader import PartitionLoader
from connectors.postgres import Database, SnapshotStore
from connectors.readiness import signal_ready
from connectors.seat_locks import SeatLocks
from connectors.settings import Settings
from pipelines.reservations.batch import Batch, RawRecord
from schemas.codec import Codec
from schemas.topics import COMMANDS
from sinks.decisions import DecisionSink
from sinks.kafka_transaction import KafkaTransactions
from sinks.ticks import Ticker

GROUP = "circle.reservations"
TICK_TIMEOUT_MS = 10_000  # a tick that is not on the log by then is given up, and written anew

log = Log("reservations")


@dataclass(frozen=True, slots=True)
class Deps:
    """What the dataflow is built from."""

    source: BatchSource
    codec: Codec
    loader: PartitionLoader
    guard: Guard
    sink: DecisionSink


def build(deps: Deps) -> Dataflow:
    """The dataflow as the design draws it."""
    flow = Dataflow("reservations")
    polled = op.input("poll", flow, deps.source)
    placed = op.map("place", polled, lambda messages: _place(messages, deps))
    decided = op.map("decide", placed, lambda batch: _decide(batch, deps))
    guarded = op.map("guard", decided, deps.guard.claim)
    op.output("commit", guarded, deps.sink)
    return flow


def run(settings: Settings, *, stop: StopFlag | None = None) -> int:
    """Run until told to stop or until an error ends it. Returns the process's exit code."""
    return execute(build(wire(settings, stop or StopFlag().install())), log)


def wire(settings: Settings, stop: StopFlag) -> Deps:
    """Connect everything that the dataflow needs."""
    codec, gate = Codec(), Gate()
    store = SnapshotStore(Database(settings.postgres_url), stop_requested=lambda: stop.requested)
    guard = Guard(SeatLocks(settings.redis_url), settings)
    fenced = "no-fence" not in settings.test_switches
    name = f"circle-reservations-{settings.instance}"
    loader = PartitionLoader(
        store=store,
        codec=codec,
        installer=guard,
        facts_reader=lambda: consumer(settings, group=None, **{"enable.partition.eof": True}),
        transactional_id=name if fenced else "",
        end_transactions=lambda former: end_transactions(settings, former),
    )
    guard.partitions, guard.state_apart = loader.partitions, loader.state_apart
    client = consumer(settings, group=GROUP)
    facts = transactional_producer(settings, name) if fenced else producer(settings)
    transactions = KafkaTransactions(facts, client, fenced=fenced)
    ticker = Ticker(lambda: producer(settings, **{"delivery.timeout.ms": TICK_TIMEOUT_MS}), codec, loader.partitions)

    def before_poll() -> None:
        ticker.tick()
        guard.look_after()

    source = BatchSource(
        client,
        topic=COMMANDS,
        owner=loader,
        gate=gate,
        stop=stop,
        before_poll=before_poll,
        on_assigned=lambda partitions: signal_ready(f"partitions {partitions}"),
    )
    return Deps(source, codec, loader, guard, DecisionSink(transactions, codec, gate=gate, after_commit=guard.tell))


def _place(messages: list[Message], deps: Deps) -> Batch:
    batch = Batch([_raw(message) for message in messages], messages)
    batch.place(deps.codec, deps.loader.partitions)
    return batch


def _raw(message: Message) -> RawRecord:
    return RawRecord(
        message.partition(),  # type: ignore[arg-type]
        message.offset(),  # type: ignore[arg-type]
        message.timestamp()[1],
        message.key(),
        message.value(),
        message.headers(),  # type: ignore[arg-type]
    )


def _decide(batch: Batch, deps: Deps) -> Batch:
    deps.loader.begins({record.partition: record.offset for record in reversed(batch.records)})
    batch.decide(deps.loader.state_of)
    return batch
