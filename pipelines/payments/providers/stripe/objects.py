"""The objects of Stripe's API and webhooks, with the fields that we read, and the errors that a call can end with."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, NewType

import msgspec
from msgspec import Meta

from pipelines.payments.providers.protocol import RequestRefused
from schemas.ids import AnyId, DisputeId, PaymentId, RefundId

# Ids must fit on the log: an id of more than 128 characters, or with control characters, becomes a dead letter.
Id = Annotated[AnyId, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+(?!\n)$")]
ChargeId = NewType("ChargeId", str)
Amount = Annotated[int, Meta(ge=0, le=10**12)]  # Stripe itself takes at most twelve digits
Moment = Annotated[int, Meta(ge=0, le=10**11)]  # seconds since the epoch
Currency = Annotated[str, Meta(pattern=r"^[A-Za-z]{3}(?!\n)$")]


class PaymentError(msgspec.Struct, frozen=True):
    """Why a payment or a request failed. Stripe's `message` is left out: it may quote the request."""

    type: str = ""
    code: str | None = None
    decline_code: str | None = None
    param: str | None = None


class Intent(msgspec.Struct, frozen=True):
    """A PaymentIntent. Amounts are Stripe's units."""

    id: Id[PaymentId]
    status: str
    amount: Amount
    currency: Currency
    amount_received: Amount = 0
    metadata: dict[str, str] = {}
    created: Moment = 0
    last_payment_error: PaymentError | None = None


class StripeStatus(StrEnum):
    """The statuses of Stripe's payment intents and refunds that make a difference here."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    PROCESSING = "processing"
    FAILED = "failed"
    CANCELED = "canceled"
    REQUIRES_ACTION = "requires_action"
    REQUIRES_PAYMENT_METHOD = "requires_payment_method"


UNPAID = frozenset({StripeStatus.CANCELED, StripeStatus.REQUIRES_PAYMENT_METHOD})
"""An intent with one of these cannot be completed by itself: nothing was charged."""


class RefundObject(msgspec.Struct, frozen=True):
    """A refund: `status` is pending, requires_action, succeeded, failed or canceled."""

    id: Id[RefundId]
    amount: Amount
    currency: Currency
    status: str | None = None
    payment_intent: Id[PaymentId] | None = None
    failure_reason: str | None = None
    metadata: dict[str, str] | None = None
    reason: str | None = None
    created: Moment = 0


class DisputeObject(msgspec.Struct, frozen=True):
    """A dispute: `status` is warning_needs_response, warning_under_review, warning_closed, needs_response,
    under_review, won, lost or prevented."""

    id: Id[DisputeId]
    amount: Amount
    currency: Currency
    status: str
    reason: str | None = None
    payment_intent: Id[PaymentId] | None = None
    created: Moment = 0


class Intents(msgspec.Struct, frozen=True):
    """A page of intents."""

    data: list[Intent]


class RefundPage(msgspec.Struct, frozen=True):
    """A page of refunds, the latest first."""

    data: list[RefundObject]
    has_more: bool = False


class StripeCharge(msgspec.Struct, frozen=True):
    """A charge, only to find its payment. Only old versions of the API send `refunds` with it."""

    id: Id[ChargeId]
    payment_intent: Id[PaymentId] | None = None
    refunds: RefundPage | None = None


class Declined(Exception):
    """Nothing was charged: Stripe or the bank declined the card or its token."""

    def __init__(self, error: PaymentError) -> None:
        super().__init__(error.decline_code or error.code or error.type)
        self.error = error


class KeyReused(RequestRefused):
    """The idempotency key was used before with another request. Stripe does not say the outcome of that request."""
