"""The duties of every payment provider, fake or real: one key is one charge, also after failures."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from ops.run.services.stack import Stack
from pipelines.payments.providers.fake import FakeProvider
from pipelines.payments.providers.protocol import OutcomeUnknown, PaymentProvider, RequestRefused
from pipelines.payments.providers.sandbox import SandboxProvider
from pipelines.payments.providers.stripe.api import StripeApi
from pipelines.payments.providers.stripe.provider import StripeProvider
from pipelines.payments.requests import ChargeJob, ChargeResult, RefundJob
from tests.harness.stripe_server import API_KEY, StripeServer
from tests.harness.words import EVENT, R1

SLOW_S = 0.3
SANDBOX_TOKENS = {"ok": "tok_ok", "declined": "tok_declined", "lost": "tok_lost_reply", "slow": "tok_slow"}
STRIPE_TOKENS = {"ok": "pm_ok", "declined": "pm_declined", "lost": "pm_lost", "slow": "pm_slow"}


@dataclass
class Till:
    """A provider, and the names of its tokens."""

    provider: PaymentProvider
    tokens: dict[str, str]
    decline: str

    async def charge(self, token: str, *, attempt: str | None = None, amount: int = 900) -> ChargeResult:
        return await self.provider.capture(
            ChargeJob(
                event_id=EVENT,
                reservation_id=R1,
                command_id="cmd",
                attempt_id=attempt or key(),
                token=self.tokens.get(token, token),
                amount_minor=amount,
                currency="EUR",
                asked_at=now_us(),
            )
        )

    async def back(self, payment: str, amount: int = 900, *, key: str | None = None) -> tuple[str, int]:
        made = await self.provider.refund(
            RefundJob(
                event_id=EVENT,
                reservation_id=R1,
                payment_id=payment,
                amount_minor=amount,
                currency="EUR",
                asked_at=now_us(),
                refund_key=key,
            )
        )
        return made.refund_id, made.amount_minor


@pytest.fixture(scope="module")
def ledger(stack: Stack) -> str:
    return stack.fresh()["CIRCLE_POSTGRES_URL"]


@pytest.fixture(params=["fake", "sandbox", "stripe"])
async def till(request: pytest.FixtureRequest) -> AsyncIterator[Till]:
    if request.param == "fake":
        yield Till(FakeProvider(slow_s=SLOW_S), SANDBOX_TOKENS, "card_declined")
    elif request.param == "sandbox":
        sandbox = SandboxProvider(request.getfixturevalue("ledger"), slow_s=SLOW_S)
        yield Till(sandbox, SANDBOX_TOKENS, "card_declined")
        await sandbox.close()
    else:
        with StripeServer(slow_s=SLOW_S) as server:
            stripe = StripeProvider(StripeApi(API_KEY, server.url))
            yield Till(stripe, STRIPE_TOKENS, "insufficient_funds")
            await stripe.close()


def key() -> str:
    return str(uuid.uuid4())


def now_us() -> int:
    return int(time.time() * 1_000_000)


async def test_a_good_token_is_captured_once_for_its_key(till: Till) -> None:
    attempt = key()
    results = await asyncio.gather(*(till.charge("ok", attempt=attempt) for _ in range(20)))
    assert len(set(results)) == 1
    assert (results[0].outcome, results[0].amount_minor, results[0].reason) == ("captured", 900, "")
    assert results[0].payment_id


async def test_two_keys_are_two_charges(till: Till) -> None:
    one, two = [await till.charge("ok") for _ in range(2)]
    assert one.payment_id != two.payment_id


@pytest.mark.parametrize("token", ["declined", "4242", "tok_'; --", "pm_none"])
async def test_a_bad_token_is_declined_with_its_reason(till: Till, token: str) -> None:
    attempt = key()
    reason = till.decline if token == "declined" else "unknown_token"
    for _ in range(2):
        result = await till.charge(token, attempt=attempt)
        assert (result.outcome, result.reason, result.payment_id, result.amount_minor) == ("declined", reason, "", 0)


async def test_a_lost_answer_comes_when_asked_again_with_the_same_key(till: Till) -> None:
    attempt = key()
    with pytest.raises(OutcomeUnknown):
        await till.charge("lost", attempt=attempt)
    result = await till.charge("lost", attempt=attempt)
    assert (result.outcome, result.amount_minor) == ("captured", 900)
    assert await till.charge("lost", attempt=attempt) == result


async def test_a_slow_token_takes_its_time_and_holds_up_nobody(till: Till) -> None:
    started = time.monotonic()
    slow = asyncio.create_task(till.charge("slow"))
    quick = await till.charge("ok")
    assert quick.outcome == "captured"
    assert not slow.done()
    assert (await slow).outcome == "captured"
    assert time.monotonic() - started >= SLOW_S


async def test_a_payment_is_refunded_once_for_its_key(till: Till) -> None:
    paid = await till.charge("ok")
    first = await till.back(paid.payment_id)
    assert first[1] == 900
    assert await till.back(paid.payment_id) == first
    with pytest.raises(RequestRefused):
        await till.back(paid.payment_id, key="another key")


async def test_a_payment_is_refunded_in_parts_and_never_more_than_was_captured(till: Till) -> None:
    paid = await till.charge("ok")
    parts = [await till.back(paid.payment_id, 400, key=f"{paid.payment_id}/{seat}") for seat in "AB"]
    assert [amount for _, amount in parts] == [400, 400]
    assert parts[0][0] != parts[1][0]
    with pytest.raises(RequestRefused):
        await till.back(paid.payment_id, 101, key=f"{paid.payment_id}/C")
    assert (await till.back(paid.payment_id, 100, key=f"{paid.payment_id}/D"))[1] == 100
    assert await till.back(paid.payment_id, 400, key=f"{paid.payment_id}/A") == parts[0]


async def test_parts_that_are_refunded_at_once_stay_within_what_was_captured(till: Till) -> None:
    paid = await till.charge("ok")
    asked = [(f"{paid.payment_id}/{number % 8}", 200) for number in range(24)]  # each of eight keys three times
    done = await asyncio.gather(
        *(till.back(paid.payment_id, amount, key=key) for key, amount in asked), return_exceptions=True
    )
    refused = [one for one in done if isinstance(one, RequestRefused)]
    made = {one for one in done if not isinstance(one, BaseException)}
    assert len(made) == 4, "four times 200 are in 900"
    assert len(refused) == 12
    assert len(done) == 24


async def test_a_key_that_was_used_for_another_refund_is_refused(till: Till) -> None:
    one, two = [await till.charge("ok") for _ in range(2)]
    await till.back(one.payment_id, 100, key=f"{one.payment_id}/A")
    for payment, amount in ((one.payment_id, 101), (two.payment_id, 100)):
        with pytest.raises(RequestRefused):
            await till.back(payment, amount, key=f"{one.payment_id}/A")


async def test_what_was_never_captured_is_not_refunded(till: Till) -> None:
    with pytest.raises(RequestRefused, match="pay-none"):
        await till.back("pay-none")
    with pytest.raises(RequestRefused):
        await till.back("", 1)
