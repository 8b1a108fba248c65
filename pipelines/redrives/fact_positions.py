"""Where a command's facts are on tickets.facts, found by halving: facts stand in the order of their commands."""

from __future__ import annotations

from confluent_kafka import Message

from connectors.log_reader import offset_of
from connectors.topic_reader import TopicReader
from schemas.codec import Codec
from schemas.facts import RecordedFact

NEAR = 500  # records that are read faster than they are halved


def first_fact_at(reader: TopicReader, codec: Codec, partition: int, offset: int) -> int:
    """An offset of tickets.facts at or shortly before the first fact of the command at `offset`.

    A broker that shows aborted records may have a command's facts twice; both are the same. Raises ServiceUnreachable.
    """
    low, high = reader.bounds([partition])[partition]
    while high - low > NEAR:
        middle = (low + high) // 2
        found = _command_of_fact(reader, codec, partition, middle)
        if found is None or found >= offset:
            high = middle
        else:
            low = middle
    return low


def command_offset(codec: Codec, message: Message) -> int | None:
    """The offset of the command that a fact answers; None for a record that is no fact."""
    recorded = codec.decode(message.value())
    return recorded.envelope.offset if isinstance(recorded, RecordedFact) else None


def _command_of_fact(reader: TopicReader, codec: Codec, partition: int, start: int) -> int | None:
    """The command of the first fact at or after `start`; None at the end of the partition."""
    for message in reader.from_offsets({partition: start}):
        found = command_offset(codec, message)
        if found is not None and offset_of(message) >= start:
            return found
    return None
