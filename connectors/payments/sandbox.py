"""The sandbox payment provider: a bank of its own in the schema `sandbox`, which survives our processes.

Guarantee: one idempotency key is one row, so one charge; its answer never changes. What each token does is in
`tokens`. No money moves.
"""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import asyncpg

from connectors.payments.provider import OutcomeUnknown, RequestRefused
from connectors.payments.tokens import SLOW_S, TOK_LOST_REPLY, TOK_SLOW, reason_for
from connectors.postgres import COMMAND_TIMEOUT_S, CONNECT_TIMEOUT_S, SERVER_GONE, unreachable
from connectors.sql_files import queries
from pipelines.payments.requests import CAPTURED, DECLINED, ChargeResult, RefundResult

POOL_SIZE_MAX = 4
CLOSE_TIMEOUT_S = 1.0
NAMESPACE = uuid.UUID("5a0d6ecb-6f0b-4f6c-9d3c-0f3c3d1f2a11")  # of the sandbox's own payment and refund ids

SQL = queries(Path(__file__).with_name("sandbox.sql"))


class SandboxProvider:
    """The provider, through a small connection pool that is opened when it is first needed."""

    def __init__(self, postgres_url: str, *, slow_s: float = SLOW_S) -> None:
        self._url, self._slow_s = postgres_url, slow_s
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()

    async def capture(self, attempt_id: str, token: str, amount_minor: int, currency: str) -> ChargeResult:
        """Charge by `token`."""
        if token == TOK_SLOW:
            await asyncio.sleep(self._slow_s)
        reason = reason_for(token)
        row = await self._row(
            "charge",
            attempt_id,
            "pay-" + str(uuid.uuid5(NAMESPACE, attempt_id)),
            token,
            DECLINED if reason else CAPTURED,
            reason,
            amount_minor,
            currency,
        )
        assert row is not None
        payment_id, outcome, why, amount, requests = row
        if token == TOK_LOST_REPLY and requests == 1:
            raise OutcomeUnknown(f"attempt {attempt_id}: the sandbox's answer was lost")
        captured = outcome == CAPTURED
        return ChargeResult(outcome, payment_id if captured else "", why, amount if captured else 0)

    async def refund(self, payment_id: str, key: str, amount_minor: int) -> RefundResult:
        """Refund a captured payment."""
        row = await self._row("refund", key, payment_id, "ref-" + str(uuid.uuid5(NAMESPACE, key)), amount_minor)
        if row is None:
            raise RequestRefused(f"payment {payment_id}: the sandbox has captured no such payment")
        return RefundResult(*row)

    async def close(self) -> None:
        """Close the pool."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await pool.close()
            except SERVER_GONE:
                pool.terminate()

    async def _row(self, query: str, *arguments: object) -> asyncpg.Record | None:
        try:
            pool = await self._open()
            return await pool.fetchrow(SQL[query], *arguments)
        except SERVER_GONE as error:
            raise OutcomeUnknown(str(unreachable(self._url, error))) from error
        except asyncpg.UniqueViolationError as error:
            raise RequestRefused(f"the sandbox has this payment refunded under another key: {error.detail}") from error

    async def _open(self) -> asyncpg.Pool[asyncpg.Record]:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=1,
                    max_size=POOL_SIZE_MAX,
                    timeout=CONNECT_TIMEOUT_S,
                    command_timeout=COMMAND_TIMEOUT_S,
                )
            assert self._pool is not None
            return self._pool
