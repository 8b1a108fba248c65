"""The one table of currencies, and the format of an amount for people. Pure.

All code that reads or shows money uses it: ISO 4217, from the standard's own table in the `iso4217` package. Amounts
are whole numbers of a currency's minor unit: 4250 EUR is 42.50 euro, 500 JPY is 500 yen, 12340 KWD is 12.340 dinar.
Guarantee: no decision reads this table. So a new edition of the standard changes the currencies for new prices and the
format of amounts, never a fact. A log may have any text as a currency: it is shown with EXPONENT_UNKNOWN places.
"""

from __future__ import annotations

from iso4217 import Currency

EXPONENT_UNKNOWN = 2  # by far the most common, and the earlier assumption for every unlisted currency

CURRENCIES: dict[str, int] = {one.code: one.exponent for one in Currency if one.exponent is not None}
"""The exponents of all currencies that have minor units or are counted whole (0). What has none in the standard is no
means of payment: gold (XAU), units of account (XDR), "no currency" (XXX), the code for tests (XTS)."""

_NO_MEANS_OF_PAYMENT = frozenset(one.code for one in Currency if one.exponent is None)


def exponent(currency: str) -> int:
    """How many decimal places an amount has: 3 for KWD. Any text is answered; see EXPONENT_UNKNOWN."""
    return CURRENCIES.get(currency, EXPONENT_UNKNOWN)


def problem_of(currency: str) -> str:
    """Why a price cannot be in this currency, as text to follow a field's name; "" if it can.

    Codes are in upper case, as in the standard. Another spelling is an error, never a guess.
    """
    if currency in CURRENCIES:
        return ""
    if currency in _NO_MEANS_OF_PAYMENT:
        return f"{currency} is no means of payment: ISO 4217 gives it no minor unit"
    if currency.upper() in CURRENCIES:
        return f"is written in upper case: {currency.upper()}"
    return f"{currency} is no currency of ISO 4217, such as EUR"


def plain(amount_minor: int, currency: str) -> str:
    """An amount as programs and spreadsheets read it, without its currency: "1042.50", "1500", "12.340"."""
    places = exponent(currency)
    whole, rest = divmod(abs(amount_minor), 10**places)
    return f"{'-' if amount_minor < 0 else ''}{whole}" + (f".{rest:0{places}d}" if places else "")


def formatted(amount_minor: int, currency: str) -> str:
    """An amount as people write it, in the currency's own places: "42.50 EUR", "1,500 JPY", "12.340 KWD"."""
    places = exponent(currency)
    whole, rest = divmod(abs(amount_minor), 10**places)
    digits = f"{whole:,}" + (f".{rest:0{places}d}" if places else "")
    return f"{'−' if amount_minor < 0 else ''}{digits} {currency}".strip()
