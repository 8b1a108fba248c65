"""What every payment provider has to do, the fake like the sandbox: one key is one charge, whatever happens."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import pytest

from connectors.payments.fake import FakeProvider
from connectors.payments.provider import OutcomeUnknown, PaymentProvider, RequestRefused
from connectors.payments.sandbox import SandboxProvider
from ops.services.stack import Stack

SLOW_S = 0.3


@pytest.fixture(scope="module")
def ledger(stack: Stack) -> str:
    return stack.fresh()["CIRCLE_POSTGRES_URL"]


@pytest.fixture(params=["fake", "sandbox"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[PaymentProvider]:
    if request.param == "fake":
        yield FakeProvider(slow_s=SLOW_S)
        return
    sandbox = SandboxProvider(request.getfixturevalue("ledger"), slow_s=SLOW_S)
    yield sandbox
    await sandbox.close()


def key() -> str:
    return str(uuid.uuid4())


async def test_a_good_token_is_captured_once_for_its_key(provider: PaymentProvider) -> None:
    attempt = key()
    results = await asyncio.gather(*(provider.capture(attempt, "tok_ok", 900, "EUR") for _ in range(20)))
    assert len(set(results)) == 1
    assert (results[0].outcome, results[0].amount_minor, results[0].reason) == ("captured", 900, "")
    assert results[0].payment_id


async def test_two_keys_are_two_charges(provider: PaymentProvider) -> None:
    one, two = [await provider.capture(key(), "tok_ok", 900, "EUR") for _ in range(2)]
    assert one.payment_id != two.payment_id


@pytest.mark.parametrize(("token", "reason"), [("tok_declined", "card_declined"), ("4242", "unknown_token")])
async def test_a_bad_token_is_declined_with_its_reason(provider: PaymentProvider, token: str, reason: str) -> None:
    attempt = key()
    for _ in range(2):
        result = await provider.capture(attempt, token, 900, "EUR")
        assert (result.outcome, result.reason, result.payment_id, result.amount_minor) == ("declined", reason, "", 0)


async def test_a_lost_answer_comes_when_asked_again_with_the_same_key(provider: PaymentProvider) -> None:
    attempt = key()
    with pytest.raises(OutcomeUnknown, match=attempt):
        await provider.capture(attempt, "tok_lost_reply", 900, "EUR")
    result = await provider.capture(attempt, "tok_lost_reply", 900, "EUR")
    assert (result.outcome, result.amount_minor) == ("captured", 900)
    assert await provider.capture(attempt, "tok_lost_reply", 900, "EUR") == result


async def test_a_slow_token_takes_its_time_and_holds_up_nobody(provider: PaymentProvider) -> None:
    started = time.monotonic()
    slow = asyncio.create_task(provider.capture(key(), "tok_slow", 900, "EUR"))
    quick = await provider.capture(key(), "tok_ok", 900, "EUR")
    assert quick.outcome == "captured"
    assert not slow.done()
    assert (await slow).outcome == "captured"
    assert time.monotonic() - started >= SLOW_S


async def test_a_payment_is_refunded_once_for_its_key(provider: PaymentProvider) -> None:
    paid = await provider.capture(key(), "tok_ok", 900, "EUR")
    first = await provider.refund(paid.payment_id, f"refund-{paid.payment_id}", 900)
    assert first.amount_minor == 900
    assert await provider.refund(paid.payment_id, f"refund-{paid.payment_id}", 900) == first
    with pytest.raises(RequestRefused):
        await provider.refund(paid.payment_id, "another key", 900)


async def test_what_was_never_captured_is_not_refunded(provider: PaymentProvider) -> None:
    with pytest.raises(RequestRefused, match="pay-none"):
        await provider.refund("pay-none", "refund-pay-none", 900)
