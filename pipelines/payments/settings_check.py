"""The check of the settings about payments: no process starts that would sell tickets without money."""

from __future__ import annotations

from urllib.parse import urlsplit

from connectors.errors import SettingsError
from pipelines.platform_settings import PaymentsBy, PlatformSettings


def check_payments(settings: PlatformSettings) -> None:
    """Stripe needs its secrets and an encrypted address. Production needs a provider that moves money."""
    if settings.payments is PaymentsBy.SANDBOX:
        if settings.production:
            raise SettingsError(
                "CIRCLE_PAYMENTS",
                "is the sandbox, which moves no money and sells tickets for the word tok_ok; production refuses it",
                got=settings.payments.value,
                example="stripe",
            )
        return
    for name, given, example in (
        ("STRIPE_API_KEY", settings.stripe_api_key, "sk_live_…"),
        ("STRIPE_WEBHOOK_SECRET", settings.stripe_webhook_secret, "whsec_…"),
    ):
        if given is None:
            raise SettingsError(
                f"CIRCLE_{name}", "is required with CIRCLE_PAYMENTS=stripe and not set", example=example
            )
    if settings.production and settings.stripe_api_key is not None and "_test_" in settings.stripe_api_key:
        raise SettingsError(
            "CIRCLE_STRIPE_API_KEY",
            "is a key for tests, which moves no money; production refuses it",
            got=f"{settings.stripe_api_key.partition('_test_')[0]}_test_…",
            example="sk_live_…",
        )
    if settings.production and urlsplit(settings.stripe_api_url).scheme != "https":
        raise SettingsError(
            "CIRCLE_STRIPE_API_URL",
            "would carry the API key in clear, which production refuses",
            got=settings.stripe_api_url,
            example="https://api.stripe.com",
        )
