"""The commands for an act of the sandbox bank, the same that a provider's webhook would become."""

from __future__ import annotations

from pathlib import Path

from connectors.errors import CircleError
from connectors.postgres import connect
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.payments.providers.books import BookedDispute, BookedRefund
from pipelines.payments.providers.sandbox_books import SandboxBooks
from schemas import commands as c
from schemas.statuses import ChargeOutcome, RefundStatus

SQL = queries(Path(__file__).with_name("reconcile.sql"))


class NoSuchPayment(CircleError):
    """The payment is not the sandbox's, or no payment attempt is on record for it."""


async def told_of(settings: Settings, books: SandboxBooks, done: BookedRefund | BookedDispute) -> list[c.Command]:
    """The commands in their order. The first says that the payment was captured, because the log may lack that.

    Raises NoSuchPayment when no payment attempt is on record.
    """
    booked = await books.payment(done.payment_id)
    connection = await connect(settings.postgres_url)
    try:
        row = None if booked is None else await connection.fetchrow(SQL["attempts"], booked.attempt_id, "")
    finally:
        await connection.close()
    if booked is None or row is None:
        raise NoSuchPayment(f"no attempt to pay is on record for payment {done.payment_id}")
    event, reservation, of = row["event_id"], row["reservation_id"], done.payment_id
    told: list[c.Command] = []
    if row["payment_id"] != of:
        told.append(
            c.RecordPayment(
                event_id=event,
                user_id="",
                command_id=f"sandbox-{of}",
                reservation_id=reservation,
                attempt_id=booked.attempt_id,
                payment_id=of,
                outcome=ChargeOutcome.CAPTURED,
                reason="",
                amount_minor=booked.amount_minor,
            )
        )
    if isinstance(done, BookedDispute):
        identity = f"sandbox-{done.dispute_id}-{done.status}"
        told.append(
            c.RecordDispute(
                event_id=event,
                user_id="",
                command_id=identity,
                reservation_id=reservation,
                payment_id=of,
                dispute_id=done.dispute_id,
                status=done.status,
                amount_minor=done.amount_minor,
                currency=done.currency,
                reason=done.reason,
            )
        )
    elif done.status == RefundStatus.FAILED:
        told.append(
            c.RecordRefundFailure(
                event_id=event,
                user_id="",
                command_id=f"sandbox-{done.refund_id}-failed",
                reservation_id=reservation,
                payment_id=of,
                refund_id=done.refund_id,
                amount_minor=done.amount_minor,
                currency=done.currency,
                reason=done.reason,
                refund_key=done.key or None,
            )
        )
    else:
        told.append(
            c.RecordProviderRefund(
                event_id=event,
                user_id="",
                command_id=f"sandbox-{done.refund_id}",
                reservation_id=reservation,
                payment_id=of,
                refund_id=done.refund_id,
                amount_minor=done.amount_minor,
                currency=done.currency,
                reason=done.reason,
            )
        )
    return told
