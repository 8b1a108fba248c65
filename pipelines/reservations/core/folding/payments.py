"""What the facts about money change: payments, refunds, disputes."""

from __future__ import annotations

import msgspec

from pipelines.reservations.core import entities as e
from pipelines.reservations.core.entities import Placed, Reservation
from pipelines.reservations.core.folding.change import Change
from pipelines.reservations.core.state import EventState
from schemas import facts as f
from schemas.ids import NO_REFUND, AttemptId, ReservationId
from schemas.payment_facts import key_of_refund
from schemas.statuses import DisputeStatus, PaymentStatus, RefundOrigin, RefundStatus, ReservationStatus

_replace = msgspec.structs.replace


def _payment_requested(state: EventState, fact: f.PaymentRequested, _at: Placed) -> None:
    old = state.reservations[fact.reservation_id]
    new = _replace(
        old, payment=PaymentStatus.REQUESTED, attempt_id=fact.attempt_id, payment_token=fact.payment_token, reason=""
    )
    state.put(_not_declined(new, fact.attempt_id))


def _payment_declined(state: EventState, fact: f.PaymentDeclined, _at: Placed) -> None:
    old = state.reservations[fact.reservation_id]
    declined = tuple(sorted({*old.declined, fact.attempt_id}))
    state.put(_replace(old, payment=PaymentStatus.DECLINED, reason=fact.reason, declined=declined))


def _not_declined(of: Reservation, attempt_id: AttemptId) -> Reservation:
    """The attempt is made again, or its money came after all. It no longer counts as declined."""
    if attempt_id not in of.declined:
        return of
    return _replace(of, declined=tuple([one for one in of.declined if one != attempt_id]))


def _confirmed(state: EventState, fact: f.ReservationConfirmed, _at: Placed) -> None:
    old = _not_declined(state.reservations[fact.reservation_id], fact.attempt_id)
    state.put(
        _replace(
            old,
            status=ReservationStatus.CONFIRMED,
            payment=PaymentStatus.CAPTURED,
            attempt_id=fact.attempt_id,
            payment_id=fact.payment_id,
            reason="",
        )
    )
    state.drop_deadlines(fact.reservation_id)


def _refund_requested(state: EventState, fact: f.RefundRequested, _at: Placed) -> None:
    origin, key = RefundOrigin(fact.origin or RefundOrigin.OURS), key_of_refund(fact.payment_id, fact.refund_key)
    _note_refund(
        state,
        fact,
        e.Refund(
            key=key,
            payment_id=fact.payment_id,
            refund_id=NO_REFUND,
            amount_minor=fact.amount_minor,
            status=RefundStatus.REQUESTED,
            origin=origin,
        ),
    )
    known = state.reservations.get(fact.reservation_id)
    if origin == RefundOrigin.STRAY:
        if known is not None and fact.attempt_id in known.declined:
            state.put(_not_declined(known, fact.attempt_id))
        return
    old = _not_declined(state.reservations[fact.reservation_id], fact.attempt_id)
    payment = old.payment if old.status == ReservationStatus.CONFIRMED else PaymentStatus.REFUND_REQUESTED
    owed = old.owed_minor - (fact.from_owed_minor or 0)
    keys = (*old.refunds_open, key)
    state.put(
        _replace(
            old,
            payment=payment,
            payment_id=fact.payment_id,
            refunds_open=keys,
            amount_minor=old.amount_minor - (fact.from_tickets_minor or 0),
            kept_minor=old.kept_minor - (fact.from_kept_minor or 0),
            owed_minor=owed,
        )
    )


def _refunded(state: EventState, fact: f.PaymentRefunded, _at: Placed) -> None:
    origin, key = RefundOrigin(fact.origin or RefundOrigin.OURS), key_of_refund(fact.payment_id, fact.refund_key)
    made = e.Refund(
        key=key,
        payment_id=fact.payment_id,
        refund_id=fact.refund_id,
        amount_minor=fact.amount_minor,
        status=RefundStatus.REFUNDED,
        origin=origin,
    )
    _note_refund(state, fact, made)
    if origin == RefundOrigin.STRAY:
        return
    old = state.reservations[fact.reservation_id]
    keys = tuple(one for one in old.refunds_open if one != key)
    owed = old.owed_minor - (fact.from_owed_minor or 0)
    if fact.payment is not None:
        payment = PaymentStatus(fact.payment)
    else:
        last = old.payment == PaymentStatus.REFUND_REQUESTED and not keys
        payment = (PaymentStatus.REFUND_FAILED if owed > 0 else PaymentStatus.REFUNDED) if last else old.payment
    state.put(
        _replace(
            old,
            payment=payment,
            refunds_open=keys,
            amount_minor=old.amount_minor - (fact.from_tickets_minor or 0),
            kept_minor=old.kept_minor - (fact.from_kept_minor or 0),
            owed_minor=owed,
        )
    )


def _refund_failed(state: EventState, fact: f.RefundFailed, _at: Placed) -> None:
    failed = e.Refund(
        key=fact.refund_key,
        payment_id=fact.payment_id,
        refund_id=fact.refund_id,
        amount_minor=fact.amount_minor,
        status=RefundStatus.FAILED,
        origin=RefundOrigin(fact.origin),
    )
    _note_refund(state, fact, failed)
    if fact.origin == RefundOrigin.STRAY:
        return
    old = state.reservations[fact.reservation_id]
    state.put(
        _replace(
            old,
            payment=PaymentStatus(fact.payment),
            refunds_open=tuple(one for one in old.refunds_open if one != fact.refund_key),
            amount_minor=old.amount_minor + fact.to_tickets_minor,
            owed_minor=old.owed_minor + fact.to_owed_minor,
        )
    )


def _note_refund(
    state: EventState, fact: f.RefundRequested | f.PaymentRefunded | f.RefundFailed, refund: e.Refund
) -> None:
    others = (one for one in state.refunds.get(fact.reservation_id, ()) if one.key != refund.key)
    refunds = tuple(sorted((*others, refund), key=lambda one: one.key))
    state.change(state.refunds, fact.reservation_id, refunds)


def _dispute_opened(state: EventState, fact: f.DisputeOpened, _at: Placed) -> None:
    dispute = e.Dispute(
        id=fact.dispute_id,
        payment_id=fact.payment_id,
        status=DisputeStatus(fact.status),
        amount_minor=fact.amount_minor,
        charged_minor=0,
    )
    _note_dispute(state, fact.reservation_id, dispute)


def _dispute_closed(state: EventState, fact: f.DisputeClosed, _at: Placed) -> None:
    taken = fact.from_tickets_minor + fact.from_kept_minor + fact.from_owed_minor
    charged = sum(one.charged_minor for one in state.disputes.get(fact.reservation_id, ()) if one.id == fact.dispute_id)
    dispute = e.Dispute(
        id=fact.dispute_id,
        payment_id=fact.payment_id,
        status=DisputeStatus(fact.status),
        amount_minor=fact.amount_minor,
        charged_minor=charged + taken,
    )
    _note_dispute(state, fact.reservation_id, dispute)
    old = state.reservations[fact.reservation_id]
    state.put(
        _replace(
            old,
            payment=PaymentStatus(fact.payment),
            amount_minor=old.amount_minor - fact.from_tickets_minor,
            kept_minor=old.kept_minor - fact.from_kept_minor,
            owed_minor=old.owed_minor - fact.from_owed_minor,
        )
    )


def _note_dispute(state: EventState, reservation_id: ReservationId, dispute: e.Dispute) -> None:
    others = (one for one in state.disputes.get(reservation_id, ()) if one.id != dispute.id)
    disputes = tuple(sorted((*others, dispute), key=lambda one: one.id))
    state.change(state.disputes, reservation_id, disputes)


CHANGES: dict[type[f.Fact], Change] = {
    f.PaymentRequested: _payment_requested,
    f.PaymentDeclined: _payment_declined,
    f.ReservationConfirmed: _confirmed,
    f.RefundRequested: _refund_requested,
    f.PaymentRefunded: _refunded,
    f.RefundFailed: _refund_failed,
    f.DisputeOpened: _dispute_opened,
    f.DisputeClosed: _dispute_closed,
}
