"""Stripe's webhooks: checks that one is Stripe's and fresh, and makes the command for the log. Pure.

Guarantee: the signature is checked before the body is read. The same webhook makes the same command. A webhook and the
answer to our own request make the same command too: the first one decides, the other is a duplicate. Source of the
scheme: Stripe's page on webhook signatures, scheme v1.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from connectors.logs import Log
from pipelines.payments.providers.books import Place
from pipelines.payments.providers.stripe.money import NotPayable, from_stripe
from pipelines.payments.providers.stripe.objects import (
    UNPAID,
    DisputeObject,
    Id,
    Intent,
    RefundObject,
    StripeCharge,
    StripeStatus,
)
from pipelines.payments.providers.stripe.provider import ATTEMPT, BACK, EVENT, REFUND, RESERVATION, told_of
from schemas.commands import RecordDispute, RecordPayment, RecordProviderRefund, RecordRefund, RecordRefundFailure
from schemas.ids import (
    NO_EVENT,
    NO_PAYMENT,
    NO_RESERVATION,
    NOBODY,
    AttemptId,
    CommandId,
    EventId,
    PaymentId,
    ReservationId,
)
from schemas.payment_facts import key_of_refund
from schemas.statuses import ChargeOutcome, DisputeStatus

TOLERANCE_S = 300  # Stripe's own default; for clocks that differ: Stripe signs late deliveries again
SIGNATURES_MAX = 8  # two while a secret is rolled
HEADER_CHARS_MAX = 2_000
REFUND_KEY = re.compile(r"[!-~]{1,128}")
FAILED = frozenset({StripeStatus.FAILED, StripeStatus.CANCELED})
DISPUTED: dict[str, DisputeStatus] = {
    "warning_needs_response": DisputeStatus.INQUIRY,
    "warning_under_review": DisputeStatus.INQUIRY,
    "warning_closed": DisputeStatus.CLOSED,
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.OPEN,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    "prevented": DisputeStatus.CLOSED,
}
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")

log = Log("payments")

T = TypeVar("T")
Told = RecordPayment | RecordRefund | RecordProviderRefund | RecordRefundFailure | RecordDispute


class BadSignature(Exception):
    """The webhook is not Stripe's, or it is too old. The caller may read the text."""


class UnreadableWebhook(Exception):
    """Stripe signed the body, but it is not an event."""


class Event(msgspec.Struct, frozen=True):
    """The fields of every event. `data.object` is decoded by its type."""

    class Data(msgspec.Struct, frozen=True):
        """The envelope of the object."""

        object: msgspec.Raw

    id: Id[CommandId]
    type: str
    data: Data


def verified(body: bytes, signature: str, secret: str, now: float) -> Event:
    """The event in `body`, after a check of `signature` (the header Stripe-Signature) at wall-clock second `now`.

    Raises BadSignature, and UnreadableWebhook for signed bytes that are no event.
    """
    stamp, signatures = _parts(signature)
    expected = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest().encode()
    # Every signature is compared in constant time, so the duration does not reveal how much of it was right.
    if sum(hmac.compare_digest(expected, one.encode()) for one in signatures) == 0:
        raise BadSignature("no v1 signature is right for this body; is it the secret of this endpoint?")
    if abs(now - int(stamp)) > TOLERANCE_S:
        raise BadSignature(f"it was signed more than {TOLERANCE_S} s from now")
    try:
        return msgspec.json.decode(body, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableWebhook(str(error)) from None


def _parts(signature: str) -> tuple[str, list[str]]:
    if len(signature) > HEADER_CHARS_MAX or not signature.isascii():
        raise BadSignature("Stripe-Signature is too long or no ASCII")
    pairs = [part.strip().partition("=") for part in signature.split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == "v1"]
    if len(stamps) != 1 or not re.fullmatch(r"[0-9]{1,12}", stamps[0]):
        raise BadSignature("Stripe-Signature needs one t=, in seconds")
    if not 0 < len(signatures) <= SIGNATURES_MAX:
        raise BadSignature("Stripe-Signature has no v1= signature, or too many")
    return stamps[0], signatures


def commands_of(event: Event) -> list[Told]:
    """The commands for the log, in this order; none if the event is not about us. Raises UnreadableWebhook.

    News that began at Stripe does not name its reservation: such a command has no `event_id` yet (`placed`).
    """
    reading = _READINGS.get(event.type)
    return [] if reading is None else reading(event)


def charge_refunded(event: Event) -> PaymentId | None:
    """The payment of a charge.refunded event without its refunds: the caller has to look these up."""
    if event.type != "charge.refunded":
        return None
    charge = _object(event, StripeCharge)
    return charge.payment_intent if charge.refunds is None or charge.refunds.has_more else None


def placed(command: Told, event_id: EventId, reservation_id: ReservationId) -> Told:
    """The command with its event and reservation."""
    return msgspec.structs.replace(command, event_id=event_id, reservation_id=reservation_id)


def place_of(metadata: dict[str, str]) -> Place | None:
    """The event and the reservation of our payment; None for another program's payment."""
    place = EventId(metadata.get(EVENT, "")), ReservationId(metadata.get(RESERVATION, ""))
    return place if all(UUID.fullmatch(one) for one in place) else None


def captured(intent: Intent, command_id: CommandId) -> RecordPayment | None:
    """The command for an intent that we looked up: for news about a payment that is not recorded yet."""
    place, attempt = place_of(intent.metadata), AttemptId(intent.metadata.get(ATTEMPT, ""))
    if place is None or not UUID.fullmatch(attempt) or intent.status != StripeStatus.SUCCEEDED:
        return None
    amount = _minor(intent.amount_received, intent.currency)
    currency = intent.currency.upper()
    return RecordPayment(
        event_id=place[0],
        user_id=NOBODY,
        command_id=command_id,
        reservation_id=place[1],
        attempt_id=attempt,
        payment_id=intent.id,
        outcome=ChargeOutcome.CAPTURED,
        reason="",
        amount_minor=amount,
        currency=currency,
    )


def refund_told(refund: RefundObject, command_id: CommandId) -> Told | None:
    """The command for a refund: ours by its key, or one that began at Stripe. None while it is undecided."""
    if refund.payment_intent is None:
        return None
    metadata = refund.metadata or {}
    place, key = place_of(metadata), metadata.get(REFUND, "")
    payment, amount = refund.payment_intent, _minor(refund.amount, refund.currency)
    ours = place is not None and REFUND_KEY.fullmatch(key) is not None
    event_id, reservation = place if place is not None and ours else (NO_EVENT, NO_RESERVATION)
    currency, why = refund.currency.upper(), refund.failure_reason or refund.status or ""
    if refund.status in FAILED:
        log.error("refund.failed", refund=refund.id, status=refund.status, reason=refund.failure_reason)
        return RecordRefundFailure(
            event_id=event_id,
            user_id=NOBODY,
            command_id=command_id,
            reservation_id=reservation,
            payment_id=payment,
            refund_id=refund.id,
            amount_minor=amount,
            currency=currency,
            reason=why,
            refund_key=key if ours else None,
        )
    if refund.status not in BACK:
        return None
    if ours:
        named = None if key == key_of_refund(payment, None) else key
        return RecordRefund(
            event_id=event_id,
            user_id=NOBODY,
            command_id=command_id,
            reservation_id=reservation,
            payment_id=payment,
            refund_id=refund.id,
            amount_minor=amount,
            refund_key=named,
        )
    return RecordProviderRefund(
        event_id=NO_EVENT,
        user_id=NOBODY,
        command_id=command_id,
        reservation_id=NO_RESERVATION,
        payment_id=payment,
        refund_id=refund.id,
        amount_minor=amount,
        currency=currency,
        reason=refund.reason or "",
    )


def dispute_told(dispute: DisputeObject, command_id: CommandId) -> RecordDispute | None:
    """The command for a dispute of a payment."""
    status = DISPUTED.get(dispute.status)
    if status is None or dispute.payment_intent is None:
        log.warning("dispute.not_read", dispute=dispute.id, status=dispute.status)
        return None
    amount, currency = _minor(dispute.amount, dispute.currency), dispute.currency.upper()
    return RecordDispute(
        event_id=NO_EVENT,
        user_id=NOBODY,
        command_id=command_id,
        reservation_id=NO_RESERVATION,
        payment_id=dispute.payment_intent,
        dispute_id=dispute.id,
        status=status,
        amount_minor=amount,
        currency=currency,
        reason=dispute.reason or "",
    )


def _payment(event: Event) -> list[Told]:
    intent = _object(event, Intent)
    place = _place(event, intent.metadata)
    attempt = AttemptId(intent.metadata.get(ATTEMPT, ""))
    if place is None or not UUID.fullmatch(attempt):
        return []
    if intent.status == StripeStatus.SUCCEEDED:
        amount, currency = _minor(intent.amount_received, intent.currency), intent.currency.upper()
        return [
            RecordPayment(
                event_id=place[0],
                user_id=NOBODY,
                command_id=event.id,
                reservation_id=place[1],
                attempt_id=attempt,
                payment_id=intent.id,
                outcome=ChargeOutcome.CAPTURED,
                reason="",
                amount_minor=amount,
                currency=currency,
            )
        ]
    if intent.status not in UNPAID:
        return []
    return [
        RecordPayment(
            event_id=place[0],
            user_id=NOBODY,
            command_id=event.id,
            reservation_id=place[1],
            attempt_id=attempt,
            payment_id=NO_PAYMENT,
            outcome=ChargeOutcome.DECLINED,
            reason=told_of(intent, attempt),
            amount_minor=0,
        )
    ]


def _refund(event: Event) -> list[Told]:
    command = refund_told(_object(event, RefundObject), event.id)
    return [] if command is None else [command]


def _charge(event: Event) -> list[Told]:
    charge = _object(event, StripeCharge)
    refunds = charge.refunds.data if charge.refunds is not None else []
    commands = (refund_told(refund, event.id) for refund in reversed(refunds) if refund.payment_intent is not None)
    return [command for command in commands if command is not None]


def _dispute(event: Event) -> list[Told]:
    command = dispute_told(_object(event, DisputeObject), event.id)
    return [] if command is None else [command]


def _object(event: Event, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(event.data.object, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableWebhook(f"{event.type}: {error}") from None


def _place(event: Event, metadata: dict[str, str]) -> Place | None:
    """The event and the reservation of an event's object; None if another program uses the same account."""
    place = place_of(metadata)
    if place is None:
        log.info("webhook.not_ours", webhook=event.id, type=event.type)
    return place


def _minor(amount: int, currency: str) -> int:
    try:
        return from_stripe(amount, currency)
    except NotPayable as error:
        raise UnreadableWebhook(str(error)) from None


_READINGS: dict[str, Callable[[Event], list[Told]]] = {
    "payment_intent.succeeded": _payment,
    "payment_intent.payment_failed": _payment,
    "payment_intent.canceled": _payment,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.refund.updated": _refund,
    "charge.refunded": _charge,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.closed": _dispute,
    "charge.dispute.funds_withdrawn": _dispute,
    "charge.dispute.funds_reinstated": _dispute,
}
