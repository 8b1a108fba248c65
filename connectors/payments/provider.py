"""What we ask of a payment provider. One idempotency key is one charge (or one refund), however often it is sent."""

from __future__ import annotations

from typing import Protocol

from connectors.errors import CircleError
from pipelines.payments.requests import ChargeResult, RefundResult


class OutcomeUnknown(CircleError):
    """The provider did not answer, or its answer was lost: it may or may not have acted. Ask again, same key."""


class RequestRefused(CircleError):
    """The provider will not do this, now or later. A person has to look."""


class PaymentProvider(Protocol):
    """A provider. Every call may raise OutcomeUnknown (ask again) or RequestRefused (do not)."""

    async def capture(self, attempt_id: str, token: str, amount_minor: int, currency: str) -> ChargeResult:
        """Charge what `token` stands for. A charge that is declined is a result, not an error."""

    async def refund(self, payment_id: str, key: str, amount_minor: int) -> RefundResult:
        """Give money of a captured payment back. Raises RequestRefused when there is no such payment."""

    async def close(self) -> None:
        """Let go of connections."""
