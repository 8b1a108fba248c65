"""Stripe: amounts, the API's client, the provider, webhooks. Decision 0020 says why we do not use Stripe's library."""
