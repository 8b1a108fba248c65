"""Rules for issued tickets: transfer, and scan at the door. A refused scan is a fact like any other. Pure."""

from __future__ import annotations

from typing import NamedTuple

from pipelines.reservations.core import entities as e
from pipelines.reservations.core import limits
from pipelines.reservations.core.entities import Reservation, Ticket
from pipelines.reservations.core.rules.answers import duplicate, refused
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import LogTime, TransferId, UserId
from schemas.statuses import EventStage, ReservationStatus


class Handing(NamedTuple):
    """A ticket that its holder may hand on."""

    reservation: Reservation
    holder: UserId
    seat: str
    version: int


def to_hand_on(state: EventState, command: c.TransferTicket) -> Handing | list[f.Fact]:
    """The ticket to hand on, or a refusal. Limits count bought tickets, so a transfer does not change them."""
    reservation = state.reservations.get(command.reservation_id)
    place = (
        reservation.tickets().get(command.ticket_id)
        if reservation is not None and reservation.status == ReservationStatus.CONFIRMED
        else None
    )
    ticket = state.tickets.get(command.ticket_id)
    if reservation is None or place is None:
        return refused(command, Reason.TICKET_NOT_FOUND, "you have no such ticket", command.ticket_id)
    holder = reservation.user_id if ticket is None else ticket.user_id
    if holder != command.user_id:
        if holder == command.to_user_id and ticket is not None and reservation.user_id == command.user_id:
            return duplicate(command, command.ticket_id)
        return refused(command, Reason.TICKET_NOT_FOUND, "you have no such ticket", command.ticket_id)
    if command.to_user_id == holder:
        return refused(command, Reason.TRANSFER_NOT_ALLOWED, "the ticket is yours already", command.ticket_id)
    if state.status != EventStage.PUBLISHED:
        return refused(command, Reason.TRANSFER_NOT_ALLOWED, f"the event is {state.status}", command.ticket_id)
    if ticket is not None and ticket.checked_in_at:
        return refused(
            command, Reason.ALREADY_CHECKED_IN, "a ticket that was used cannot be handed on", command.ticket_id
        )
    if state.disputed(reservation.id):
        return refused(command, Reason.TRANSFER_NOT_ALLOWED, "the payment is disputed", command.ticket_id)
    version = (1 if ticket is None else ticket.version) + 1
    return Handing(reservation, holder, place if reservation.seats else "", version)


def handed_on(found: Handing, command: c.TransferTicket, transfer_id: TransferId | None) -> f.TicketTransferred:
    """The ticket becomes another user's. Its former code is dead."""
    of = found.reservation
    return f.TicketTransferred(
        reservation_id=of.id,
        user_id=found.holder,
        ticket_type_id=of.ticket_type_id,
        ticket_id=command.ticket_id,
        seat=found.seat,
        to_user_id=command.to_user_id,
        version=found.version,
        transfer_id=transfer_id,
    )


def check_in(state: EventState, command: c.CheckIn, now: LogTime) -> list[f.Fact]:
    """The first scan opens the door. A later scan is refused, with the time and gate of the first one."""
    if not _at_the_door(state, command):
        return refused(command, Reason.STAFF_ONLY, "only the event's organizer and staff check tickets in")
    reservation = state.reservations.get(command.reservation_id)
    place = reservation.issued(command.ticket_id) if reservation is not None else None
    if reservation is None or place is None:
        return [_refused_scan(command, Reason.TICKET_NOT_FOUND)]
    if state.status == EventStage.CANCELLED:
        return [_refused_scan(command, Reason.EVENT_CANCELLED)]
    if reservation.status != ReservationStatus.CONFIRMED or place in reservation.void_places:
        return [_refused_scan(command, Reason.TICKET_VOID)]
    if state.disputed(reservation.id):
        return [_refused_scan(command, Reason.PAYMENT_DISPUTED)]
    ticket = state.tickets.get(command.ticket_id)
    if command.version != (1 if ticket is None else ticket.version):
        return [_refused_scan(command, Reason.TICKET_SUPERSEDED)]
    if ticket is not None and ticket.checked_in_at:
        if _same_scan(ticket, command):
            return duplicate(command, command.ticket_id)
        return [_refused_scan(command, Reason.ALREADY_CHECKED_IN, ticket)]
    if ticket is not None and _name(command) in ticket.undone:
        return [_refused_scan(command, Reason.CHECK_IN_UNDONE)]
    return [
        f.CheckInAccepted(
            reservation_id=reservation.id,
            user_id=state.holder_of(reservation, command.ticket_id),
            ticket_id=command.ticket_id,
            seat=place if reservation.seats else "",
            by_user_id=command.user_id,
            gate=command.gate,
            scanner=command.scanner,
            scanned_at=command.scanned_at or now,  # 0 would mean "not inside"
        )
    ]


def undo_check_in(state: EventState, command: c.UndoCheckIn, _now: LogTime) -> list[f.Fact]:
    """Staff take a check-in back that was a mistake."""
    if not _at_the_door(state, command):
        return refused(command, Reason.STAFF_ONLY, "only the event's organizer and staff undo a check-in")
    ticket = state.tickets.get(command.ticket_id)
    if ticket is None or not ticket.checked_in_at:
        return refused(command, Reason.NOT_CHECKED_IN, "the ticket is not checked in", command.ticket_id)
    if len(ticket.undone) >= limits.UNDONE_SCANS_PER_TICKET_MAX:
        detail = f"a ticket's check-in is taken back at most {limits.UNDONE_SCANS_PER_TICKET_MAX} times"
        return refused(command, Reason.TOO_MANY, detail, command.ticket_id)
    return [f.CheckInReversed(ticket.reservation_id, ticket.user_id, ticket.id, command.user_id)]


def _at_the_door(state: EventState, command: c.Command) -> bool:
    owner = state.details is not None and state.details.organizer_id == command.user_id
    return owner or command.user_id in state.staff


def _same_scan(ticket: Ticket, command: c.CheckIn) -> bool:
    inside = e.scan_name(ticket.checked_in_at, ticket.gate, ticket.scanner, ticket.by_user_id)
    return inside == _name(command)


def _name(command: c.CheckIn) -> str:
    return e.scan_name(command.scanned_at, command.gate, command.scanner, command.user_id)


def _refused_scan(command: c.CheckIn, reason: Reason, first: Ticket | None = None) -> f.CheckInRefused:
    return f.CheckInRefused(
        reservation_id=command.reservation_id,
        user_id=command.user_id,
        ticket_id=command.ticket_id,
        reason=reason,
        gate=command.gate,
        scanner=command.scanner,
        scanned_at=command.scanned_at,
        first_scanned_at=first.checked_in_at if first is not None else 0,
        first_gate=first.gate if first is not None else "",
        first_scanner=first.scanner if first is not None else "",
    )
