"""The sandbox bank as a second writer: its own refunds and disputes, lost news, the comparison of the books."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pypdfium2
import pytest

from ops.cli.main import run
from ops.proof.checker import wait_until_settled
from ops.proof.full_check import check
from ops.run.platform import Platform
from pipelines.documents.ticket_page import DISPUTED
from tests.harness.door import scan
from tests.harness.flows import eventually, rows_of
from tests.harness.shop import Person, Shop, done, open_shop, problem

PRICE = 1_500
EVERYTHING = ("--from", "2020-01-01", "--to", "2100-01-01")
Circle = Callable[..., tuple[int, Any]]


@dataclass
class World:
    platform: Platform
    shop: Shop


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_shop() as (platform, shop):
        yield World(platform, shop)


@pytest.fixture
def circle(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Circle:
    """`circle payments …` on this platform: its code and its JSON."""
    settings = world.platform.settings
    monkeypatch.setenv("CIRCLE_KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers)
    monkeypatch.setenv("CIRCLE_POSTGRES_URL", settings.postgres_url)
    monkeypatch.setenv("CIRCLE_REDIS_URL", settings.redis_url)

    def call(*arguments: str) -> tuple[int, Any]:
        code = run(["payments", *arguments, "--json"])
        told = capsys.readouterr()
        return code, json.loads(told.out) if told.out else told.err

    return call


def shown(buyer: Person, reservation: str) -> dict[str, Any]:
    return dict(done(buyer.get(f"/v1/reservations/{reservation}"), 200))


def disputed_of(buyer: Person) -> list[bool]:
    """Of each of the buyer's tickets, whether its payment is disputed."""
    return [one["disputed"] for one in done(buyer.get("/v1/tickets"), 200)["items"]]


def payment_of(world: World, reservation: str) -> str:
    """The bank's id of its payment, once it is projected."""
    found: list[str] = [""]
    with rows_of(world.platform.settings) as query:

        def there() -> bool:
            rows = query("SELECT payment_id FROM reservations WHERE id = $1", reservation)
            found[0] = rows[0][0] if rows else ""
            return bool(found[0])

        eventually(there, "its payment is on record")
    return found[0]


def test_a_part_refunded_at_the_bank_leaves_the_rest_for_a_cancelled_event(world: World, circle: Circle) -> None:
    shop, buyer = world.shop, world.shop.person()
    event = shop.event(shop.organizer())
    reservation = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=2), 201)["id"]
    done(buyer.confirm(reservation), 200)
    payment = payment_of(world, reservation)
    code, told = circle("sandbox-refund", payment, "--amount", "1000")
    assert (code, told["told"], told["done"]["amount_minor"]) == (0, ["RecordProviderRefund"], 1_000)
    eventually(lambda: shown(buyer, reservation).get("refunded") == 1_000, "the part is on record")
    assert shown(buyer, reservation)["amount"] == 2 * PRICE - 1_000
    done(event.organizer.post(f"/v1/events/{event.id}/cancel", prefer="wait=20", json={"reason": "rain"}), 200)
    eventually(lambda: shown(buyer, reservation)["payment"] == "refunded", "the rest goes back")
    told = shown(buyer, reservation)
    assert (told["refunded"], told["owed"]) == (2 * PRICE, 0)
    assert sorted((one["origin"], one["amount"]) for one in told["refunds"]) == [("ours", 2_000), ("provider", 1_000)]
    code, _ = circle("sandbox-refund", payment)
    assert code == 1, "nothing is left of it"


def test_what_the_bank_refunds_whole_has_a_void_ticket_and_a_free_place(world: World, circle: Circle) -> None:
    shop, buyer = world.shop, world.shop.person()
    event = shop.event(shop.organizer())
    reservation = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)["id"]
    (ticket,) = done(buyer.confirm(reservation), 200)["tickets"]
    free = lambda: next(  # noqa: E731
        one["available"]
        for one in done(buyer.get(f"/v1/events/{event.id}/availability"), 200)["items"]
        if one["id"] == event.general
    )
    before = free()
    circle("sandbox-refund", payment_of(world, reservation))
    eventually(lambda: shown(buyer, reservation)["status"] == "cancelled", "nothing is left of it")
    assert shown(buyer, reservation)["reason"] in (None, "refunded-at-provider")
    problem(scan(event.organizer, event, ticket), 409, "ticket-void")
    assert disputed_of(buyer) == [False], "the dispute is over"
    eventually(lambda: free() == before + 1, "the place is free")


def test_a_dispute_is_told_to_the_organizer_and_shuts_the_door(world: World, circle: Circle) -> None:
    shop, buyer = world.shop, world.shop.person()
    event = shop.event(shop.organizer())
    reservation = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)["id"]
    (ticket,) = done(buyer.confirm(reservation), 200)["tickets"]
    payment = payment_of(world, reservation)
    assert disputed_of(buyer) == [False]
    circle("sandbox-dispute", payment)
    eventually(lambda: [one["status"] for one in shown(buyer, reservation)["disputes"]] == ["open"], "it is disputed")
    problem(scan(event.organizer, event, ticket), 409, "payment-disputed")
    own = f"/v1/tickets/{ticket['id']}"
    assert [done(buyer.get(own), 200)["disputed"], *disputed_of(buyer)] == [True, True]
    page = buyer.get(f"{own}/ticket.pdf")
    with pypdfium2.PdfDocument(page.content) as printed:
        assert DISPUTED.split(".")[0] in " ".join(printed[0].get_textpage().get_text_range().split())
    news = lambda who: {one["kind"] for one in done(who.get("/v1/notifications"), 200)["items"]}  # noqa: E731
    eventually(lambda: "order.disputed" in news(event.organizer), "the organizer is told")
    eventually(lambda: "payment.disputed" in news(buyer), "the buyer is told")
    circle("sandbox-dispute", payment, "--status", "lost")
    eventually(lambda: shown(buyer, reservation)["payment"] == "charged-back", "it is lost")
    assert shown(buyer, reservation)["status"] == "cancelled"
    problem(scan(event.organizer, event, ticket), 409, "ticket-void")


def test_news_that_were_lost_are_found_by_comparing_the_books_and_told_once(world: World, circle: Circle) -> None:
    shop, buyer = world.shop, world.shop.person()
    event = shop.event(shop.organizer())
    bought: list[tuple[str, str]] = []
    for _ in range(3):
        reservation = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)["id"]
        done(buyer.confirm(reservation), 200)
        bought.append((reservation, payment_of(world, reservation)))
    wait_until_settled(world.platform.settings)
    code, agreed = circle("reconcile", *EVERYTHING)
    assert (code, agreed["differences"]) == (0, [])
    assert agreed["payments"] >= 3
    (part, first), (whole, second), (argued, third) = bought
    circle("sandbox-refund", first, "--amount", "500", "--untold")
    circle("sandbox-refund", second, "--untold")
    circle("sandbox-dispute", third, "--untold")
    code, found = circle("reconcile", *EVERYTHING)
    differing = {(one["kind"], one["what"], one["reservation_id"], one["command"]) for one in found["differences"]}
    assert code == 1
    assert differing == {
        ("refund", "missing-here", part, "RecordProviderRefund"),
        ("refund", "missing-here", whole, "RecordProviderRefund"),
        ("dispute", "missing-here", argued, "RecordDispute"),
    }
    code, tried = circle("reconcile", *EVERYTHING, "--record", "--dry-run")
    assert (code, tried["would_record"], tried["recorded"]) == (1, 3, 0)
    code, recorded = circle("reconcile", *EVERYTHING, "--record")
    assert (code, recorded["recorded"]) == (1, 3)
    eventually(lambda: shown(buyer, whole)["status"] == "cancelled", "the whole one is void")
    eventually(lambda: shown(buyer, part)["amount"] == PRICE - 500, "the part is on record")
    eventually(lambda: bool(shown(buyer, argued)["disputes"]), "the dispute is on record")
    wait_until_settled(world.platform.settings)
    assert circle("reconcile", *EVERYTHING)[0] == 0
    (refund,) = [one for one in shown(buyer, part)["refunds"] if one["origin"] == "provider"]
    circle("sandbox-fail-refund", refund["refund_id"], "--untold")
    (state,) = circle("reconcile", *EVERYTHING, "--record")[1]["differences"]
    assert (state["what"], state["here"], state["there"]) == ("state", "refunded", "failed")
    eventually(lambda: shown(buyer, part)["amount"] == PRICE, "it is worth all of it again")


def test_at_the_end_every_sum_is_exact(world: World, circle: Circle) -> None:
    wait_until_settled(world.platform.settings)
    report = check(world.platform.settings)
    assert report.ok, report.text()
    assert circle("reconcile", *EVERYTHING)[0] == 0
