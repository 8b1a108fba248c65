"""A record of a topic as a person reads it: decoded, with its position, schema and headers. Pure.

Guarantee: no payment token and no key of a reply is in the fields or headers.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from confluent_kafka import Message

from connectors.log_reader import log_place, stamp_of
from schemas.avro_reader import Decoded
from schemas.codec import Codec, Undecodable
from schemas.facts import RecordedFact
from schemas.ids import position_text, stamped
from schemas.notifications import Notification
from schemas.replies import REPLY_KEY
from schemas.times import rfc3339
from schemas.topics import COMMANDS

HIDDEN = "…"
SECRET_FIELDS = frozenset({"payment_token"})
SECRET_HEADERS = frozenset({REPLY_KEY})
BYTES_SHOWN_MAX = 256

Header = tuple[str, str | bytes | None]


class TopicRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record.

    `record` is the type of the record, or "" when its bytes are no record of ours: then `undecodable` says why and
    `value_hex` has its first bytes. `position` is the command's, the fact's, or that of a notification's fact; "" when
    there is none. `time` is the record's timestamp.
    """

    topic: str
    partition: int
    offset: int
    time: str
    key: str
    record: str
    position: str
    fields: dict[str, Any]
    headers: dict[str, str]
    schema_id: int | None
    value_bytes: int
    undecodable: str = ""
    value_hex: str = ""


def topic_record(message: Message, codec: Codec) -> TopicRecord:
    """The record that a client has read."""
    value: bytes = message.value() or b""
    decoded = codec.decode(message.value())
    schema = codec.schema_of(value)
    unreadable = isinstance(decoded, Undecodable)
    return TopicRecord(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        time=rfc3339(stamped(stamp_of(message))),
        key=text_of(message.key()),
        record=type_of(decoded),
        position=_position(message, decoded),
        fields=fields_of(decoded),
        headers=headers_of(message),
        schema_id=None if schema is None else schema[0],
        value_bytes=len(value),
        undecodable=decoded.error if isinstance(decoded, Undecodable) else "",
        value_hex=value[:BYTES_SHOWN_MAX].hex() if unreadable else "",
    )


def type_of(decoded: Decoded) -> str:
    """The name of a record's type; "" for bytes that are no record of ours."""
    if isinstance(decoded, Undecodable):
        return ""
    return type(decoded.fact if isinstance(decoded, RecordedFact) else decoded).__name__


def fields_of(decoded: Decoded) -> dict[str, Any]:
    """The fields of a record, an envelope's first; none for bytes that are no record of ours."""
    if isinstance(decoded, Undecodable):
        return {}
    if isinstance(decoded, RecordedFact):
        return without_secrets(msgspec.structs.asdict(decoded.envelope) | msgspec.structs.asdict(decoded.fact))
    return without_secrets(msgspec.structs.asdict(decoded))


def without_secrets(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields, with "…" for each secret one."""
    return {name: HIDDEN if name in SECRET_FIELDS and field else field for name, field in fields.items()}


def headers_of(message: Message) -> dict[str, str]:
    """A record's headers as text, with "…" for a reply's key."""
    headers = cast("list[Header]", message.headers() or [])
    return {name: HIDDEN if name in SECRET_HEADERS else text_of(value) for name, value in headers}


def text_of(value: str | bytes | None) -> str:
    """A key or a header as text; bytes that are no UTF-8 are replaced."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def _position(message: Message, decoded: Decoded) -> str:
    if isinstance(decoded, RecordedFact):
        at = decoded.envelope
        return position_text(at.partition, at.offset, at.index)
    if isinstance(decoded, Notification):
        known = decoded.partition >= 0
        return position_text(decoded.partition, decoded.offset, decoded.index) if known else ""
    return position_text(*log_place(message)) if message.topic() == COMMANDS else ""
