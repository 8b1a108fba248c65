"""Orders: an event's reservations as its organizer sees them, with buyers and history."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from api.http.validation import Id
from api.reads.texts import LINE
from api.shapes.base import PageQuery, PositionOut
from schemas.ids import ReservationId, TicketId, TicketTypeId, UserId
from schemas.statuses import ReservationStatus


class OrderStatus(StrEnum):
    """A reservation's status."""

    HELD = ReservationStatus.HELD
    CONFIRMED = ReservationStatus.CONFIRMED
    REJECTED = ReservationStatus.REJECTED
    EXPIRED = ReservationStatus.EXPIRED
    RELEASED = ReservationStatus.RELEASED
    CANCELLED = ReservationStatus.CANCELLED


class OrdersQuery(PageQuery, frozen=True):
    """The filter for orders; by default all but rejected ones. `q` is part of the buyer's name or address, or an id."""

    status: OrderStatus | None = None
    ticket_type_id: Id[TicketTypeId] | None = None
    q: Annotated[str, Meta(min_length=1, max_length=100, pattern=LINE)] | None = None


class BuyerOut(msgspec.Struct, frozen=True):
    """The buyer. Name and address are null after the account is deleted."""

    id: UserId
    name: str | None
    email: str | None


class OrderOut(msgspec.Struct, frozen=True, kw_only=True):
    """An order.

    `amount` is the price of its remaining tickets, `refunded` the amount that was refunded, `refunding` the amount of
    running refunds, all in minor units of `currency`.
    """

    id: ReservationId
    status: str
    buyer: BuyerOut
    ticket_type_id: TicketTypeId
    ticket_type: str | None
    quantity: int
    seats: list[str]
    amount: int
    currency: str | None
    refunded: int
    refunding: int
    payment: str | None
    promo_code: str | None
    reason: str | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    position: PositionOut


class OrderTicketOut(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket of an order, with its transfer and its scan."""

    id: TicketId
    seat: str | None
    ordinal: int
    status: str
    handed_on: bool
    checked_in_at: datetime | None


class OrderRefundOut(msgspec.Struct, frozen=True, kw_only=True):
    """A refund of an order."""

    id: str
    status: str
    amount: int
    currency: str
    reason: str
    requested_at: datetime
    refunded_at: datetime | None


class HappenedOut(msgspec.Struct, frozen=True, kw_only=True):
    """A fact about an order: its position, its time, its type, and its reason in words."""

    position: str
    time: str
    what: str
    reason: str | None
    why: str


class OrderHistoryOut(msgspec.Struct, frozen=True, kw_only=True):
    """An order with its tickets, its refunds and its history. `history` is null while the log cannot be read."""

    order: OrderOut
    tickets: list[OrderTicketOut]
    refunds: list[OrderRefundOut]
    history: list[HappenedOut] | None
