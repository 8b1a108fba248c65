"""Connects the reservations dataflow to Kafka, PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from bytewax.inputs import DynamicSource
from bytewax.outputs import DynamicSink
from confluent_kafka import Message

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
from connectors.postgres import Database
from connectors.readiness import signal_ready
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from pipelines.command_places import CommandPlaces
from pipelines.reservations.batch import Batch
from pipelines.reservations.core.state import EventState
from pipelines.reservations.decision_sink import DecisionSink
from pipelines.reservations.guard import Guard
from pipelines.reservations.loader import PartitionLoader, state_apart
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
