"""How far readers of topics are behind: in records, and in seconds that the next record has waited. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from connectors.kafka import consumer
from connectors.log_bounds import bounds_of
from connectors.log_reader import chosen, stamp_of
from connectors.settings import Settings
from schemas.ids import MS_PER_S

PEEK_S = 2.0  # to read one record of each partition with a lag


class ReaderLag(msgspec.Struct, frozen=True, kw_only=True):
    """A reader's place on a partition. `next_offset` is None where it has not read anything yet.

    `lag_seconds` is how long its next record has waited, 0 without one. The embedded broker may report too low an end.
    """

    partition: int
    next_offset: int | None
    end: int
    lag_records: int
    lag_seconds: float
    member: str = ""


class LagMeter:
    """Measures lags. Keeps its connection and the ends of topics for one look."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = consumer(settings, group=None, **{"enable.partition.eof": True})
        self._ends: dict[str, dict[int, tuple[int, int]]] = {}

    def lags(
        self, topic: str, positions: Mapping[int, int | None], members: Mapping[int, str] | None = None
    ) -> list[ReaderLag]:
        """The lag of a reader at these positions, on each partition of the topic. `members` names who owns which.

        Raises ServiceUnreachable, KafkaException, and CircleError without such a topic.
        """
        bounds = self._bounds(topic)
        starts = {number: max(low, positions.get(number) or 0) for number, (low, _high) in bounds.items()}
        waiting = self._stamps(topic, {number: at for number, at in starts.items() if at < bounds[number][1]})
        now = time.time()
        return [
            ReaderLag(
                partition=number,
                next_offset=positions.get(number),
                end=high,
                # Behind the last record may be a transaction's mark, which is no record.
                lag_records=high - starts[number] if number in waiting else 0,
                lag_seconds=round(max(0.0, now - waiting[number] / MS_PER_S), 1) if number in waiting else 0.0,
                member=(members or {}).get(number, ""),
            )
            for number, (_low, high) in bounds.items()
        ]

    def _bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        if topic not in self._ends:
            numbers = chosen(self._settings, topic, None)
            self._ends[topic] = {number: bounds_of(self._client, topic, number) for number in numbers}
        return self._ends[topic]

    def _stamps(self, topic: str, starts: Mapping[int, int]) -> dict[int, int]:
        """The timestamp of the next record at each place; partitions that end there are left out."""
        stamps: dict[int, int] = {}
        left = set(starts)
        if not left:
            return stamps
        self._client.assign([TopicPartition(topic, number, at) for number, at in starts.items()])
        deadline = time.monotonic() + PEEK_S
        while left and time.monotonic() < deadline:
            message = self._client.poll(0.1)
            if message is None:
                continue
            number, error = message.partition(), message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            if number in left:
                left.discard(number)
                if error is None:
                    stamps[number] = stamp_of(message)
        self._client.unassign()
        return stamps

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
