"""Rules for offers of tickets to other users, and for invitations to the door. Both take effect only on acceptance.
Pure.

Guarantee: a ticket has at most one open offer, and it stays its holder's until the offer is accepted. If the ticket
ends, its offer ends first. Offers expire by log time. An unanswered offer ends by itself, so that its holder gets a
message.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from pipelines.reservations.core import limits
from pipelines.reservations.core.entities import Transfer
from pipelines.reservations.core.rules import door
from pipelines.reservations.core.rules.answers import Refusal, duplicate, not_owner, refused, refused_for
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import US_PER_S, LogTime, TicketId, transfer_id
from schemas.statuses import InvitationStatus, OfferAnswer, TransferStatus

_NO_OFFER = "there is no such offer of a ticket to you or from you"


def offer(state: EventState, command: c.TransferTicket, now: LogTime) -> list[f.Fact]:
    """Offer a ticket. It has only one open offer at a time."""
    handing = door.to_hand_on(state, command)
    if isinstance(handing, list):
        return handing
    assert state.details is not None
    known, facts = state.transfers.get(command.ticket_id), list[f.Fact]()
    if known is not None and now < known.expires_at:
        if known.to_user_id == command.to_user_id:
            return duplicate(command, command.ticket_id)
        detail = "the ticket is offered to somebody else; withdraw that offer first"
        return refused(command, Reason.ALREADY_OFFERED, detail, command.ticket_id)
    if known is not None:
        facts.append(ended(known, TransferStatus.EXPIRED))
    until = min(now + limits.TRANSFER_TTL_S * US_PER_S, state.details.ends_at)
    return [
        *facts,
        f.TransferOffered(
            transfer_id=transfer_id(command.ticket_id, command.command_id),
            reservation_id=handing.reservation.id,
            user_id=handing.holder,
            ticket_type_id=handing.reservation.ticket_type_id,
            ticket_id=command.ticket_id,
            seat=handing.seat,
            to_user_id=command.to_user_id,
            expires_at=until,
        ),
    ]


def answer(state: EventState, command: c.AnswerTransfer, now: LogTime) -> list[f.Fact]:
    """Accept, decline or withdraw an offer. Only acceptance hands the ticket on."""
    known = state.transfers.get(command.ticket_id)
    if known is None or known.id != command.transfer_id:
        held = state.tickets.get(command.ticket_id)
        if command.answer == OfferAnswer.ACCEPT and held is not None and held.user_id == command.user_id:
            return duplicate(command, command.transfer_id)
        return refused(command, Reason.TRANSFER_NOT_FOUND, _NO_OFFER, command.transfer_id)
    asked_of = known.user_id if command.answer == OfferAnswer.WITHDRAW else known.to_user_id
    if command.user_id != asked_of or command.answer not in (
        OfferAnswer.ACCEPT,
        OfferAnswer.DECLINE,
        OfferAnswer.WITHDRAW,
    ):
        return refused(command, Reason.TRANSFER_NOT_FOUND, _NO_OFFER, command.transfer_id)
    if command.answer != OfferAnswer.ACCEPT:
        return [
            ended(
                known, TransferStatus.WITHDRAWN if command.answer == OfferAnswer.WITHDRAW else TransferStatus.DECLINED
            )
        ]
    if now >= known.expires_at:
        why = Refusal(Reason.OFFER_EXPIRED, f"the offer ended at {known.expires_at}", at=known.expires_at)
        return [ended(known, TransferStatus.EXPIRED), *refused_for(command, why, known.id)]
    of_holder = c.TransferTicket(
        event_id=command.event_id,
        user_id=known.user_id,
        command_id=command.command_id,
        reservation_id=known.reservation_id,
        ticket_id=known.ticket_id,
        to_user_id=known.to_user_id,
    )
    handing = door.to_hand_on(state, of_holder)
    if isinstance(handing, list):
        return [_for_receiver(fact, command) for fact in handing]
    return [door.handed_on(handing, of_holder, known.id)]


def ended(offered: Transfer, outcome: TransferStatus) -> f.TransferEnded:
    """An offer ends without acceptance."""
    return f.TransferEnded(
        transfer_id=offered.id,
        reservation_id=offered.reservation_id,
        user_id=offered.user_id,
        ticket_type_id=offered.ticket_type_id,
        ticket_id=offered.ticket_id,
        seat=offered.seat,
        to_user_id=offered.to_user_id,
        outcome=outcome,
    )


def lapsed(state: EventState, now: LogTime, limit: int) -> Iterator[list[f.Fact]]:
    """The offers whose time is over, the earliest first, at most `limit`."""
    for ticket in state.offer_ends.due(now, limit):
        yield [ended(state.transfers[ticket], TransferStatus.EXPIRED)]


def ended_with(state: EventState, fact: f.Fact) -> list[f.TransferEnded]:
    """The ends of the offers of all tickets that this fact voids. They come before the fact."""
    tickets: list[TicketId] = []
    if isinstance(fact, f.TicketsCancelled):
        tickets = fact.ticket_ids
    elif isinstance(fact, f.ReservationCancelled):
        tickets = list(state.reservations[fact.reservation_id].tickets())
    return [ended(state.transfers[ticket], TransferStatus.CANCELLED) for ticket in tickets if ticket in state.transfers]


def invite(state: EventState, command: c.AddStaff, now: LogTime) -> list[f.Fact]:
    """Invite a user to work at the door."""
    refusal = not_owner(state, command)
    if refusal is not None:
        return refusal
    until = state.invitations.get(command.member_id)
    if command.member_id in state.staff or (until is not None and now < until):
        return duplicate(command, command.member_id)
    if len(state.staff) + len(state.invitations) >= limits.STAFF_PER_EVENT_MAX:
        return refused(
            command, Reason.TOO_MANY, f"an event has at most {limits.STAFF_PER_EVENT_MAX} people at its door"
        )
    expires_at = now + limits.INVITATION_TTL_S * US_PER_S
    facts: list[f.Fact] = []
    if until is not None:
        facts.append(f.StaffInvitationEnded(command.user_id, command.member_id, InvitationStatus.EXPIRED))
    return [*facts, f.StaffInvited(command.user_id, command.member_id, expires_at)]


def answer_invitation(state: EventState, command: c.AnswerInvitation, now: LogTime) -> list[f.Fact]:
    """Accept or decline an invitation. After acceptance the user works at the door."""
    until = state.invitations.get(command.user_id)
    if until is None or command.answer not in (OfferAnswer.ACCEPT, OfferAnswer.DECLINE):
        if command.answer == OfferAnswer.ACCEPT and command.user_id in state.staff:
            return duplicate(command, command.user_id)
        detail = "there is no invitation of yours to this event's door"
        return refused(command, Reason.INVITATION_NOT_FOUND, detail, command.user_id)
    assert state.details is not None
    organizer = state.details.organizer_id
    if command.answer == OfferAnswer.DECLINE:
        return [f.StaffInvitationEnded(organizer, command.user_id, InvitationStatus.DECLINED)]
    if now >= until:
        why = Refusal(Reason.OFFER_EXPIRED, f"the invitation ended at {until}", at=until)
        return [
            f.StaffInvitationEnded(organizer, command.user_id, InvitationStatus.EXPIRED),
            *refused_for(command, why, command.user_id),
        ]
    return [f.StaffAdded(organizer, command.user_id)]


def remove_staff(state: EventState, command: c.RemoveStaff, _now: LogTime) -> list[f.Fact]:
    """Remove a user from the door's staff, or end their invitation. For any other user nothing changes."""
    refusal = not_owner(state, command)
    if refusal is not None:
        return refusal
    facts: list[f.Fact] = []
    if command.member_id in state.invitations:
        facts.append(f.StaffInvitationEnded(command.user_id, command.member_id, InvitationStatus.WITHDRAWN))
    if command.member_id in state.staff:
        facts.append(f.StaffRemoved(command.user_id, command.member_id))
    return facts or duplicate(command, command.member_id)


def _for_receiver(fact: f.Fact, command: c.AnswerTransfer) -> f.Fact:
    """The refusal of a transfer, as an answer to the receiver who wanted to accept it."""
    assert isinstance(fact, f.CommandRefused)
    return replace(fact, command_type=type(command).__name__, subject_id=command.transfer_id, user_id=command.user_id)
