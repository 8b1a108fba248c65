"""Commands: what somebody asks for. Imperative, keyed by event_id, one Avro record type each.

Every command carries who asks (`user_id`, from the token, empty for the platform itself) and `command_id`, unique
per request, by which its reply finds the waiting request. Times are microseconds since the epoch, money is in minor
units, 0 and "" mean "not set" except in UpdateEvent, where None does.
"""

from __future__ import annotations

import msgspec


class Command(msgspec.Struct, frozen=True, gc=False):
    """The fields that every command has."""

    event_id: str
    user_id: str
    command_id: str


class CreateEvent(Command, frozen=True, gc=False):
    """Make a draft event. Refused when the id exists or the dates contradict each other."""

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


class UpdateEvent(Command, frozen=True, gc=False):
    """Change what is not None. Only the owner may; a published event keeps its currency of promises (see decide)."""

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


class PublishEvent(Command, frozen=True, gc=False):
    """Open the event to the public: sales begin by its sales window."""


class AddTicketType(Command, frozen=True, gc=False):
    """Add something to sell: `kind` "seated" uses rows × seats_per_row, "general" uses capacity."""

    ticket_type_id: str
    name: str
    price_minor: int
    currency: str
    kind: str
    rows: int
    seats_per_row: int
    capacity: int
    sales_open_at: int
    sales_close_at: int


class ReserveTickets(Command, frozen=True, gc=False):
    """Hold `quantity` places of a ticket type, or exactly the named `seats` (then quantity is their number)."""

    reservation_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]
    fingerprint: int


class ConfirmReservation(Command, frozen=True, gc=False):
    """Pay for a hold with a provider's token. `attempt_id` comes from the Idempotency-Key."""

    reservation_id: str
    attempt_id: str
    payment_token: str


class ReleaseReservation(Command, frozen=True, gc=False):
    """Give a hold back, or cancel and refund a confirmed reservation."""

    reservation_id: str


class RecordPayment(Command, frozen=True, gc=False):
    """What the payment provider said of an attempt: `outcome` is "captured" or "declined"."""

    reservation_id: str
    attempt_id: str
    payment_id: str
    outcome: str
    reason: str
    amount_minor: int


class RecordRefund(Command, frozen=True, gc=False):
    """The provider has refunded a payment."""

    reservation_id: str
    payment_id: str
    refund_id: str
    amount_minor: int


class Tick(Command, frozen=True, gc=False):
    """Time passes for this event: written by the partition's owner when a hold is due and nothing else comes."""


COMMANDS: tuple[type[Command], ...] = (
    CreateEvent,
    UpdateEvent,
    PublishEvent,
    AddTicketType,
    ReserveTickets,
    ConfirmReservation,
    ReleaseReservation,
    RecordPayment,
    RecordRefund,
    Tick,
)
