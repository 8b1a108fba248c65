"""The table of currencies is ISO 4217's, and amounts are written in each currency's own places."""

import re
from pathlib import Path

import pytest
from iso4217 import Currency

from schemas.money import CURRENCIES, exponent, formatted, problem_of

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (4_250, "EUR", "42.50 EUR"), (123_456_705, "USD", "1,234,567.05 USD"), (0, "EUR", "0.00 EUR"),
        (500, "JPY", "500 JPY"), (1_500_000, "IDR", "15,000.00 IDR"), (500, "KRW", "500 KRW"), (5, "ISK", "5 ISK"),
        (12_340, "KWD", "12.340 KWD"), (5, "BHD", "0.005 BHD"), (1_234, "TND", "1.234 TND"), (1, "IQD", "0.001 IQD"),
        (12_345, "CLF", "1.2345 CLF"), (-4_250, "EUR", "−42.50 EUR"), (-5, "KWD", "−0.005 KWD"),
    ],
)  # fmt: skip
def test_an_amount_is_written_in_its_currencys_own_places(amount_minor: int, currency: str, text: str) -> None:
    assert formatted(amount_minor, currency) == text


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
def test_what_is_written_of_any_currency_is_the_amount_again(currency: str) -> None:
    for amount in (0, 1, 9, 10, 99, 100, 999, 1_000, 123_456_789):
        digits, _, code = formatted(amount, currency).partition(" ")
        assert code == currency
        assert int(re.sub(r"[.,]", "", digits)) == amount
        assert len(digits.partition(".")[2]) == exponent(currency) == Currency(currency).exponent


@pytest.mark.parametrize("currency", ["EUO", "ZZZ", "HRK", "", "eu", "€"])
def test_a_log_may_hold_a_currency_that_nobody_knows(currency: str) -> None:
    """For example one that the standard has dropped: it is shown as before, but new prices cannot use it."""
    assert formatted(4_250, currency) == f"42.50 {currency}".strip()
    assert problem_of(currency)


@pytest.mark.parametrize("currency", ["XXX", "XTS", "XAU", "XAG", "XPT", "XPD", "XDR", "XUA", "XSU", "XBA"])
def test_nothing_is_priced_in_what_is_no_means_of_payment(currency: str) -> None:
    assert problem_of(currency) == f"{currency} is no means of payment: ISO 4217 gives it no minor unit"


def test_a_code_is_written_in_upper_case() -> None:
    assert problem_of("eur") == problem_of("Eur") == "is written in upper case: EUR"
    assert problem_of("euo") == "euo is no currency of ISO 4217, such as EUR"
    assert problem_of("EUR") == problem_of("JPY") == problem_of("KWD") == ""


def test_there_is_no_other_table_and_nobody_divides_by_a_hundred() -> None:
    """All code that reads or shows money uses the table; only Stripe's `money` module counts in another way."""
    own_division = re.compile(
        r"(?:amount|minor|price)\w*(?:\[\S+\])?['\"\])]* *// *100\b|(?:amount|_minor|price)\S* */ *100\b"
    )
    found = [
        str(path.relative_to(ROOT))
        for folder in ("api", "connectors", "ops", "pipelines", "sinks")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".html", ".txt", ".typ", ".js") and own_division.search(path.read_text("utf-8"))
    ]
    assert found == []
