"""Measures the lag of every flow and counts dead letters; monitoring does this every few seconds.

It reads offsets. If a flow is behind on a partition, it also reads the flow's next record: the record's timestamp says
how long it has waited. It commits nothing and joins no group. A value that cannot be read now is left out, and the log
says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from connectors.errors import ServiceUnreachable
from connectors.kafka import METADATA_TIMEOUT_S, committed_offsets, consumer, partition_count
from connectors.log_reader import stamp_of
from connectors.postgres import Connection, Database
from connectors.settings import FETCH_WAIT_MS_DEFAULT, Settings
from connectors.sql_files import queries
from pipelines.monitoring.broker_clocks import BrokerClocks
from pipelines.monitoring.lag_trend import LagTrends, Trend
from schemas.ids import MS_PER_S
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS, dead_letters

COMMITTING = {
    "circle.reservations": COMMANDS,
    "circle.payments": FACTS,
}
"""The flows whose position is their group's committed offset, and the topic that they read."""
STORING = {"projections": FACTS, "notifications": FACTS, "monitoring": FACTS}
"""The flows whose position is stored with their rows, by their name there, and the topic that they read."""
FLOWS = {**COMMITTING, **{f"circle.{name}": topic for name, topic in STORING.items()}}
"""All flows by their name in the metrics, and the topic that each reads."""
PEEK_S = 2.0  # to read one record of each partition with a lag
LETTERS_AT_ONCE = 1_000
LAST_OFFSETS = 2  # at the end of a partition: a record, and the mark of its transaction
MARKER = "redriven_offset"  # on the marker record that `circle dlq redrive` writes

SQL = queries(Path(__file__).parent / "sql" / "survey.sql")


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """A flow's lag: records over all partitions, and how long the oldest of them has waited."""

    flow: str
    topic: str
    records: int
    seconds: float


class PartitionLag(NamedTuple):
    """A flow's lag on one partition. `next_offset` is the record that it reads next."""

    flow: str
    topic: str
    partition: int
    next_offset: int
    records: int
    seconds: float


class DeadLetterCounts(msgspec.Struct, kw_only=True):
    """A topic's dead letters: how many were set aside, and how many of these were sent back."""

    put_aside: int = 0
    redriven: int = 0


class Surveyed(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one look."""

    lags: list[Lag]
    partitions: list[PartitionLag]
    trends: dict[str, Trend]
    ends: dict[str, dict[int, int]]
    last_record_s: dict[str, float]
    dead_letters: dict[str, DeadLetterCounts]
    broker_skews_s: dict[str, float] = {}


class Survey:
    """Surveys the platform. Keeps its clients between looks."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._groups = {group: consumer(settings, group=group) for group in COMMITTING}
        self._reader = consumer(settings, group=None, **{"enable.partition.eof": True})
        # It follows the dead letters for good, and takes them once in a look: on no broker need it ask more often.
        patience = {"fetch.wait.max.ms": max(FETCH_WAIT_MS_DEFAULT, settings.kafka_fetch_wait_ms)}
        self._letters = consumer(settings, group=None, **{"enable.partition.eof": True}, **patience)
        self._counts: dict[str, int] = {}
        self._trends = LagTrends()
        self._seen_ends: dict[tuple[str, int], int] = {}
        self._last_record_s: dict[str, float] = {}
        self._clocks = BrokerClocks()
        self._looked_at = 0.0
        self._found = {topic: DeadLetterCounts() for topic in (COMMANDS, FACTS, NOTIFICATIONS)}
        self._letters.assign([TopicPartition(dead_letters(topic), 0, OFFSET_BEGINNING) for topic in self._found])

    def look(self) -> Surveyed:
        """Survey all flows. Raises ServiceUnreachable and KafkaException when the broker or Postgres is away."""
        before, began = self._looked_at, time.time()
        ends = {topic: self._ends(topic) for topic in (COMMANDS, FACTS)}
        after = time.time()
        next_offsets: dict[str, tuple[str, dict[int, int]]] = {}
        for group, topic in COMMITTING.items():
            committed = committed_offsets(self._groups[group], topic, list(ends[topic]))
            next_offsets[group] = topic, {partition: offset or 0 for partition, offset in committed.items()}
        stored = self._database.run(_positions, readonly=True)
        for name, topic in STORING.items():
            at = stored.get(name, {})
            places = {partition: max(0, at.get(partition, 0)) for partition in ends[topic]}
            next_offsets[f"circle.{name}"] = topic, places
        partitions = [
            lag for flow, (topic, at) in next_offsets.items() for lag in self._lags(flow, topic, ends[topic], at)
        ]
        lags = [_together(flow, topic, partitions) for flow, topic in FLOWS.items()]
        now = time.monotonic()
        trends = {lag.flow: self._trends.note(lag.flow, lag.records, next_offsets[lag.flow][1], now) for lag in lags}
        last = {topic: self._look_at_last_records(topic, ends[topic]) for topic in ends}
        self._looked_at = began  # not before: a look that failed has read no commands
        self._count_letters()
        return Surveyed(
            lags=lags,
            partitions=partitions,
            trends=trends,
            ends=ends,
            last_record_s=dict(self._last_record_s),
            dead_letters=self._found,
            broker_skews_s=self._clocks.note(
                self._leaders(), _stamps_s(last[COMMANDS] if before else {}), before_s=before, after_s=after
            ),
        )

    def close(self) -> None:
        """Close the connections to the broker."""
        for client in (*self._groups.values(), self._reader, self._letters):
            client.close()

    def _ends(self, topic: str) -> dict[int, int]:
        """The offset after the last record of each partition."""
        count = self._counts.get(topic)
        if count is None:
            count = self._counts[topic] = partition_count(self._reader, topic)
        ends = {}
        for partition in range(count):
            bounds = self._reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=METADATA_TIMEOUT_S)
            if bounds is None:
                raise ServiceUnreachable("Kafka", f"{topic}[{partition}]", "no answer about its offsets")
            ends[partition] = max(0, bounds[1])
        return ends

    def _lags(self, flow: str, topic: str, ends: Mapping[int, int], at: Mapping[int, int]) -> list[PartitionLag]:
        """The lag between `at` and the end of each partition. If only a transaction's mark is left, there is no lag."""
        behind = [partition for partition, end in ends.items() if end > at[partition]]
        found = self._next_records(topic, {partition: at[partition] for partition in behind}) if behind else {}
        oldest, now = {partition: stamp_of(record) for partition, record in found.items()}, time.time()
        return [
            PartitionLag(
                flow=flow,
                topic=topic,
                partition=partition,
                next_offset=at[partition],
                records=end - at[partition] if partition in oldest else 0,
                seconds=max(0.0, now - oldest[partition] / MS_PER_S) if partition in oldest else 0.0,
            )
            for partition, end in ends.items()
        ]

    def _leaders(self) -> dict[int, int]:
        """The broker that leads each partition of the commands topic."""
        topic = self._reader.list_topics(COMMANDS, timeout=METADATA_TIMEOUT_S).topics[COMMANDS]
        return {number: partition.leader for number, partition in topic.partitions.items()}

    def _look_at_last_records(self, topic: str, ends: Mapping[int, int]) -> dict[int, Message]:
        """Note the time of the last record of a topic. Only partitions that have grown are read, at their last offsets:
        behind the last record there may be a transaction's mark. Returns a new record of each such partition."""
        seen = {partition: self._seen_ends.get((topic, partition), 0) for partition in ends}
        grown = {partition: end for partition, end in ends.items() if end != seen[partition]}
        if not grown:
            return {}
        places = {
            partition: max(0, end - LAST_OFFSETS, seen[partition] if seen[partition] < end else 0)
            for partition, end in grown.items()
        }
        self._seen_ends |= {(topic, partition): end for partition, end in grown.items()}
        records = self._next_records(topic, places)
        if records:
            newest = max(stamp_of(record) for record in records.values())
            self._last_record_s[topic] = max(self._last_record_s.get(topic, 0.0), newest / MS_PER_S)
        return records

    def _next_records(self, topic: str, places: Mapping[int, int]) -> dict[int, Message]:
        """The first record at or behind each place; partitions that end there are left out."""
        records: dict[int, Message] = {}
        left = set(places)
        self._reader.assign([TopicPartition(topic, partition, offset) for partition, offset in places.items()])
        deadline = time.monotonic() + PEEK_S
        while left and time.monotonic() < deadline:
            message = self._reader.poll(0.1)
            if message is None:
                continue
            partition, error = message.partition(), message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            if partition in left:
                left.discard(partition)
                self._reader.incremental_unassign([TopicPartition(topic, partition)])
                if error is None:
                    records[partition] = message
        self._reader.unassign()
        return records

    def _count_letters(self) -> None:
        """Count the new dead letters since the last look."""
        for message in _at_once(self._letters):
            topic = (message.topic() or "").removesuffix(".dead-letters")
            of = self._found[topic]
            if any(header[0] == MARKER for header in message.headers() or ()):
                of.redriven += 1
            else:
                of.put_aside += 1


def _together(flow: str, topic: str, partitions: Iterable[PartitionLag]) -> Lag:
    own = [lag for lag in partitions if lag.flow == flow]
    return Lag(
        flow=flow,
        topic=topic,
        records=sum(lag.records for lag in own),
        seconds=round(max([0.0, *(lag.seconds for lag in own)]), 1),
    )


def _stamps_s(records: Mapping[int, Message]) -> dict[int, float]:
    """By partition, when its broker has stamped a record; without those that their producer has stamped."""
    stamps = {partition: record.timestamp() for partition, record in records.items()}
    return {partition: at / MS_PER_S for partition, (kind, at) in stamps.items() if kind == TIMESTAMP_LOG_APPEND_TIME}


def _at_once(client: Consumer) -> list[Message]:
    results = []
    while records := client.consume(LETTERS_AT_ONCE, 0.05):
        for record in records:
            error = record.error()
            if error is None:
                results.append(record)
            elif error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
        if len(records) < LETTERS_AT_ONCE:
            break
    return results


async def _positions(connection: Connection) -> dict[str, dict[int, int]]:
    positions: dict[str, dict[int, int]] = {}
    for name, partition, next_offset in await connection.fetch(SQL["positions"]):
        positions.setdefault(name, {})[partition] = next_offset
    return positions
