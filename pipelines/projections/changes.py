"""What a batch of facts changes in the tables: one change a row, whatever number of facts it takes. Pure.

A change is either whole (the fact that makes the row is in the batch) or a patch of a row that exists; in a patch,
None is "as it is". (updated_offset, updated_index) is the position of the last fact folded into the change.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec


class EventChange(msgspec.Struct, gc=False):
    """A row of events; whole when `created_at` is set."""

    id: str
    partition: int
    organizer_id: str | None = None
    status: str | None = None
    title: str | None = None
    description: str | None = None
    category_id: str | None = None
    venue: str | None = None
    starts_at: int | None = None
    ends_at: int | None = None
    timezone: str | None = None
    sales_open_at: int | None = None
    sales_close_at: int | None = None
    hold_ttl_s: int | None = None
    max_tickets_per_user: int | None = None
    created_at: int | None = None
    published_at: int | None = None
    updated_offset: int = -1
    updated_index: int = -1


class TicketTypeChange(msgspec.Struct, gc=False):
    """A row of ticket_types, always whole."""

    id: str
    event_id: str
    partition: int
    ordinal: int
    name: str
    price_minor: int
    currency: str
    kind: str
    rows: int
    seats_per_row: int
    capacity: int
    sales_open_at: int
    sales_close_at: int
    updated_offset: int
    updated_index: int


class ReservationChange(msgspec.Struct, gc=False):
    """A row of reservations; whole when `fingerprint` is set."""

    id: str
    event_id: str
    partition: int
    offset: int | None = None
    user_id: str | None = None
    ticket_type_id: str | None = None
    status: str | None = None
    quantity: int | None = None
    seats: list[str] | None = None
    amount_minor: int | None = None
    currency: str | None = None
    expires_at: int | None = None
    fingerprint: int | None = None
    reason: str | None = None
    detail: str | None = None
    attempt_id: str | None = None
    payment: str | None = None
    payment_id: str | None = None
    payment_token: str | None = None
    refund_id: str | None = None
    ticket_ids: list[str] | None = None
    created_at: int | None = None
    updated_at: int = 0
    updated_offset: int = -1
    updated_index: int = -1


class PaymentChange(msgspec.Struct, gc=False):
    """A row of payments; whole when `amount_minor` is set. `attempt_id` "" is a patch found by `payment_id`."""

    event_id: str
    attempt_id: str
    partition: int
    reservation_id: str | None = None
    user_id: str | None = None
    status: str | None = None
    reason: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    payment_token: str | None = None
    payment_id: str | None = None
    refund_id: str | None = None
    updated_offset: int = -1
    updated_index: int = -1


class SeatClaimChange(msgspec.Struct, gc=False):
    """A row of seat_claims, always whole."""

    event_id: str
    ticket_type_id: str
    seat: str
    reservation_id: str
    partition: int
    status: str
    updated_offset: int
    updated_index: int


class TicketChange(msgspec.Struct, gc=False):
    """A row of tickets, always whole."""

    id: str
    event_id: str
    partition: int
    reservation_id: str
    user_id: str
    ticket_type_id: str
    seat: str
    ordinal: int
    status: str
    version: int
    issued_at: int
    updated_offset: int
    updated_index: int


class TicketsVoided(msgspec.Struct, gc=False):
    """A patch of all tickets of a reservation that was confirmed before this batch."""

    event_id: str
    reservation_id: str
    updated_offset: int
    updated_index: int


class SeatLockChange(msgspec.Struct, gc=False):
    """A row of observed_seat_locks, always whole."""

    event_id: str
    place: str
    partition: int
    locked: bool
    updated_offset: int
    updated_index: int


@dataclass(slots=True)
class Changes:
    """Every change of a batch, keyed by what the rows are keyed by."""

    events: dict[str, EventChange] = field(default_factory=dict)
    ticket_types: dict[tuple[str, str], TicketTypeChange] = field(default_factory=dict)
    reservations: dict[tuple[str, str], ReservationChange] = field(default_factory=dict)
    payments: dict[tuple[str, str], PaymentChange] = field(default_factory=dict)
    refunds: dict[tuple[str, str], PaymentChange] = field(default_factory=dict)
    seat_claims: dict[tuple[str, str, str, str], SeatClaimChange] = field(default_factory=dict)
    tickets: dict[tuple[str, str], list[TicketChange]] = field(default_factory=dict)
    tickets_voided: dict[tuple[str, str], TicketsVoided] = field(default_factory=dict)
    seat_locks: dict[tuple[str, str], SeatLockChange] = field(default_factory=dict)
