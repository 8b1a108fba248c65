"""The books of every provider have the same content: the sandbox's in PostgreSQL, and Stripe's, imitated by a
server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from connectors.settings import Settings
from pipelines.payments.providers.books import PAGE, Books
from pipelines.payments.providers.protocol import PaymentProvider, RequestRefused
from pipelines.payments.providers.sandbox import SandboxProvider
from pipelines.payments.providers.sandbox_books import SandboxBooks
from pipelines.payments.providers.stripe.api import StripeApi
from pipelines.payments.providers.stripe.books import StripeBooks
from pipelines.payments.providers.stripe.provider import StripeProvider
from pipelines.payments.requests import ChargeJob, RefundJob
from tests.harness.stripe_server import API_KEY, StripeServer
from tests.harness.words import EVENT, R1

EVER = (0, 1 << 40)


@dataclass
class Bank:
    """A provider, its books, and its own acts."""

    provider: PaymentProvider
    books: Books
    give_back: Callable[[str, int], Any]
    token: str


@pytest.fixture
def stripe() -> Iterator[StripeServer]:
    with StripeServer() as server:
        yield server


@pytest.fixture(params=["sandbox", "stripe"])
async def bank(request: pytest.FixtureRequest, settings: Settings, stripe: StripeServer) -> AsyncIterator[Bank]:
    if request.param == "sandbox":
        books = SandboxBooks(settings.postgres_url)
        made = Bank(SandboxProvider(settings.postgres_url), books, books.give_back, "tok_ok")
    else:

        async def give_back(payment: str, amount: int) -> None:
            stripe.dashboard_refund(payment, amount)

        provider = StripeProvider(StripeApi(API_KEY, stripe.url))
        made = Bank(provider, StripeBooks(StripeApi(API_KEY, stripe.url)), give_back, "pm_ok")
    yield made
    await made.provider.close()
    await made.books.close()


async def paid(bank: Bank, amount: int = 900) -> tuple[str, str]:
    """A payment, and its attempt."""
    attempt = str(uuid.uuid4())
    charge = ChargeJob(
        event_id=EVENT,
        reservation_id=R1,
        command_id="cmd",
        attempt_id=attempt,
        token=bank.token,
        amount_minor=amount,
        currency="EUR",
        asked_at=1 << 60,
    )
    return (await bank.provider.capture(charge)).payment_id, attempt


async def test_what_was_captured_is_on_record_and_what_was_declined_is_not(bank: Bank) -> None:
    payment, attempt = await paid(bank)
    declined = "tok_declined" if bank.token == "tok_ok" else "pm_declined"
    await bank.provider.capture(
        ChargeJob(
            event_id=EVENT,
            reservation_id=R1,
            command_id="cmd",
            attempt_id=str(uuid.uuid4()),
            token=declined,
            amount_minor=900,
            currency="EUR",
            asked_at=1 << 60,
        )
    )
    (one,) = [one async for one in bank.books.payments(*EVER)]
    assert (one.payment_id, one.attempt_id, one.amount_minor, one.currency) == (payment, attempt, 900, "EUR")
    assert await bank.books.payment(payment) == one
    assert await bank.books.payment("pay-of-nobody") is None
    assert [one async for one in bank.books.payments(0, 1)] == []


async def test_our_refunds_have_our_keys_and_the_banks_own_have_none(bank: Bank) -> None:
    payment, _ = await paid(bank)
    await bank.provider.refund(
        RefundJob(
            event_id=EVENT,
            reservation_id=R1,
            payment_id=payment,
            amount_minor=400,
            currency="EUR",
            asked_at=1 << 60,
            refund_key="our-key",
        )
    )
    await bank.give_back(payment, 500)
    found = {one.key: one async for one in bank.books.refunds(*EVER)}
    assert {key: (one.amount_minor, one.status, one.payment_id) for key, one in found.items()} == {
        "our-key": (400, "refunded", payment),
        "": (500, "refunded", payment),
    }
    assert await bank.books.refund(found[""].refund_id) == found[""]
    assert await bank.books.refund("re_of_nobody") is None


async def test_every_page_is_read_once(bank: Bank) -> None:
    wanted = {(await paid(bank))[0] for _ in range(PAGE + 3)}
    found = [one.payment_id async for one in bank.books.payments(*EVER)]
    assert len(found) == len(wanted)
    assert set(found) == wanted


async def test_stripes_disputes_are_told_in_our_words(stripe: StripeServer) -> None:
    books = StripeBooks(StripeApi(API_KEY, stripe.url))
    provider = StripeProvider(StripeApi(API_KEY, stripe.url))
    payment, _ = await paid(Bank(provider, books, lambda _payment, _amount: None, "pm_ok"))
    stripe.disputed(payment, "warning_needs_response")
    (one,) = [one async for one in books.disputes(*EVER)]
    assert (one.payment_id, one.status, one.amount_minor, one.currency) == (payment, "inquiry", 900, "EUR")
    assert await books.dispute(one.dispute_id) == one
    assert await books.dispute("dp_of_nobody") is None
    await books.close()
    await provider.close()


async def test_the_sandbox_gives_back_no_more_than_is_left_and_takes_a_failed_refund_back(settings: Settings) -> None:
    books = SandboxBooks(settings.postgres_url)
    provider = SandboxProvider(settings.postgres_url)
    payment, _ = await paid(Bank(provider, books, books.give_back, "tok_ok"))
    made = await books.give_back(payment, 600)
    with pytest.raises(RequestRefused, match="601 are not left of it"):
        await books.give_back(payment, 601)
    assert (await books.fail(made.refund_id)).status == "failed"
    with pytest.raises(RequestRefused, match="no refund"):
        await books.fail(made.refund_id)
    assert (await books.give_back(payment)).amount_minor == 900
    disputed = await books.dispute_of(payment, "open")
    assert (disputed.status, disputed.amount_minor) == ("open", 900)
    assert (await books.dispute_of(payment, "won")).dispute_id == disputed.dispute_id
    assert [one.status async for one in books.disputes(*EVER)] == ["won"]
    with pytest.raises(RequestRefused, match="has not captured"):
        await books.dispute_of("pay-of-nobody", "open")
    await books.close()
    await provider.close()
