"""Facts to row changes. Pure: no clock, no I/O, and no look at the rows that are there.

Guarantee: applying the changes of two batches one after the other gives the rows that applying the changes of both
as one batch gives. What a fact does to a reservation here is what `pipelines.reservations.evolve` does with it, so
that state can be rebuilt from rows. Facts that change no row (ticks, duplicates, refused commands) change none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pipelines.projections.changes import (
    Changes,
    EventChange,
    PaymentChange,
    ReservationChange,
    SeatClaimChange,
    SeatLockChange,
    TicketChange,
    TicketsVoided,
    TicketTypeChange,
)
from schemas import facts as f
from schemas.facts import Envelope, RecordedFact

HELD, SOLD, ENDED = "held", "sold", "ended"
VALID, VOID = "valid", "void"
REFUSED, REQUESTED = "refused", "requested"


def project(facts: Iterable[RecordedFact]) -> Changes:
    """The changes of these facts, which come in the order of their partitions."""
    changes = Changes()
    for recorded in facts:
        change = _CHANGES.get(type(recorded.fact))
        if change is not None:
            change(changes, recorded.envelope, recorded.fact)
    return changes


def _event(changes: Changes, at: Envelope) -> EventChange:
    change = changes.events.get(at.event_id)
    if change is None:
        change = changes.events[at.event_id] = EventChange(at.event_id, at.partition)
    change.updated_offset, change.updated_index = at.offset, at.index
    return change


def _reservation(changes: Changes, at: Envelope, reservation_id: str) -> ReservationChange:
    key = (at.event_id, reservation_id)
    change = changes.reservations.get(key)
    if change is None:
        change = changes.reservations[key] = ReservationChange(reservation_id, at.event_id, at.partition)
    change.updated_at, change.updated_offset, change.updated_index = at.log_time, at.offset, at.index
    return change


def _payment(changes: Changes, at: Envelope, attempt_id: str) -> PaymentChange:
    key = (at.event_id, attempt_id)
    change = changes.payments.get(key)
    if change is None:
        change = changes.payments[key] = PaymentChange(at.event_id, attempt_id, at.partition)
    change.updated_offset, change.updated_index = at.offset, at.index
    return change


def _claims(
    changes: Changes, at: Envelope, ticket_type_id: str, seats: list[str], reservation_id: str, status: str
) -> None:
    for seat in seats:
        changes.seat_claims[at.event_id, ticket_type_id, seat, reservation_id] = SeatClaimChange(
            at.event_id, ticket_type_id, seat, reservation_id, at.partition, status, at.offset, at.index
        )


def _described(change: EventChange, fact: f.EventCreated | f.EventUpdated) -> None:
    change.title, change.description, change.category_id = fact.title, fact.description, fact.category_id
    change.venue, change.starts_at, change.ends_at = fact.venue, fact.starts_at, fact.ends_at
    change.timezone, change.hold_ttl_s = fact.timezone, fact.hold_ttl_s
    change.sales_open_at, change.sales_close_at = fact.sales_open_at, fact.sales_close_at
    change.max_tickets_per_user = fact.max_tickets_per_user


def _event_created(changes: Changes, at: Envelope, fact: f.EventCreated) -> None:
    change = _event(changes, at)
    change.organizer_id, change.status = fact.user_id, "draft"
    change.created_at, change.published_at = at.log_time, 0
    _described(change, fact)


def _event_updated(changes: Changes, at: Envelope, fact: f.EventUpdated) -> None:
    _described(_event(changes, at), fact)


def _event_published(changes: Changes, at: Envelope, _fact: f.EventPublished) -> None:
    change = _event(changes, at)
    change.status, change.published_at = "published", at.log_time


def _ticket_type_added(changes: Changes, at: Envelope, fact: f.TicketTypeAdded) -> None:
    changes.ticket_types[at.event_id, fact.ticket_type_id] = TicketTypeChange(
        fact.ticket_type_id, at.event_id, at.partition, fact.ordinal, fact.name, fact.price_minor, fact.currency,
        fact.kind, fact.rows, fact.seats_per_row, fact.capacity, fact.sales_open_at, fact.sales_close_at,
        at.offset, at.index,
    )  # fmt: skip


def _tickets_held(changes: Changes, at: Envelope, fact: f.TicketsHeld) -> None:
    changes.reservations[at.event_id, fact.reservation_id] = ReservationChange(
        fact.reservation_id, at.event_id, at.partition, at.offset, fact.user_id, fact.ticket_type_id, "held",
        fact.quantity, fact.seats, fact.amount_minor, fact.currency, fact.expires_at, fact.fingerprint, "", "",
        "", "", "", "", "", [], at.log_time, at.log_time, at.offset, at.index,
    )  # fmt: skip
    _claims(changes, at, fact.ticket_type_id, fact.seats, fact.reservation_id, HELD)


def _rejected(changes: Changes, at: Envelope, fact: f.ReservationRejected) -> None:
    changes.reservations[at.event_id, fact.reservation_id] = ReservationChange(
        fact.reservation_id, at.event_id, at.partition, at.offset, fact.user_id, fact.ticket_type_id, "rejected",
        fact.quantity, [], 0, "", 0, fact.fingerprint, fact.reason, fact.detail,
        "", "", "", "", "", [], at.log_time, at.log_time, at.offset, at.index,
    )  # fmt: skip


def _locks_observed(changes: Changes, at: Envelope, fact: f.SeatLocksObserved) -> None:
    for places, locked in ((fact.freed, False), (fact.locked, True)):
        for place in places:
            changes.seat_locks[at.event_id, place] = SeatLockChange(
                at.event_id, place, at.partition, locked, at.offset, at.index
            )


def _payment_requested(changes: Changes, at: Envelope, fact: f.PaymentRequested) -> None:
    reservation = _reservation(changes, at, fact.reservation_id)
    reservation.payment, reservation.attempt_id = REQUESTED, fact.attempt_id
    reservation.payment_token, reservation.reason = fact.payment_token, ""
    changes.payments[at.event_id, fact.attempt_id] = PaymentChange(
        at.event_id, fact.attempt_id, at.partition, fact.reservation_id, fact.user_id, REQUESTED, "",
        fact.amount_minor, fact.currency, fact.payment_token, "", "", at.offset, at.index,
    )  # fmt: skip


def _payment_declined(changes: Changes, at: Envelope, fact: f.PaymentDeclined) -> None:
    reservation = _reservation(changes, at, fact.reservation_id)
    reservation.payment, reservation.reason = "declined", fact.reason
    payment = _payment(changes, at, fact.attempt_id)
    payment.status, payment.reason = "declined", fact.reason


def _confirmed(changes: Changes, at: Envelope, fact: f.ReservationConfirmed) -> None:
    reservation = _reservation(changes, at, fact.reservation_id)
    reservation.status, reservation.payment, reservation.reason = "confirmed", "captured", ""
    reservation.attempt_id, reservation.payment_id = fact.attempt_id, fact.payment_id
    reservation.ticket_ids = fact.ticket_ids
    payment = _payment(changes, at, fact.attempt_id)
    payment.status, payment.payment_id = "captured", fact.payment_id
    _claims(changes, at, fact.ticket_type_id, fact.seats, fact.reservation_id, SOLD)
    changes.tickets[at.event_id, fact.reservation_id] = [
        TicketChange(
            ticket_id, at.event_id, at.partition, fact.reservation_id, fact.user_id, fact.ticket_type_id,
            fact.seats[place] if fact.seats else "", place + 1, VALID, 1, at.log_time, at.offset, at.index,
        )
        for place, ticket_id in enumerate(fact.ticket_ids)
    ]  # fmt: skip


def _confirmation_refused(changes: Changes, at: Envelope, fact: f.ConfirmationRefused) -> None:
    # Only an attempt that waits for the provider is refused by this; one that was charged is refunded instead.
    payment = _payment(changes, at, fact.attempt_id)
    if payment.status in (None, REQUESTED):
        payment.status, payment.reason = REFUSED, fact.reason


def _refund_requested(changes: Changes, at: Envelope, fact: f.RefundRequested) -> None:
    reservation = _reservation(changes, at, fact.reservation_id)
    reservation.payment, reservation.payment_id = "refund-requested", fact.payment_id
    payment = _payment(changes, at, fact.attempt_id)
    payment.status, payment.payment_id, payment.reason = "refund-requested", fact.payment_id, fact.reason


def _refunded(changes: Changes, at: Envelope, fact: f.PaymentRefunded) -> None:
    reservation = _reservation(changes, at, fact.reservation_id)
    reservation.payment, reservation.refund_id = "refunded", fact.refund_id
    # The fact names the payment, not the attempt: whichever attempt has it, in this batch or before it.
    change = changes.refunds[at.event_id, fact.payment_id] = PaymentChange(at.event_id, "", at.partition)
    change.payment_id, change.status, change.refund_id = fact.payment_id, "refunded", fact.refund_id
    change.updated_offset, change.updated_index = at.offset, at.index


def _ended(status: str) -> Callable[[Changes, Envelope, Any], None]:
    def change(changes: Changes, at: Envelope, fact: f.HoldExpired | f.HoldReleased | f.ReservationCancelled) -> None:
        _reservation(changes, at, fact.reservation_id).status = status
        _claims(changes, at, fact.ticket_type_id, fact.seats, fact.reservation_id, ENDED)

    return change


def _cancelled(changes: Changes, at: Envelope, fact: f.ReservationCancelled) -> None:
    _ended("cancelled")(changes, at, fact)
    key = (at.event_id, fact.reservation_id)
    issued_here = changes.tickets.get(key)
    if issued_here is None:
        changes.tickets_voided[key] = TicketsVoided(at.event_id, fact.reservation_id, at.offset, at.index)
        return
    for ticket in issued_here:
        ticket.status, ticket.version = VOID, ticket.version + 1
        ticket.updated_offset, ticket.updated_index = at.offset, at.index


_CHANGES: dict[type[f.Fact], Callable[[Changes, Envelope, Any], None]] = {
    f.EventCreated: _event_created,
    f.EventUpdated: _event_updated,
    f.EventPublished: _event_published,
    f.TicketTypeAdded: _ticket_type_added,
    f.TicketsHeld: _tickets_held,
    f.ReservationRejected: _rejected,
    f.SeatLocksObserved: _locks_observed,
    f.PaymentRequested: _payment_requested,
    f.PaymentDeclined: _payment_declined,
    f.ReservationConfirmed: _confirmed,
    f.ConfirmationRefused: _confirmation_refused,
    f.RefundRequested: _refund_requested,
    f.PaymentRefunded: _refunded,
    f.HoldExpired: _ended("expired"),
    f.HoldReleased: _ended("released"),
    f.ReservationCancelled: _cancelled,
}
