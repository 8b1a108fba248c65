"""A payment provider in memory, for tests that need no server. It passes the same contract tests as the sandbox."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field

from pipelines.payments.providers.protocol import OutcomeUnknown, RequestRefused
from pipelines.payments.providers.sandbox_tokens import SLOW_S, TOK_LOST_REPLY, TOK_SLOW, reason_for
from pipelines.payments.requests import ChargeJob, ChargeResult, RefundJob, RefundResult
from schemas.ids import NO_PAYMENT, PaymentId, RefundId
from schemas.statuses import ChargeOutcome


@dataclass
class FakeProvider:
    """Keeps a ledger that tests can read."""

    slow_s: float = SLOW_S
    charges: dict[str, ChargeResult] = field(default_factory=dict)
    refunds: dict[str, tuple[str, RefundResult]] = field(default_factory=dict)  # by key

    async def capture(self, charge: ChargeJob) -> ChargeResult:
        """Charge by `charge.token`; the currency makes no difference here."""
        if charge.token == TOK_SLOW:
            await asyncio.sleep(self.slow_s)
        if charge.attempt_id in self.charges:
            return self.charges[charge.attempt_id]
        reason = reason_for(charge.token)
        result = ChargeResult(ChargeOutcome.DECLINED, NO_PAYMENT, reason, 0)
        if not reason:
            result = ChargeResult(ChargeOutcome.CAPTURED, PaymentId(f"pay-{uuid.uuid4()}"), "", charge.amount_minor)
        self.charges[charge.attempt_id] = result
        if charge.token == TOK_LOST_REPLY:
            raise OutcomeUnknown(f"attempt {charge.attempt_id}: the answer was lost")
        return result

    async def refund(self, refund: RefundJob) -> RefundResult:
        """Refund a captured payment, or a part of it."""
        payment, amount = refund.payment_id, refund.amount_minor
        if refund.key in self.refunds:
            known, result = self.refunds[refund.key]
            if (known, result.amount_minor) != (payment, amount):
                raise RequestRefused(f"payment {payment}: the key {refund.key} was used for another refund")
            return result
        captured = sum(charge.amount_minor for charge in self.charges.values() if charge.payment_id == payment)
        left = captured - sum(made.amount_minor for known, made in self.refunds.values() if known == payment)
        if not payment or not 0 < amount <= left:
            raise RequestRefused(f"payment {payment}: not captured, or {amount} are not left of it")
        result = RefundResult(RefundId(f"ref-{uuid.uuid4()}"), amount)
        self.refunds[refund.key] = (payment, result)
        return result

    async def close(self) -> None:
        """Nothing to close."""
