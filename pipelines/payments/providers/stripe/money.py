"""Converts amounts to Stripe's units. Ours are ISO 4217's minor units; Stripe's differ for a few currencies. Pure.

Source: Stripe's page on currencies (docs.stripe.com/currencies: zero-decimal and three-decimal currencies, special
cases). Its exceptions for HUF and TWD are about payouts; charges and refunds of these have two decimals. For all other
currencies ISO and Stripe agree, and an amount is sent unchanged: 500 JPY is 500, 5.00 EUR is 500.
"""

from __future__ import annotations

from pipelines.payments.providers.protocol import RequestRefused

# ISO has no minor unit; Stripe expects two decimals, which are 00.
HUNDREDFOLD = frozenset({"ISK", "UGX"})
# Two decimals in ISO (in truth a fifth), none at Stripe.
HUNDREDTH = frozenset({"MGA"})
# Three decimals; the last must be 0.
TENS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


class NotPayable(ValueError):
    """Stripe cannot express the amount in this currency."""


def to_stripe(amount_minor: int, currency: str) -> int:
    """Our minor units as Stripe's. Raises NotPayable if Stripe cannot express the amount."""
    if currency in HUNDREDFOLD:
        return amount_minor * 100
    if currency in HUNDREDTH:
        return _divided(amount_minor, 100, currency)
    if currency in TENS:
        return _divided(amount_minor, 10, currency) * 10
    return amount_minor


def problem_of_price(amount_minor: int, currency: str) -> str:
    """Why Stripe cannot charge a price; "" if it can."""
    try:
        to_stripe(amount_minor, currency)
    except NotPayable as error:
        return str(error)
    return ""


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's units as ours; `currency` in either case. Raises NotPayable for a fraction of our minor unit."""
    code = currency.upper()
    if code in HUNDREDFOLD:
        return _divided(amount, 100, code)
    return amount * 100 if code in HUNDREDTH else amount


def booked_amount(amount: int, currency: str, of: str) -> int:
    """An amount that Stripe has booked, in our minor units. Raises RequestRefused, which names `of`, for a fraction."""
    try:
        return from_stripe(amount, currency)
    except NotPayable as error:
        raise RequestRefused(f"{of}: {error}") from None


def _divided(amount: int, by: int, currency: str) -> int:
    whole, rest = divmod(amount, by)
    if rest:
        raise NotPayable(f"{amount} {currency} is no multiple of {by}, which Stripe needs")
    return whole
