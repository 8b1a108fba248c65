"""Whether a stored position is still on the log. Some brokers answer a read past the end with silence, not an error."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors.errors import ServiceUnreachable
from connectors.kafka import METADATA_TIMEOUT_S, OffsetOutOfRange


def check_on_log(client: Consumer, topic: str, partition: int, next_offset: int | None) -> None:
    """Raises OffsetOutOfRange when the log begins behind `next_offset` or ends before it: an alarm, never a jump.

    `next_offset` None (nothing read yet) is always on the log. Raises ServiceUnreachable when the broker is silent.
    """
    if next_offset is None:
        return
    place = f"{topic}[{partition}]"
    try:
        bounds = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=METADATA_TIMEOUT_S)
    except KafkaException as error:
        raise ServiceUnreachable("Kafka", place, f"its first and last offset: {error}") from error
    if bounds is None:
        raise ServiceUnreachable("Kafka", place, f"no answer in {METADATA_TIMEOUT_S:.0f} s about its offsets")
    low, high = bounds
    if not low <= next_offset <= high:
        raise OffsetOutOfRange(
            f"{place} has offsets {low} to {high}, and we are to go on from {next_offset}: "
            "the log is not the one these rows were made from; rebuild the rows from the log, or restore the log"
        )
