"""The platform with Stripe, imitated by a server in this process: one charge, also after kills, losses and repeats."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from connectors.settings import Settings
from ops.operate.reconcile import Reconciled, books_of, reconcile
from ops.proof.checker import wait_until_settled
from ops.proof.full_check import check
from ops.run.platform import Platform
from tests.harness.flows import eventually, rows_of
from tests.harness.shop import GENERAL, OnSale, Person, Shop, done, open_shop, problem, unique
from tests.harness.stripe_server import API_KEY, StripeServer, shape, signature_of

SECRET = "whsec_of_the_tests"
HOOK = "/v1/payments/stripe/webhook"
PRICE = 1_500
DINAR, BACK = 12_340, 4_070
KEPT_PART = DINAR - BACK  # of the one order whose terms keep a part


@dataclass
class World:
    """The platform, its organizer, and the server that imitates Stripe."""

    platform: Platform
    shop: Shop
    stripe: StripeServer
    event: OnSale

    def held(self, buyer: Person, quantity: int = 1) -> str:
        return str(done(buyer.reserve(self.event.id, ticket_type_id=self.event.general, quantity=quantity), 201)["id"])

    def hook(
        self, kind: str, what: dict[str, Any], *, webhook: str | None = None, secret: str = SECRET, age_s: float = 0
    ) -> httpx.Response:
        event = shape("event") | {"id": webhook or f"evt_{unique()}", "type": kind, "data": {"object": what}}
        body = json.dumps(event).encode()
        headers = {"stripe-signature": signature_of(body, secret, time.time() - age_s)}
        return self.shop.http.post(HOOK, content=body, headers=headers)

    def of(self, reservation: str) -> list[dict[str, Any]]:
        """Stripe's intents of a reservation."""
        mine = {"circle_reservation_id": reservation}
        return [one for one in self.stripe.intents.values() if mine.items() <= one["metadata"].items()]


def once(look: Callable[[], dict[str, Any]], is_so: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    """The first result of `look` that is not empty."""
    seen: list[dict[str, Any]] = [{}]

    def there() -> bool:
        seen[0] = look()
        return is_so(seen[0])

    eventually(there, what)
    return seen[0]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    env = {
        "CIRCLE_PAYMENTS": "stripe",
        "CIRCLE_STRIPE_API_KEY": API_KEY,
        "CIRCLE_STRIPE_WEBHOOK_SECRET": SECRET,
        "CIRCLE_SESSION_TIMEOUT_MS": "2000",
    }
    with StripeServer() as stripe, open_shop(**env, CIRCLE_STRIPE_API_URL=stripe.url) as (platform, shop):
        yield World(platform, shop, stripe, shop.event(shop.organizer()))


@pytest.fixture
def buyer(world: World) -> Person:
    return world.shop.person()


def kinds_of(person: Person) -> set[str]:
    """The kinds of messages in a person's inbox."""
    return {one["kind"] for one in done(person.get("/v1/notifications?limit=100"), 200)["items"]}


def test_a_hold_is_paid_and_refunded_through_stripe(world: World, buyer: Person) -> None:
    reservation, key = world.held(buyer, 2), unique()
    paid = done(buyer.confirm(reservation, "pm_ok", key=key), 200)
    assert (paid["status"], len(paid["tickets"])) == ("confirmed", 2)
    again = buyer.confirm(reservation, "pm_ok", key=key)
    assert done(again, 200)["tickets"] == paid["tickets"]
    assert again.headers["idempotency-replayed"] == "true"
    (intent,) = world.of(reservation)
    assert (intent["amount_received"], intent["currency"]) == (2 * PRICE, "eur")
    done(buyer.delete(f"/v1/reservations/{reservation}", prefer="wait=10"), 200)
    eventually(lambda: buyer.get(f"/v1/reservations/{reservation}").json()["payment"] == "refunded", "it is refunded")
    assert [one["amount"] for one in world.stripe.refunds.values() if one["payment_intent"] == intent["id"]] == [3_000]


def test_a_part_of_a_dinar_goes_back_as_it_can_be_moved(world: World, buyer: Person) -> None:
    """A third of 12.340 is 4.072, and the last digit must be 0: promise, message and refund are 4.070."""
    seller = world.event.organizer
    event = world.shop.event(seller, publish=False, refund_percent=33)
    types = f"/v1/events/{event.id}/ticket-types"
    odd = GENERAL | {"price": {"amount": 12_345, "currency": "KWD"}}
    wrong = problem(seller.post(types, json=odd), 422, "invalid-request")
    assert wrong["field"] == "price.amount"
    even = GENERAL | {"price": {"amount": DINAR, "currency": "KWD"}}
    made = done(seller.post(types, prefer="wait=20", json=even), 201)
    assert made["price_text"] == "12.340 KWD"
    done(seller.post(f"/v1/events/{event.id}/publish", prefer="wait=20"), 200)
    reservation = done(buyer.reserve(event.id, ticket_type_id=made["id"], quantity=1), 201)["id"]
    done(buyer.confirm(reservation, "pm_ok"), 200)
    done(buyer.delete(f"/v1/reservations/{reservation}", prefer="wait=10"), 200)
    eventually(lambda: buyer.get(f"/v1/reservations/{reservation}").json()["payment"] == "refunded", "it is refunded")
    (intent,) = world.of(reservation)
    backs = [one["amount"] for one in world.stripe.refunds.values() if one["payment_intent"] == intent["id"]]
    assert (intent["amount_received"], intent["currency"], backs) == (DINAR, "kwd", [BACK])


def test_a_declined_card_is_told_why_and_another_one_pays(world: World, buyer: Person) -> None:
    reservation = world.held(buyer)
    for token, why in (
        ("pm_declined", "insufficient_funds"),
        ("pm_action", "authentication_required"),
        ("tok_ok", "unknown_token"),
    ):
        assert problem(buyer.confirm(reservation, token), 402, "payment-declined")["detail"] == why
    done(buyer.confirm(reservation, "pm_ok"), 200)
    statuses = sorted(intent["status"] for intent in world.of(reservation))
    assert statuses == ["canceled", "requires_payment_method", "succeeded"]


def test_an_answer_that_is_lost_is_asked_for_again(world: World, buyer: Person) -> None:
    reservation = world.held(buyer)
    assert len(done(buyer.confirm(reservation, "pm_lost"), 200)["tickets"]) == 1
    assert len(world.of(reservation)) == 1


def test_killed_between_the_charge_and_its_record_it_charges_once_and_the_waiting_request_is_told(
    world: World, buyer: Person
) -> None:
    stripe, reservation, key = world.stripe, world.held(buyer), unique()
    stripe.holding = True
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(buyer.confirm, reservation, "pm_ok", key=key)
        assert stripe.held.wait(20), "Stripe has charged, and nobody knows yet"
        killed = world.platform.supervisor.pid("payments")
        os.kill(killed, signal.SIGKILL)
        stripe.holding = False
        paid = done(waiting.result(), 200)
    assert world.platform.supervisor.pid("payments") != killed
    stripe.let_go.set()
    assert done(buyer.confirm(reservation, "pm_ok", key=key), 200)["tickets"] == paid["tickets"]
    (intent,) = world.of(reservation)
    attempt = intent["metadata"]["circle_attempt_id"]
    asked = [one for one in stripe.asked if one.headers.get("idempotency-key") == attempt]
    assert len(asked) == 2
    assert asked[0].form == asked[1].form


def test_a_webhook_settles_what_the_answer_does_not(world: World, buyer: Person) -> None:
    stripe, reservation = world.stripe, world.held(buyer)
    stripe.holding, stripe.held, stripe.let_go = True, type(stripe.held)(), type(stripe.let_go)()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(buyer.confirm, reservation, "pm_ok")
        assert stripe.held.wait(20)
        (intent,) = world.of(reservation)
        assert done(world.hook("payment_intent.succeeded", intent), 200) == {"outcome": "recorded"}
        path = f"/v1/reservations/{reservation}"
        eventually(lambda: done(buyer.get(path), 200)["status"] == "confirmed", "the webhook confirms it")
        stripe.holding = False
        stripe.let_go.set()  # the answer is lost; a second request with the same key gets it, as a duplicate
        assert len(done(waiting.result(), 200)["tickets"]) == 1
    assert len(world.of(reservation)) == 1


def test_a_webhook_that_comes_again_and_again_confirms_once(world: World, buyer: Person) -> None:
    reservation = world.held(buyer)
    tickets = done(buyer.confirm(reservation, "pm_ok"), 200)["tickets"]
    (intent,) = world.of(reservation)
    identity = f"evt_{unique()}"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: world.hook("payment_intent.succeeded", intent, webhook=identity), range(24)))
    assert {done(answer, 200)["outcome"] for answer in answers} <= {"recorded", "repeated"}
    assert done(world.hook("payment_intent.succeeded", intent, webhook=identity), 200) == {"outcome": "repeated"}
    assert done(buyer.get(f"/v1/reservations/{reservation}", prefer="wait=5"), 200)["status"] == "confirmed"
    assert [one["id"] for one in done(buyer.get("/v1/tickets"), 200)["items"]] == [one["id"] for one in tickets]


def test_what_stripe_has_not_signed_just_now_confirms_nothing(world: World, buyer: Person) -> None:
    reservation = world.held(buyer)
    intent = shape("payment_intent.succeeded") | {
        "metadata": {
            "circle_event_id": world.event.id,
            "circle_reservation_id": reservation,
            "circle_attempt_id": str(uuid.uuid4()),
        }
    }
    kind = "payment_intent.succeeded"
    problem(world.hook(kind, intent, secret="whsec_guessed"), 400, "invalid-signature")
    problem(world.hook(kind, intent, age_s=301), 400, "invalid-signature")
    problem(world.shop.http.post(HOOK, json={"id": "evt_1", "type": kind}), 400, "missing-header")
    # Signed, but about an unknown attempt: it is on the log, and changes nothing.
    assert done(world.hook(kind, intent), 200) == {"outcome": "recorded"}
    assert done(world.hook(kind, intent | {"metadata": {}}), 200) == {"outcome": "ignored"}
    assert done(buyer.get(f"/v1/reservations/{reservation}", prefer="wait=2"), 200)["status"] == "held"


def test_a_key_of_a_former_attempt_has_the_outcome_it_had_and_the_hold_can_still_be_paid(
    world: World, buyer: Person
) -> None:
    reservation = world.held(buyer)
    for token, key in (("pm_declined", "one"), ("pm_stolen", "two"), ("pm_ok", "one")):
        problem(buyer.confirm(reservation, token, key=key), 402, "payment-declined")
    done(buyer.confirm(reservation, "pm_ok", key="three"), 200)
    assert [one["amount_received"] for one in world.of(reservation)] == [0, 0, PRICE]


ODD: tuple[Any, ...] = (None, True, -1, 0, 1.5, 2**31, 2**63, 2**70, "", "x", "\u0000", "é" * 9_000, [], {}, "9" * 200)
PAYMENT_FIELDS = ("id", "amount", "amount_received", "currency", "status", "metadata", "last_payment_error")
REFUND_FIELDS = ("id", "amount", "currency", "status", "payment_intent", "metadata", "failure_reason")


def test_whatever_a_signed_webhook_has_in_it_is_no_500_and_confirms_nothing(world: World, buyer: Person) -> None:
    reservation = world.held(buyer)
    ours = {"circle_event_id": world.event.id, "circle_reservation_id": reservation}
    payment = shape("payment_intent.succeeded") | {"metadata": ours | {"circle_attempt_id": str(uuid.uuid4())}}
    refund = shape("refund.succeeded") | {"metadata": ours | {"circle_refund_key": "refund-pi_3A"}}
    of = {"payment_intent.succeeded": (payment, PAYMENT_FIELDS), "refund.updated": (refund, REFUND_FIELDS)}
    for kind, (what, fields) in of.items():
        for field in fields:
            for odd in ODD:
                answer = world.hook(kind, what | {field: odd})
                assert answer.status_code in (200, 422), f"{kind} {field} {odd!r}: {answer.text}"
        for field in what["metadata"]:
            for odd in ODD:
                answer = world.hook(kind, what | {"metadata": what["metadata"] | {field: odd}})
                assert answer.status_code in (200, 422), f"{kind} {field} {odd!r}: {answer.text}"
    assert world.hook("payment_intent.succeeded", payment, webhook="x" * 5_000).status_code == 422
    assert done(buyer.get(f"/v1/reservations/{reservation}", prefer="wait=2"), 200)["status"] == "held"


def test_a_part_refunded_in_the_dashboard_and_then_the_event_is_off_gives_all_of_it_back_once(
    world: World, buyer: Person
) -> None:
    seller = world.event.organizer
    event = world.shop.event(seller)
    reservation = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=2), 201)["id"]
    done(buyer.confirm(reservation, "pm_ok"), 200)
    (intent,) = world.of(reservation)
    part = world.stripe.dashboard_refund(intent["id"], 1_000)
    assert done(world.hook("refund.created", part), 200) == {"outcome": "recorded"}
    charge = {"id": "ch_1", "object": "charge", "payment_intent": intent["id"], "amount_refunded": 1_000}
    assert done(world.hook("charge.refunded", charge), 200) == {"outcome": "recorded"}  # reported twice, counted once
    path = f"/v1/reservations/{reservation}"
    shown = once(lambda: done(buyer.get(path), 200), lambda one: one.get("refunded", 0) > 0, "the part is on record")
    assert (shown["status"], shown["amount"], shown["refunded"]) == ("confirmed", 2 * PRICE - 1_000, 1_000)
    assert [(one["origin"], one["amount"]) for one in shown["refunds"]] == [("provider", 1_000)]
    done(seller.post(f"/v1/events/{event.id}/cancel", prefer="wait=20", json={"reason": "rain"}), 200)
    eventually(lambda: done(buyer.get(path), 200)["payment"] == "refunded", "the rest goes back")
    backs = [one["amount"] for one in world.stripe.refunds.values() if one["payment_intent"] == intent["id"]]
    assert backs == [1_000, 2 * PRICE - 1_000]
    eventually(lambda: "order.refunded" in kinds_of(seller), "the organizer hears of it")


def test_a_refund_that_is_heard_of_before_the_charge_is_not_lost(world: World, buyer: Person) -> None:
    stripe, reservation = world.stripe, world.held(buyer)
    stripe.holding, stripe.held, stripe.let_go = True, type(stripe.held)(), type(stripe.let_go)()
    path = f"/v1/reservations/{reservation}"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(buyer.confirm, reservation, "pm_ok")
        assert stripe.held.wait(20), "Stripe has charged, and nobody knows yet"
        (intent,) = world.of(reservation)
        whole = stripe.dashboard_refund(intent["id"], PRICE)
        assert done(world.hook("refund.created", whole), 200) == {"outcome": "recorded"}
        shown = once(lambda: done(buyer.get(path), 200), lambda one: one["status"] == "cancelled", "it is void")
        stripe.holding = False
        stripe.let_go.set()
        waiting.result()
    assert (shown["payment"], shown["refunded"], shown["amount"]) == ("refunded", PRICE, 0)
    assert [one["status"] for one in done(buyer.get("/v1/tickets"), 200)["items"]] == ["void"]


def test_a_dispute_shuts_the_door_until_it_is_decided_and_nothing_is_refunded_twice(
    world: World, buyer: Person
) -> None:
    seller, reservation = world.event.organizer, world.held(buyer)
    (ticket,) = done(buyer.confirm(reservation, "pm_ok"), 200)["tickets"]
    (intent,) = world.of(reservation)
    opened = world.stripe.disputed(intent["id"])
    assert done(world.hook("charge.dispute.created", opened), 200) == {"outcome": "recorded"}
    valid = lambda: done(seller.post("/v1/tickets/validate", json={"code": ticket["code"]}), 200)  # noqa: E731
    eventually(lambda: valid()["reason"] == "payment-disputed", "the door is told")
    scan = seller.post(f"/v1/events/{world.event.id}/check-ins", json={"code": ticket["code"]})
    problem(scan, 409, "payment-disputed")
    problem(buyer.delete(f"/v1/reservations/{reservation}", prefer="wait=10"), 409, "payment-disputed")
    eventually(lambda: "order.disputed" in kinds_of(seller), "the organizer hears of it")
    assert done(world.hook("charge.dispute.closed", world.stripe.disputed(intent["id"], "won")), 200)
    eventually(lambda: valid()["valid"], "won: it opens the door again")
    assert not [one for one in world.stripe.refunds.values() if one["payment_intent"] == intent["id"]]
    shown = done(buyer.get(f"/v1/reservations/{reservation}"), 200)
    assert [(one["status"], one["amount"]) for one in shown["disputes"]] == [("won", PRICE)]


def test_a_refund_that_fails_later_is_owed_and_everybody_is_told(world: World, buyer: Person) -> None:
    reservation = world.held(buyer)
    done(buyer.confirm(reservation, "pm_ok"), 200)
    path = f"/v1/reservations/{reservation}"
    done(buyer.delete(path, prefer="wait=10"), 200)
    eventually(lambda: done(buyer.get(path), 200)["payment"] == "refunded", "it is refunded")
    (intent,) = world.of(reservation)
    (back,) = [one for one in world.stripe.refunds.values() if one["payment_intent"] == intent["id"]]
    back |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    assert done(world.hook("refund.failed", back), 200) == {"outcome": "recorded"}
    shown = once(lambda: done(buyer.get(path), 200), lambda one: one["payment"] == "refund-failed", "it has failed")
    assert (shown["owed"], shown["refunded"]) == (PRICE, 0)
    assert done(world.hook("refund.failed", back), 200) == {"outcome": "recorded"}  # another report of it
    whole = world.stripe.dashboard_refund(intent["id"], PRICE)  # the money is back with us: it is paid by hand
    assert done(world.hook("refund.created", whole), 200) == {"outcome": "recorded"}
    eventually(lambda: done(buyer.get(path), 200)["payment"] == "refunded", "and is owed no more")


def test_news_of_what_another_program_did_with_the_account_is_ignored(world: World) -> None:
    stripe = world.stripe
    other = shape("payment_intent.succeeded") | {"id": "pi_other", "metadata": {}, "amount_received": 0}
    stripe.intents["pi_other"] = other | {"status": "canceled"}
    refund = shape("refund.succeeded") | {"id": "re_other", "payment_intent": "pi_other", "metadata": {}}
    assert done(world.hook("refund.created", refund), 200) == {"outcome": "ignored"}
    unknown = refund | {"payment_intent": "pi_of_nobody"}
    assert done(world.hook("refund.created", unknown), 200) == {"outcome": "ignored"}
    stripe.next_answers.append((500, {}))
    away = world.hook("refund.created", refund)
    assert "retry-after" in away.headers
    problem(away, 503, "unavailable")
    del stripe.intents["pi_other"]


def test_of_many_confirms_at_once_one_charges(world: World, buyer: Person) -> None:
    reservation = world.held(buyer)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: buyer.confirm(reservation, "pm_slow"), range(32)))
    statuses = {answer.status_code for answer in answers}
    assert 200 in statuses
    assert statuses <= {200, 409}
    assert {answer.json()["type"] for answer in answers if answer.status_code == 409} <= {
        "/problems/payment-in-progress"
    }
    assert len({json.dumps(answer.json()["tickets"]) for answer in answers if answer.status_code == 200}) == 1
    assert len(world.of(reservation)) == 1


def test_at_the_end_stripes_books_are_the_logs(world: World) -> None:
    settings, stripe = world.platform.settings, world.stripe
    wait_until_settled(settings)
    report = check(settings, bank=False)
    assert report.ok, report.text()
    captured = sum(intent["amount_received"] for intent in stripe.charged)
    refunded = sum(one["amount"] for one in stripe.refunds.values() if one["status"] == "succeeded")
    assert (captured, refunded) == (report.captured_minor, report.refunded_minor)
    assert captured - refunded == report.confirmed_minor + KEPT_PART
    with rows_of(settings) as query:
        assert query("SELECT count(*) FROM sandbox.payments") == [(0,)]
    compared = asyncio.run(books_compared(settings))
    assert compared.differences == []
    assert (compared.payments, compared.others) == (len(stripe.charged), 0)


async def books_compared(settings: Settings) -> Reconciled:
    """The differences that `circle payments reconcile` finds."""
    books = books_of(settings)
    try:
        return await reconcile(settings, books, 0, 1 << 40, lambda _command: None)
    finally:
        await books.close()


def test_no_log_has_a_secret_or_a_token(world: World) -> None:
    text = "".join(path.read_text() for path in world.platform.logs.glob("*.log"))
    assert "provider.chosen" in text
    for secret in (API_KEY, SECRET, "pm_ok", "pm_declined"):
        assert secret not in text
