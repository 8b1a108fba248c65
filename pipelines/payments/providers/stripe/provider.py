"""Stripe as our payment provider: for each attempt a PaymentIntent that is confirmed at once, for each key a refund.

Guarantee: an attempt is charged once. For at least a day, Stripe repeats its first answer to the same key. An older
attempt is looked up and never charged again. A payment that would need the buyer again (3-D Secure in a browser) is
cancelled before it counts as declined, so it cannot be completed later.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from connectors.logs import Log
from pipelines.payments.providers.protocol import OutcomeUnknown, RequestRefused
from pipelines.payments.providers.stripe.money import NotPayable, booked_amount, to_stripe
from pipelines.payments.providers.stripe.objects import (
    UNPAID,
    Declined,
    Intent,
    Intents,
    KeyReused,
    PaymentError,
    RefundObject,
    RefundPage,
    StripeStatus,
)
from pipelines.payments.requests import ChargeJob, ChargeResult, RefundJob, RefundResult
from schemas.ids import NO_PAYMENT, US_PER_S, AttemptId
from schemas.statuses import ChargeOutcome

if TYPE_CHECKING:
    from pipelines.payments.providers.stripe.api import StripeApi

KEY_LIFE_S = 23 * 3_600  # Stripe forgets a key after 24 hours; an hour is for clocks that differ
REFUNDS_MAX = 100  # one page; an order has at most ten tickets to refund one by one
TOKEN = re.compile(r"(?:pm|ctoken)_[A-Za-z0-9_]{1,200}")  # Stripe's own scripts give these to a buyer's browser
CODE = re.compile(r"[a-z0-9_]{1,64}")
UNKNOWN_TOKEN, ACTION_NEEDED, TOO_LATE = "unknown_token", "authentication_required", "too_late"
PAYMENTS = "/v1/payment_intents"

# The attempt of an intent or a refund: webhooks are matched by it.
EVENT, RESERVATION, ATTEMPT, REFUND = (
    "circle_event_id", "circle_reservation_id", "circle_attempt_id", "circle_refund_key",
)  # fmt: skip

ACTION_CODES = frozenset({"authentication_required", "payment_intent_action_required"})
# Stripe asks us not to show these to buyers: they help a thief who tries stolen cards.
CONCEALED_CODES = frozenset(
    {"fraudulent", "lost_card", "stolen_card", "pickup_card", "restricted_card", "merchant_blacklist",
     "security_violation"}
)  # fmt: skip
ABANDONED = {"cancellation_reason": "abandoned"}
BACK = frozenset({StripeStatus.SUCCEEDED, StripeStatus.PENDING})  # a pending refund is accepted, and on its way

log = Log("payments")


class StripeProvider:
    """The provider. `now` is the wall clock in seconds: it decides only whether a key may have been forgotten."""

    def __init__(self, api: StripeApi, *, now: Callable[[], float] = time.time) -> None:
        self._api, self._now = api, now

    async def capture(self, charge: ChargeJob) -> ChargeResult:
        """Charge a PaymentMethod (`pm_…`) or a ConfirmationToken (`ctoken_…`)."""
        if not TOKEN.fullmatch(charge.token):
            return _declined(UNKNOWN_TOKEN)
        try:
            amount = to_stripe(charge.amount_minor, charge.currency)
        except NotPayable:
            return _declined("invalid_amount")
        if self._forgotten(charge.asked_at):
            return await self._looked_up(charge)
        source = "payment_method" if charge.token.startswith("pm_") else "confirmation_token"
        form = {
            "amount": str(amount),
            "currency": charge.currency.lower(),
            source: charge.token,
            "confirm": "true",
            "error_on_requires_action": "true",
            "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never",
            f"metadata[{EVENT}]": charge.event_id,
            f"metadata[{RESERVATION}]": charge.reservation_id,
            f"metadata[{ATTEMPT}]": charge.attempt_id,
        }
        try:
            intent = await self._api.post(PAYMENTS, form, Intent, key=charge.attempt_id)
        except Declined as declined:
            return _declined(_told(declined.error, charge.attempt_id))
        except KeyReused:
            return await self._tried_before(charge)
        return await self._result(charge, intent)

    async def refund(self, refund: RefundJob) -> RefundResult:
        """Give a payment back, in whole or in part."""
        if self._forgotten(refund.asked_at) and (known := await self._refund_known(refund)) is not None:
            return _refunded(known)
        form = {
            "payment_intent": refund.payment_id,
            "amount": str(_exactly(refund)),
            f"metadata[{EVENT}]": refund.event_id,
            f"metadata[{RESERVATION}]": refund.reservation_id,
            f"metadata[{REFUND}]": refund.key,
        }
        try:
            made = await self._api.post("/v1/refunds", form, RefundObject, key=refund.key)
        except Declined as declined:
            known = await self._refund_known(refund) if declined.error.code == "charge_already_refunded" else None
            if known is None:
                why = declined.error.code or declined.error.type
                raise RequestRefused(f"payment {refund.payment_id}: Stripe does not refund it ({why})") from None
            made = known
        return _refunded(made)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    def _forgotten(self, asked_at: int) -> bool:
        return self._now() - asked_at / US_PER_S > KEY_LIFE_S

    async def _looked_up(self, charge: ChargeJob) -> ChargeResult:
        """Look up an attempt whose key Stripe may have forgotten. Never charges."""
        intent = await self._found(charge)
        log.warning("charge.looked_up", key=charge.key, found=intent is not None)
        return await self._result(charge, intent) if intent is not None else _declined(TOO_LATE)

    async def _found(self, charge: ChargeJob) -> Intent | None:
        query = {"query": f'metadata["{ATTEMPT}"]:"{charge.attempt_id}"', "limit": "1"}
        try:
            intents = (await self._api.get(f"{PAYMENTS}/search", query, Intents)).data
        except Declined as declined:
            raise OutcomeUnknown(f"attempt {charge.attempt_id}: Stripe does not search ({declined})") from None
        return intents[0] if intents else None

    async def _tried_before(self, charge: ChargeJob) -> ChargeResult:
        """The key was used before with another token: a buyer repeated an earlier attempt's key after another attempt.

        The outcome of the first request stands. Stripe's search finds an intent about a minute after it was made.
        """
        intent = await self._found(charge)
        if intent is None:
            raise OutcomeUnknown(f"attempt {charge.attempt_id}: its key was used for something that is not found yet")
        return await self._result(charge, intent)

    async def _result(self, charge: ChargeJob, intent: Intent) -> ChargeResult:
        """The attempt's result from an intent's status. For a repeated key the answer may be an old one."""
        if intent.status == StripeStatus.PROCESSING:
            intent = await self._now_at(intent)
        if intent.status == StripeStatus.SUCCEEDED:
            return _captured(charge, intent)
        if intent.status == StripeStatus.PROCESSING:
            raise OutcomeUnknown(f"attempt {charge.attempt_id}: {intent.id} is under way at Stripe")
        if intent.status not in UNPAID:
            return await self._cancelled(charge, intent)
        return _declined(told_of(intent, charge.attempt_id))

    async def _cancelled(self, charge: ChargeJob, intent: Intent) -> ChargeResult:
        """Cancel an intent, so that it cannot be completed. Only then it is declined."""
        reason = ACTION_NEEDED if intent.status == StripeStatus.REQUIRES_ACTION else intent.status
        try:
            ended = await self._api.post(f"{PAYMENTS}/{intent.id}/cancel", ABANDONED, Intent)
        except Declined:  # it has ended already, one way or the other
            ended = await self._now_at(intent)
        if ended.status == StripeStatus.SUCCEEDED:
            return _captured(charge, ended)
        if ended.status not in UNPAID:
            raise OutcomeUnknown(f"attempt {charge.attempt_id}: {intent.id} is {ended.status} and not to be cancelled")
        return _declined(reason)

    async def _now_at(self, intent: Intent) -> Intent:
        try:
            return await self._api.get(f"{PAYMENTS}/{intent.id}", {}, Intent)
        except Declined as declined:
            raise OutcomeUnknown(f"{intent.id}: Stripe does not show it ({declined})") from None

    async def _refund_known(self, refund: RefundJob) -> RefundObject | None:
        query = {"payment_intent": refund.payment_id, "limit": str(REFUNDS_MAX)}
        try:
            page = await self._api.get("/v1/refunds", query, RefundPage)
        except Declined as declined:
            raise RequestRefused(f"payment {refund.payment_id}: Stripe does not show it ({declined})") from None
        if page.has_more:
            raise RequestRefused(f"payment {refund.payment_id} has more than {REFUNDS_MAX} refunds")
        return next((one for one in page.data if (one.metadata or {}).get(REFUND) == refund.key), None)


def told_of(intent: Intent, attempt_id: AttemptId) -> str:
    """Why an intent failed, as a text for the buyer."""
    error = intent.last_payment_error
    return _told(error, attempt_id) if error is not None else intent.status


def _captured(charge: ChargeJob, intent: Intent) -> ChargeResult:
    """The result for a captured payment. If it differs from the request, the log refuses it and refunds it."""
    amount, currency = booked_amount(intent.amount_received, intent.currency, intent.id), intent.currency.upper()
    if (amount, currency) == (charge.amount_minor, charge.currency):
        return ChargeResult(ChargeOutcome.CAPTURED, intent.id, "", amount)
    log.error("charge.differs", key=charge.key, amount_minor=amount, currency=currency)
    return ChargeResult(
        outcome=ChargeOutcome.CAPTURED, payment_id=intent.id, reason="", amount_minor=amount, currency=currency
    )


def _declined(reason: str) -> ChargeResult:
    return ChargeResult(ChargeOutcome.DECLINED, NO_PAYMENT, reason, 0)


def _told(error: PaymentError, attempt_id: AttemptId) -> str:
    """The reason as a text for the buyer. In every case nothing was charged."""
    if error.code in ACTION_CODES or error.decline_code == ACTION_NEEDED:
        return ACTION_NEEDED
    if error.code == "resource_missing" and error.param in ("payment_method", "confirmation_token"):
        return UNKNOWN_TOKEN
    if error.type != "card_error":  # most likely our mistake, and then every charge fails like this one
        log.warning("charge.not_accepted", key=attempt_id, code=error.code, type=error.type, parameter=error.param)
    code = error.decline_code or error.code or error.type
    return code if CODE.fullmatch(code) and code not in CONCEALED_CODES else "card_declined"


def _exactly(refund: RefundJob) -> int:
    try:
        return to_stripe(refund.amount_minor, refund.currency)
    except NotPayable as error:
        raise RequestRefused(f"payment {refund.payment_id}: {error}") from None


def _refunded(made: RefundObject) -> RefundResult:
    if made.status not in BACK:
        raise RequestRefused(f"refund {made.id} is {made.status} ({made.failure_reason or 'no reason is given'})")
    return RefundResult(made.id, booked_amount(made.amount, made.currency, made.id))
