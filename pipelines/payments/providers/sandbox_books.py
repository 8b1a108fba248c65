"""The sandbox bank's books, and actions of the bank itself: refunds, failed refunds, disputes. No money moves.

Guarantee: an action here changes only the bank's books, as in a real provider's dashboard. The log learns of it only if
the caller sends a command.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from connectors.postgres import SERVER_GONE, Connection, connect, unreachable
from connectors.sql_files import queries
from pipelines.payments.providers.books import PAGE, BookedDispute, BookedPayment, BookedRefund
from pipelines.payments.providers.protocol import OutcomeUnknown, RequestRefused
from schemas.ids import NO_EVENT, NO_RESERVATION, DisputeId, PaymentId, RefundId
from schemas.statuses import DisputeStatus, RefundOrigin, RefundStatus

SQL = queries(Path(__file__).with_name("sandbox_books.sql"))
BEFORE_ALL = "-infinity"
_SUCCEEDED = "succeeded"  # the bank's word for a refund that was made


class SandboxBooks:
    """The pretend bank's records. One connection, made at its first use."""

    def __init__(self, postgres_url: str) -> None:
        self._url = postgres_url
        self._connection: Connection | None = None

    async def payments(self, since: int, until: int) -> AsyncIterator[BookedPayment]:
        """The captured payments."""
        async for row in self._pages("payments", "payment_id", since, until):
            yield _payment(row)

    async def refunds(self, since: int, until: int) -> AsyncIterator[BookedRefund]:
        """The refunds, also failed ones."""
        async for row in self._pages("refunds", "refund_id", since, until):
            yield _refund(row)

    async def disputes(self, since: int, until: int) -> AsyncIterator[BookedDispute]:
        """The disputes."""
        async for row in self._pages("disputes", "dispute_id", since, until):
            yield _dispute(row)

    async def payment(self, payment_id: PaymentId) -> BookedPayment | None:
        """One payment; None when it was never captured."""
        row = await self._row("payment", payment_id)
        return None if row is None else _payment(row)

    async def refund(self, refund_id: RefundId) -> BookedRefund | None:
        """One refund."""
        row = await self._row("refund", refund_id)
        return None if row is None else _refund(row)

    async def dispute(self, dispute_id: DisputeId) -> BookedDispute | None:
        """One dispute."""
        row = await self._row("dispute", dispute_id)
        return None if row is None else _dispute(row)

    async def give_back(self, payment_id: PaymentId, amount_minor: int | None = None) -> BookedRefund:
        """Refund a payment (None: all that is left of it). Raises RequestRefused if less is left."""
        connection, refund_id = await self._open(), RefundId(f"re-{uuid.uuid4()}")
        async with connection.transaction():
            left = await connection.fetchval(SQL["left_of"], payment_id)
            amount = left if amount_minor is None else amount_minor
            if await connection.fetchval(SQL["refund_here"], payment_id, refund_id, amount or 0) is None:
                raise RequestRefused(f"payment {payment_id}: {amount} are not left of it, but {left}")
        refund = await self.refund(refund_id)
        assert refund is not None
        return refund

    async def fail(self, refund_id: RefundId) -> BookedRefund:
        """Let a refund fail. Raises RequestRefused if there is no such refund, or it has failed already."""
        if await (await self._open()).fetchval(SQL["fail_refund"], refund_id) is None:
            raise RequestRefused(f"the sandbox has no refund {refund_id} that could fail")
        refund = await self.refund(refund_id)
        assert refund is not None
        return refund

    async def dispute_of(
        self, payment_id: PaymentId, status: DisputeStatus, amount_minor: int | None = None
    ) -> BookedDispute:
        """Dispute a payment (None: all of it), or change its dispute. Raises RequestRefused if it was not captured."""
        dispute_id = DisputeId(f"dp-{payment_id.removeprefix('pay-')}")
        connection = await self._open()
        if await connection.fetchval(SQL["put_dispute"], payment_id, dispute_id, status, amount_minor) is None:
            raise RequestRefused(f"the sandbox has not captured payment {payment_id}")
        dispute = await self.dispute(dispute_id)
        assert dispute is not None
        return dispute

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _pages(self, query: str, identity: str, since: int, until: int) -> AsyncIterator[asyncpg.Record]:
        place, last = BEFORE_ALL, ""
        while True:
            try:
                rows = await (await self._open()).fetch(SQL[query], since, until, place, last, PAGE)
            except SERVER_GONE as error:
                raise OutcomeUnknown(str(unreachable(self._url, error))) from error
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            place, last = rows[-1]["place"], rows[-1][identity]

    async def _row(self, query: str, identity: str) -> asyncpg.Record | None:
        return await (await self._open()).fetchrow(SQL[query], identity)

    async def _open(self) -> Connection:
        if self._connection is None:
            self._connection = await connect(self._url)
        return self._connection


def _payment(row: asyncpg.Record) -> BookedPayment:
    return BookedPayment(
        payment_id=row["payment_id"],
        event_id=NO_EVENT,
        reservation_id=NO_RESERVATION,
        attempt_id=row["attempt_id"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        created_at=row["created"],
    )


def _refund(row: asyncpg.Record) -> BookedRefund:
    key = row["idempotency_key"] if row["origin"] == RefundOrigin.OURS else ""
    made = row["status"] == _SUCCEEDED
    status, reason = (RefundStatus.REFUNDED, "requested_by_customer") if made else (RefundStatus.FAILED, "sandbox")
    return BookedRefund(
        refund_id=row["refund_id"],
        payment_id=row["payment_id"],
        key=key,
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        status=status,
        reason=reason,
        created_at=row["created"],
    )


def _dispute(row: asyncpg.Record) -> BookedDispute:
    return BookedDispute(
        dispute_id=row["dispute_id"],
        payment_id=row["payment_id"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        status=row["status"],
        reason=row["reason"],
        created_at=row["created"],
    )
