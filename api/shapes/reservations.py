"""Reservations, confirmations, tickets, notifications."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import asyncpg
import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.http import validation
from api.http.validation import Id
from api.shapes.base import Now, PageQuery, PositionOut, Request
from api.shapes.door import Seen
from pipelines.reservations.core.limits import CODE_CHARS_MAX, PRICE_MINOR_MAX, SEATS_PER_ORDER_MAX
from schemas.ids import DisputeId, EventId, PaymentId, RefundId, ReservationId, TicketId, TicketTypeId, position_text
from schemas.times import utc

# A seat label is at most "AAA-99999". `(?!\n)` because `$` alone also matches before a final line feed.
Seat = Annotated[str, Meta(min_length=3, max_length=9, pattern=r"^[A-Z]{1,3}-[1-9][0-9]{0,4}(?!\n)$")]
CodeText = Annotated[
    str, Meta(min_length=1, max_length=CODE_CHARS_MAX, pattern=r"^[!-~]+(?!\n)$", description="upper or lower case")
]
Quantity = Annotated[int, Meta(ge=1, le=SEATS_PER_ORDER_MAX)]
Seats = Annotated[list[Seat], Meta(min_length=1, max_length=SEATS_PER_ORDER_MAX)]


class ReservationIn(Request, frozen=True, gc=False):
    """Either `quantity`, for the best free places, or `seats`, for exactly these seats."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"ticket_type_id": "36258337-d555-413d-abb3-d7d9e2f23fca", "quantity": 2}

    ticket_type_id: Id[TicketTypeId]
    quantity: Quantity | UnsetType = UNSET
    seats: Seats | UnsetType = UNSET
    promo_code: CodeText | None = None
    access_code: CodeText | None = None


class RefundOut(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A refund of a reservation's payment. `status`: requested, refunded or failed. `origin`: ours, provider (begun in
    the payment provider's dashboard or at a bank) or stray (for a second payment)."""

    refund_id: RefundId | None
    payment_id: PaymentId
    status: str
    origin: str
    amount: int
    currency: str
    reason: str | None
    requested_at: datetime | None
    refunded_at: datetime | None


class DisputeOut(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A dispute of a reservation's payment. `status`: inquiry, open, won, lost or closed. While it is open, the tickets
    are not valid at the door."""

    dispute_id: DisputeId
    payment_id: PaymentId
    status: str
    amount: int
    currency: str
    reason: str | None
    opened_at: datetime | None
    closed_at: datetime | None


class ReservationOut(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A reservation. While `status` is pending, only its id, event and position are known.

    A single reservation also has the state of its money: `amount` is the price of its tickets, `refunded` the refunded
    amount, `kept` the amount that the organizer keeps, `owed` the refund that is due and not requested yet.
    """

    id: ReservationId
    status: str
    event_id: EventId
    ticket_type_id: TicketTypeId | None = None
    seats: list[str] = []
    quantity: int | None = None
    amount: int | None = None
    currency: str | None = None
    expires_at: datetime | None = None
    payment: str | None = None
    reason: str | None = None
    detail: str | None = None
    kept: int | UnsetType = UNSET
    owed: int | UnsetType = UNSET
    refunded: int | UnsetType = UNSET
    refunds: list[RefundOut] | UnsetType = UNSET
    disputes: list[DisputeOut] | UnsetType = UNSET
    position: PositionOut
    now: Now = UNSET


class CancelTicketsIn(Request, frozen=True):
    """The tickets of a reservation to cancel."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"ticket_ids": ["00000000-0000-4000-8000-000000000000"]}

    ticket_ids: Annotated[list[Id[TicketId]], Meta(min_length=1, max_length=SEATS_PER_ORDER_MAX)]


class RefundIn(Request, frozen=True):
    """The tickets that the organizer cancels and refunds; without ids the whole reservation. Or an `amount` in minor
    units to refund without a cancellation."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"ticket_ids": []}

    ticket_ids: Annotated[list[Id[TicketId]], Meta(max_length=SEATS_PER_ORDER_MAX)] = msgspec.field(
        default_factory=list
    )
    amount: Annotated[int, Meta(ge=1, le=PRICE_MINOR_MAX * SEATS_PER_ORDER_MAX)] | UnsetType = UNSET


class ConfirmIn(Request, frozen=True):
    """The payment provider's token: tok_ok, tok_declined, tok_slow and tok_lost_reply in the sandbox.

    A free reservation needs no token and ignores one: it is confirmed at once.
    """

    EXAMPLE: ClassVar[dict[str, Any]] = {"payment_token": "tok_ok"}

    payment_token: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[!-~]+(?!\n)$")] | UnsetType = UNSET


class TicketCodeOut(msgspec.Struct, frozen=True):
    """A new ticket. `seat` is null for general admission."""

    id: TicketId
    seat: str | None
    code: str


class ConfirmedOut(msgspec.Struct, frozen=True, kw_only=True):
    """A confirmed reservation with its tickets. `payment` is null if there was nothing to pay."""

    id: ReservationId
    status: str
    event_id: EventId
    ticket_type_id: TicketTypeId
    seats: list[str]
    quantity: int
    amount: int
    currency: str
    payment: str | None
    position: PositionOut
    tickets: list[TicketCodeOut]


class ReservationsQuery(PageQuery, frozen=True):
    """The caller's reservations, the latest first."""

    event_id: Id[EventId] | None = None


class TicketsQuery(PageQuery, frozen=True):
    """The caller's tickets, the latest first."""

    event_id: Id[EventId] | None = None


class TicketOut(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket with its signed code. A void ticket has no code; while its payment is `disputed` it is not valid."""

    id: TicketId
    event_id: EventId
    reservation_id: ReservationId
    ticket_type_id: TicketTypeId
    seat: str | None
    ordinal: int
    status: str
    issued_at: datetime
    code: str | None
    checked_in_at: datetime | None
    disputed: bool


class ValidateIn(Request, frozen=True):
    """A scanned code."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"code": "AXq0dW8mVb3oJtq2x5Zr7yTgHc9LpKfEs6AuInZ4Qm1xkq0d"}

    code: Annotated[str, Meta(description="as it was scanned; white space around it does not matter")]


class CodeProblem(StrEnum):
    """Why a code is no valid ticket. The other reasons are those of a refused scan."""

    MALFORMED = "malformed"
    FORGED = "forged"
    UNKNOWN = "unknown"
    SUPERSEDED = "superseded"
    VOID = "void"


class ValidationOut(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a code is valid at the door now.

    If not, `reason` is malformed, forged, unknown, superseded, void, event-cancelled or already-checked-in; the last
    also has `checked_in` with time and place.
    """

    valid: bool
    reason: str | None = None
    ticket_id: TicketId | None = None
    event_id: EventId | None = None
    ticket_type_id: TicketTypeId | None = None
    seat: str | None = None
    checked_in: Seen | None = None


class NotificationsQuery(PageQuery, frozen=True):
    """The caller's notifications, the latest first."""

    unread: bool = False


class NotificationOut(msgspec.Struct, frozen=True, kw_only=True):
    """A message in the inbox. `id` is its position, and also its id on the live stream."""

    id: str
    kind: str
    event_id: EventId
    reservation_id: ReservationId
    data: msgspec.Raw
    created_at: datetime
    read_at: datetime | None


class UnreadOut(msgspec.Struct, frozen=True):
    """How many notifications are unread."""

    unread: int


class ReadAllOut(msgspec.Struct, frozen=True):
    """How many notifications were marked as read."""

    marked: int


def notification_out(row: asyncpg.Record) -> NotificationOut:
    """A row as the API shows it."""
    return NotificationOut(
        id=position_text(row["outbound_partition"], row["outbound_offset"]),
        kind=row["kind"],
        event_id=row["event_id"],
        reservation_id=row["reservation_id"],
        data=msgspec.Raw(row["data"].encode()),
        created_at=utc(row["created_at"]),
        read_at=validation.moment_or_none(row["read_at"]),
    )
