"""The protocol of a payment provider. One idempotency key is one charge (or one refund), however often it is sent."""

from __future__ import annotations

from typing import Protocol

from connectors.errors import CircleError
from pipelines.payments.requests import ChargeJob, ChargeResult, RefundJob, RefundResult


class OutcomeUnknown(CircleError):
    """The provider did not answer, or its answer was lost: it may or may not have acted. Ask again, same key."""


class RequestRefused(CircleError):
    """The provider refuses this request for good. A person has to look at it."""


class PaymentProvider(Protocol):
    """A provider. Every call may raise OutcomeUnknown (ask again) or RequestRefused (do not)."""

    async def capture(self, charge: ChargeJob) -> ChargeResult:
        """Charge the card or account behind `charge.token`. A declined charge is a result, not an error."""

    async def refund(self, refund: RefundJob) -> RefundResult:
        """Refund money of a captured payment. A payment may have several refunds, each with its own key, but never more
        than was captured. Raises RequestRefused if there is no such payment, or too little is left of it.
        """

    async def close(self) -> None:
        """Close the connections."""
