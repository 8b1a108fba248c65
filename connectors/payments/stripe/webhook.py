"""Stripe's webhooks: whether one is Stripe's and fresh, and the command that tells the log what it says. Pure.

Guarantee: nothing is read before its signature was found right. The same webhook makes the same command, and the
command of a webhook says what the answer to our own request says, so whichever comes first decides and the other is a
duplicate. Source of the scheme: Stripe's page on webhook signatures, scheme v1.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from connectors.logs import Log
from connectors.payments.stripe.api import Id, Intent, RefundObject
from connectors.payments.stripe.money import NotPayable, from_stripe
from connectors.payments.stripe.provider import ATTEMPT, BACK, EVENT, REFUND, RESERVATION, told_of
from pipelines.payments.requests import CAPTURED, DECLINED, key_of_refund
from schemas.commands import RecordPayment, RecordRefund

TOLERANCE_S = 300  # Stripe's own default: clocks that differ, not deliveries that are late (those are signed anew)
SIGNATURES_MAX = 8  # two while a secret is rolled
HEADER_CHARS_MAX = 2_000
REFUND_KEY = re.compile(r"[!-~]{1,128}")
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")

log = Log("payments")

T = TypeVar("T")
Told = RecordPayment | RecordRefund


class BadSignature(Exception):
    """It is not Stripe's, or too old. The text may be told to the caller."""


class Unreadable(Exception):
    """Stripe signed it, and it is not what an event looks like."""


class Event(msgspec.Struct, frozen=True):
    """What every event has. `data.object` is read by its type."""

    class Data(msgspec.Struct, frozen=True):
        """The envelope of the object."""

        object: msgspec.Raw

    id: Id
    type: str
    data: Data


def verified(body: bytes, signature: str, secret: str, now: float) -> Event:
    """The event in `body`, which `signature` (the header Stripe-Signature) vouches for at wall-clock second `now`.

    Raises BadSignature, and Unreadable for signed bytes that are no event.
    """
    stamp, signatures = _parts(signature)
    expected = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest().encode()
    # Every signature is compared, each in constant time: how long it takes says nothing about how much was right.
    if sum(hmac.compare_digest(expected, one.encode()) for one in signatures) == 0:
        raise BadSignature("no v1 signature is right for this body; is it the secret of this endpoint?")
    if abs(now - int(stamp)) > TOLERANCE_S:
        raise BadSignature(f"it was signed more than {TOLERANCE_S} s from now")
    try:
        return msgspec.json.decode(body, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(str(error)) from None


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


def command_of(event: Event) -> Told | None:
    """What the log is to be told; None when it is no business of ours. Raises Unreadable."""
    reading = _READINGS.get(event.type)
    return None if reading is None else reading(event)


def _payment(event: Event) -> Told | None:
    intent = _object(event, Intent)
    place = _place(event, intent.metadata)
    attempt = intent.metadata.get(ATTEMPT, "")
    if place is None or not UUID.fullmatch(attempt):
        return None
    if intent.status == "succeeded":
        amount = _minor(intent.amount_received, intent.currency)
        if intent.amount_received != intent.amount:
            raise Unreadable(f"{intent.id} has received another amount than it is about")
        return RecordPayment(place[0], "", event.id, place[1], attempt, intent.id, CAPTURED, "", amount)
    if intent.status not in ("canceled", "requires_payment_method"):
        return None
    return RecordPayment(place[0], "", event.id, place[1], attempt, "", DECLINED, told_of(intent, attempt), 0)


def _refund(event: Event) -> Told | None:
    refund = _object(event, RefundObject)
    metadata = refund.metadata or {}
    place, key = _place(event, metadata), metadata.get(REFUND, "")
    if place is None or not REFUND_KEY.fullmatch(key) or refund.payment_intent is None:
        return None
    if refund.status not in BACK:  # it may have been recorded as refunded: then only a person can put it right
        log.error(
            "refund.failed", refund=refund.id, status=refund.status, reason=refund.failure_reason, reservation=place[1]
        )
        return None
    payment, amount = refund.payment_intent, _minor(refund.amount, refund.currency)
    named = None if key == key_of_refund(payment, None) else key
    return RecordRefund(place[0], "", event.id, place[1], payment, refund.id, amount, named)


def _object(event: Event, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(event.data.object, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{event.type}: {error}") from None


def _place(event: Event, metadata: dict[str, str]) -> tuple[str, str] | None:
    """The event and the reservation it is about. None for what another program did with the same account."""
    place = metadata.get(EVENT, ""), metadata.get(RESERVATION, "")
    if all(UUID.fullmatch(one) for one in place):
        return place
    log.info("webhook.not_ours", webhook=event.id, type=event.type)
    return None


def _minor(amount: int, currency: str) -> int:
    try:
        return from_stripe(amount, currency)
    except NotPayable as error:
        raise Unreadable(str(error)) from None


_READINGS: dict[str, Callable[[Event], Told | None]] = {
    "payment_intent.succeeded": _payment,
    "payment_intent.payment_failed": _payment,
    "payment_intent.canceled": _payment,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.refund.updated": _refund,
}
