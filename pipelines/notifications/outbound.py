"""Reads notifications.outbound for the deliverers: the messages of one channel.

Guarantee: a record of another channel costs only a look at its headers. A record that cannot be read or stored is
`Undecodable`.
"""

from __future__ import annotations

from typing import cast

import msgspec
from confluent_kafka import Message as Record

from schemas import cloudevents
from schemas.codec import Codec, Undecodable
from schemas.facts import RecordedFact
from schemas.notifications import Notification
from schemas.times import rfc3339_micros
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
                cloudevents.NOTIFICATIONS, identity, type(message).__name__, rfc3339_micros(message.created_at)
            ),
            (CHANNEL_HEADER, message.channel),
        ],
    )


def on_channel(
    record: Record, codec: Codec, channel: str, *, strays: bool = False
) -> Notification | Undecodable | None:
    """The record's message; None if it is for another channel. A record without a channel header is decoded first.

    With `strays`, an unreadable record without a channel header belongs to this channel.
    """
    named = _channel_of(record)
    if named is not None and named != channel.encode():
        return None
    message = readable(codec.decode(record.value()))
    if isinstance(message, Undecodable):
        return message if strays or named is not None else None
    return message if message.channel == channel else None


def _channel_of(record: Record) -> bytes | None:
    for name, value in cast("list[Header]", record.headers() or []):
        if name == CHANNEL_HEADER:
            return value.encode() if isinstance(value, str) else value
    return None


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
        return 1, self._created_at // 1_000


def recorded_again(recorded: RecordedFact, codec: Codec) -> StoredRecord:
    """A fact as a record of its topic, for the dead letters.

    The fact's offset on its topic is not known any more. The offset is that of its command, as in its `ce_id`.
    """
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
    """A message whose data is JSON that the database can store, or why it is not."""
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
