"""What the facts about the door change: staff, handed-on tickets, check-ins."""

from __future__ import annotations

import msgspec

from pipelines.reservations.core import entities as e
from pipelines.reservations.core.entities import Placed
from pipelines.reservations.core.folding.change import Change
from pipelines.reservations.core.state import EventState
from schemas import facts as f
from schemas.ids import NOBODY, ReservationId, TicketId

_replace = msgspec.structs.replace


def _staff_added(state: EventState, fact: f.StaffAdded, _at: Placed) -> None:
    state.change(state.staff, fact.member_id, True)
    if fact.member_id in state.invitations:
        state.change(state.invitations, fact.member_id, None)


def _invited(state: EventState, fact: f.StaffInvited, _at: Placed) -> None:
    state.change(state.invitations, fact.member_id, fact.expires_at)


def _not_invited(state: EventState, fact: f.StaffInvitationEnded, _at: Placed) -> None:
    state.change(state.invitations, fact.member_id, None)


def _staff_removed(state: EventState, fact: f.StaffRemoved, _at: Placed) -> None:
    state.change(state.staff, fact.member_id, None)


def _transferred(state: EventState, fact: f.TicketTransferred, _at: Placed) -> None:
    known = _ticket(state, fact.reservation_id, fact.ticket_id)
    state.change(state.tickets, fact.ticket_id, _replace(known, user_id=fact.to_user_id, version=fact.version))
    if fact.ticket_id in state.transfers:
        state.put_offer(fact.ticket_id, None)


def _ticket_offered(state: EventState, fact: f.TransferOffered, _at: Placed) -> None:
    offered = e.Transfer(
        id=fact.transfer_id,
        reservation_id=fact.reservation_id,
        ticket_id=fact.ticket_id,
        ticket_type_id=fact.ticket_type_id,
        seat=fact.seat,
        user_id=fact.user_id,
        to_user_id=fact.to_user_id,
        expires_at=fact.expires_at,
    )
    state.put_offer(fact.ticket_id, offered)


def _offer_ended(state: EventState, fact: f.TransferEnded, _at: Placed) -> None:
    state.put_offer(fact.ticket_id, None)


def _checked_in(state: EventState, fact: f.CheckInAccepted, _at: Placed) -> None:
    known = _ticket(state, fact.reservation_id, fact.ticket_id)
    inside = _replace(
        known, checked_in_at=fact.scanned_at, gate=fact.gate, scanner=fact.scanner, by_user_id=fact.by_user_id
    )
    state.change(state.tickets, fact.ticket_id, inside)


def _check_in_reversed(state: EventState, fact: f.CheckInReversed, _at: Placed) -> None:
    known = state.tickets[fact.ticket_id]
    undone = [*known.undone, e.scan_name(known.checked_in_at, known.gate, known.scanner, known.by_user_id)]
    outside = _replace(known, checked_in_at=0, gate="", scanner="", by_user_id=NOBODY, undone=undone)
    state.change(state.tickets, fact.ticket_id, outside)


def _ticket(state: EventState, reservation_id: ReservationId, ticket_id: TicketId) -> e.Ticket:
    """A ticket as it is now; an unchanged one as it was issued."""
    known = state.tickets.get(ticket_id)
    if known is not None:
        return known
    reservation = state.reservations[reservation_id]
    place = reservation.tickets()[ticket_id]
    return e.Ticket(id=ticket_id, reservation_id=reservation_id, place=place, user_id=reservation.user_id, version=1)


CHANGES: dict[type[f.Fact], Change] = {
    f.StaffAdded: _staff_added,
    f.StaffRemoved: _staff_removed,
    f.StaffInvited: _invited,
    f.StaffInvitationEnded: _not_invited,
    f.TicketTransferred: _transferred,
    f.TransferOffered: _ticket_offered,
    f.TransferEnded: _offer_ended,
    f.CheckInAccepted: _checked_in,
    f.CheckInReversed: _check_in_reversed,
}
