"""The commands for an act of the sandbox bank, the same that a provider's webhook would become."""

from __future__ import annotations

from pathlib import Path

from connectors.errors import CircleError
from connectors.postgres import connect
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.payments.booking_commands import capture_booked, dispute_booked, refund_booked
from pipelines.payments.providers.books import BookedDispute, BookedRefund
from pipelines.payments.providers.sandbox_books import SandboxBooks
from schemas import commands as c
from schemas.ids import CommandId
from schemas.statuses import RefundStatus

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
    place = row["event_id"], row["reservation_id"]
    commands: list[c.Command] = []
    if row["payment_id"] != done.payment_id:
        commands.append(capture_booked(booked, place, CommandId(f"sandbox-{done.payment_id}")))
    if isinstance(done, BookedDispute):
        commands.append(dispute_booked(done, place, CommandId(f"sandbox-{done.dispute_id}-{done.status}")))
    else:
        failed = "-failed" if done.status == RefundStatus.FAILED else ""
        commands.append(refund_booked(done, place, CommandId(f"sandbox-{done.refund_id}{failed}"), key=done.key))
    return commands
