"""Rules from a hold to tickets, and back: extend, pay, release, cancel, refund. Pure."""

from __future__ import annotations

from collections.abc import Collection

from pipelines.reservations.core import limits
from pipelines.reservations.core.entities import Reservation
from pipelines.reservations.core.rules.answers import (
    Flaw,
    Refusal,
    duplicate,
    expired,
    named,
    refused,
    refused_for,
    released,
)
from pipelines.reservations.core.rules.reserving import over_limit
from pipelines.reservations.core.shares import EXACT, WHOLE, Shares
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import NO_PAYMENT, US_PER_S, AttemptId, LogTime, PaymentId, TicketId
from schemas.statuses import ChargeOutcome, EventStage, PaymentStatus, ReservationStatus

_UNPAID = Flaw("payment_token", "is required: the reservation has to be paid for")
_NOT_YOURS = "no such reservation of yours"
_IN_DISPUTE = "the payment is disputed: what becomes of the money, the bank decides"


def extend(state: EventState, command: c.ExtendHold, now: LogTime) -> list[f.Fact]:
    """A hold's deadline moves once, where the event allows it."""
    hold = state.reservations.get(command.reservation_id)
    if hold is None or hold.user_id != command.user_id:
        return refused(command, Reason.RESERVATION_NOT_FOUND, _NOT_YOURS, command.reservation_id)
    if hold.extended:
        return duplicate(command, hold.id)
    if hold.status != ReservationStatus.HELD or now >= hold.expires_at:
        reason = (
            Reason.HOLD_EXPIRED
            if hold.status in (ReservationStatus.EXPIRED, ReservationStatus.HELD)
            else Reason.NOT_HELD
        )
        return refused(command, reason, f"the reservation is {hold.status}", hold.id)
    assert state.details is not None
    extension_s = state.details.hold_extension_s
    if not extension_s or state.status != EventStage.PUBLISHED:
        return refused(command, Reason.EXTENSION_NOT_ALLOWED, "holds of this event are not extended", hold.id)
    return [f.HoldExtended(hold.id, hold.user_id, hold.ticket_type_id, hold.expires_at + extension_s * US_PER_S)]


def confirm(
    state: EventState, command: c.ConfirmReservation, now: LogTime, *, token_required: bool = True, budget: bool = True
) -> list[f.Fact]:
    """Ask for the payment. The same attempt again is the same payment.

    A reservation that costs nothing is confirmed at once; its payment token is ignored.
    With `budget`, a buyer with too many declined cards has to wait.
    """
    hold = state.reservations.get(command.reservation_id)
    if hold is None or hold.user_id != command.user_id:
        return refused(command, Reason.RESERVATION_NOT_FOUND, _NOT_YOURS, command.reservation_id)
    if hold.attempt_id == command.attempt_id:
        if hold.payment_token != command.payment_token and (hold.payment_token or not token_required):
            detail = "the same Idempotency-Key came with another payment_token"
            return refused(command, Reason.IDEMPOTENCY_KEY_REUSED, detail, hold.id)
        return duplicate(command, hold.id)
    if hold.status == ReservationStatus.CONFIRMED:
        return duplicate(command, hold.id)
    if hold.payment == PaymentStatus.REQUESTED:
        return refused(command, Reason.PAYMENT_IN_PROGRESS, "another payment of it is under way", hold.id)
    if hold.status != ReservationStatus.HELD or now >= hold.expires_at or state.status == EventStage.CANCELLED:
        return [f.ConfirmationRefused(hold.id, hold.user_id, command.attempt_id, _why_over(state, hold))]
    if hold.amount_minor == 0:
        return [_confirmed(hold, command.attempt_id, NO_PAYMENT)]
    if token_required and not command.payment_token:
        return refused_for(command, _UNPAID.why(Reason.PAYMENT_TOKEN_REQUIRED), hold.id)
    if budget and (hold.user_id in state.unpaid_of or hold.mailbox in state.unpaid_of):
        since = LogTime(now - limits.UNPAID_WINDOW_S * US_PER_S)
        _, declined = state.unpaid(hold.user_id, hold.mailbox, since)
        if declined >= limits.CARDS_DECLINED_MAX:
            detail = f"{declined} cards of yours were declined for this event lately"
            return refused_for(command, Refusal(Reason.PAYMENTS_EXHAUSTED, detail, amount=declined), hold.id)
    return [
        f.PaymentRequested(
            reservation_id=hold.id,
            user_id=hold.user_id,
            attempt_id=command.attempt_id,
            payment_token=command.payment_token,
            amount_minor=hold.amount_minor,
            currency=hold.currency,
            command_id=command.command_id,
        )
    ]


def record_payment(
    state: EventState, command: c.RecordPayment, now: LogTime, *, awaited: Collection[str] = (PaymentStatus.REQUESTED,)
) -> list[f.Fact]:
    """Record the provider's answer. A late payment gets the same places if they are free; else the money goes back."""
    hold = state.reservations.get(command.reservation_id)
    if hold is None:
        return refused(command, Reason.RESERVATION_NOT_FOUND, "a payment for no reservation", command.reservation_id)
    if hold.payment not in awaited or hold.attempt_id != command.attempt_id:
        return duplicate(command, hold.id)
    if command.outcome != ChargeOutcome.CAPTURED:
        return [f.PaymentDeclined(hold.id, hold.user_id, command.attempt_id, command.reason)]
    if hold.status == ReservationStatus.HELD and now < hold.expires_at and state.status != EventStage.CANCELLED:
        return [_confirmed(hold, command.attempt_id, command.payment_id)]
    if command.amount_minor == hold.amount_minor and why_not_again(state, hold) is None:
        return [
            f.HoldReacquired(
                reservation_id=hold.id,
                user_id=hold.user_id,
                ticket_type_id=hold.ticket_type_id,
                quantity=hold.quantity,
                seats=hold.seats,
            ),
            _confirmed(hold, command.attempt_id, command.payment_id),
        ]
    reason = _why_over(state, hold)
    return [
        f.ConfirmationRefused(
            reservation_id=hold.id,
            user_id=hold.user_id,
            attempt_id=command.attempt_id,
            reason=reason,
            refund_minor=command.amount_minor,
        ),
        refund(hold, command.attempt_id, command.payment_id, command.amount_minor, reason),
    ]


def why_not_again(state: EventState, hold: Reservation) -> Refusal | None:
    """Why an expired hold cannot be restored exactly as it was; None when it can."""
    if hold.status not in (ReservationStatus.EXPIRED, ReservationStatus.HELD):
        return Refusal(Reason.NOT_HELD, f"the reservation was {hold.status}")
    if state.status != EventStage.PUBLISHED:
        return Refusal(Reason.EVENT_ENDED, "nothing of the event was sold any more")
    if hold.status == ReservationStatus.HELD:
        return None  # its end is due but not decided yet: it still has its places
    section = state.sections[hold.ticket_type_id]
    seating = section.seating
    if seating is not None:  # a new layout may lack seats that no reservation claimed
        gone = [seat for seat in hold.seats if seat not in seating or not seating.is_free(seat)]
        if gone:
            return Refusal(Reason.SEAT_TAKEN, named("not to be had", gone))
    if hold.quantity > section.available:
        return Refusal(Reason.SOLD_OUT, f"{hold.quantity} were needed and {max(0, section.available)} free")
    code = state.codes.get(hold.promo_code)
    if code is not None and state.used_up(code, hold.quantity):
        return Refusal(Reason.CODE_USED_UP, "its promo code has been used up since")
    return over_limit(state, section, hold.user_id, hold.quantity)


def _why_over(state: EventState, hold: Reservation) -> Reason:
    if state.status == EventStage.CANCELLED:
        return Reason.EVENT_CANCELLED
    return (
        Reason.HOLD_EXPIRED if hold.status in (ReservationStatus.EXPIRED, ReservationStatus.HELD) else Reason.NOT_HELD
    )


def release(state: EventState, command: c.ReleaseReservation, now: LogTime, *, shares: Shares = EXACT) -> list[f.Fact]:
    """Give a hold back, or cancel a confirmed reservation within the event's terms."""
    reservation = state.reservations.get(command.reservation_id)
    if reservation is None or reservation.user_id != command.user_id:
        return refused(command, Reason.RESERVATION_NOT_FOUND, _NOT_YOURS, command.reservation_id)
    if reservation.status == ReservationStatus.HELD and now >= reservation.expires_at:
        return [expired(reservation), *refused(command, Reason.HOLD_EXPIRED, "its deadline has passed", reservation.id)]
    if reservation.status == ReservationStatus.HELD:
        return [released(reservation)]
    if reservation.status in (ReservationStatus.RELEASED, ReservationStatus.CANCELLED):
        return duplicate(command, reservation.id)
    if reservation.status != ReservationStatus.CONFIRMED:
        reason = Reason.HOLD_EXPIRED if reservation.status == ReservationStatus.EXPIRED else Reason.NOT_HELD
        return refused(command, reason, f"the reservation is {reservation.status}", reservation.id)
    return _cancel_by_buyer(state, command, reservation, [], now, shares)


def cancel_tickets(
    state: EventState, command: c.CancelTickets, now: LogTime, *, shares: Shares = EXACT
) -> list[f.Fact]:
    """Cancel and refund single tickets. The buyer is bound by the terms; the organizer always may, with full refund."""
    reservation = state.reservations.get(command.reservation_id)
    owner = state.details is not None and state.details.organizer_id == command.user_id
    if reservation is None or not (owner or reservation.user_id == command.user_id):
        return refused(command, Reason.RESERVATION_NOT_FOUND, _NOT_YOURS, command.reservation_id)
    known = reservation.tickets() if reservation.status == ReservationStatus.CONFIRMED else {}
    wanted = command.ticket_ids
    if wanted and all(ticket not in known and reservation.issued(ticket) is not None for ticket in wanted):
        return duplicate(command, reservation.id)  # void already
    if reservation.status == ReservationStatus.CANCELLED:
        return duplicate(command, reservation.id)
    if reservation.status != ReservationStatus.CONFIRMED:
        return refused(command, Reason.NOT_HELD, f"the reservation is {reservation.status}", reservation.id)
    strangers = [ticket for ticket in wanted if ticket not in known]
    if strangers or len(set(wanted)) != len(wanted):
        detail = f"the reservation has no ticket {strangers[0]}" if strangers else "a ticket is named twice"
        return refused(command, Reason.TICKET_NOT_FOUND, detail, reservation.id)
    if owner and reservation.user_id != command.user_id:
        if state.disputed(reservation.id):
            if len(wanted or known) < len(known):
                return refused(command, Reason.PAYMENT_DISPUTED, _IN_DISPUTE, reservation.id)
            return cancelled_whole(reservation, WHOLE, Reason.ORGANIZER_CANCELLED, shares=shares, disputed=True)
        return _cancelled(reservation, wanted or list(known), WHOLE, Reason.ORGANIZER_CANCELLED, shares)
    return _cancel_by_buyer(state, command, reservation, wanted, now, shares)


def _cancel_by_buyer(
    state: EventState, command: c.Command, found: Reservation, wanted: list[TicketId], now: LogTime, shares: Shares
) -> list[f.Fact]:
    """Cancel the named tickets, or all that the buyer still has. Transferred and used tickets are refused."""
    assert state.details is not None
    until = state.details.refund_until_at or state.details.starts_at
    called_off = state.status == EventStage.CANCELLED
    if now >= until and not called_off:
        why = Refusal(Reason.REFUND_NOT_ALLOWED, f"cancelling was possible until {until}", at=until)
        return refused_for(command, why, found.id)
    if state.disputed(found.id):
        return refused(command, Reason.PAYMENT_DISPUTED, _IN_DISPUTE, found.id)
    own = [ticket for ticket in found.tickets() if state.holder_of(found, ticket) == found.user_id]
    strangers = [ticket for ticket in wanted if ticket not in own]
    if strangers or not own:
        return refused(
            command, Reason.TRANSFER_NOT_ALLOWED, "a ticket that was handed on is not yours any more", found.id
        )
    tickets = wanted or own
    if any((known := state.tickets.get(ticket)) is not None and known.checked_in_at for ticket in tickets):
        return refused(command, Reason.ALREADY_CHECKED_IN, "a ticket that was used is not refunded", found.id)
    percent = WHOLE if called_off else state.details.refund_percent
    return _cancelled(found, tickets, percent, Reason.BUYER_CANCELLED, shares)


def _cancelled(of: Reservation, tickets: list[TicketId], percent: int, reason: Reason, shares: Shares) -> list[f.Fact]:
    """The end of some or all tickets of a reservation, and the refund of their price."""
    if len(tickets) == of.quantity:
        return cancelled_whole(of, percent, reason, shares=shares)
    part = shares.part(of.amount_minor, len(tickets), of.quantity, of.currency)
    back = shares.back(of.amount_minor, part, percent, of.currency) if of.payment_id else 0
    places, gone = of.tickets(), set(tickets)
    seats = [place for ticket, place in places.items() if ticket in gone] if of.seats else []
    facts: list[f.Fact] = [
        f.TicketsCancelled(
            reservation_id=of.id,
            user_id=of.user_id,
            ticket_type_id=of.ticket_type_id,
            quantity=len(tickets),
            seats=seats,
            ticket_ids=tickets,
            amount_minor=part,
            kept_minor=part - back,
            reason=reason,
        )
    ]
    if back:
        facts.append(refund(of, of.attempt_id, of.payment_id, back, reason, f"refund-{tickets[0]}"))
    return facts


def cancelled_whole(
    of: Reservation, percent: int, reason: Reason, *, shares: Shares = EXACT, disputed: bool = False
) -> list[f.Fact]:
    """The end of a confirmed reservation, and its refund. While it is `disputed`, no money goes back yet."""
    back = shares.of_percent(of.amount_minor, percent, of.currency) if of.payment_id else 0
    kept = of.amount_minor - back if of.payment_id else 0
    withheld = back if disputed else 0
    facts: list[f.Fact] = [
        f.ReservationCancelled(
            reservation_id=of.id,
            user_id=of.user_id,
            ticket_type_id=of.ticket_type_id,
            quantity=of.quantity,
            seats=of.seats,
            reason=reason,
            kept_minor=kept or None,
            withheld_minor=withheld or None,
            refund_minor=(back - withheld) or None,
        )
    ]
    if back and not withheld:
        facts.append(refund(of, of.attempt_id, of.payment_id, back, reason))
    return facts


def refund(
    of: Reservation, attempt: AttemptId, payment: PaymentId, amount_minor: int, reason: str, key: str | None = None
) -> f.RefundRequested:
    """Money goes back; `key` distinguishes several refunds of one payment."""
    return f.RefundRequested(
        reservation_id=of.id,
        user_id=of.user_id,
        attempt_id=attempt,
        payment_id=payment,
        amount_minor=amount_minor,
        currency=of.currency,
        reason=reason,
        refund_key=key,
    )


def _confirmed(hold: Reservation, attempt: AttemptId, payment: PaymentId) -> f.ReservationConfirmed:
    return f.ReservationConfirmed(
        reservation_id=hold.id,
        user_id=hold.user_id,
        ticket_type_id=hold.ticket_type_id,
        quantity=hold.quantity,
        seats=hold.seats,
        ticket_ids=list(hold.tickets()),
        attempt_id=attempt,
        payment_id=payment,
        amount_minor=hold.amount_minor,
        currency=hold.currency,
    )
