"""Stripe: amounts, the API's client, the provider, webhooks. Why without Stripe's own library is in decision 0020."""
