"""Facts: what was decided. Past tense, one Avro record type each, on the partition of their command.

A fact on the log is its envelope (where and when it was decided) followed by its own fields. A refusal is a fact.
Every command yields at least one. Times are microseconds since the epoch, money is in minor units.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

RULES_VERSION = 1
"""The version of the rules in `pipelines.reservations.decide` that new facts are decided under."""


class Reason(StrEnum):
    """Why something was refused: stable words, used as problem types in the HTTP API."""

    SOLD_OUT = "sold-out"
    SEAT_TAKEN = "seat-taken"
    SEAT_UNKNOWN = "seat-unknown"
    LIMIT_EXCEEDED = "limit-exceeded"
    SALES_NOT_OPEN = "sales-not-open"
    SALES_CLOSED = "sales-closed"
    EVENT_CANCELLED = "event-cancelled"
    EVENT_NOT_FOUND = "event-not-found"
    EVENT_EXISTS = "event-exists"
    EVENT_NOT_PUBLISHED = "event-not-published"
    NOT_DRAFT = "not-draft"
    NOT_OWNER = "not-owner"
    NO_TICKET_TYPES = "no-ticket-types"
    INVALID_SCHEDULE = "invalid-schedule"
    INVALID_QUANTITY = "invalid-quantity"
    INVALID_SEATS = "invalid-seats"
    INVALID_TICKET_TYPE = "invalid-ticket-type"
    TICKET_TYPE_NOT_FOUND = "ticket-type-not-found"
    TICKET_TYPE_EXISTS = "ticket-type-exists"
    RESERVATION_NOT_FOUND = "reservation-not-found"
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    HOLD_EXPIRED = "hold-expired"
    NOT_HELD = "not-held"
    PAYMENT_IN_PROGRESS = "payment-in-progress"
    PAYMENT_DECLINED = "payment-declined"
    PAYMENT_UNKNOWN = "payment-unknown"
    BUYER_CANCELLED = "buyer-cancelled"


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """Where a fact was decided: its position, how many facts its command yielded, log time, rules version."""

    event_id: str
    partition: int
    offset: int
    index: int
    count: int
    log_time: int
    rules_version: int


class Fact(msgspec.Struct, frozen=True, gc=False):
    """Base of all facts."""


class EventCreated(Fact, frozen=True, gc=False):
    """A draft event exists; `user_id` organizes it."""

    user_id: str
    title: str
    description: str
    category_id: str
    venue: str
    starts_at: int
    ends_at: int
    timezone: str
    sales_open_at: int
    sales_close_at: int
    hold_ttl_s: int
    max_tickets_per_user: int


class EventUpdated(Fact, frozen=True, gc=False):
    """The event's description as it is from here on, whole."""

    user_id: str
    title: str
    description: str
    category_id: str
    venue: str
    starts_at: int
    ends_at: int
    timezone: str
    sales_open_at: int
    sales_close_at: int
    hold_ttl_s: int
    max_tickets_per_user: int


class EventPublished(Fact, frozen=True, gc=False):
    """The public may see the event and, within its sales window, buy."""

    user_id: str


class TicketTypeAdded(Fact, frozen=True, gc=False):
    """Something to sell; `ordinal` is its place among the event's ticket types, from 0."""

    user_id: str
    ticket_type_id: str
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


class TicketsHeld(Fact, frozen=True, gc=False):
    """A hold: these seats (none for general admission) are this buyer's until `expires_at`."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]
    amount_minor: int
    currency: str
    expires_at: int
    fingerprint: int


class ReservationRejected(Fact, frozen=True, gc=False):
    """A reservation was turned down; `detail` names what stood in the way."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    fingerprint: int
    reason: str
    detail: str


class SeatLocksObserved(Fact, frozen=True, gc=False):
    """Foreign owners' seat locks changed in Redis: places "ticket_type_id/seat" now `locked` or `freed` again."""

    locked: list[str]
    freed: list[str]


class PaymentRequested(Fact, frozen=True, gc=False):
    """The payments dataflow shall charge `payment_token`; `command_id` is the request that waits for it."""

    reservation_id: str
    user_id: str
    attempt_id: str
    payment_token: str
    amount_minor: int
    currency: str
    command_id: str


class PaymentDeclined(Fact, frozen=True, gc=False):
    """The provider declined; the hold stands until its deadline."""

    reservation_id: str
    user_id: str
    attempt_id: str
    reason: str


class ReservationConfirmed(Fact, frozen=True, gc=False):
    """Paid for. One ticket for each place, in the order of `seats` (general admission: of ordinals from 1)."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]
    ticket_ids: list[str]
    attempt_id: str
    payment_id: str
    amount_minor: int
    currency: str


class ConfirmationRefused(Fact, frozen=True, gc=False):
    """Nothing was charged, or what was charged is being refunded (a RefundRequested beside this says so)."""

    reservation_id: str
    user_id: str
    attempt_id: str
    reason: str


class RefundRequested(Fact, frozen=True, gc=False):
    """The payments dataflow shall refund this payment."""

    reservation_id: str
    user_id: str
    attempt_id: str
    payment_id: str
    amount_minor: int
    currency: str
    reason: str


class PaymentRefunded(Fact, frozen=True, gc=False):
    """The provider has refunded the payment."""

    reservation_id: str
    user_id: str
    payment_id: str
    refund_id: str
    amount_minor: int


class HoldExpired(Fact, frozen=True, gc=False):
    """The deadline passed; the places are free again."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]


class HoldReleased(Fact, frozen=True, gc=False):
    """The buyer gave the hold back; the places are free again."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]


class ReservationCancelled(Fact, frozen=True, gc=False):
    """A confirmed reservation was cancelled: its tickets are void, its places free, its payment to be refunded."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]
    reason: str


class TickObserved(Fact, frozen=True, gc=False):
    """A tick was read; what fell due stands before it as facts of its own."""


class CommandDuplicated(Fact, frozen=True, gc=False):
    """The same request came again and changes nothing; `subject_id` is what it was about."""

    command_type: str
    subject_id: str
    user_id: str


class CommandRefused(Fact, frozen=True, gc=False):
    """A command other than a reservation was turned down; `detail` names the field or the state in the way."""

    command_type: str
    subject_id: str
    user_id: str
    reason: str
    detail: str


class CommandUnreadable(Fact, frozen=True, gc=False):
    """The record at this position could not be decoded; its bytes are in the dead letters."""

    error: str


FACTS: tuple[type[Fact], ...] = (
    EventCreated,
    EventUpdated,
    EventPublished,
    TicketTypeAdded,
    TicketsHeld,
    ReservationRejected,
    SeatLocksObserved,
    PaymentRequested,
    PaymentDeclined,
    ReservationConfirmed,
    ConfirmationRefused,
    RefundRequested,
    PaymentRefunded,
    HoldExpired,
    HoldReleased,
    ReservationCancelled,
    TickObserved,
    CommandDuplicated,
    CommandRefused,
    CommandUnreadable,
)


class RecordedFact(msgspec.Struct, frozen=True, gc=False):
    """A fact with its envelope, as it stands on the log."""

    envelope: Envelope
    fact: Fact
