"""The whole typed configuration of a process: that of its clients, and what is particular to selling tickets.

`pipelines.configuration` reads it. A function that needs clients only takes `connectors.settings.Settings`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from connectors.settings import Settings


class PaymentsBy(StrEnum):
    """Who moves the money. The sandbox moves none."""

    SANDBOX = "sandbox"
    STRIPE = "stripe"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformSettings(Settings):
    """All configuration of a process. A field that is a secret is kept out of `repr`."""

    edge_refusals: bool = True
    mail_from: str = "General Circle <tickets@circle.invalid>"
    payments: PaymentsBy = PaymentsBy.SANDBOX
    stripe_api_key: str | None = field(default=None, repr=False)
    stripe_webhook_secret: str | None = field(default=None, repr=False)
    stripe_api_url: str = "https://api.stripe.com"
