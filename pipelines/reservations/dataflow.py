"""The reservations dataflow: tickets.commands to tickets.facts, exactly once per position.

One poll is one batch is one transaction. Read, place, decide, guard, commit and tell: an operator a line. Any error
that is not understood ends the process; it starts again, loads its state, and goes on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.testing import run_main
from confluent_kafka import Message, Producer

from connectors.errors import CircleError
from connectors.kafka import BatchSource, Gate, StopFlag, consumer, producer, transactional_producer
from connectors.logs import Log
from connectors.partition_loader import PartitionLoader
from connectors.postgres import Database, SnapshotStore, Stopped
from connectors.readiness import signal_ready
from connectors.seat_locks import SeatLocks, claim_text
from connectors.settings import Settings
from pipelines.reservations.batch import Batch, Headers, RawRecord, availability, availability_of, rfc3339
from pipelines.reservations.partition import Claims, Group, Partition, live_claims
from pipelines.reservations.state import EventState
from schemas.codec import Codec
from schemas.commands import Tick
from schemas.replies import encode_replies
from schemas.topics import COMMANDS
from sinks.decisions import DecisionSink
from sinks.kafka_transaction import KafkaTransactions

GROUP = "circle-reservations"
GUARD_TRIES = 8  # foreign locks that keep changing between decision and claim; each try knows the last change
TICKS_PER_POLL_MAX = 500
SENTINEL_S = 1.0  # how often a worker looks whether Redis still has what it installed

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


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean stop. Raises CircleError for what a person must know."""
    stop = StopFlag().install()
    deps = wire(settings, stop)
    try:
        run_main(build(deps))  # type: ignore[no-untyped-call]
    except BytewaxRuntimeError as error:
        raise _cause(error) from error
    except Stopped:
        return 0
    log.info("stopped", group=GROUP)
    return 0


def wire(settings: Settings, stop: StopFlag) -> Deps:
    """Connect everything that the dataflow needs."""
    codec, gate = Codec(), Gate()
    store = SnapshotStore(Database(settings.postgres_url), stop_requested=lambda: stop.requested)
    guard = Guard(SeatLocks(settings.redis_url), settings)
    loader = PartitionLoader(
        store=store,
        codec=codec,
        installer=guard,
        facts_reader=lambda: consumer(settings, group=None, **{"enable.partition.eof": True}),
    )
    guard.partitions = loader.partitions
    client = consumer(settings, group=GROUP)
    transactions = KafkaTransactions(
        transactional_producer(settings, f"circle-reservations-{settings.instance}"),
        client,
        fenced="no-fence" not in settings.test_switches,
    )
    ticker = Ticker(producer(settings), codec, loader.partitions)

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


class Guard:
    """The Redis side of a batch: claims before the commit, counters and replies after it."""

    def __init__(self, locks: SeatLocks, settings: Settings) -> None:
        self._locks = locks
        self._blind = "no-lock" in settings.test_switches
        self._sentinel = f"circle:worker:{settings.instance}"
        self._looked = 0.0
        self._versions: dict[str, str] = {}
        self._foreign: dict[str, set[str]] = {}
        self.partitions: dict[int, Partition] = {}

    def install(self, partition: Partition, states: list[EventState]) -> None:
        """Put the live claims of `states` into Redis under the partition's epoch."""
        if not states:
            return
        epochs = {state.event_id: partition.epoch for state in states}
        found = self._locks.install(epochs, {state.event_id: self._claims_of(partition, state) for state in states})
        for event_id, locks in found.items():
            self._versions[event_id], self._foreign[event_id] = locks
        self._locks.publish(epochs, {state.event_id: availability_of(state) for state in states if state.sections}, [])

    def claim(self, batch: Batch) -> Batch:
        """Claim what the batch grants; decide an event again when a foreign owner holds what its decision granted."""
        groups = [group for group in batch.groups if group.state.details is not None]
        open_groups = [group for group in groups if group.claims or group.asks_for_seats]
        for group in open_groups:
            foreign = self._foreign.get(group.state.event_id)
            if foreign is not None and foreign != group.state.locked_places and not self._blind:
                group.decide(foreign)
        for _ in range(GUARD_TRIES):
            missed = self._locks.claim(
                {group.state.event_id: self._owner(group).epoch for group in open_groups},
                {group.state.event_id: self._versions.get(group.state.event_id, "0") for group in open_groups},
                {group.state.event_id: self._changes(group) for group in open_groups},
            )
            open_groups = [group for group in open_groups if group.state.event_id in missed]
            if not open_groups:
                return batch
            for group in open_groups:
                event_id = group.state.event_id
                locks = missed[event_id]
                if locks is None:
                    group.state.take_back()
                    self.install(self._owner(group), [group.state])
                    log.warning("claims.installed_again", event=event_id)
                else:
                    self._versions[event_id], self._foreign[event_id] = locks
                group.decide(group.state.locked_places if self._blind else self._foreign[event_id])
        raise CircleError(
            f"event {open_groups[0].state.event_id}: its foreign locks changed {GUARD_TRIES} times in a row"
        )

    def tell(self, batch: Batch) -> None:
        """After the commit: counters, replies, deadlines. An event that is new becomes known to Redis here."""
        for group in batch.groups:
            if group.state.details is not None and group.state.event_id not in self._versions:
                self.install(self._owner(group), [group.state])
        messages = [(channel, encode_replies(replies)) for channel, replies in batch.replies().items()]
        epochs = {group.state.event_id: self._owner(group).epoch for group in batch.groups}
        self._locks.publish(epochs, availability(batch.groups), messages)
        for group in batch.groups:
            self._owner(group).settle([group])

    def look_after(self) -> None:
        """Once in SENTINEL_S: when Redis has lost everything, install all events again."""
        now = time.monotonic()
        if now - self._looked < SENTINEL_S:
            return
        first, self._looked = self._looked == 0.0, now
        if not self._locks.present(self._sentinel, 3600) and not first:
            for partition in self.partitions.values():
                self.install(partition, list(partition.states.values()))
            log.warning("claims.installed_all", reason="Redis had lost them")

    def _owner(self, group: Group) -> Partition:
        return self.partitions[group.placed[0].at.partition]

    def _changes(self, group: Group) -> dict[str, str]:
        return self._texts(group.claims, group.state, self._owner(group).epoch)

    def _claims_of(self, partition: Partition, state: EventState) -> dict[str, str]:
        return self._texts(live_claims(state), state, partition.epoch)

    def _texts(self, claims: Claims, state: EventState, epoch: int) -> dict[str, str]:
        """Claims as Redis has them; "" where one ends."""
        texts = {}
        for place, claim in claims.items():
            if claim is None:
                texts[place] = ""
            else:
                reservation = state.reservations[claim[1]]
                texts[place] = claim_text(*claim, reservation.expires_at, epoch, reservation.offset)
        return texts


class Ticker:
    """Writes a tick to the partition of each event whose hold is due while its partition says nothing."""

    def __init__(self, ticks: Producer, codec: Codec, partitions: dict[int, Partition]) -> None:
        self._ticks, self._codec, self._partitions = ticks, codec, partitions

    def tick(self) -> None:
        """Write what is due by this machine's clock; whether it is due is decided by log time, when it is read."""
        now_us = time.time_ns() // 1000
        for number, partition in self._partitions.items():
            for event_id in partition.due_events(now_us, TICKS_PER_POLL_MAX):
                command_id = f"tick-{number}-{now_us}"
                headers: Headers = [("ce_id", command_id), ("ce_type", "Tick"), ("ce_time", rfc3339(now_us))]
                self._ticks.produce(
                    COMMANDS,
                    self._codec.encode(Tick(event_id, "", command_id)),
                    event_id.encode(),
                    number,
                    headers=headers,
                )
        self._ticks.poll(0)


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
    batch.decide(deps.loader.state_of)
    return batch


def _cause(error: BytewaxRuntimeError) -> BaseException:
    """What ended the dataflow: Bytewax wraps it several times over."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return cause
