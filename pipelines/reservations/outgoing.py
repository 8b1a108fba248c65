"""What a decided batch sends: its facts as records for their topic, and its replies to waiting requests. Pure.

Guarantee: the same decisions have the same records, byte for byte. This is the plain way. `native_outgoing.pyx` is its
compiled twin, with the same results; `batch.py` selects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from pipelines.reservations.core.state import EventState
from pipelines.reservations.partition import Placed
from pipelines.reservations.replies import reply_to
from schemas import cloudevents
from schemas import facts as f
from schemas.cloudevents import Header
from schemas.codec import Codec, Undecodable
from schemas.ids import NO_EVENT, EventId, position_text
from schemas.recorded_facts import Envelope
from schemas.replies import REPLY_KEY, REPLY_TO, ReplyMessage
from schemas.times import rfc3339
from schemas.topics import FACTS

PASSED_ON_BYTES_MAX = 1_024  # a longer header is not ours, and a fact must fit where its command did
PASSED_ON = frozenset({REPLY_TO, REPLY_KEY, "traceparent"})
REPLY_KEY_BYTES = range(16, 65)  # the key sizes of BLAKE2b that cannot be guessed
Headers = list[Header]
ReplyAddress = tuple[str, bytes]
"""The channel of a waiting request, and the key that seals its reply (b"" for no key)."""


class RawRecord(msgspec.Struct, frozen=True, gc=False):
    """A record of the commands topic. Only headers named in PASSED_ON are read."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None


class EncodedFact(msgspec.Struct, frozen=True, gc=False):
    """A fact ready for its topic, with the fields that a sink sends."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Headers


Decision = tuple[RawRecord, Placed, list[f.Fact]]
"""A record, its command with its position, and the facts of it."""


def encoded(decisions: Iterable[Decision], codec: Codec) -> Iterator[EncodedFact]:
    """Every fact with its envelope, in the given order."""
    encoders, rules = codec.encoders, f.RULES_VERSION
    stamped, when = -1, ""
    for record, placed, facts in decisions:
        at = placed.at
        partition, offset, log_time = at.partition, at.offset, at.log_time
        event_id = NO_EVENT if isinstance(placed.command, Undecodable) else placed.command.event_id
        key = event_id.encode() if event_id else (record.key or b"")[:PASSED_ON_BYTES_MAX] or None
        same = [header for header in passed_on(record.headers) if len(header[1] or "") <= PASSED_ON_BYTES_MAX]
        if log_time != stamped:
            stamped, when = log_time, rfc3339(log_time)
        count, place = len(facts), position_text(partition, offset)
        for index, fact in enumerate(facts):
            envelope = Envelope(
                event_id=event_id,
                partition=partition,
                offset=offset,
                index=index,
                count=count,
                log_time=log_time,
                rules_version=rules,
            )
            identity, kind = f"{place}-{index}", type(fact).__name__
            headers = cloudevents.headers(cloudevents.RESERVATIONS, identity, kind, when)
            headers += same
            value = encoders[type(fact)](envelope, fact)
            yield EncodedFact(topic=FACTS, partition=partition, key=key, value=value, headers=headers)


def replies(decisions: Iterable[Decision], states: Mapping[EventId, EventState]) -> dict[ReplyAddress, ReplyMessage]:
    """The replies to waiting requests, one message for each address that they gave. `states` have folded the facts."""
    found: dict[ReplyAddress, ReplyMessage] = {}
    for record, placed, facts in decisions:
        command = placed.command
        if isinstance(command, Undecodable) or not record.headers:
            continue
        to = reply_address(record.headers)
        if to is None:
            continue
        message = found.get(to)
        if message is None:
            message = found[to] = ReplyMessage()
        message.add(reply_to(states[command.event_id], command, facts, record.partition, record.offset))
    return found


def passed_on(headers: Iterable[Header] | None) -> Headers:
    """The headers of a command that its facts and its reply need."""
    return [header for header in headers or () if header[0] in PASSED_ON]


def reply_address(headers: Headers) -> ReplyAddress | None:
    """Where the reply to a command with these headers goes; None if no request waits."""
    channel = key = b""
    for name, value in headers:
        if name == REPLY_TO and value:
            channel = _bytes(value)
        elif name == REPLY_KEY and value:
            key = _bytes(value)
    if not channel:
        return None
    return channel.decode("utf-8", "replace"), key if len(key) in REPLY_KEY_BYTES else b""


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
