"""Stripe's books: its lists of intents, refunds and disputes, a hundred at a time, the latest first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from pipelines.payments.providers.books import PAGE, BookedDispute, BookedPayment, BookedRefund
from pipelines.payments.providers.protocol import OutcomeUnknown
from pipelines.payments.providers.stripe.money import booked_amount
from pipelines.payments.providers.stripe.objects import (
    Declined,
    DisputeObject,
    Intent,
    RefundObject,
    StripeStatus,
)
from pipelines.payments.providers.stripe.provider import ATTEMPT, BACK, PAYMENTS, REFUND
from pipelines.payments.providers.stripe.webhook import DISPUTED, FAILED, place_of
from schemas.ids import NO_EVENT, NO_PAYMENT, NO_RESERVATION, AttemptId, DisputeId, PaymentId, RefundId
from schemas.statuses import RefundStatus

if TYPE_CHECKING:
    from pipelines.payments.providers.stripe.api import StripeApi

REFUNDS, DISPUTES = "/v1/refunds", "/v1/disputes"

O = TypeVar("O", Intent, RefundObject, DisputeObject)  # noqa: E741 - an object


class _Page(msgspec.Struct, Generic[O], frozen=True):
    """A page of a list."""

    data: list[O]
    has_more: bool = False


class StripeBooks:
    """Stripe's records."""

    def __init__(self, api: StripeApi) -> None:
        self._api = api

    async def payments(self, since: int, until: int) -> AsyncIterator[BookedPayment]:
        """The captured payments, also those of other programs."""
        async for intent in _listed(self._api, PAYMENTS, _Page[Intent], _between(since, until)):
            if intent.status == StripeStatus.SUCCEEDED:
                yield _payment(intent)

    async def refunds(self, since: int, until: int) -> AsyncIterator[BookedRefund]:
        """The refunds, also failed ones."""
        async for refund in _listed(self._api, REFUNDS, _Page[RefundObject], _between(since, until)):
            if refund.payment_intent is not None:
                yield _refund(refund)

    async def disputes(self, since: int, until: int) -> AsyncIterator[BookedDispute]:
        """The disputes."""
        async for dispute in _listed(self._api, DISPUTES, _Page[DisputeObject], _between(since, until)):
            if dispute.payment_intent is not None:
                yield _dispute(dispute)

    async def payment(self, payment_id: PaymentId) -> BookedPayment | None:
        """One payment; None when it was never captured."""
        intent = await self._one(f"{PAYMENTS}/{payment_id}", Intent)
        return _payment(intent) if intent is not None and intent.status == StripeStatus.SUCCEEDED else None

    async def refund(self, refund_id: RefundId) -> BookedRefund | None:
        """One refund."""
        refund_object = await self._one(f"{REFUNDS}/{refund_id}", RefundObject)
        return None if refund_object is None else _refund(refund_object)

    async def dispute(self, dispute_id: DisputeId) -> BookedDispute | None:
        """One dispute."""
        dispute_object = await self._one(f"{DISPUTES}/{dispute_id}", DisputeObject)
        return None if dispute_object is None else _dispute(dispute_object)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def _one(self, path: str, shape: type[O]) -> O | None:
        try:
            return await self._api.get(path, {}, shape)
        except Declined as declined:
            if declined.error.code == "resource_missing":
                return None
            raise OutcomeUnknown(f"Stripe does not show {path} ({declined})") from None


async def refunds_of(api: StripeApi, payment_id: PaymentId) -> AsyncIterator[RefundObject]:
    """Every refund of a payment. Raises Declined when there is no such payment."""
    async for refund in _listed(api, REFUNDS, _Page[RefundObject], {"payment_intent": payment_id}):
        yield refund


async def _listed(api: StripeApi, path: str, shape: type[_Page[O]], query: dict[str, str]) -> AsyncIterator[O]:
    """Every object of a list. The next page begins behind the last object of this one."""
    after: dict[str, str] = {}
    while True:
        page = await api.get(path, {"limit": str(PAGE), **query, **after}, shape)
        for one in page.data:
            yield one
        if not page.has_more or not page.data:
            return
        after = {"starting_after": page.data[-1].id}


def _between(since: int, until: int) -> dict[str, str]:
    return {"created[gte]": str(since), "created[lt]": str(until)}


def _payment(intent: Intent) -> BookedPayment:
    event_id, reservation_id = place_of(intent.metadata) or (NO_EVENT, NO_RESERVATION)
    amount = booked_amount(intent.amount_received, intent.currency, intent.id)
    attempt = AttemptId(intent.metadata.get(ATTEMPT, ""))
    return BookedPayment(
        payment_id=intent.id,
        event_id=event_id,
        reservation_id=reservation_id,
        attempt_id=attempt,
        amount_minor=amount,
        currency=intent.currency.upper(),
        created_at=intent.created,
    )


def _refund(refund: RefundObject) -> BookedRefund:
    status = RefundStatus.REFUNDED if refund.status in BACK else RefundStatus.REQUESTED
    if refund.status in FAILED:
        status = RefundStatus.FAILED
    amount = booked_amount(refund.amount, refund.currency, refund.id)
    key = (refund.metadata or {}).get(REFUND, "")
    reason = refund.failure_reason or refund.reason or ""
    return BookedRefund(
        refund_id=refund.id,
        payment_id=refund.payment_intent or NO_PAYMENT,
        key=key,
        amount_minor=amount,
        currency=refund.currency.upper(),
        status=status,
        reason=reason,
        created_at=refund.created,
    )


def _dispute(dispute: DisputeObject) -> BookedDispute:
    amount = booked_amount(dispute.amount, dispute.currency, dispute.id)
    status = DISPUTED.get(dispute.status, dispute.status)
    currency, reason = dispute.currency.upper(), dispute.reason or ""
    return BookedDispute(
        dispute_id=dispute.id,
        payment_id=dispute.payment_intent or NO_PAYMENT,
        amount_minor=amount,
        currency=currency,
        status=status,
        reason=reason,
        created_at=dispute.created,
    )
