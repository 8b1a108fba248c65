"""Messages as records of notifications.outbound: the export for other programs, and its dead letters."""

from __future__ import annotations

import msgspec

from connectors.tracing import TRACEPARENT
from schemas import cloudevents
from schemas.codec import Codec, Undecodable
from schemas.ids import position_text
from schemas.notifications import Notification
from schemas.times import rfc3339_micros
from schemas.topics import NOTIFICATIONS
from sinks.kafka_transaction import Outgoing

ANY_PARTITION = -1  # the producer's partitioner decides, by the user's id
CHANNEL_HEADER = "channel"


def outgoing(message: Notification, codec: Codec, *, trace: str = "") -> Outgoing:
    """A message as a record of notifications.outbound. `trace`: the context that readers continue, or ""."""
    place = position_text(message.partition, message.offset, message.index)
    identity = f"{place}/{message.channel}/{message.template}"
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
            *([(TRACEPARENT, trace)] if trace else []),
        ],
    )


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
