"""Whether stored positions are still on the log. Some brokers answer a read past the end with silence, not an error."""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors.errors import ServiceUnreachable
from connectors.kafka import METADATA_TIMEOUT_S, OffsetOutOfRange, consumer
from connectors.settings import Settings

PROBE_TIMEOUT_S = 3.0  # to read one record that is there takes milliseconds


def check_on_log(settings: Settings, client: Consumer, topic: str, starts: Mapping[int, int | None]) -> None:
    """Raises OffsetOutOfRange when a log begins after the offset to go on from, or ends before it: an alarm, never
    a jump.

    `starts` is by partition; None (nothing read yet) is always on the log. The embedded broker may report an end that
    is too low by up to a batch. If the end is in doubt, we look for the record before the start: it was read once.
    Raises ServiceUnreachable when the broker is silent.
    """
    doubtful: dict[int, int] = {}
    for partition, start in starts.items():
        if start is None:
            continue
        low, high = bounds_of(client, topic, partition)
        if start < low:
            raise _out_of_range(topic, partition, start, f"begins at {low}")
        if start > high:
            doubtful[partition] = start
    for partition in doubtful.keys() - readable(settings, topic, doubtful):
        raise _out_of_range(topic, partition, doubtful[partition], "ends before that")


def end_of(client: Consumer, topic: str, partition: int) -> int:
    """The offset behind the last record. Raises ServiceUnreachable."""
    return bounds_of(client, topic, partition)[1]


def bounds_of(client: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """The first offset, and the one behind the last record. Raises ServiceUnreachable."""
    place = f"{topic}[{partition}]"
    try:
        bounds = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=METADATA_TIMEOUT_S)
    except KafkaException as error:
        raise ServiceUnreachable("Kafka", place, f"its first and last offset: {error}") from error
    if bounds is None:
        raise ServiceUnreachable("Kafka", place, f"no answer in {METADATA_TIMEOUT_S:.0f} s about its offsets")
    return bounds


def readable(settings: Settings, topic: str, starts: Mapping[int, int]) -> set[int]:
    """The partitions that have the record before the start."""
    if not starts:
        return set()
    numbers: set[int] = set()
    reader = consumer(settings, group=None)
    try:
        reader.assign([TopicPartition(topic, partition, start - 1) for partition, start in starts.items()])
        deadline = time.monotonic() + PROBE_TIMEOUT_S
        while len(numbers) < len(starts) and time.monotonic() < deadline:
            for record in reader.consume(1_000, 0.1):
                partition, offset = record.partition(), record.offset()
                if record.error() is None and partition is not None and offset == starts[partition] - 1:
                    numbers.add(partition)
    finally:
        reader.close()
    return numbers


def _out_of_range(topic: str, partition: int, start: int, problem: str) -> OffsetOutOfRange:
    return OffsetOutOfRange(
        f"{topic}[{partition}] {problem}, and we are to go on from {start}: the log is not the one these rows were "
        "made from; rebuild the rows from the log, or restore the log"
    )
