"""Kafka clients with our settings, and the source that turns a consumer group into batches for a dataflow.

Guarantee of `BatchSource`: one poll is one batch is one item, and at most one is in flight. The next poll happens after
the sink has called `gate.done()`. So a rebalance, whose callbacks run inside the poll, never finds work half done.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from bytewax.inputs import DynamicSource, StatelessSourcePartition
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from connectors.errors import CircleError, ServiceUnreachable
from connectors.kafka_clients import ask_for_brokers, new_admin, new_consumer, new_producer, right_missing
from connectors.logs import Log
from connectors.metrics import PARTITIONS_OWNED, REBALANCES
from connectors.settings import Settings
from schemas.ids import MS_PER_S

HEARTBEAT_MS = 1_000
MAX_POLL_INTERVAL_MS = 120_000  # loading a partition of a million facts happens inside one poll
TRANSACTION_TIMEOUT_MS = 10_000  # how long a dead worker's open transaction can hide what others commit after it
# A broker whose machine is gone closes no connection. After this time the client asks the partition's new leader; with
# librdkafka's default of a minute the partition would stand still for as long.
SOCKET_TIMEOUT_MS = TRANSACTION_TIMEOUT_MS
LINGER_MS = 1
RETRY_MS, RETRY_MAX_MS = 2, 20  # of a transactional producer; a broker that is down is retried fifty times a second
FETCH_WAIT_MS = 25  # of readers without a group: so soon they learn that they are at the end of the log
QUEUE_BACKOFF_MS = 20  # after a full queue the client looks again; its default of a second would let the queue run dry
POLL_S = 0.05  # how long a quiet source waits in one poll; a stop or a due tick waits no longer than this
BATCH_RECORDS_MAX = 2_000  # 500 to 2,000 records cost 20 µs each; more only adds latency
# At 2,500 records a second batches of 50 ms took 0.93 times the CPU of those of 25 ms. The rate decides, not the last
# batch: a process that was held up for a moment goes back to short batches.
DENSE_PER_S = 2_000
READERS = "circle.reader."  # and the instance: a group id for consumers that read partitions without a group
METADATA_TIMEOUT_S = 10.0
# A dead predecessor's open transaction hides committed offsets until the broker aborts it. The broker looks for such
# transactions only now and then. A new owner must wait longer than that, or it dies.
COMMITTED_TIMEOUT_S = 2.5 * TRANSACTION_TIMEOUT_MS / MS_PER_S

log = Log("kafka")


class OffsetOutOfRange(CircleError):
    """The log no longer has the position to go on from: an alarm, never a silent jump."""


class StopFlag:
    """Set by SIGTERM and SIGINT; a source that sees it ends its dataflow, which drains and exits 0."""

    def __init__(self) -> None:
        self.requested = False

    def install(self) -> StopFlag:
        """Take over both signals of this process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)
        return self

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True


class Gate:
    """Whether a batch is in flight. The source closes the gate, the sink opens it again after its commit."""

    def __init__(self) -> None:
        self.in_flight = False

    def done(self) -> None:
        """The batch is committed; the source may poll again."""
        self.in_flight = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """A source takes a batch `batch_s` seconds after it took the last one, or as soon as `records` wait.

    A batch has a cost of its own, so under load the records of a moment share it. Above DENSE_PER_S `batch_s` is twice
    as long. A record that comes later than that after the last batch is taken at once. The default waits for nothing.
    """

    batch_s: float = 0.0
    records: int = BATCH_RECORDS_MAX

    def after(self, records: int, seconds: float) -> float:
        """Seconds until the next batch, after one with so many records that came within so many seconds."""
        return self.batch_s * (2 if records > DENSE_PER_S * seconds else 1)

    @classmethod
    def of(cls, settings: Settings) -> Pace:
        """The pace of the dataflows: CIRCLE_BATCH_PACE_MS and CIRCLE_BATCH_PACE_RECORDS."""
        return cls(batch_s=settings.batch_pace_ms / MS_PER_S, records=settings.batch_pace_records)


class PartitionOwner(Protocol):
    """Keeps state for the partitions of a source. Both calls happen inside a poll, with nothing in flight."""

    def assigned(self, consumer: Consumer, partitions: list[int]) -> Mapping[int, int | None]:
        """Load these partitions. Returns the start offset of each; None is the beginning of the log."""

    def revoked(self, partitions: list[int]) -> None:
        """Release these partitions: another process may own them from now on."""


class CommittedOffsets:
    """An owner without state: go on from the group's committed offset."""

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def assigned(self, consumer: Consumer, partitions: list[int]) -> Mapping[int, int | None]:
        return committed_offsets(consumer, self._topic, partitions)

    def revoked(self, partitions: list[int]) -> None:
        pass


def client_config(settings: Settings) -> dict[str, Any]:
    """The configuration that all our clients share, without addresses and credentials."""
    return {
        "client.id": settings.instance,
        "allow.auto.create.topics": False,
        "socket.keepalive.enable": True,
        "socket.timeout.ms": SOCKET_TIMEOUT_MS,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
    }


def admin(settings: Settings) -> AdminClient:
    """An admin client."""
    return new_admin(settings, client_config(settings))


def consumer(settings: Settings, *, group: str | None, **overrides: object) -> Consumer:
    """A consumer of committed records, with manual commits and no silent offset resets."""
    config = client_config(settings) | {
        "group.id": group or f"{READERS}{settings.instance}",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "session.timeout.ms": settings.session_timeout_ms,
        "heartbeat.interval.ms": min(HEARTBEAT_MS, settings.session_timeout_ms // 3),
        "max.poll.interval.ms": max(MAX_POLL_INTERVAL_MS, settings.session_timeout_ms),
        "fetch.wait.max.ms": FETCH_WAIT_MS if group is None else settings.kafka_fetch_wait_ms,
        "queued.min.messages": 20_000,
        "fetch.queue.backoff.ms": QUEUE_BACKOFF_MS,
        **overrides,
    }
    return new_consumer(settings, config)


def producer(settings: Settings, **overrides: object) -> Producer:
    """An idempotent producer that asks for all acknowledgements and places keys as Java's clients do."""
    config = client_config(settings) | {
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2",
        "linger.ms": LINGER_MS,
        "compression.type": "lz4",
        **overrides,
    }
    return new_producer(settings, config)


def transactional_producer(settings: Settings, transactional_id: str, **overrides: object) -> Producer:
    """A transactional producer. A successor with the same id fences it. Call `init_transactions` before use."""
    return producer(
        settings,
        **{
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            "queue.buffering.max.messages": 1_000_000,
            # A broker that still writes the end of the last transaction refuses the next one. librdkafka's default
            # of 100 ms is then most of a transaction's time.
            "retry.backoff.ms": RETRY_MS,
            "retry.backoff.max.ms": RETRY_MAX_MS,
            **overrides,
        },
    )


def check_reachable(settings: Settings, timeout_s: float) -> None:
    """Raises ServiceUnreachable when no broker answers in time, AccessRefused when the brokers refuse us."""
    ask_for_brokers(settings, timeout_s)


def end_transactions(settings: Settings, transactional_id: str) -> None:
    """Abort the open transaction of a dead process with this id: it hides later commits of others. Fence a live one.

    Raises ServiceUnreachable when the broker does not answer.
    """
    try:
        transactional_producer(settings, transactional_id).init_transactions(METADATA_TIMEOUT_S)
    except KafkaException as error:
        if (refused := right_missing(error.args[0], transactional_id)) is not None:
            raise refused from None
        raise ServiceUnreachable("Kafka", transactional_id, f"its open transaction cannot be ended: {error}") from error


def committed_offsets(client: Consumer, topic: str, partitions: list[int]) -> dict[int, int | None]:
    """The group's next offset of each partition, None where it has never committed.

    Raises ServiceUnreachable when the broker does not answer in COMMITTED_TIMEOUT_S.
    """
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    try:
        positions = client.committed(wanted, timeout=COMMITTED_TIMEOUT_S)
    except KafkaException as error:
        if (refused := right_missing(error.args[0], f"of the readers of {topic}")) is not None:
            raise refused from None
        raise ServiceUnreachable("Kafka", topic, f"committed offsets: {error}") from error
    for entry in positions:
        if entry.error is not None:
            raise ServiceUnreachable("Kafka", f"{topic}[{entry.partition}]", f"committed offset: {entry.error}")
    return {entry.partition: entry.offset if entry.offset >= 0 else None for entry in positions}


def partition_count(client: Consumer, topic: str) -> int:
    """How many partitions the topic has. Raises ServiceUnreachable when the broker does not say."""
    try:
        metadata = client.list_topics(topic, timeout=METADATA_TIMEOUT_S).topics[topic]
    except KafkaException as error:
        raise ServiceUnreachable("Kafka", topic, f"partitions: {error}") from error
    if metadata.error is not None and (refused := right_missing(metadata.error, topic)) is not None:
        raise refused
    if metadata.error is not None or not metadata.partitions:
        raise ServiceUnreachable("Kafka", topic, f"partitions: {metadata.error or 'none'}")
    return len(metadata.partitions)


class BatchSource(DynamicSource[list[Message]]):
    """Emits the records of a consumer group in batches, all partitions together, each in offset order."""

    def __init__(
        self,
        client: Consumer,
        *,
        topic: str,
        owner: PartitionOwner,
        gate: Gate,
        stop: StopFlag,
        batch_records_max: int = BATCH_RECORDS_MAX,
        pace: Pace = Pace(),
        poll_s: float = POLL_S,
        before_poll: Callable[[], None] | None = None,
        on_assigned: Callable[[list[int]], None] | None = None,
    ) -> None:
        self.client, self.topic, self.owner, self.gate, self.stop = client, topic, owner, gate, stop
        self.batch_records_max, self.pace, self.poll_s = batch_records_max, pace, poll_s
        self.before_poll, self.on_assigned = before_poll, on_assigned

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _BatchPartition:
        """One partition on worker 0. Scale by processes: threads share the interpreter's lock."""
        if worker_count != 1:
            raise CircleError(f"{step_id}: run one worker in a process, not {worker_count}; start more processes")
        return _BatchPartition(self)


class _BatchPartition(StatelessSourcePartition[list[Message]]):
    def __init__(self, source: BatchSource) -> None:
        self._source = source
        self._closing = False
        self._taken_at = self._next_batch_at = 0.0
        self._rebalances = 0
        self._starts: list[TopicPartition] = []
        source.client.subscribe([source.topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke)

    def next_batch(self) -> list[list[Message]]:
        source = self._source
        if source.gate.in_flight:
            return []
        if source.stop.requested:
            raise StopIteration
        if source.before_poll is not None:
            source.before_poll()
        batch = [record for record in self._take() if not _is_error(record)]
        if not batch:
            return []
        source.gate.in_flight = True
        return [batch]

    def _take(self) -> list[Message]:
        """The records of the next batch, errors among them. All are of one assignment.

        A rebalance may come in the middle. Then the records so far may be another process's, or come again. So all are
        dropped, and those of the partitions that are ours now are read again.
        """
        source, client = self._source, self._source.client
        first = client.poll(source.poll_s)
        if first is None:
            return []
        rebalances, records = self._rebalances, [first]
        wait_s = self._next_batch_at - time.monotonic()
        wanted = min(source.pace.records, source.batch_records_max)
        if wait_s > 0 and wanted > 1:
            records += client.consume(wanted - 1, wait_s)
        if len(records) < source.batch_records_max:
            records += client.consume(source.batch_records_max - len(records), 0)
        if self._rebalances != rebalances:
            log.info("batch.dropped", topic=source.topic, records=len(records), why="rebalance")
            if self._starts:
                client.assign(self._starts)
            return []
        now = time.monotonic()
        self._next_batch_at = now + source.pace.after(len(records), now - self._taken_at)
        self._taken_at = now
        return records

    def close(self) -> None:
        self._closing = True  # closing the client may still bring an assignment that no poll has seen
        self._source.client.close()

    def _assign(self, client: Consumer, assigned: list[TopicPartition]) -> None:
        source = self._source
        if self._closing:
            return
        partitions = sorted(entry.partition for entry in assigned)
        started = time.monotonic()
        starts = source.owner.assigned(client, partitions) if partitions else {}
        self._rebalances += 1
        REBALANCES.labels(source.topic, "assigned").inc()
        PARTITIONS_OWNED.labels(source.topic).set(len(partitions))
        self._starts = [
            TopicPartition(source.topic, partition, OFFSET_BEGINNING if start is None else start)
            for partition, start in starts.items()
        ]
        client.assign(self._starts)
        log.info(
            "partitions.assigned",
            topic=source.topic,
            partitions=partitions,
            starts=[starts[partition] for partition in partitions],
            seconds=round(time.monotonic() - started, 3),
        )
        if source.on_assigned is not None:
            source.on_assigned(partitions)

    def _revoke(self, _client: Consumer, revoked: list[TopicPartition]) -> None:
        partitions = sorted(entry.partition for entry in revoked)
        self._rebalances += 1
        self._starts = []
        REBALANCES.labels(self._source.topic, "revoked").inc()
        PARTITIONS_OWNED.labels(self._source.topic).set(0)
        log.info("partitions.revoked", topic=self._source.topic, partitions=partitions)
        self._source.owner.revoked(partitions)


def _is_error(record: Message) -> bool:
    """Whether `record` is an error report of the client. A passing error is logged, a lasting one is raised."""
    error = record.error()
    if error is None:
        return False
    place = f"{record.topic()}[{record.partition()}]"
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        raise OffsetOutOfRange(f"{place}: the position to go on from is not on the log any more: {error}")
    if (refused := right_missing(error, record.topic() or "")) is not None:
        raise refused
    if error.fatal() or not error.retriable():
        code = error.code()
        if code not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._PARTITION_EOF):
            raise KafkaException(error)
    log.warning("consumer.trouble", topic=place, error=str(error))
    return True
