"""What the facts about reservations change: holds, their deadlines, their ends."""

from __future__ import annotations

import msgspec

from pipelines.reservations.core.entities import Placed, Reservation
from pipelines.reservations.core.folding.change import Change
from pipelines.reservations.core.state import EventState
from schemas import facts as f
from schemas.ids import TicketId
from schemas.statuses import EventStage, ReservationStatus

# Names of this module are read faster than members, and some of this runs for each fact.
HELD, REJECTED, DRAFT = ReservationStatus.HELD, ReservationStatus.REJECTED, EventStage.DRAFT
_replace = msgspec.structs.replace


def _held(state: EventState, fact: f.TicketsHeld, at: Placed) -> None:
    state.put(
        Reservation(
            fact.reservation_id,
            fact.user_id,
            fact.ticket_type_id,
            HELD,
            quantity=fact.quantity,
            seats=fact.seats,
            amount_minor=fact.amount_minor,
            currency=fact.currency,
            expires_at=fact.expires_at,
            fingerprint=fact.fingerprint,
            partition=at.partition,
            offset=at.offset,
            asked_at=at.log_time,
            promo_code=fact.promo_code or "",
            access_code=fact.access_code or "",
            mailbox=fact.mailbox or 0,
        )
    )


def _rejected(state: EventState, fact: f.ReservationRejected, at: Placed) -> None:
    if state.details is None or (state.status == DRAFT and fact.reason == f.Reason.EVENT_NOT_FOUND):
        return  # an event that does not exist keeps no state: made-up ids must not fill the memory
    state.put(
        Reservation(
            fact.reservation_id,
            fact.user_id,
            fact.ticket_type_id,
            REJECTED,
            quantity=fact.quantity,
            seats=[],
            amount_minor=0,
            currency="",
            expires_at=0,
            fingerprint=fact.fingerprint,
            partition=at.partition,
            offset=at.offset,
            asked_at=at.log_time,
            reason=fact.reason,
            detail=fact.detail,
            detail_at=fact.at or 0,
        )
    )


def _warned(state: EventState, fact: f.HoldWarned, _at: Placed) -> None:
    state.put(_replace(state.reservations[fact.reservation_id], warned=1))
    state.drop_deadlines(fact.reservation_id)


def _extended(state: EventState, fact: f.HoldExtended, _at: Placed) -> None:
    state.put(_replace(state.reservations[fact.reservation_id], expires_at=fact.expires_at, extended=1))
    state.drop_deadlines(fact.reservation_id)


def _reacquired(state: EventState, fact: f.HoldReacquired, _at: Placed) -> None:
    state.put(_replace(state.reservations[fact.reservation_id], status=HELD))


def _ended(status: ReservationStatus) -> Change:
    def change(state: EventState, fact: f.HoldExpired | f.HoldReleased, _at: Placed) -> None:
        state.put(_replace(state.reservations[fact.reservation_id], status=status))
        state.drop_deadlines(fact.reservation_id)

    return change


def _cancelled(state: EventState, fact: f.ReservationCancelled, _at: Placed) -> None:
    old = state.reservations[fact.reservation_id]
    if state.tickets:
        _forget_tickets(state, list(old.tickets()))
    kept, owed = old.kept_minor + (fact.kept_minor or 0), old.owed_minor + (fact.withheld_minor or 0)
    state.put(_replace(old, status=ReservationStatus.CANCELLED, kept_minor=kept, owed_minor=owed))


def _tickets_cancelled(state: EventState, fact: f.TicketsCancelled, _at: Placed) -> None:
    old = state.reservations[fact.reservation_id]
    gone, places = set(fact.ticket_ids), old.tickets()
    _forget_tickets(state, fact.ticket_ids)
    state.put(
        _replace(
            old,
            quantity=old.quantity - fact.quantity,
            seats=[seat for seat in old.seats if seat not in fact.seats],
            amount_minor=old.amount_minor - fact.amount_minor,
            void_places=(*old.void_places, *(place for ticket, place in places.items() if ticket in gone)),
            kept_minor=old.kept_minor + fact.kept_minor,
        )
    )


def _forget_tickets(state: EventState, tickets: list[TicketId]) -> None:
    for ticket in tickets:
        if ticket in state.tickets:
            state.change(state.tickets, ticket, None)


CHANGES: dict[type[f.Fact], Change] = {
    f.TicketsHeld: _held,
    f.ReservationRejected: _rejected,
    f.HoldWarned: _warned,
    f.HoldExtended: _extended,
    f.HoldReacquired: _reacquired,
    f.HoldExpired: _ended(ReservationStatus.EXPIRED),
    f.HoldReleased: _ended(ReservationStatus.RELEASED),
    f.ReservationCancelled: _cancelled,
    f.TicketsCancelled: _tickets_cancelled,
}
