"""Records made again from stored data, for the dead letters."""

from __future__ import annotations

from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.ids import US_PER_MS, position_text
from schemas.topics import FACTS
from sinks.dead_letters import Header
from sinks.kafka_transaction import Outgoing


class StoredRecord:
    """A record made again from its stored data, for the dead letters."""

    def __init__(self, record: Outgoing, partition: int, offset: int, created_at: int) -> None:
        self._record, self._partition, self._offset, self._created_at = record, partition, offset, created_at

    def topic(self) -> str:
        return self._record.topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._record.key

    def value(self) -> bytes:
        return self._record.value

    def headers(self) -> list[Header]:
        return self._record.headers

    def timestamp(self) -> tuple[int, int]:
        """As the Kafka client gives it: kind of clock (a producer's), milliseconds."""
        return 1, self._created_at // US_PER_MS


def recorded_again(recorded: RecordedFact, codec: Codec) -> StoredRecord:
    """A fact as a record of its topic, for the dead letters.

    The fact's offset on its topic is not known any more. The offset is that of its command, as in its `ce_id`.
    """
    at = recorded.envelope
    headers: list[Header] = [
        ("ce_id", position_text(at.partition, at.offset, at.index)),
        ("ce_type", type(recorded.fact).__name__),
    ]
    record = Outgoing(
        topic=FACTS,
        partition=at.partition,
        key=at.event_id.encode(),
        value=codec.encode_fact(at, recorded.fact),
        headers=headers,
    )
    return StoredRecord(record, at.partition, at.offset, at.log_time)
