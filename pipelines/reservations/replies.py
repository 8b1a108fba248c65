"""Makes the reply for the waiting request: the decision, and the reservation as it is now. Pure."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import msgspec

from pipelines.reservations.core.state import EventState, Reservation
from schemas import commands as c
from schemas import facts as f
from schemas.ids import EventId, TicketId
from schemas.replies import Reply, ReservationView
from schemas.requests_in_turn import requests_of
from schemas.statuses import PaymentStatus, ReplyOutcome, ReservationStatus

_ACCEPTED, _REFUSED, _PENDING = ReplyOutcome.ACCEPTED, ReplyOutcome.REFUSED, ReplyOutcome.PENDING
_CONFIRMED = ReservationStatus.CONFIRMED


class _Answer(NamedTuple):
    """What the reply says of the decision. `field` and `at` are what `detail` names."""

    outcome: ReplyOutcome
    reason: str = ""
    detail: str = ""
    field: str = ""
    at: int = 0


_DONE = _Answer(_ACCEPTED)
_SAYS_NOTHING = frozenset({f.TicketsHeld, f.HoldReleased, f.ReservationConfirmed, f.TickObserved})
"""Frequent facts that leave an answer as it is."""


def reply_to(state: EventState, command: c.Command, facts: list[f.Fact], partition: int, offset: int) -> Reply:
    """The reply to `command`. `facts` are its answer, and `state` has folded them."""
    answer, duplicate = _DONE, False
    for fact in facts:
        if type(fact) in _SAYS_NOTHING:
            continue
        match fact:
            case f.ReservationRejected() | f.CommandRefused():
                answer = _Answer(_REFUSED, fact.reason, fact.detail, field=fact.field or "", at=fact.at or 0)
            case f.ConfirmationRefused():
                answer = _Answer(_REFUSED, fact.reason)
            case f.PaymentDeclined():
                answer = _Answer(_REFUSED, f.Reason.PAYMENT_DECLINED, fact.reason)
            case f.CheckInRefused():
                answer = _Answer(_REFUSED, fact.reason, _first_scan(fact), at=fact.first_scanned_at)
            case f.PaymentRequested():
                answer = _Answer(_PENDING)
            case f.CommandDuplicated():
                duplicate = True
    view = None
    subject = getattr(command, "reservation_id", None)
    reservation = state.reservations.get(subject) if subject else None
    if reservation is not None:
        if duplicate:
            answer = _as_before(command, reservation)
        if reservation.user_id == command.user_id or isinstance(command, c.RecordPayment):
            view = view_of(state.event_id, reservation)
    return Reply(
        command_id=command.command_id,
        event_id=state.event_id,
        partition=partition,
        offset=offset,
        outcome=answer.outcome,
        reason=answer.reason,
        detail=answer.detail,
        duplicate=duplicate,
        reservation=view,
        field=answer.field,
        at=answer.at,
    )


def answers_in_turn(command: c.ReserveInTurn, facts: list[f.Fact]) -> list[tuple[c.ReserveTickets, list[f.Fact]]]:
    """Each request of `command` with the fact that answers it, as if it had been a command of its own.

    A request that was not decided, because the rules failed before it, has that failure for its answer.
    """
    answers: dict[str, deque[f.Fact]] = {}
    failed: list[f.Fact] = []
    for fact in facts:
        match fact:
            case f.ReservationRejected() | f.TicketsHeld():
                answers.setdefault(fact.reservation_id, deque()).append(fact)
            case f.CommandRefused() if fact.reason == f.Reason.COMMAND_FAILED:
                failed.append(fact)
            case f.CommandDuplicated() | f.CommandRefused():
                answers.setdefault(fact.subject_id, deque()).append(fact)
    found: list[tuple[c.ReserveTickets, list[f.Fact]]] = []
    for request in requests_of(command):
        own = answers.get(request.reservation_id)
        found.append((request, [own.popleft()] if own else failed))
    return found


def view_of(event_id: EventId, of: Reservation) -> ReservationView:
    """A reservation as its buyer may see it."""
    tickets: list[TicketId] = []
    if of.status == _CONFIRMED:
        tickets = list(of.tickets())
    view = ReservationView(  # 30 = positional + 2 x keywords is the most that CPython passes without a dict
        of.id,
        event_id,
        of.user_id,
        of.ticket_type_id,
        status=of.status,
        quantity=of.quantity,
        seats=of.seats,
        amount_minor=of.amount_minor,
        currency=of.currency,
        expires_at=of.expires_at,
        partition=of.partition,
        offset=of.offset,
        payment=of.payment,
        reason=of.reason,
        detail=of.detail,
        ticket_ids=tickets,
        asked_at=of.asked_at,
    )
    return msgspec.structs.replace(view, detail_at=of.detail_at) if of.detail_at else view


def _first_scan(fact: f.CheckInRefused) -> str:
    """When and where a ticket was scanned for the first time."""
    if not fact.first_scanned_at:
        return ""
    where = " ".join(name for name in (fact.first_gate, fact.first_scanner) if name)
    return f"first scanned at {fact.first_scanned_at}" + (f", {where}" if where else "")


def _as_before(command: c.Command, reservation: Reservation) -> _Answer:
    """The same request again gets the same answer.

    A payment is reported twice after a crash, or when a webhook is faster than the provider's answer. The waiting
    request then gets the same answer as a second confirm.
    """
    if isinstance(command, c.ReserveTickets) and reservation.status == ReservationStatus.REJECTED:
        return _Answer(_REFUSED, reservation.reason, reservation.detail, at=reservation.detail_at)
    if (
        isinstance(command, c.ConfirmReservation | c.RecordPayment)
        and reservation.status != ReservationStatus.CONFIRMED
    ):
        if reservation.payment == PaymentStatus.REQUESTED:
            return _Answer(_PENDING)
        if reservation.payment == PaymentStatus.DECLINED:
            return _Answer(_REFUSED, f.Reason.PAYMENT_DECLINED, reservation.reason)
        expired = reservation.status == ReservationStatus.EXPIRED
        return _Answer(_REFUSED, f.Reason.HOLD_EXPIRED if expired else f.Reason.NOT_HELD)
    return _DONE
