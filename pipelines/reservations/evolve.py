"""`evolve(state, fact, at)`: what a fact changes. Pure: no clock, no I/O, no choice; every choice is in `decide`.

The state is changed in place and returned; whoever needs the former one folds again. Facts that change nothing
(refusals of commands, duplicates, ticks) are folded like the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pipelines.reservations import state as s
from pipelines.reservations.seating import Seating
from pipelines.reservations.state import At, Details, EventState, Reservation, Section
from schemas import facts as f

_replace = msgspec.structs.replace


def evolve(state: EventState, fact: f.Fact, at: At) -> EventState:
    """Fold one fact. Raises KeyError for a fact about something the facts before it never made: a broken log."""
    change = _CHANGES.get(type(fact))
    if change is not None:
        change(state, fact, at)
    return state


def _details(state: EventState, fact: f.EventCreated | f.EventUpdated, _at: At) -> None:
    organizer = fact.user_id if state.details is None else state.details.organizer_id
    state.details = Details(
        organizer,
        fact.title,
        fact.description,
        fact.category_id,
        fact.venue,
        fact.starts_at,
        fact.ends_at,
        fact.timezone,
        fact.sales_open_at,
        fact.sales_close_at,
        fact.hold_ttl_s,
        fact.max_tickets_per_user,
    )


def _published(state: EventState, _fact: f.EventPublished, _at: At) -> None:
    state.status = s.PUBLISHED


def _ticket_type(state: EventState, fact: f.TicketTypeAdded, _at: At) -> None:
    section = Section(
        fact.ticket_type_id,
        fact.ordinal,
        fact.name,
        fact.price_minor,
        fact.currency,
        fact.kind,
        fact.rows,
        fact.seats_per_row,
        fact.capacity,
        fact.sales_open_at,
        fact.sales_close_at,
    )
    if fact.kind == s.SEATED:
        section.seating = Seating(fact.rows, fact.seats_per_row)
    state.sections[fact.ticket_type_id] = section
    for place in sorted(state.locked_places):
        if place.startswith(fact.ticket_type_id + "/"):
            state.lock_place(place)


def _held(state: EventState, fact: f.TicketsHeld, at: At) -> None:
    state.put(
        Reservation(
            fact.reservation_id,
            fact.user_id,
            fact.ticket_type_id,
            s.HELD,
            fact.quantity,
            fact.seats,
            fact.amount_minor,
            fact.currency,
            fact.expires_at,
            fact.fingerprint,
            at.partition,
            at.offset,
            at.log_time,
        )
    )


def _rejected(state: EventState, fact: f.ReservationRejected, at: At) -> None:
    if state.details is None:
        return  # nothing is remembered of an event that does not exist: made-up ids must not fill the memory
    state.put(
        Reservation(
            fact.reservation_id,
            fact.user_id,
            fact.ticket_type_id,
            s.REJECTED,
            fact.quantity,
            [],
            0,
            "",
            0,
            fact.fingerprint,
            at.partition,
            at.offset,
            at.log_time,
            fact.reason,
            fact.detail,
        )
    )


def _locks(state: EventState, fact: f.SeatLocksObserved, _at: At) -> None:
    for place in fact.freed:
        state.unlock_place(place)
    for place in fact.locked:
        state.lock_place(place)


def _payment_requested(state: EventState, fact: f.PaymentRequested, _at: At) -> None:
    old = state.reservations[fact.reservation_id]
    state.put(
        _replace(old, payment=s.REQUESTED, attempt_id=fact.attempt_id, payment_token=fact.payment_token, reason="")
    )


def _payment_declined(state: EventState, fact: f.PaymentDeclined, _at: At) -> None:
    state.put(_replace(state.reservations[fact.reservation_id], payment=s.DECLINED, reason=fact.reason))


def _confirmed(state: EventState, fact: f.ReservationConfirmed, _at: At) -> None:
    old = state.reservations[fact.reservation_id]
    state.put(
        _replace(
            old,
            status=s.CONFIRMED,
            payment=s.CAPTURED,
            attempt_id=fact.attempt_id,
            payment_id=fact.payment_id,
            reason="",
        )
    )
    state.drop_stale_deadlines()


def _refund_requested(state: EventState, fact: f.RefundRequested, _at: At) -> None:
    old = state.reservations[fact.reservation_id]
    state.put(_replace(old, payment=s.REFUND_REQUESTED, payment_id=fact.payment_id))


def _refunded(state: EventState, fact: f.PaymentRefunded, _at: At) -> None:
    state.put(_replace(state.reservations[fact.reservation_id], payment=s.REFUNDED))


def _ended(status: str) -> Callable[[EventState, Any, At], None]:
    def change(state: EventState, fact: f.HoldExpired | f.HoldReleased | f.ReservationCancelled, _at: At) -> None:
        state.put(_replace(state.reservations[fact.reservation_id], status=status))
        state.drop_stale_deadlines()

    return change


_CHANGES: dict[type[f.Fact], Callable[[EventState, Any, At], None]] = {
    f.EventCreated: _details,
    f.EventUpdated: _details,
    f.EventPublished: _published,
    f.TicketTypeAdded: _ticket_type,
    f.TicketsHeld: _held,
    f.ReservationRejected: _rejected,
    f.SeatLocksObserved: _locks,
    f.PaymentRequested: _payment_requested,
    f.PaymentDeclined: _payment_declined,
    f.ReservationConfirmed: _confirmed,
    f.RefundRequested: _refund_requested,
    f.PaymentRefunded: _refunded,
    f.HoldExpired: _ended(s.EXPIRED),
    f.HoldReleased: _ended(s.RELEASED),
    f.ReservationCancelled: _ended(s.CANCELLED),
}
