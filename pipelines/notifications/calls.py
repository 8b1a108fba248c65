"""Makes the body of a webhook call to the event's organizer from a fact. Pure.

Guarantee: the same fact gives the same body, byte for byte. The body does not identify a buyer: it has only the fields
in `SENT_FIELDS`, even if facts get new fields. New terms of an event or a ticket type are in it: the organizer gave
them. Refused reservations make no calls: a drop has thousands in a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas import facts as f
from schemas.event_terms import EVENT_TERMS
from schemas.facts import RecordedFact
from schemas.ids import EventId
from schemas.ticket_type_terms import TICKET_TYPE_TERMS
from schemas.times import rfc3339_micros

TEST = "webhook.test"
MINOR = "_minor"

TYPES: Mapping[type[f.Fact], str] = {
    f.EventCreated: "event.created",
    f.EventUpdated: "event.updated",
    f.EventPublished: "event.published",
    f.EventCancelled: "event.cancelled",
    f.EventEnded: "event.ended",
    f.EventDeleted: "event.deleted",
    f.ScheduleChanged: "schedule.changed",
    f.TicketTypeAdded: "ticket-type.added",
    f.TicketTypeUpdated: "ticket-type.updated",
    f.PoolChanged: "pool.changed",
    f.CodeAdded: "code.added",
    f.CodeDisabled: "code.disabled",
    f.SeatsBlocked: "seats.blocked",
    f.SeatsUnblocked: "seats.unblocked",
    f.TicketsHeld: "tickets.held",
    f.HoldExtended: "hold.extended",
    f.HoldExpired: "hold.expired",
    f.HoldReleased: "hold.released",
    f.HoldReacquired: "hold.reacquired",
    f.ReservationConfirmed: "reservation.confirmed",
    f.ReservationCancelled: "reservation.cancelled",
    f.TicketsCancelled: "tickets.cancelled",
    f.PaymentRefunded: "payment.refunded",
    f.RefundFailed: "refund.failed",
    f.DisputeOpened: "dispute.opened",
    f.DisputeClosed: "dispute.closed",
    f.TicketTransferred: "ticket.transferred",
    f.WaitlistJoined: "waitlist.joined",
    f.WaitlistOffered: "waitlist.offered",
    f.WaitlistEnded: "waitlist.ended",
    f.CheckInAccepted: "check-in.accepted",
    f.CheckInRefused: "check-in.refused",
    f.CheckInReversed: "check-in.reversed",
}
TYPE_NAMES = frozenset(TYPES.values())

# Fields by name; organizers know the terms that they gave. A field in neither set is not sent, and fails a test.
SENT_FIELDS = frozenset((*EVENT_TERMS, *TICKET_TYPE_TERMS)) | {
    "access_code", "activities", "amount_minor", "block_id", "code", "code_id", "discount_minor", "dispute_id",
    "entry_id", "expires_at", "first_gate", "first_scanned_at", "first_scanner", "from_kept_minor", "from_owed_minor",
    "from_tickets_minor", "gate", "kept_minor", "label", "ordinal", "origin", "payment", "payment_id", "places_max",
    "promo_code", "quantity", "reason", "refund_id", "refund_minor", "reservation_id", "scanned_at", "scanner",
    "seat", "seats", "status", "ticket_id", "ticket_ids", "ticket_type_id", "ticket_type_ids", "to_owed_minor",
    "to_tickets_minor", "transfer_id", "until_at", "uses_max", "valid_from_at", "valid_until_at", "value", "version",
    "withheld_minor",
}  # fmt: skip
OMITTED_FIELDS = frozenset({
    "attempt_id", "by_user_id", "fingerprint", "mailbox", "organizer_id", "refund_key", "release_id", "to_user_id",
    "user_id",
})  # fmt: skip

_json = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """One fact as its organizer receives it. Position fields are the fact's."""

    event_id: EventId
    partition: int
    offset: int
    index: int
    type: str
    payload: str


def call_of(recorded: RecordedFact) -> WebhookCall | None:
    """The call for a fact; None if organizers do not receive this type of fact."""
    at, fact = recorded.envelope, recorded.fact
    name = TYPES.get(type(fact))
    if name is None:
        return None
    position = {"partition": at.partition, "offset": at.offset, "index": at.index}
    data = {"event_id": at.event_id, "position": position, **_told(fact)}
    return WebhookCall(
        event_id=at.event_id,
        partition=at.partition,
        offset=at.offset,
        index=at.index,
        type=name,
        payload=body(name, at.log_time, data),
    )


def body(name: str, time_us: int, data: dict[str, Any]) -> str:
    """The body of a call, in the format of Standard Webhooks."""
    return _json.encode({"type": name, "timestamp": rfc3339_micros(time_us), "data": data}).decode()


def _told(fact: f.Fact) -> dict[str, Any]:
    fields = ((name, getattr(fact, name)) for name in fact.__struct_fields__ if name in SENT_FIELDS)
    return {name.removesuffix(MINOR): _value(name, value) for name, value in fields}


def _value(name: str, value: Any) -> Any:
    """Times in RFC 3339, null where none is set."""
    if name.endswith("_at") and isinstance(value, int):
        return rfc3339_micros(value) if value else None
    return value
