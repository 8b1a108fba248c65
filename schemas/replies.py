"""Replies: the reservations dataflow sends them to waiting requests, after the commit. They are on no topic.

Replies are MessagePack arrays over Redis pub/sub, one message for each API instance and batch, on the channel in the
command's `reply_to` header. A lost reply does no harm: the outcome is on the log.

Redis is not trusted. The command's `reply_key` header is a secret of the asking process. It goes only over Kafka, and
each message is sealed with it. A writer to Redis who cannot read the log cannot make a valid message.
"""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest

import msgspec

from schemas.ids import CommandId, EventId, ReservationId, TicketId, TicketTypeId, UserId

REPLY_CHANNEL_PREFIX = "circle:replies:"
REPLY_TO, REPLY_KEY = "reply_to", "reply_key"
SEAL_BYTES = 16  # 128 bits cannot be guessed, and a batch has one seal for each process


class ReservationView(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A reservation after the command; partition and offset are the position of its request.

    `status`: held, confirmed, rejected, expired, released or cancelled. `payment`: "" (none asked for), requested,
    declined, captured, refund-requested or refunded. `reason` and `detail` say why it is rejected or declined.
    """

    id: ReservationId
    event_id: EventId
    user_id: UserId
    ticket_type_id: TicketTypeId
    status: str
    quantity: int
    seats: list[str]
    amount_minor: int
    currency: str
    expires_at: int
    partition: int
    offset: int
    payment: str
    reason: str
    detail: str
    ticket_ids: list[TicketId]
    asked_at: int = 0  # log time
    detail_at: int = 0  # the moment that `detail` names


class Reply(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The outcome of one command. `outcome`: accepted, refused, or pending (a payment is under way).

    `duplicate`: this request was decided before, and nothing changed. `offset` is this command's. `field` of the
    request and the moment `at` in microseconds are what `detail` names; "" and 0 if it names none.
    """

    command_id: CommandId
    event_id: EventId
    partition: int
    offset: int
    outcome: str
    reason: str
    detail: str
    duplicate: bool
    reservation: ReservationView | None
    field: str = ""
    at: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Reply])


class ReplyMessage:
    """The replies of one pub/sub message. Each is encoded when it is added, while the processor's cache has it."""

    __slots__ = ("_bodies", "_count")

    def __init__(self) -> None:
        self._bodies, self._count = bytearray(), 0

    def add(self, reply: Reply) -> None:
        """Add a reply behind the others."""
        _encoder.encode_into(reply, self._bodies, -1)
        self._count += 1

    def encoded(self) -> bytes:
        """The message: a MessagePack array of the replies."""
        return _array_header(self._count) + self._bodies


def encode_replies(replies: list[Reply]) -> bytes:
    """One pub/sub message."""
    return _encoder.encode(replies)


def decode_replies(message: bytes) -> list[Reply]:
    """The replies in a pub/sub message. Raises msgspec.DecodeError for anything else."""
    return _decoder.decode(message)


def sealed(message: bytes, key: bytes) -> bytes:
    """The message behind its keyed BLAKE2b digest. The key has 16 to 64 bytes."""
    return _seal(message, key) + message


def opened(data: bytes, key: bytes) -> bytes | None:
    """The message of `data`; None if it was not sealed with `key`, or was changed after that."""
    message = data[SEAL_BYTES:]
    return message if compare_digest(data[:SEAL_BYTES], _seal(message, key)) else None


def _array_header(count: int) -> bytes:
    """MessagePack's header of an array with less than 2**32 items."""
    if count < 1 << 4:
        return bytes((0x90 | count,))
    return b"\xdc" + count.to_bytes(2, "big") if count < 1 << 16 else b"\xdd" + count.to_bytes(4, "big")


def _seal(message: bytes, key: bytes) -> bytes:
    return blake2b(message, digest_size=SEAL_BYTES, key=key).digest()
