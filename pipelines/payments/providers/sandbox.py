"""The sandbox payment provider: a pretend bank in the schema `sandbox`, which survives our processes.

Guarantee: one idempotency key is one row, so it is one charge, and its answer never changes. `sandbox_tokens` has the
effect of each token. No money moves.
"""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import asyncpg

from connectors.postgres import COMMAND_TIMEOUT_S, CONNECT_TIMEOUT_S, SERVER_GONE, create_pool, unreachable
from connectors.sql_files import queries
from pipelines.payments.providers.protocol import OutcomeUnknown, RequestRefused
from pipelines.payments.providers.sandbox_tokens import SLOW_S, TOK_LOST_REPLY, TOK_SLOW, reason_for
from pipelines.payments.requests import ChargeJob, ChargeResult, RefundJob, RefundResult
from schemas.ids import NO_PAYMENT
from schemas.statuses import ChargeOutcome

POOL_SIZE_MAX = 4
CLOSE_TIMEOUT_S = 1.0
NAMESPACE = uuid.UUID("5a0d6ecb-6f0b-4f6c-9d3c-0f3c3d1f2a11")  # of the sandbox's own payment and refund ids

SQL = queries(Path(__file__).with_name("sandbox.sql"))


class SandboxProvider:
    """The provider, with a small connection pool that is opened at its first use."""

    def __init__(self, postgres_url: str, *, slow_s: float = SLOW_S) -> None:
        self._url, self._slow_s = postgres_url, slow_s
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()

    async def capture(self, charge: ChargeJob) -> ChargeResult:
        """Charge by `charge.token`."""
        if charge.token == TOK_SLOW:
            await asyncio.sleep(self._slow_s)
        reason = reason_for(charge.token)
        row = await self._row(
            "charge",
            charge.attempt_id,
            "pay-" + str(uuid.uuid5(NAMESPACE, charge.attempt_id)),
            charge.token,
            ChargeOutcome.DECLINED if reason else ChargeOutcome.CAPTURED,
            reason,
            charge.amount_minor,
            charge.currency,
        )
        assert row is not None
        payment_id, outcome, why, amount, requests = row
        if charge.token == TOK_LOST_REPLY and requests == 1:
            raise OutcomeUnknown(f"attempt {charge.attempt_id}: the sandbox's answer was lost")
        captured = outcome == ChargeOutcome.CAPTURED
        return ChargeResult(outcome, payment_id if captured else NO_PAYMENT, why, amount if captured else 0)

    async def refund(self, refund: RefundJob) -> RefundResult:
        """Refund a captured payment, or a part of it."""
        key, payment, amount = refund.key, refund.payment_id, refund.amount_minor
        row = await self._row("refund", key, payment, "ref-" + str(uuid.uuid5(NAMESPACE, key)), amount, lock=payment)
        if row is None:
            raise RequestRefused(f"payment {payment}: the sandbox has not captured it, or {amount} are not left of it")
        if (row["payment_id"], row["amount_minor"]) != (payment, amount):
            raise RequestRefused(f"payment {payment}: the key {key} was used for another refund")
        return RefundResult(row["refund_id"], row["amount_minor"])

    async def close(self) -> None:
        """Close the pool."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await pool.close()
            except SERVER_GONE:
                pool.terminate()

    async def _row(self, query: str, *arguments: object, lock: str | None = None) -> asyncpg.Record | None:
        try:
            pool = await self._open()
            if lock is None:
                return await pool.fetchrow(SQL[query], *arguments)
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(SQL["lock_payment"], lock)
                return await connection.fetchrow(SQL[query], *arguments)
        except SERVER_GONE as error:
            raise OutcomeUnknown(str(unreachable(self._url, error))) from error
        except asyncpg.UniqueViolationError as error:
            raise RequestRefused(f"the sandbox has another payment refunded under this key: {error.detail}") from error

    async def _open(self) -> asyncpg.Pool[asyncpg.Record]:
        async with self._opening:
            if self._pool is None:
                self._pool = await create_pool(
                    self._url,
                    min_size=1,
                    max_size=POOL_SIZE_MAX,
                    timeout=CONNECT_TIMEOUT_S,
                    command_timeout=COMMAND_TIMEOUT_S,
                )
            assert self._pool is not None
            return self._pool
