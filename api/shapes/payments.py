"""What payment providers send, and the answer. A provider's body is read by its connector, not by this shape."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class StripeEventIn(msgspec.Struct, frozen=True):
    """An event of Stripe's. It has more fields than these, which are not looked at."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "id": "evt_1A",
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_1A", "object": "payment_intent"}},
    }

    id: str
    type: str
    data: dict[str, Any]


class PaymentWebhookOut(msgspec.Struct, frozen=True):
    """The webhook has been read. `outcome`: recorded (it is on the log), repeated, or ignored (it asks for nothing)."""

    outcome: str
