"""Rules for Stripe alone: our requests, the meaning of each answer, and the data that never leaves us."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from pipelines.payments.providers.protocol import OutcomeUnknown, RequestRefused
from pipelines.payments.providers.stripe.api import API_VERSION, StripeApi
from pipelines.payments.providers.stripe.provider import KEY_LIFE_S, StripeProvider
from pipelines.payments.requests import ChargeJob, ChargeResult, RefundJob
from tests.harness.stripe_server import API_KEY, Answer, StripeServer
from tests.harness.words import EVENT, R1

NOW = 1_800_000_000.0
DECLINED = ("declined", "", 0)


@pytest.fixture
def stripe() -> Iterator[StripeServer]:
    with StripeServer() as server:
        yield server


@pytest.fixture
async def provider(stripe: StripeServer) -> AsyncIterator[StripeProvider]:
    made = StripeProvider(StripeApi(API_KEY, stripe.url), now=lambda: NOW)
    yield made
    await made.close()


def a_charge(
    token: str = "pm_ok", *, attempt: str | None = None, amount: int = 900, currency: str = "EUR", age_s: float = 0
) -> ChargeJob:
    asked_at = int((NOW - age_s) * 1_000_000)
    return ChargeJob(
        event_id=EVENT,
        reservation_id=R1,
        command_id="cmd",
        attempt_id=attempt or str(uuid.uuid4()),
        token=token,
        amount_minor=amount,
        currency=currency,
        asked_at=asked_at,
    )


def a_refund(payment: str, amount: int = 900, *, currency: str = "EUR", age_s: float = 0) -> RefundJob:
    return RefundJob(
        event_id=EVENT,
        reservation_id=R1,
        payment_id=payment,
        amount_minor=amount,
        currency=currency,
        asked_at=int((NOW - age_s) * 1_000_000),
    )


def error(status: int, kind: str, code: str | None = None, **more: str) -> Answer:
    return status, {"error": {"type": kind, "message": f"about pm_secret and {API_KEY}"} | {"code": code} | more}


async def test_an_attempt_is_one_intent_confirmed_at_once_with_our_ids_on_it(
    stripe: StripeServer, provider: StripeProvider
) -> None:
    charge = a_charge()
    result = await provider.capture(charge)
    (asked,) = stripe.asked
    assert (asked.method, asked.path) == ("POST", "/v1/payment_intents")
    assert asked.form == {
        "amount": "900",
        "currency": "eur",
        "payment_method": "pm_ok",
        "confirm": "true",
        "error_on_requires_action": "true",
        "automatic_payment_methods[enabled]": "true",
        "automatic_payment_methods[allow_redirects]": "never",
        "metadata[circle_event_id]": EVENT,
        "metadata[circle_reservation_id]": R1,
        "metadata[circle_attempt_id]": charge.attempt_id,
    }
    assert asked.headers["idempotency-key"] == charge.attempt_id
    assert asked.headers["stripe-version"] == API_VERSION
    assert result == ChargeResult("captured", "pi_1", "", 900)


async def test_a_confirmation_token_is_sent_as_one(stripe: StripeServer, provider: StripeProvider) -> None:
    assert (await provider.capture(a_charge("ctoken_1A"))).outcome == "captured"
    assert stripe.asked[0].form["confirmation_token"] == "ctoken_1A"
    assert "payment_method" not in stripe.asked[0].form


@pytest.mark.parametrize("token", ["tok_ok", "pm_", "pm_1 ", "pm_1\n", "card_1", "pm_é", "pm_" + "x" * 300, "PM_1", ""])
async def test_what_is_no_token_of_stripe_is_declined_unasked(
    stripe: StripeServer, provider: StripeProvider, token: str
) -> None:
    assert (await provider.capture(a_charge(token))).reason == "unknown_token"
    assert stripe.asked == []


@pytest.mark.parametrize(
    ("currency", "amount_minor", "sent"),
    [("EUR", 900, "900"), ("JPY", 500, "500"), ("ISK", 5, "500"), ("UGX", 5, "500"), ("MGA", 500, "5"),
     ("KWD", 5_120, "5120")],
)  # fmt: skip
async def test_an_amount_is_sent_as_stripe_counts_and_comes_back_as_we_do(
    stripe: StripeServer, provider: StripeProvider, currency: str, amount_minor: int, sent: str
) -> None:
    paid = await provider.capture(a_charge(amount=amount_minor, currency=currency))
    back = await provider.refund(a_refund(paid.payment_id, amount_minor, currency=currency))
    assert [asked.form["amount"] for asked in stripe.asked] == [sent, sent]
    assert (paid.amount_minor, back.amount_minor) == (amount_minor, amount_minor)


@pytest.mark.parametrize(("currency", "amount_minor"), [("KWD", 5_123), ("MGA", 501)])
async def test_an_amount_that_stripe_cannot_express_is_declined_unasked(
    stripe: StripeServer, provider: StripeProvider, currency: str, amount_minor: int
) -> None:
    assert (await provider.capture(a_charge(amount=amount_minor, currency=currency))).reason == "invalid_amount"
    with pytest.raises(RequestRefused):
        await provider.refund(a_refund("pi_1", amount_minor, currency=currency))
    assert stripe.asked == []


async def test_what_needs_the_buyer_again_is_cancelled_and_then_declined(
    stripe: StripeServer, provider: StripeProvider
) -> None:
    charge = a_charge("pm_action")
    for _ in range(2):  # a repeated request still gets the stored answer: requires_action
        result = await provider.capture(charge)
        assert (result.outcome, result.reason) == ("declined", "authentication_required")
    assert [intent["status"] for intent in stripe.intents.values()] == ["canceled"]


async def test_a_buyer_who_was_quicker_than_the_cancelling_has_paid(
    stripe: StripeServer, provider: StripeProvider
) -> None:
    charge = a_charge("pm_action")
    await provider.capture(charge)
    stripe.intents["pi_1"] |= {"status": "succeeded", "amount_received": 900}
    assert await provider.capture(charge) == ChargeResult("captured", "pi_1", "", 900)


async def test_what_is_under_way_is_looked_at_until_it_has_come_to_an_end(
    stripe: StripeServer, provider: StripeProvider
) -> None:
    charge = a_charge("pm_processing")
    with pytest.raises(OutcomeUnknown, match="pi_1 is under way"):
        await provider.capture(charge)
    stripe.intents["pi_1"] |= {"status": "succeeded", "amount_received": 900}
    assert (await provider.capture(charge)).outcome == "captured"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (error(402, "card_error", "card_declined", decline_code="insufficient_funds"), "insufficient_funds"),
        (error(402, "card_error", "expired_card"), "expired_card"),
        (error(402, "card_error", "card_declined", decline_code="stolen_card"), "card_declined"),
        (error(402, "card_error", "payment_intent_action_required"), "authentication_required"),
        (error(402, "card_error", "card_declined", decline_code="authentication_required"), "authentication_required"),
        (error(400, "invalid_request_error", "resource_missing", param="payment_method"), "unknown_token"),
        (error(400, "invalid_request_error", "amount_too_small", param="amount"), "amount_too_small"),
        (error(400, "invalid_request_error"), "invalid_request_error"),
        (error(402, "card_error", "card_declined", decline_code="x" * 65), "card_declined"),
        (error(402, "card_error", "card_declined", decline_code="a\u0000b"), "card_declined"),
    ],
)
async def test_a_refusal_that_charged_nothing_is_declined_with_a_reason_that_may_be_told(
    stripe: StripeServer, provider: StripeProvider, answer: Answer, reason: str
) -> None:
    stripe.next_answers.append(answer)
    result = await provider.capture(a_charge())
    assert ((result.outcome, result.payment_id, result.amount_minor), result.reason) == (DECLINED, reason)


@pytest.mark.parametrize(
    "answer",
    [
        "lost",
        error(500, "api_error"),
        error(503, "api_error"),
        error(429, "invalid_request_error", "rate_limit"),
        error(429, "rate_limit_error"),
        error(409, "idempotency_error", "idempotency_key_in_use"),
        error(409, "invalid_request_error", "lock_timeout"),
        error(401, "invalid_request_error"),
        error(403, "invalid_request_error"),
        (502, {"not": "an error"}),
        (400, {"error": {}}),
        (404, {"error": {"type": "not_found", "message": "of a proxy"}}),
        (402, {"error": "pay the proxy"}),
        (301, {}),
        (200, {"id": "pi_1"}),
        (200, {"id": "pi_" + "1" * 126, "status": "succeeded", "amount": 900, "currency": "eur"}),
        (200, {"id": "pi_1", "status": "succeeded", "amount": 2**63, "currency": "eur"}),
        (200, {"id": 1, "status": [], "amount": "much", "currency": None}),
    ],
)
async def test_an_answer_that_leaves_it_open_is_unknown_and_the_same_key_brings_the_truth(
    stripe: StripeServer, provider: StripeProvider, answer: Answer | str
) -> None:
    charge = a_charge()
    stripe.next_answers.append(answer)
    with pytest.raises(OutcomeUnknown) as unknown:
        await provider.capture(charge)
    assert API_KEY not in str(unknown.value)
    assert "pm_" not in str(unknown.value)
    assert (await provider.capture(charge)).outcome == "captured"
    assert {asked.headers["idempotency-key"] for asked in stripe.asked} == {charge.attempt_id}
    assert len(stripe.charged) == 1


async def test_a_silent_stripe_and_one_that_is_not_there_leave_it_open(stripe: StripeServer) -> None:
    slow = StripeProvider(StripeApi(API_KEY, stripe.url, answer_timeout_s=0.05), now=lambda: NOW)
    with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
        await slow.capture(a_charge("pm_slow"))
    await slow.close()
    nowhere = StripeProvider(StripeApi(API_KEY, "http://127.0.0.1:1"), now=lambda: NOW)
    with pytest.raises(OutcomeUnknown, match="ConnectError"):
        await nowhere.capture(a_charge())
    await nowhere.close()


@pytest.mark.parametrize(("first", "outcome"), [("pm_ok", "captured"), ("pm_declined", "declined")])
async def test_a_key_that_comes_again_with_another_token_has_the_outcome_it_had(
    stripe: StripeServer, provider: StripeProvider, first: str, outcome: str
) -> None:
    result = await provider.capture(a_charge(first, attempt="one"))
    assert result.outcome == outcome
    assert await provider.capture(a_charge("pm_other", attempt="one")) == result
    assert len(stripe.charged) == (outcome == "captured")


async def test_a_key_that_was_used_for_what_stripe_does_not_find_yet_is_asked_for_again(
    stripe: StripeServer, provider: StripeProvider
) -> None:
    await provider.capture(a_charge(attempt="one"))
    found, stripe.intents = stripe.intents, {}
    with pytest.raises(OutcomeUnknown, match="not found yet"):
        await provider.capture(a_charge("pm_other", attempt="one"))
    stripe.intents = found
    assert (await provider.capture(a_charge("pm_other", attempt="one"))).outcome == "captured"


async def test_a_key_that_was_used_for_another_amount_or_refund_is_for_a_person_to_look_at(
    stripe: StripeServer, provider: StripeProvider
) -> None:
    paid = await provider.capture(a_charge(attempt="one"))
    other = await provider.capture(a_charge(attempt="one", amount=901))
    assert (other.amount_minor, other.currency) == (900, "EUR")  # the log refuses it
    await provider.refund(a_refund(paid.payment_id, 400))
    with pytest.raises(RequestRefused, match="idempotency_error"):
        await provider.refund(a_refund(paid.payment_id, 401))
    assert (len(stripe.charged), len(stripe.refunds)) == (1, 1)


async def test_a_fraction_of_what_we_can_write_down_is_for_a_person_to_look_at(
    stripe: StripeServer, provider: StripeProvider
) -> None:
    charge = a_charge("pm_processing", amount=5, currency="ISK")
    with pytest.raises(OutcomeUnknown):
        await provider.capture(charge)
    stripe.intents["pi_1"] |= {"status": "succeeded", "amount_received": 501}
    with pytest.raises(RequestRefused, match="501 ISK"):
        await provider.capture(charge)


async def test_another_amount_than_was_asked_for_is_told_as_it_is(
    stripe: StripeServer, provider: StripeProvider
) -> None:
    charge = a_charge("pm_processing")
    with pytest.raises(OutcomeUnknown):
        await provider.capture(charge)
    stripe.intents["pi_1"] |= {"status": "succeeded", "amount_received": 899}
    less = await provider.capture(charge)
    assert (less.outcome, less.amount_minor, less.currency) == ("captured", 899, "EUR")
    stripe.intents["pi_1"] |= {"amount_received": 900, "currency": "usd"}
    other = await provider.capture(charge)
    assert (other.outcome, other.amount_minor, other.currency) == ("captured", 900, "USD")


async def test_an_attempt_older_than_a_key_lives_is_looked_up_and_never_charged_anew(
    stripe: StripeServer, provider: StripeProvider
) -> None:
    paid = await provider.capture(a_charge(attempt="known"))
    stripe.kept.clear()  # Stripe has forgotten every key
    assert await provider.capture(a_charge(attempt="known", age_s=KEY_LIFE_S + 60)) == paid
    assert (await provider.capture(a_charge(attempt="unknown", age_s=KEY_LIFE_S + 60))).reason == "too_late"
    assert len(stripe.charged) == 1


async def test_a_refund_older_than_a_key_lives_is_looked_up_and_else_made(
    stripe: StripeServer, provider: StripeProvider
) -> None:
    paid = await provider.capture(a_charge())
    made = [await provider.refund(a_refund(paid.payment_id, 900, age_s=KEY_LIFE_S + 60)) for _ in range(2)]
    stripe.kept.clear()
    made.append(await provider.refund(a_refund(paid.payment_id, 900, age_s=KEY_LIFE_S + 60)))
    assert len(set(made)) == 1
    assert len(stripe.refunds) == 1


async def test_a_payment_that_somebody_else_refunded_is_for_a_person_to_look_at(
    stripe: StripeServer, provider: StripeProvider
) -> None:
    paid = await provider.capture(a_charge())
    stripe.refunds["by hand"] = {"id": "re_x", "amount": 900, "currency": "eur", "payment_intent": paid.payment_id}
    with pytest.raises(RequestRefused, match="charge_already_refunded"):
        await provider.refund(a_refund(paid.payment_id))


@pytest.mark.parametrize(("status", "accepted"), [("pending", True), ("failed", False), ("canceled", False)])
async def test_a_refund_counts_when_stripe_has_accepted_it(
    stripe: StripeServer, provider: StripeProvider, status: str, accepted: bool
) -> None:
    paid = await provider.capture(a_charge())
    made = {"id": "re_1", "amount": 900, "currency": "eur", "status": status, "failure_reason": "expired_card"}
    stripe.next_answers.append((200, made))
    if accepted:
        assert (await provider.refund(a_refund(paid.payment_id))).refund_id == "re_1"
    else:
        with pytest.raises(RequestRefused, match=f"re_1 is {status} \\(expired_card\\)"):
            await provider.refund(a_refund(paid.payment_id))


async def test_a_refund_says_which_reservation_and_key_it_is_for(
    stripe: StripeServer, provider: StripeProvider
) -> None:
    paid = await provider.capture(a_charge())
    await provider.refund(a_refund(paid.payment_id))
    asked = stripe.asked[-1]
    assert asked.form == {
        "payment_intent": paid.payment_id,
        "amount": "900",
        "metadata[circle_event_id]": EVENT,
        "metadata[circle_reservation_id]": R1,
        "metadata[circle_refund_key]": f"refund-{paid.payment_id}",
    }
    assert asked.headers["idempotency-key"] == f"refund-{paid.payment_id}"


async def test_nothing_that_is_logged_has_a_key_or_a_token(
    stripe: StripeServer, provider: StripeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    stripe.next_answers.append(error(400, "invalid_request_error", "parameter_unknown", param="payment_method"))
    await provider.capture(a_charge("pm_secret"))
    with pytest.raises(RequestRefused):
        await provider.refund(a_refund("pi_none"))
    said = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "charge.not_accepted" in said
    assert "pm_secret" not in said
    assert API_KEY not in said
