"""Replies: what the reservations dataflow tells a waiting request, after the commit. Not on any topic.

Sent as MessagePack arrays over Redis pub/sub, one message for each API instance and batch, on the channel that the
command's `reply_to` header names. A reply that is lost loses nothing: the outcome is on the log.
"""

from __future__ import annotations

import msgspec

REPLY_CHANNEL_PREFIX = "circle:replies:"


class ReservationView(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A reservation as it stands after the command; partition and offset are where it was asked for.

    `status`: held, confirmed, rejected, expired, released or cancelled. `payment`: "" (none asked for), requested,
    declined, captured, refund-requested or refunded. `reason` and `detail` say why it is rejected or declined.
    """

    id: str
    event_id: str
    user_id: str
    ticket_type_id: str
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
    ticket_ids: list[str]


class Reply(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The outcome of one command. `outcome`: accepted, refused, or pending (a payment is under way).

    `duplicate` says that this very request had been decided before and nothing changed. `offset` is this command's.
    """

    command_id: str
    event_id: str
    partition: int
    offset: int
    outcome: str
    reason: str
    detail: str
    duplicate: bool
    reservation: ReservationView | None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Reply])


def encode_replies(replies: list[Reply]) -> bytes:
    """One pub/sub message."""
    return _encoder.encode(replies)


def decode_replies(message: bytes) -> list[Reply]:
    """The replies in a pub/sub message. Raises msgspec.DecodeError for anything else."""
    return _decoder.decode(message)
