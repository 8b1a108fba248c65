"""The commands that write an entry of a provider's books to the log. An entry that the log has changes nothing there.

`place` is the event's and the reservation's id.
"""

from __future__ import annotations

from pipelines.payments.providers.books import BookedDispute, BookedPayment, BookedRefund, Place
from schemas import commands as c
from schemas.ids import NOBODY, CommandId
from schemas.payment_facts import key_of_refund
from schemas.statuses import ChargeOutcome, RefundStatus


def capture_booked(payment: BookedPayment, place: Place, command_id: CommandId) -> c.RecordPayment:
    """A captured payment."""
    return c.RecordPayment(
        event_id=place[0],
        user_id=NOBODY,
        command_id=command_id,
        reservation_id=place[1],
        attempt_id=payment.attempt_id,
        payment_id=payment.payment_id,
        outcome=ChargeOutcome.CAPTURED,
        reason="",
        amount_minor=payment.amount_minor,
    )


def refund_booked(
    refund: BookedRefund, place: Place, command_id: CommandId, *, key: str
) -> c.RecordRefund | c.RecordProviderRefund | c.RecordRefundFailure:
    """A refund that went back or failed. `key` is ours; "" for a refund that the provider began."""
    if refund.status == RefundStatus.FAILED:
        return c.RecordRefundFailure(
            event_id=place[0],
            user_id=NOBODY,
            command_id=command_id,
            reservation_id=place[1],
            payment_id=refund.payment_id,
            refund_id=refund.refund_id,
            amount_minor=refund.amount_minor,
            currency=refund.currency,
            reason=refund.reason,
            refund_key=key or None,
        )
    if key:
        return c.RecordRefund(
            event_id=place[0],
            user_id=NOBODY,
            command_id=command_id,
            reservation_id=place[1],
            payment_id=refund.payment_id,
            refund_id=refund.refund_id,
            amount_minor=refund.amount_minor,
            refund_key=None if key == key_of_refund(refund.payment_id, None) else key,
        )
    return c.RecordProviderRefund(
        event_id=place[0],
        user_id=NOBODY,
        command_id=command_id,
        reservation_id=place[1],
        payment_id=refund.payment_id,
        refund_id=refund.refund_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        reason=refund.reason,
    )


def dispute_booked(dispute: BookedDispute, place: Place, command_id: CommandId) -> c.RecordDispute:
    """A dispute with its status."""
    return c.RecordDispute(
        event_id=place[0],
        user_id=NOBODY,
        command_id=command_id,
        reservation_id=place[1],
        payment_id=dispute.payment_id,
        dispute_id=dispute.dispute_id,
        status=dispute.status,
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
        reason=dispute.reason,
    )
