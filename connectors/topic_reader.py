"""Reads several partitions of a topic in the order of their timestamps, bounded in memory, and leaves no trace.

Guarantee: at most BUFFERED_MAX records of a partition wait for the other partitions, plus what one poll brings. Only
committed records come, if the broker has transactions. A silent broker is an error, never the end of a partition.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException, Message, TopicPartition

from connectors.errors import ServiceUnreachable
from connectors.kafka import METADATA_TIMEOUT_S, consumer
from connectors.log_bounds import bounds_of
from connectors.log_reader import SILENCE_S_MAX, log_place, offset_of, stamp_of
from connectors.settings import Settings

CHUNK = 1_000
BUFFERED_MAX = 5_000  # of one partition; a full one is paused until its records are taken
FETCH_KB_MAX = 4_096  # what the client reads ahead, per partition
POLL_S = 0.2
FOLLOW_S = 0.5  # how long a follower waits for new records before it gives its caller a turn


class TopicReader:
    """Reads one topic. Each call of `from_offsets` or `follow` begins at its own offsets."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self.topic = topic
        self._client = consumer(
            settings,
            group=None,
            **{"enable.partition.eof": True, "queued.max.messages.kbytes": FETCH_KB_MAX},
        )

    def bounds(self, partitions: Sequence[int]) -> dict[int, tuple[int, int]]:
        """By partition: the first offset, and the one after the last. Raises ServiceUnreachable.

        The embedded broker reports too low an end if its last batch has several records.
        """
        return {number: bounds_of(self._client, self.topic, number) for number in partitions}

    def offsets_at(self, time_ms: int, bounds: Mapping[int, tuple[int, int]]) -> dict[int, int]:
        """By partition: an offset before which every record is older than the time, from the broker's own index.

        A broker without such an index (the embedded one) answers with the first offset. Raises ServiceUnreachable.
        """
        wanted = [TopicPartition(self.topic, number, max(0, time_ms)) for number in bounds]
        try:
            places = self._client.offsets_for_times(wanted, timeout=METADATA_TIMEOUT_S)
        except KafkaException as error:
            raise ServiceUnreachable("Kafka", self.topic, f"its offsets by time: {error.args[0]}") from error
        offsets: dict[int, int] = {}
        for place in places:
            low, high = bounds[place.partition]
            if place.error is not None:
                raise ServiceUnreachable(
                    "Kafka", f"{self.topic}[{place.partition}]", f"its offsets by time: {place.error}"
                )
            offsets[place.partition] = high if place.offset == OFFSET_END else max(low, place.offset)
        return offsets

    def from_offsets(self, starts: Mapping[int, int]) -> Iterator[Message]:
        """Every record from these offsets to the present end of each partition, the oldest first.

        Within a partition the order is that of the offsets. Raises ServiceUnreachable, KafkaException.
        """
        # A read from beyond the end is an error on some brokers and silence on others.
        self._assign(
            {number: max(low, min(starts[number], high - 1)) for number, (low, high) in self.bounds([*starts]).items()}
        )
        waiting: dict[int, deque[Message]] = {number: deque() for number in starts}
        reading, paused = set(starts), set[int]()
        heard = time.monotonic()
        while waiting:
            while not all(waiting.values()):
                if not reading & {number for number, records in waiting.items() if not records}:
                    break
                if self._take(starts, waiting, reading):
                    heard = time.monotonic()
                elif time.monotonic() - heard > SILENCE_S_MAX:
                    why = f"no record and no end of the partition in {SILENCE_S_MAX:.0f} s"
                    raise ServiceUnreachable("Kafka", self.topic, why)
                self._pause(waiting, reading, paused)
            for number in [number for number, records in waiting.items() if not records and number not in reading]:
                del waiting[number]
            if waiting:
                yield min(waiting.values(), key=_stamped).popleft()
                self._resume(waiting, paused)

    def follow(self, starts: Mapping[int, int]) -> Iterator[list[Message]]:
        """The records from these offsets as they come, without an end; an empty list after each FOLLOW_S without one.

        Raises KafkaException.
        """
        self._assign(starts)
        while True:
            yield self._heard(self._client.consume(CHUNK, FOLLOW_S), set())

    def _assign(self, starts: Mapping[int, int]) -> None:
        self._client.assign(
            [TopicPartition(self.topic, number, start if start > 0 else OFFSET_BEGINNING)
             for number, start in starts.items()]
        )  # fmt: skip

    def _take(self, starts: Mapping[int, int], waiting: Mapping[int, deque[Message]], reading: set[int]) -> bool:
        """Take what has come. Returns whether something came, the end of a partition included."""
        first = self._client.poll(POLL_S)
        if first is None:
            return False
        ended = set[int]()
        for message in self._heard([first, *self._client.consume(CHUNK - 1, 0)], ended):
            partition, offset = log_place(message)
            if offset >= starts[partition]:
                waiting[partition].append(message)
        reading -= ended
        return True

    def _heard(self, messages: Sequence[Message], ended: set[int]) -> list[Message]:
        """The records among what the client reports; notes the partitions that have ended."""
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition() or 0)
            elif error.fatal() or not error.retriable():
                raise KafkaException(error)
        return records

    def _pause(self, waiting: Mapping[int, deque[Message]], reading: set[int], paused: set[int]) -> None:
        for number, records in waiting.items():
            if len(records) > BUFFERED_MAX and number in reading and number not in paused:
                self._client.pause([TopicPartition(self.topic, number)])
                paused.add(number)

    def _resume(self, waiting: Mapping[int, deque[Message]], paused: set[int]) -> None:
        for number in [number for number in paused if len(waiting.get(number, ())) < BUFFERED_MAX // 2]:
            self._client.resume([TopicPartition(self.topic, number)])
            paused.discard(number)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _stamped(records: deque[Message]) -> tuple[int, int, int]:
    first = records[0]
    return stamp_of(first), first.partition() or 0, offset_of(first)
