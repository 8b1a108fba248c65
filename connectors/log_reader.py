"""Streams partitions from their first record, bounded in memory, without a consumer group: reading leaves no trace.

Guarantee: records come in offset order, and only committed ones if the broker has transactions. A silent broker is an
error, never the end of a partition.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.errors import CircleError, ServiceUnreachable
from connectors.kafka import METADATA_TIMEOUT_S, admin, consumer
from connectors.kafka_clients import right_missing
from connectors.settings import Settings
from schemas.record import LogRecord

SILENCE_S_MAX = 20.0  # a broker that says nothing this long is an outage, not an end
CHUNK = 4_000
POLL_S = 0.2
FETCH_KB_MAX = 16_384  # what the client reads ahead, per partition that is read

FOLLOWING: dict[str, object] = {"fetch.wait.max.ms": 500, "fetch.min.bytes": 65_536}


class Located(Protocol):
    """A record with its place and its timestamp (its kind, and milliseconds since the Unix epoch), as clients give
    them."""

    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def timestamp(self) -> tuple[int, int]: ...


class LogTruncated(CircleError):
    """The log does not begin at its first record, so it cannot be folded from the start."""


class NoSuchPartition(CircleError):
    """The topic has no such partition: wrong usage."""

    exit_code = 2


def partitions_of(settings: Settings, topic: str) -> int:
    """How many partitions the topic has. Raises ServiceUnreachable, or CircleError when there is no such topic."""
    try:
        metadata = admin(settings).list_topics(topic, timeout=METADATA_TIMEOUT_S).topics[topic]
    except KafkaException as error:
        raise ServiceUnreachable("Kafka", settings.kafka_bootstrap_servers, str(error.args[0])) from error
    if metadata.error is not None and (refused := right_missing(metadata.error, topic)) is not None:
        raise refused
    if metadata.error is not None or not metadata.partitions:
        raise CircleError(f"there is no topic {topic} on {settings.kafka_bootstrap_servers}: `circle topics apply`")
    return len(metadata.partitions)


def chosen(settings: Settings, topic: str, partition: int | None) -> list[int]:
    """The given partition, or all partitions of the topic. Raises NoSuchPartition."""
    count = partitions_of(settings, topic)
    if partition is None:
        return list(range(count))
    if not 0 <= partition < count:
        raise NoSuchPartition(f"--partition {partition}: {topic} has partitions 0 to {count - 1}")
    return [partition]


class LogReader:
    """One partition of one topic. `start` skips earlier records; a few of them may come all the same.

    `since_ms` does the same by timestamp, if the broker can look it up (the embedded one cannot). With `follow`,
    waiting at the end of the log is cheap: records come up to half a second late there.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        partition: int,
        *,
        start: int | None = None,
        since_ms: int | None = None,
        follow: bool = False,
    ) -> None:
        self.place = f"{topic}[{partition}]"
        self._tp = TopicPartition(topic, partition)
        self._client: Consumer = consumer(
            settings,
            group=None,
            **{
                "enable.partition.eof": True,
                "queued.max.messages.kbytes": FETCH_KB_MAX,
                **(FOLLOWING if follow else {}),
            },
        )
        self.low, self.high = self.bounds()
        self.at_end = False
        # A read from beyond the end is an error on some brokers and silence on others.
        start = start if since_ms is None else self._offset_since(since_ms)
        begin = start if start is not None and self.low <= start < self.high else self.low
        self._client.assign([TopicPartition(topic, partition, begin)])

    def _offset_since(self, since_ms: int) -> int:
        """The first record with this timestamp or a later one. Raises ServiceUnreachable."""
        wanted = TopicPartition(self._tp.topic, self._tp.partition, max(0, since_ms))
        try:
            (place,) = self._client.offsets_for_times([wanted], timeout=METADATA_TIMEOUT_S)
        except KafkaException as error:
            raise ServiceUnreachable("Kafka", self.place, f"its offsets by time: {error.args[0]}") from error
        offset: int = place.offset
        return offset

    def bounds(self) -> tuple[int, int]:
        """The first offset, and the one after the last, as of now.

        For progress bars only: the embedded broker reports too low an end if its last batch has several records. The
        fetch itself finds the true end.
        """
        try:
            bounds = self._client.get_watermark_offsets(self._tp, timeout=METADATA_TIMEOUT_S)
        except KafkaException as error:
            raise ServiceUnreachable("Kafka", self.place, f"its first and last offset: {error.args[0]}") from error
        if bounds is None:
            raise ServiceUnreachable("Kafka", self.place, f"no answer in {METADATA_TIMEOUT_S:.0f} s about its offsets")
        low, high = bounds
        return max(low, 0), max(high, 0)

    def from_the_start(self) -> Self:
        """Raises LogTruncated when the first records are gone."""
        if self.low > 0:
            raise LogTruncated(f"{self.place} begins at offset {self.low}: what came before cannot be folded any more")
        return self

    def chunk(self, wait_s: float = 0.0) -> list[Message]:
        """The next records, at most CHUNK; none at the end of the partition. Raises ServiceUnreachable, KafkaException.

        At the end it waits no longer than `wait_s` for new ones.
        """
        deadline = time.monotonic() + SILENCE_S_MAX
        waited = self.at_end
        while True:
            first = self._client.poll(wait_s if waited else POLL_S)
            batch = [] if first is None else [first, *self._client.consume(CHUNK - 1, 0)]
            records = [message for message in batch if message.error() is None]
            if len(records) < len(batch):
                self._hear([error for message in batch if (error := message.error()) is not None])
                self.at_end = self.at_end and batch[-1].error() is not None
            elif batch:
                self.at_end = False
            if records or self.at_end:
                return records
            if time.monotonic() > deadline:
                hint = f"no record and no end of the partition in {SILENCE_S_MAX:.0f} s"
                raise ServiceUnreachable("Kafka", self.place, hint)

    def _hear(self, errors: list[KafkaError]) -> None:
        for error in errors:
            if error.code() == KafkaError._PARTITION_EOF:
                self.at_end = True
            elif error.fatal() or not error.retriable():
                raise KafkaException(error)

    def values(self) -> Iterator[list[tuple[int, bytes | None]]]:
        """Offset and value of every record to the end of the partition, a chunk at a time."""
        while chunk := self.chunk():
            yield [(message.offset(), message.value()) for message in chunk]  # type: ignore[misc]

    def messages(self, end: int | None = None) -> Iterator[Message]:
        """Every record to the end of the partition, or below offset `end`."""
        while chunk := self.chunk():
            for message in chunk:
                if end is not None and offset_of(message) >= end:
                    return
                yield message

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FactQueue:
    """The facts of a partition as a feed; with `only`, those with that key."""

    def __init__(self, reader: LogReader, *, only: str | None = None) -> None:
        self._reader, self._only = reader, only.encode() if only is not None else None
        self._buffer: list[LogRecord] = []
        self._at = 0

    def peek(self) -> LogRecord | None:
        """The next record; None at the end of the partition, for now."""
        while self._at >= len(self._buffer):
            chunk = self._reader.chunk()
            if not chunk:
                return None
            self._buffer, self._at = [record_of(message) for message in chunk if self._wanted(message)], 0
        return self._buffer[self._at]

    def advance(self) -> None:
        """Go on to the record after it."""
        self._at += 1

    def _wanted(self, message: Message) -> bool:
        return self._only is None or message.key() == self._only


@contextmanager
def few_collections() -> Iterator[None]:
    """Collect garbage a hundred times less often. A fold makes many objects and drops few; this saves a third of its
    time."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def record_of(message: Message) -> LogRecord:
    """A record without its Kafka client."""
    return LogRecord(offset_of(message), stamp_of(message), key_of(message), message.value())


def key_of(message: Message) -> bytes | None:
    """The key's bytes."""
    key: bytes | str | None = message.key()
    return key.encode() if isinstance(key, str) else key


def stamp_of(message: Located) -> int:
    """A consumed record's timestamp in milliseconds: its broker's, or its producer's."""
    return message.timestamp()[1]


def offset_of(message: Located) -> int:
    """The offset a consumed record stands at."""
    offset = message.offset()
    assert offset is not None
    return offset


def log_place(message: Located) -> tuple[int, int]:
    """Partition and offset of a consumed record."""
    partition = message.partition()
    assert partition is not None
    return partition, offset_of(message)
