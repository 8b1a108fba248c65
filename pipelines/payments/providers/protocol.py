"""What we ask of a payment provider. One idempotency key is one charge (or one refund), however often it is sent."""

from __future__ import annotations

from typing import Protocol

from connectors.errors import CircleError
from pipelines.payments.requests import ChargeJob, ChargeResult, RefundJob, RefundResult


class OutcomeUnknown(CircleError):
    """The provider did not answer, or its answer was lost: it may or may not have acted. Ask again, same key."""


class RequestRefused(CircleError):
    """The provider will not do this, now or later. A person has to look."""


class PaymentProvider(Protocol):
    """A provider. Every call may raise OutcomeUnknown (ask again) or RequestRefused (do not)."""

    async def capture(self, charge: ChargeJob) -> ChargeResult:
        """Charge what `charge.token` stands for. A charge that is declined is a result, not an error."""

    async def refund(self, refund: RefundJob) -> RefundResult:
        """Give money of a captured payment back: a payment may have several refunds, each with a key of its own, and
        no more comes back than was captured. Raises RequestRefused when there is no such payment, or too little left
        of it.
        """

    async def close(self) -> None:
        """Let go of connections."""
