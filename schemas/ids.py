"""Identities and units that must not mix, and the position of a record.

Guarantee: one function here makes each derived id (a reservation from a user and a key, a ticket from a reservation),
by UUID version 5 (RFC 9562 section 5.5). So retries and replays give the same ids.
"""

from __future__ import annotations

import uuid
from functools import lru_cache
from hashlib import blake2b, sha1
from typing import NewType, TypeVar

import msgspec

AnyId = TypeVar("AnyId", bound=str)
EventId = NewType("EventId", str)
UserId = NewType("UserId", str)
TicketTypeId = NewType("TicketTypeId", str)
ReservationId = NewType("ReservationId", str)
TicketId = NewType("TicketId", str)
EntryId = NewType("EntryId", str)
BlockId = NewType("BlockId", str)
ReleaseId = NewType("ReleaseId", str)
TransferId = NewType("TransferId", str)
PoolId = NewType("PoolId", str)
CodeId = NewType("CodeId", str)
CategoryId = NewType("CategoryId", str)
AttemptId = NewType("AttemptId", str)
PaymentId = NewType("PaymentId", str)
RefundId = NewType("RefundId", str)
DisputeId = NewType("DisputeId", str)
CommandId = NewType("CommandId", str)
SessionId = NewType("SessionId", str)
WebhookId = NewType("WebhookId", str)
DeliveryId = NewType("DeliveryId", str)
SubjectId = NewType("SubjectId", str)
"""What a command was about: the id of anything."""
NOBODY = UserId("")
"""The platform itself, or a user that is not set."""
NO_ATTEMPT, NO_PAYMENT, NO_REFUND = AttemptId(""), PaymentId(""), RefundId("")
NO_EVENT, NO_RESERVATION, NO_SESSION, NO_CATEGORY = EventId(""), ReservationId(""), SessionId(""), CategoryId("")
"""What is "" is not set. Names are read faster than types are called."""
LogTime = NewType("LogTime", int)
"""Microseconds since the Unix epoch, as stamped on records: the largest seen on a partition, never going back."""

US_PER_S = 1_000_000
US_PER_MS = 1_000
MS_PER_S = 1_000
DAY_S = 86_400
TIME_MS_MAX = 253_402_300_799_999  # the last millisecond of the year 9999, where calendars end
POSITION_DIGITS_MAX = 19  # of an offset, which has 64 bits
TICKETS = uuid.UUID("6f1c3c5e-0d0b-5a37-9c52-6e5f3f0a7b11")  # the namespace of ticket ids; any text may follow


def stamped(timestamp_ms: int) -> int:
    """A record's timestamp in microseconds. A time outside the calendar gives 0, which does not move log time.

    If the broker does not stamp records itself, a writer may send any time.
    """
    return timestamp_ms * US_PER_MS if 0 <= timestamp_ms <= TIME_MS_MAX else 0


def position_text(partition: int, offset: int, index: int | None = None) -> str:
    """A fact's position as text, "3-1200-0"; without an index a command's, "3-1200"."""
    return f"{partition}-{offset}" if index is None else f"{partition}-{offset}-{index}"


def is_of_whole_command(position: str) -> bool:
    """Whether a position as text is a command's, which stands for all of its facts."""
    return position.count("-") == 1


class Position(msgspec.Struct, frozen=True, order=True, gc=False):
    """A fact's position: its command's partition and offset, and its index among that command's facts."""

    partition: int
    offset: int
    index: int = 0

    def __str__(self) -> str:
        return position_text(self.partition, self.offset, self.index)

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read what `position_text` wrote; a missing index is 0. Raises ValueError that names the text."""
        parts = text.split("-")
        if len(parts) not in (2, 3) or not all(map(_is_number, parts)):
            raise ValueError(f"not a position (partition-offset[-index]): {text!r}")
        return cls(*map(int, parts))


def _is_number(text: str) -> bool:
    return len(text) <= POSITION_DIGITS_MAX and text.isascii() and text.isdecimal()


def reservation_id(user: UserId, key: str) -> ReservationId:
    """The id of the reservation for `user` and Idempotency-Key `key`: the same on every retry."""
    return ReservationId(_uuid5(_bytes_of(user), key))


def attempt_id(reservation: ReservationId, key: str) -> AttemptId:
    """The id of the payment attempt for Idempotency-Key `key`; also the idempotency key at the provider."""
    return AttemptId(_uuid5(_bytes_of(reservation), key))


def ticket_id(reservation: ReservationId, place: str) -> TicketId:
    """The ticket of `reservation` for `place`: a seat label, or the ordinal of a general admission."""
    return TicketId(_uuid5(TICKETS.bytes, f"{reservation}/{place}"))


def offer_id(entry: EntryId) -> ReservationId:
    """The reservation that a waiting list's entry is offered: one offer for each entry."""
    return ReservationId(_uuid5(TICKETS.bytes, f"offer/{entry}"))


def transfer_id(ticket: TicketId, command: CommandId) -> TransferId:
    """The offer of a ticket that a command makes."""
    return TransferId(_uuid5(TICKETS.bytes, f"transfer/{ticket}/{command}"))


def fingerprint(ticket_type: TicketTypeId, quantity: int, seats: list[str] | tuple[str, ...], *codes: str) -> int:
    """64-bit digest of a reservation's request, with its codes. It detects one key with two bodies."""
    text = f"{ticket_type}|{quantity}|{','.join(seats)}"
    if any(codes):
        text += "|" + "|".join(codes)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


@lru_cache(maxsize=10_000)  # for a buyer's retries, and the buyers of a drop
def _bytes_of(name: str) -> bytes:
    return uuid.UUID(name).bytes


def _uuid5(namespace: bytes, name: str) -> str:
    """The text of `uuid.uuid5(namespace, name)`, in a quarter of its time: every request needs one."""
    raw = sha1(namespace + name.encode(), usedforsecurity=False).digest()
    text = (raw[:6] + bytes((raw[6] & 0x0F | 0x50, raw[7], raw[8] & 0x3F | 0x80)) + raw[9:16]).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
