"""One Kafka transaction for each batch: its records and its offsets, together or not at all.

Guarantee: after `commit` returns, committed readers see the records, and the group's offsets are behind the batch. When
`commit` raises, neither is true (on a broker with transactions), and the process must end. Its successor loads the
state again. The broker refuses a member of an old group generation, and a producer that has a successor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from connectors.errors import Fenced
from connectors.kafka import TRANSACTION_TIMEOUT_MS
from connectors.logs import Log
from connectors.watchdog import Watchdog
from schemas.ids import MS_PER_S
from sinks.metrics import CALL_SECONDS, TRANSACTION_ENDS

COMMIT_TIMEOUT_S = 10.0
COMMIT_TRIES = 4  # for passing errors (a coordinator that moves); then the process ends
INIT_TRIES = 6
# The client's send_offsets_to_transaction can wait for ever when the coordinator was away (librdkafka issue 5456).
# By then the broker has aborted the transaction, so the process ends and its successor takes the batch again.
COMMIT_LIMIT_S = 1.5 * TRANSACTION_TIMEOUT_MS / MS_PER_S

log = Log("transaction")


class Produced(Protocol):
    """A record to produce, of any type."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes: ...
    @property
    def headers(self) -> list[tuple[str, str | bytes | None]]: ...


class Outgoing(NamedTuple):
    """A record to produce."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, str | bytes | None]]


@dataclass(frozen=True, slots=True)
class Consumed:
    """The position behind a batch: the next offset of each (topic, partition)."""

    next_offsets: Mapping[tuple[str, int], int]


class KafkaTransactions:
    """Commits batches through one transactional producer, fenced by the consumer group's generation.

    `fenced=False` is a test's negative control: it commits records and offsets outside any transaction, so the broker
    cannot check the group's generation. Settings refuse it in production.
    """

    def __init__(self, producer: Producer, client: Consumer, *, fenced: bool = True) -> None:
        self._producer, self._client, self._fenced = producer, client, fenced
        self._watchdog = Watchdog("transaction", COMMIT_LIMIT_S)
        if fenced:
            _retry(lambda: producer.init_transactions(COMMIT_TIMEOUT_S), "init", INIT_TRIES)

    def commit(self, records: Iterable[Produced], consumed: Consumed) -> None:
        """Produce the records and commit the offsets in one transaction.

        Raises Fenced when a newer owner has taken over, KafkaException for every other lasting error.
        """
        offsets = [TopicPartition(topic, part, at) for (topic, part), at in consumed.next_offsets.items()]
        if not self._fenced:
            self._commit_unfenced(records, offsets)
            return
        with self._watchdog.watching():
            self._commit(records, offsets)

    def _commit(self, records: Iterable[Produced], offsets: list[TopicPartition]) -> None:
        producer = self._producer
        try:
            with CALL_SECONDS["produce"].time():
                producer.begin_transaction()
                produce = producer.produce
                for record in records:
                    try:
                        produce(record.topic, record.value, record.key, record.partition, headers=record.headers)
                    except BufferError:  # the client's queue is full
                        self._produce(record)
            with CALL_SECONDS["offsets"].time():
                _retry(
                    lambda: producer.send_offsets_to_transaction(
                        offsets, self._client.consumer_group_metadata(), COMMIT_TIMEOUT_S
                    ),
                    "offsets",
                )
            with CALL_SECONDS["commit"].time():
                _retry(lambda: producer.commit_transaction(COMMIT_TIMEOUT_S), "commit")
            TRANSACTION_ENDS["committed"].inc()
        except KafkaException as error:
            self._abort(error)
            fenced = _fenced(error)
            TRANSACTION_ENDS["failed" if fenced is None else "fenced"].inc()
            if fenced is None:
                raise
            raise fenced from error

    def _produce(self, record: Produced) -> None:
        while True:
            try:
                self._producer.produce(record.topic, record.value, record.key, record.partition, headers=record.headers)
                return
            except BufferError:  # the client's queue is full: let it send
                self._producer.poll(0.1)

    def _abort(self, error: KafkaException) -> None:
        cause = error.args[0]
        log.error("transaction.failed", error=str(cause), code=cause.name())
        if cause.txn_requires_abort():
            try:
                self._producer.abort_transaction(COMMIT_TIMEOUT_S)
            except KafkaException as second:  # the broker aborts it at its time limit, or when a successor starts
                log.error("transaction.abort_failed", error=str(second.args[0]))

    def _commit_unfenced(self, records: Iterable[Produced], offsets: list[TopicPartition]) -> None:
        for record in records:
            self._produce(record)
        self._producer.flush(COMMIT_TIMEOUT_S)
        try:
            self._client.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            log.warning("offsets.unfenced_commit_failed", error=str(error.args[0]))


def _retry(call: Callable[[], object], step: str, tries: int = COMMIT_TRIES) -> None:
    for attempt in range(1, tries + 1):
        try:
            call()
            return
        except KafkaException as error:
            if attempt == tries or not error.args[0].retriable():
                raise
            log.warning("transaction.retry", step=step, attempt=attempt, error=str(error.args[0]))


def _fenced(error: KafkaException) -> Fenced | None:
    """The broker's refusal of an old owner as Fenced; None for everything else."""
    names = {
        "_FENCED",
        "PRODUCER_FENCED",
        "INVALID_PRODUCER_EPOCH",
        "ILLEGAL_GENERATION",
        "UNKNOWN_MEMBER_ID",
    }
    names |= {"FENCED_INSTANCE_ID", "REBALANCE_IN_PROGRESS", "INVALID_PRODUCER_ID_MAPPING"}
    cause = error.args[0]
    if cause.name() in names:
        return Fenced(f"a newer owner of the group or of the transactional id has taken over: {cause}")
    return None
