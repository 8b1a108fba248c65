"""Webhooks of payment providers, and the answer. The provider's connector reads the body, not this shape."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class StripeEventIn(msgspec.Struct, frozen=True):
    """An event of Stripe. Its other fields are ignored."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "id": "evt_1A",
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_1A", "object": "payment_intent"}},
    }

    id: str
    type: str
    data: dict[str, Any]


class PaymentWebhookOut(msgspec.Struct, frozen=True):
    """The webhook was read. `outcome`: recorded (it is on the log), repeated, or ignored (it needs no action)."""

    outcome: str
