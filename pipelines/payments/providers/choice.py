"""The provider that the settings name."""

from __future__ import annotations

from connectors.logs import Log
from pipelines.payments.providers.protocol import PaymentProvider
from pipelines.payments.providers.sandbox import SandboxProvider
from pipelines.payments.providers.stripe.provider import StripeProvider
from pipelines.platform_settings import PaymentsBy, PlatformSettings

log = Log("payments")


def provider_of(settings: PlatformSettings) -> PaymentProvider:
    """The provider of the settings; it connects at its first use. The log names it: the sandbox moves no money."""
    if settings.payments is PaymentsBy.SANDBOX:
        log.info("provider.chosen", provider=settings.payments.value, money="none moves")
        return SandboxProvider(settings.postgres_url)
    assert settings.stripe_api_key is not None, "settings_from_env refuses Stripe without a key"
    live = "_live_" in settings.stripe_api_key
    log.info("provider.chosen", provider=settings.payments.value, api=settings.stripe_api_url, live=live)
    # An HTTP client is a large part of a process's start, and the sandbox needs none.
    from pipelines.payments.providers.stripe.api import StripeApi

    return StripeProvider(StripeApi(settings.stripe_api_key, settings.stripe_api_url))
