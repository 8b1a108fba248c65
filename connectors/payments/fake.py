"""A payment provider in memory, for tests that need no server. It passes the same contract tests as the sandbox."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field

from connectors.payments.provider import OutcomeUnknown, RequestRefused
from connectors.payments.tokens import SLOW_S, TOK_LOST_REPLY, TOK_SLOW, reason_for
from pipelines.payments.requests import CAPTURED, DECLINED, ChargeResult, RefundResult


@dataclass
class FakeProvider:
    """Keeps its ledger where a test can look at it."""

    slow_s: float = SLOW_S
    charges: dict[str, ChargeResult] = field(default_factory=dict)
    refunds: dict[str, tuple[str, RefundResult]] = field(default_factory=dict)

    async def capture(self, attempt_id: str, token: str, amount_minor: int, currency: str) -> ChargeResult:
        """Charge by `token`; the currency makes no difference here."""
        if token == TOK_SLOW:
            await asyncio.sleep(self.slow_s)
        if attempt_id in self.charges:
            return self.charges[attempt_id]
        reason = reason_for(token)
        result = ChargeResult(DECLINED, "", reason, 0)
        if not reason:
            result = ChargeResult(CAPTURED, f"pay-{uuid.uuid4()}", "", amount_minor)
        self.charges[attempt_id] = result
        if token == TOK_LOST_REPLY:
            raise OutcomeUnknown(f"attempt {attempt_id}: the answer was lost")
        return result

    async def refund(self, payment_id: str, key: str, amount_minor: int) -> RefundResult:
        """Refund a captured payment."""
        if key in self.refunds:
            return self.refunds[key][1]
        paid = next((charge for charge in self.charges.values() if charge.payment_id == payment_id), None)
        if paid is None or not payment_id or any(payment == payment_id for payment, _ in self.refunds.values()):
            raise RequestRefused(f"payment {payment_id}: captured never, or refunded already under another key")
        result = RefundResult(f"ref-{uuid.uuid4()}", min(amount_minor, paid.amount_minor))
        self.refunds[key] = (payment_id, result)
        return result

    async def close(self) -> None:
        """Nothing to let go of."""
