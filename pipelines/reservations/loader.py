"""Loads the partitions of the reservations dataflow from the group's offset, Postgres' rows, and the facts after them.

Guarantee: when `assigned` returns, every partition has a new ownership epoch, its log time, and the deadlines of its
events. It has the states of all events with facts that Postgres does not have yet. The offset to go on from is right
behind the last decided command. If facts and committed offset then disagree, the process ends. An event with a fact
that cannot be folded is set aside: its commands are refused until a build that can fold it loads it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.errors import CircleError, ServiceUnreachable
from connectors.kafka import TRANSACTION_TIMEOUT_MS, committed_offsets, partition_count
from connectors.logs import Log
from pipelines.reservations.core.evolve import DEFECTS, fold
from pipelines.reservations.core.state import NOW, At, EventState
from pipelines.reservations.partition import Partition
from pipelines.reservations.snapshot import state_from
from pipelines.reservations.snapshot_rows import EventSnapshot
from pipelines.reservations.snapshot_store import SnapshotStore
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.ids import MS_PER_S, EventId, LogTime
from schemas.topics import COMMANDS, FACTS

FACTS_WAIT_S = (
    2 * TRANSACTION_TIMEOUT_MS / MS_PER_S
)  # a dead predecessor's open transaction hides facts at most this long
READ_S = 0.2

log = Log("loader")


class LogDisagrees(CircleError):
    """Facts, rows and committed offset contradict each other: no decision may be based on them."""


class Installer(Protocol):
    """Puts events' live claims into Redis under their partition's epoch."""

    def install(self, partition: Partition, states: list[EventState]) -> None:
        """Raises Fenced when a newer owner is there."""

    def distrust(self, partition: Partition) -> None:
        """Install all events of the partition again, also those that no command meets."""


class PartitionLoader:
    """Owns the partitions of this process: only it adds to `partitions` and removes from it."""

    def __init__(
        self,
        *,
        partitions: dict[int, Partition],
        store: SnapshotStore,
        codec: Codec,
        installer: Installer,
        facts_reader: Callable[[], Consumer],
        transactional_id: str,
        end_transactions: Callable[[str], None],
        in_place: Callable[[int, object], object],
    ) -> None:
        self._store, self._codec, self._installer, self._facts_reader = store, codec, installer, facts_reader
        self._transactional_id, self._end_transactions = transactional_id, end_transactions
        self._in_place = in_place
        self.partitions = partitions
        self._count: int | None = None

    def assigned(self, consumer: Consumer, partitions: list[int]) -> Mapping[int, int | None]:
        """Load `partitions`. Returns the offset to go on from in each.

        A former owner that did not give a partition back may have died inside a transaction. An open transaction hides
        later decisions from committed readers, so it is ended here, before the first read.
        """
        taken = {number: self._store.raise_epoch(number, self._transactional_id) for number in partitions}
        for former in sorted({owner for _, owner in taken.values()} - {"", self._transactional_id}):
            log.warning("predecessor.fenced", transactional_id=former)
            self._end_transactions(former)
        committed = committed_offsets(consumer, COMMANDS, partitions)
        self._count = partition_count(consumer, COMMANDS)
        starts = {number: self._load(number, taken[number][0], committed[number]) for number in partitions}
        _accept(consumer, starts, committed)
        for number, (_, former) in taken.items():
            if former:  # it may have died after a commit, before it showed what had changed
                self._installer.distrust(self.partitions[number])
        return starts

    def revoked(self, partitions: list[int]) -> None:
        """Forget `partitions`."""
        for number in partitions:
            partition = self.partitions.pop(number, None)
            if partition is not None:
                self._give_back(partition)

    def _give_back(self, partition: Partition) -> None:
        try:
            self._store.give_back(partition.number, partition.epoch)
        except ServiceUnreachable as error:  # then the next owner fences this process, which starts again
            log.warning("partition.not_given_back", partition=partition.number, error=str(error))

    def states_of(self, events: Mapping[EventId, int], firsts: Mapping[int, int]) -> dict[EventId, EventState]:
        """The states of a batch's events, by id. An event is loaded at its first command.

        `events` has the partition of each event, `firsts` the batch's first offset on each partition. Raises
        LogDisagrees if the rows already have facts of this batch. Then a broker that shows aborted records has shown a
        predecessor's decisions after this partition was loaded. The process starts again and accepts them as decided.
        """
        states = {}
        for event_id, number in events.items():
            partition = self.partitions[number]
            state = partition.states.get(event_id)
            if state is None:
                state = partition.states[event_id] = self._first_met(partition, event_id, firsts)
            states[event_id] = state
        return states

    def _first_met(self, partition: Partition, event_id: EventId, firsts: Mapping[int, int]) -> EventState:
        if event_id not in partition.known_events:
            return EventState(event_id)  # Redis gets it with its first claim
        number = partition.number
        rows = self._store.load_event(event_id, number)
        if rows.position.offset >= firsts.get(number, rows.position.offset + 1):
            raise LogDisagrees(
                f"{COMMANDS}[{number}]: to be decided from {firsts[number]}, but the rows of "
                f"{event_id} know facts to {rows.position.offset}: a predecessor's; load the partition again"
            )
        state = self._state(number, rows)
        self._installer.install(partition, [state])
        return state

    def _state(self, number: int, rows: EventSnapshot) -> EventState:
        """The event's state at the rows' position: from the rows, or from its facts if the rows are incomplete."""
        if not rows.incomplete:
            return _from_rows(number, rows)
        state, last = EventState(rows.event_id), (-1, -1)
        through = (rows.position.offset, rows.position.index)
        log.warning(
            "event.folded", partition=number, event=rows.event_id, why="facts of it were set aside, so it lacks rows"
        )
        for record in self._facts(number, 0, through[0], -1):
            envelope = record.envelope
            place = (envelope.offset, envelope.index)
            if envelope.event_id == rows.event_id and last < place <= through:
                last = place
                _fold(state, record, number)
        return state

    def _load(self, number: int, epoch: int, committed: int | None) -> int | None:
        started = time.monotonic()
        snapshot = self._store.load_partition(number)
        position = snapshot.position
        partition = Partition(number, epoch, LogTime(position.log_time), set(snapshot.event_ids), of=self._count)
        positions: dict[str, tuple[int, int]] = {}
        decided, facts = position.offset, 0
        for record in self._facts(number, position.next_offset, (committed or 0) - 1, decided):
            envelope = record.envelope
            decided = max(decided, envelope.offset)
            partition.advance(envelope.log_time)
            state = partition.states.get(envelope.event_id)
            if state is None:
                rows = self._store.load_event(envelope.event_id, number)
                state = partition.states[envelope.event_id] = self._state(number, rows)
                positions[envelope.event_id] = (rows.position.offset, rows.position.index)
            if (envelope.offset, envelope.index) > positions[envelope.event_id]:
                positions[envelope.event_id] = (envelope.offset, envelope.index)
                _fold(state, record, number)
                facts += 1
        ahead = [event for event, at in positions.items() if at[0] > decided]
        if decided < (committed or 0) - 1 or ahead:
            raise LogDisagrees(
                f"{COMMANDS}[{number}]: the group has committed offset {committed}, but rows and facts end at {decided}"
                + (f", and Postgres is ahead for {ahead[0]}" if ahead else "")
            )
        for event_id, state in list(partition.states.items()):
            if state.details is None and not state.unfolded:
                del partition.states[event_id]
            else:
                partition.known_events.add(event_id)
                # The last step may not have offered all free places, so a waiting list gets a tick at once.
                partition.watch(event_id, NOW if state.waiting_of else state.next_deadline())
        for deadline in snapshot.deadlines:
            if deadline.event_id not in partition.states:
                partition.watch(deadline.event_id, deadline.time)
        self.partitions[number] = partition
        self._installer.install(partition, list(partition.states.values()))
        log.info(
            "partition.loaded",
            partition=number,
            epoch=epoch,
            committed=committed,
            decided=decided,
            events=len(partition.states),
            facts=facts,
            seconds=round(time.monotonic() - started, 3),
        )
        return max(committed or 0, decided + 1) or None

    def _facts(self, number: int, start: int | None, wanted: int, decided: int) -> Iterator[RecordedFact]:
        """The facts of complete commands from `start` to the end of the log. Waits until command `wanted` is there."""
        if start is None and wanted < 0 and decided < 0:
            start = 0
        reader = self._facts_reader()
        try:
            reader.assign([TopicPartition(FACTS, number, start or 0)])
            deadline = time.monotonic() + FACTS_WAIT_S
            pending: list[RecordedFact] = []
            while True:
                message = reader.poll(READ_S)
                if message is None or message.error() is not None:
                    error = None if message is None else message.error()
                    if error is not None and error.code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(error)
                    if (error is not None and decided >= wanted) or time.monotonic() > deadline:
                        return
                    continue
                deadline = time.monotonic() + FACTS_WAIT_S  # to read many facts may take longer than that
                record = self._in_place(number, self._codec.decode(message.value()))
                if not isinstance(record, RecordedFact):
                    continue  # the projections make it a dead letter; the position check finds a gap
                if pending and pending[-1].envelope.offset != record.envelope.offset:
                    pending = []  # the start of a command from an aborted batch, on a weak broker
                pending.append(record)
                if record.envelope.index == record.envelope.count - 1:
                    decided = max(decided, record.envelope.offset)
                    yield from pending
                    pending = []
        finally:
            reader.close()


def state_apart(store: SnapshotStore, number: int, event_id: EventId) -> EventState:
    """The state of an event that no batch has met yet, only for Redis. Raises ServiceUnreachable at once."""
    return _from_rows(number, store.load_event(event_id, number, patient=False))


def _accept(consumer: Consumer, starts: Mapping[int, int | None], committed: Mapping[int, int | None]) -> None:
    """Commit the offsets behind decisions that were found on the log without one.

    Only a broker that shows aborted records has such decisions. They stand, so no batch would decide them and commit:
    the group would seem to lag until the partition's next command.
    """
    behind = {number: start for number, start in starts.items() if start and start > (committed[number] or 0)}
    if not behind:
        return
    try:
        consumer.commit(offsets=[TopicPartition(COMMANDS, *place) for place in behind.items()], asynchronous=False)
    except KafkaException as error:  # the next command of the partition commits
        log.warning("decisions.not_committed", partitions=sorted(behind), error=str(error.args[0]))


def _from_rows(number: int, rows: EventSnapshot) -> EventState:
    """The event's state from its rows. If the rows make no state, the event is set aside."""
    try:
        return state_from(rows)
    except DEFECTS as error:
        state = EventState(rows.event_id, unfolded=f"its rows ({type(error).__name__})")
        _tell(number, state, error=str(error))
        return state


def _fold(state: EventState, record: RecordedFact, number: int) -> None:
    """Fold a fact. An event whose fact cannot be folded is set aside; the partition and its other events go on."""
    at = record.envelope
    before = state.unfolded
    if not fold(state, record.fact, At(number, at.offset, LogTime(at.log_time))) and not before:
        _tell(number, state, offset=at.offset, index=at.index)


def _tell(number: int, state: EventState, **where: object) -> None:
    log.error("event.set_aside", event=state.event_id, partition=number, why=state.unfolded, **where)
