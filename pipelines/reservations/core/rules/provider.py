"""Rules for news of the payment provider: refunds that we did not ask for, failed refunds, disputes, late captures.

Pure. Guarantee: after every fact, the captured amount equals the sum of five amounts: refunded, charged back, the worth
of the tickets that are left, kept by the organizer, and owed. The same news counts once, in any order.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from pipelines.reservations.core.entities import Refund, Reservation
from pipelines.reservations.core.rules import paying
from pipelines.reservations.core.rules.answers import Refusal, duplicate, refused, refused_for
from pipelines.reservations.core.shares import MOVABLE_MINOR
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import LogTime, UserId
from schemas.statuses import ChargeOutcome, DisputeStatus, PaymentStatus, RefundOrigin, RefundStatus, ReservationStatus

_PROGRESS: dict[str, int] = {
    DisputeStatus.INQUIRY: 0,
    DisputeStatus.OPEN: 1,
    DisputeStatus.CLOSED: 2,
    DisputeStatus.LOST: 2,
    DisputeStatus.WON: 3,
}  # a bank may still reverse a lost dispute
_GIVEN_BACK = "payment_refunded"
_AWAITED = frozenset({PaymentStatus.REQUESTED, PaymentStatus.DECLINED})


class Split(NamedTuple):
    """The sources of an amount: the worth of the tickets that are left, the kept money, the owed money."""

    tickets: int
    kept: int
    owed: int


def record_payment(state: EventState, command: c.RecordPayment, now: LogTime) -> list[f.Fact]:
    """As `paying.record_payment`, and no money is forgotten.

    An attempt that was declined first and captured later is a late payment. A second captured payment of the same
    reservation goes back. A payment with another amount or currency goes back too, in time or late.
    """
    hold = state.reservations.get(command.reservation_id)
    if hold is None or command.outcome != ChargeOutcome.CAPTURED:
        return paying.record_payment(state, command, now)
    given_back = any(one.payment_id == command.payment_id for one in state.refunds.get(hold.id, ()))
    if hold.attempt_id == command.attempt_id and hold.payment in _AWAITED:
        if (
            given_back and hold.payment == PaymentStatus.REQUESTED
        ):  # an earlier attempt's key came again, after another attempt
            return [f.PaymentDeclined(hold.id, hold.user_id, command.attempt_id, _GIVEN_BACK)]
        if not given_back and _is_what_was_asked(hold, command):
            return paying.record_payment(state, command, now, awaited=_AWAITED)
        if not given_back and (hold.payment == PaymentStatus.REQUESTED or _is_money(command)):
            return _another_amount(hold, command)
    if given_back or not hold.attempt_id or command.payment_id == hold.payment_id or not _is_money(command):
        return duplicate(command, hold.id)
    return [_straight_back(hold, command, Reason.PAYMENT_TWICE)]


def _is_what_was_asked(hold: Reservation, command: c.RecordPayment) -> bool:
    arrived = command.amount_minor, command.currency or hold.currency
    return bool(command.payment_id) and arrived == (hold.amount_minor, hold.currency)


def _is_money(command: c.RecordPayment) -> bool:
    """Whether the command is about money that can go back."""
    return bool(command.payment_id) and command.amount_minor > 0


def _another_amount(hold: Reservation, command: c.RecordPayment) -> list[f.Fact]:
    """This amount sells nothing. The money goes back in the currency in which it came. Another attempt may follow.

    If the correct payment of this attempt is reported later, it counts as usual.
    """
    facts: list[f.Fact] = [f.PaymentDeclined(hold.id, hold.user_id, command.attempt_id, Reason.PAYMENT_DIFFERS)]
    if _is_money(command):
        facts.append(_straight_back(hold, command, Reason.PAYMENT_DIFFERS))
    return facts


def _straight_back(hold: Reservation, command: c.RecordPayment, reason: Reason) -> f.RefundRequested:
    """Refund a payment that is not the reservation's own. The reservation stays as it is."""
    back = paying.refund(hold, command.attempt_id, command.payment_id, command.amount_minor, reason)
    return replace(back, origin=RefundOrigin.STRAY, currency=command.currency or hold.currency)


def refund_amount(state: EventState, command: c.RefundAmount, _now: LogTime) -> list[f.Fact]:
    """The organizer gives an amount back, once for each key, and cancels nothing.

    The amount comes first out of the worth of the tickets that are left, then out of the owed money, then out of the
    kept money. It is never more than these together.
    """
    of = state.reservations.get(command.reservation_id)
    if state.details is None or state.details.organizer_id != command.user_id:
        return refused(command, Reason.NOT_OWNER, "only the event's organizer may do this", command.reservation_id)
    if of is None:
        return refused(command, Reason.RESERVATION_NOT_FOUND, "no such reservation", command.reservation_id)
    known = next((one for one in state.refunds.get(of.id, ()) if one.key == command.refund_key), None)
    if known is not None:
        if known.amount_minor != _movable(command.amount_minor, of.currency):
            detail = "the same Idempotency-Key came with another amount"
            return refused(command, Reason.IDEMPOTENCY_KEY_REUSED, detail, of.id)
        return duplicate(command, of.id)
    if of.status not in (ReservationStatus.CONFIRMED, ReservationStatus.CANCELLED) or not of.payment_id:
        return refused(command, Reason.NOT_HELD, "nothing was paid for it", of.id)
    if state.disputed(of.id):
        return refused(command, Reason.PAYMENT_DISPUTED, "what becomes of the money, the bank decides", of.id)
    left = _worth(of) + of.kept_minor + max(of.owed_minor, 0)
    amount = _movable(command.amount_minor, of.currency)
    if not 0 < amount <= left:
        detail = f"{command.amount_minor} to be given back, {left} of the payment are left"
        return refused_for(command, Refusal(Reason.REFUND_TOO_LARGE, detail, amount=left), of.id)
    split = _split(of, amount)
    asked = paying.refund(of, of.attempt_id, of.payment_id, amount, Reason.ORGANIZER_REFUNDED, command.refund_key)
    return [
        replace(
            asked,
            from_tickets_minor=split.tickets or None,
            from_kept_minor=split.kept or None,
            from_owed_minor=split.owed or None,
        )
    ]


def _movable(minor: int, currency: str) -> int:
    return minor - minor % MOVABLE_MINOR.get(currency, 1)


def record_provider_refund(state: EventState, command: c.RecordProviderRefund, _now: LogTime) -> list[f.Fact]:
    """Money went back without our request. If nothing is left of the payment, the tickets are void."""
    stray = _of_stray(state, command)
    if stray is not None:
        return stray
    of = _paid_by(state, command)
    if isinstance(of, list):
        return of
    refunds = state.refunds.get(of.id, ())
    if any(command.refund_id in (one.refund_id, one.key) for one in refunds):
        return duplicate(command, of.id)
    worth = _worth(of)
    paid = worth + of.kept_minor + of.owed_minor + _back_minor(of, refunds)
    if not 0 < command.amount_minor <= paid:
        detail = f"{command.amount_minor} were refunded at the provider, {paid} were paid by {of.payment_id}"
        return refused_for(command, Refusal(Reason.REFUND_TOO_LARGE, detail, amount=paid), of.id)
    split = _split(of, command.amount_minor)
    # Another refund covers the rest, one that is under way or looked finished. It fails, or has failed already.
    split = split._replace(owed=command.amount_minor - split.tickets - split.kept)
    owed = of.owed_minor - split.owed
    void = of.status == ReservationStatus.CONFIRMED and split.tickets == worth > 0
    payment = of.payment
    if (void or of.status != ReservationStatus.CONFIRMED) and not of.refunds_open and owed <= 0:
        payment = PaymentStatus.REFUNDED
    facts: list[f.Fact] = [
        f.PaymentRefunded(
            reservation_id=of.id,
            user_id=of.user_id,
            payment_id=of.payment_id,
            refund_id=command.refund_id,
            amount_minor=command.amount_minor,
            refund_key=command.refund_id,
            origin=RefundOrigin.PROVIDER,
            currency=of.currency,
            reason=command.reason,
            from_tickets_minor=split.tickets,
            from_kept_minor=split.kept,
            from_owed_minor=split.owed,
            payment=payment,
            organizer_id=_organizer(state),
        )
    ]
    if void:
        facts.append(_void(of, Reason.REFUNDED_AT_PROVIDER))
    failed_before = split.owed > 0 and any(one.status == RefundStatus.FAILED for one in refunds)
    if failed_before and owed > 0 and not state.disputed(of.id):
        facts.append(_again(state, of, owed, Reason.REFUNDED_AT_PROVIDER))
    return facts


def record_refund(state: EventState, command: c.RecordRefund, _now: LogTime) -> list[f.Fact]:
    """The provider has made a refund that we asked for; once for each key."""
    of = state.reservations.get(command.reservation_id)
    if of is None:
        return refused(command, Reason.RESERVATION_NOT_FOUND, "a refund for no reservation", command.reservation_id)
    key = command.refund_key or f"refund-{command.payment_id}"
    known = next((one for one in state.refunds.get(of.id, ()) if one.key == key), None)
    if known is None or known.payment_id != command.payment_id or known.status == RefundStatus.REFUNDED:
        return duplicate(command, of.id)
    made = f.PaymentRefunded(
        reservation_id=of.id,
        user_id=of.user_id,
        payment_id=command.payment_id,
        refund_id=command.refund_id,
        amount_minor=command.amount_minor,
        refund_key=command.refund_key,
    )
    if known.status == RefundStatus.FAILED and command.refund_id == known.refund_id:  # the failure was the later news
        return duplicate(command, of.id)
    if known.origin == RefundOrigin.STRAY:
        foreign = command.currency if command.currency != of.currency else None
        return [replace(made, origin=RefundOrigin.STRAY, currency=foreign)]
    if known.status == RefundStatus.REQUESTED:
        return [made]
    owed = of.owed_minor - command.amount_minor
    over = of.status != ReservationStatus.CONFIRMED and not of.refunds_open and not owed
    payment = PaymentStatus.REFUNDED if over else of.payment
    return [replace(made, from_owed_minor=command.amount_minor, payment=payment)]


def record_refund_failure(state: EventState, command: c.RecordRefundFailure, _now: LogTime) -> list[f.Fact]:
    """A refund failed. If a part of the money went back another way in between, we ask for the rest again."""
    of = state.reservations.get(command.reservation_id)
    if of is None:
        return refused(command, Reason.RESERVATION_NOT_FOUND, "a refund for no reservation", command.reservation_id)
    key = command.refund_key or command.refund_id
    refunds = state.refunds.get(of.id, ())
    known = next((one for one in refunds if one.key == key or (command.refund_id and one.refund_id == key)), None)
    if known is None:
        if command.refund_key or not command.refund_id:
            return refused(command, Reason.REFUND_NOT_FOUND, f"no refund {key} was asked for", of.id)
        paid = _paid_by(state, command)
        if isinstance(paid, list):
            return paid
        unheard = Refund(
            key=key,
            payment_id=command.payment_id,
            refund_id=command.refund_id,
            amount_minor=command.amount_minor,
            status=RefundStatus.FAILED,
            origin=RefundOrigin.PROVIDER,
        )
        return [_failed(state, of, command, unheard, Split(0, 0, 0), of.payment)]
    another = known.status == RefundStatus.REFUNDED and known.refund_id != command.refund_id
    if known.status == RefundStatus.FAILED or another:
        return duplicate(command, of.id)
    if known.origin == RefundOrigin.STRAY:
        return [_failed(state, of, command, known, Split(0, 0, 0), of.payment)]
    amount = known.amount_minor
    if of.status == ReservationStatus.CONFIRMED and known.origin == RefundOrigin.PROVIDER:
        return [_failed(state, of, command, known, Split(amount, 0, 0), of.payment)]
    owed = of.owed_minor + amount
    payment = of.payment
    if of.status != ReservationStatus.CONFIRMED and not any(one != key for one in of.refunds_open):
        payment = PaymentStatus.REFUND_FAILED if owed > 0 else PaymentStatus.REFUNDED
    facts: list[f.Fact] = [_failed(state, of, command, known, Split(0, 0, amount), payment)]
    if 0 < owed < amount and not state.disputed(of.id):
        facts.append(_again(state, of, owed, Reason.REFUNDED_AT_PROVIDER))
    return facts


def record_dispute(state: EventState, command: c.RecordDispute, _now: LogTime) -> list[f.Fact]:
    """A buyer has asked their bank for the money. While the dispute is open, the tickets open no door; lost, they are
    void."""
    of = _paid_by(state, command)
    if isinstance(of, list):
        return of
    if command.status not in _PROGRESS or command.amount_minor < 0 or not command.dispute_id:
        detail = f"dispute {command.dispute_id} is {command.status}, of {command.amount_minor}"
        return refused(command, Reason.INVALID_DISPUTE, detail, of.id)
    known = next((one for one in state.disputes.get(of.id, ()) if one.id == command.dispute_id), None)
    if known is not None and _PROGRESS[command.status] <= _PROGRESS[known.status]:
        return duplicate(command, of.id)
    organizer = _organizer(state)
    if command.status in (DisputeStatus.INQUIRY, DisputeStatus.OPEN):
        opened = f.DisputeOpened(
            reservation_id=of.id,
            user_id=of.user_id,
            organizer_id=organizer,
            payment_id=of.payment_id,
            dispute_id=command.dispute_id,
            status=command.status,
            amount_minor=command.amount_minor,
            currency=of.currency,
            reason=command.reason,
        )
        return [opened]
    split = Split(0, 0, 0)
    if command.status == DisputeStatus.LOST:
        split = _split(of, command.amount_minor)
    elif known is not None:
        split = Split(0, -known.charged_minor, 0)  # it comes back when the tickets are gone: the organizer has it
    owed, void = (
        of.owed_minor - split.owed,
        of.status == ReservationStatus.CONFIRMED and split.tickets == _worth(of) > 0,
    )
    payment = of.payment
    over = (void or of.status != ReservationStatus.CONFIRMED) and not of.refunds_open and owed <= 0
    if over and sum(split) > 0:
        payment = PaymentStatus.CHARGED_BACK
    closed = f.DisputeClosed(
        reservation_id=of.id,
        user_id=of.user_id,
        organizer_id=organizer,
        payment_id=of.payment_id,
        dispute_id=command.dispute_id,
        status=command.status,
        amount_minor=command.amount_minor,
        currency=of.currency,
        reason=command.reason,
        from_tickets_minor=split.tickets,
        from_kept_minor=split.kept,
        from_owed_minor=split.owed,
        payment=payment,
    )
    facts: list[f.Fact] = [closed]
    if void:
        facts.append(_void(of, Reason.CHARGED_BACK))
    others = any(
        one.status == DisputeStatus.OPEN and one.id != command.dispute_id for one in state.disputes.get(of.id, ())
    )
    if of.status != ReservationStatus.CONFIRMED and owed > 0 and not others:
        facts.append(_again(state, of, owed, Reason.PAYMENT_DISPUTED))
    return facts


def _paid_by(
    state: EventState, command: c.RecordProviderRefund | c.RecordRefundFailure | c.RecordDispute
) -> Reservation | list[f.Fact]:
    """The reservation that this payment paid for, or a refusal that says why there is none."""
    of = state.reservations.get(command.reservation_id)
    if of is None:
        return refused(command, Reason.RESERVATION_NOT_FOUND, "a payment for no reservation", command.reservation_id)
    if not command.payment_id or of.payment_id != command.payment_id:
        detail = f"the reservation was not paid for by payment {command.payment_id}"
        return refused(command, Reason.PAYMENT_NOT_FOUND, detail, of.id)
    if command.currency != of.currency:
        detail = f"payment {of.payment_id} is in {of.currency}, not in {command.currency}"
        return refused(command, Reason.CURRENCY_MISMATCH, detail, of.id)
    return of


def _of_stray(state: EventState, command: c.RecordProviderRefund) -> list[f.Fact] | None:
    """A refund of a stray payment, after our own refund of it had failed."""
    of = state.reservations.get(command.reservation_id)
    refunds = [one for one in state.refunds.get(command.reservation_id, ()) if one.payment_id == command.payment_id]
    if (
        of is None
        or of.payment_id == command.payment_id
        or not any(one.origin == RefundOrigin.STRAY for one in refunds)
    ):
        return None
    if any(command.refund_id in (one.refund_id, one.key) for one in refunds):
        return duplicate(command, of.id)
    made = f.PaymentRefunded(
        reservation_id=of.id,
        user_id=of.user_id,
        payment_id=command.payment_id,
        refund_id=command.refund_id,
        amount_minor=command.amount_minor,
    )
    refund = replace(
        made, refund_key=command.refund_id, origin=RefundOrigin.STRAY, currency=command.currency, reason=command.reason
    )
    return [replace(refund, organizer_id=_organizer(state))]


def _worth(of: Reservation) -> int:
    """What was paid for its tickets and not refunded, in minor units."""
    return of.amount_minor if of.status == ReservationStatus.CONFIRMED else 0


def _back_minor(of: Reservation, refunds: tuple[Refund, ...]) -> int:
    """How much of its payment is refunded or being refunded, in minor units."""
    return sum(
        one.amount_minor for one in refunds if one.status != RefundStatus.FAILED and one.payment_id == of.payment_id
    )


def _split(of: Reservation, amount_minor: int) -> Split:
    """Take an amount from the tickets first, then from the owed money, then from the kept money."""
    tickets = min(amount_minor, _worth(of))
    owed = min(amount_minor - tickets, max(of.owed_minor, 0))
    return Split(tickets, min(amount_minor - tickets - owed, of.kept_minor), owed)


def _void(of: Reservation, reason: Reason) -> f.ReservationCancelled:
    return f.ReservationCancelled(
        reservation_id=of.id,
        user_id=of.user_id,
        ticket_type_id=of.ticket_type_id,
        quantity=of.quantity,
        seats=of.seats,
        reason=reason,
    )


def _again(state: EventState, of: Reservation, owed_minor: int, reason: Reason) -> f.RefundRequested:
    """Ask for a refund of the owed money, under a key of its own."""
    key = f"refund-{of.id}-{len(state.refunds.get(of.id, ())) + 1}"
    asked = paying.refund(of, of.attempt_id, of.payment_id, owed_minor, reason, key)
    return replace(asked, from_owed_minor=owed_minor)


def _failed(
    state: EventState,
    of: Reservation,
    command: c.RecordRefundFailure,
    refund: Refund,
    back: Split,
    payment: PaymentStatus,
) -> f.RefundFailed:
    return f.RefundFailed(
        reservation_id=of.id,
        user_id=of.user_id,
        organizer_id=_organizer(state),
        payment_id=command.payment_id,
        refund_id=command.refund_id or refund.refund_id,
        refund_key=refund.key,
        origin=refund.origin,
        amount_minor=refund.amount_minor,
        currency=of.currency,
        reason=command.reason,
        to_tickets_minor=back.tickets,
        to_owed_minor=back.owed,
        payment=payment,
    )


def _organizer(state: EventState) -> UserId:
    assert state.details is not None, "a reservation with a payment is of an event that is there"
    return state.details.organizer_id
