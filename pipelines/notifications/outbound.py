"""Reads notifications.outbound for those who deliver from it: which records are on a channel, and what they say.

Guarantee: a record of another channel costs a look at its headers. What cannot be read or stored is `Undecodable`.
"""

from __future__ import annotations

from typing import cast

import msgspec
from confluent_kafka import Message as Record

from pipelines.notifications.compose import rfc3339
from schemas import cloudevents
from schemas.codec import Codec, Undecodable
from schemas.facts import RecordedFact
from schemas.notifications import Notification
from schemas.topics import FACTS, NOTIFICATIONS
from sinks.dead_letters import Header
from sinks.kafka_transaction import Outgoing

ANY_PARTITION = -1  # the producer's partitioner decides, by the user's id
CHANNEL_HEADER = "channel"


def outgoing(message: Notification, codec: Codec) -> Outgoing:
    """A message as a record of notifications.outbound."""
    identity = f"{message.partition}-{message.offset}-{message.index}/{message.channel}/{message.template}"
    return Outgoing(
        topic=NOTIFICATIONS,
        partition=ANY_PARTITION,
        key=message.user_id.encode(),
        value=codec.encode(message),
        headers=[
            *cloudevents.headers(
                cloudevents.NOTIFICATIONS, identity, type(message).__name__, rfc3339(message.created_at)
            ),
            (CHANNEL_HEADER, message.channel),
        ],
    )


def on_channel(
    record: Record, codec: Codec, channel: str, *, strays: bool = False
) -> Notification | Undecodable | None:
    """The record's message, None where it is for another channel. A record that names none is read to find out.

    With `strays`, an unreadable record that names no channel is one of this channel.
    """
    named = _channel_of(record)
    if named is not None and named != channel.encode():
        return None
    found = readable(codec.decode(record.value()))
    if isinstance(found, Undecodable):
        return found if strays or named is not None else None
    return found if found.channel == channel else None


def _channel_of(record: Record) -> bytes | None:
    for name, value in cast("list[Header]", record.headers() or []):
        if name == CHANNEL_HEADER:
            return value.encode() if isinstance(value, str) else value
    return None


class StoredRecord:
    """A record made again from what was stored of it, for the dead letters."""

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
        """As the client tells it: kind of clock (a producer's), milliseconds."""
        return 1, self._created_at // 1_000


def recorded_again(recorded: RecordedFact, codec: Codec) -> StoredRecord:
    """A fact as a record of its topic, for the dead letters. Where it stood among the facts is not known any more: its
    origin's offset is that of its command, as its `ce_id` says."""
    at = recorded.envelope
    headers: list[Header] = [
        ("ce_id", f"{at.partition}-{at.offset}-{at.index}"),
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


def readable(found: object) -> Notification | Undecodable:
    """A message whose data is JSON that the database can hold, or why it is none."""
    if isinstance(found, Undecodable):
        return found
    if not isinstance(found, Notification):
        return Undecodable(f"a {type(found).__name__}, which is no notification")
    try:
        data = msgspec.json.decode(found.data, type=dict)
        text = msgspec.json.encode(data).decode()
    except (msgspec.DecodeError, RecursionError) as error:
        return Undecodable(f"data is no JSON object: {error}")
    # U+0000 cannot be stored as text or JSON.
    return msgspec.structs.replace(found, data=text.replace("\\u0000", "\\ufffd"))


def place_of(record: Record) -> tuple[int, int]:
    """Partition and offset of a consumed record."""
    partition, offset = record.partition(), record.offset()
    assert partition is not None
    assert offset is not None
    return partition, offset
