"""Acts of organizers and buyers beyond the plain sale, over the whole platform; then the checker's verdict."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops.proof.checker.quiescence import wait_until_settled
from ops.proof.full_check import check
from ops.run.platform import Platform
from tests.harness.flows import eventually, rows_of
from tests.harness.shop import GENERAL, SEATED, OnSale, Person, Shop, done, problem, unique

WAIT = "wait=20"


@pytest.fixture(scope="module")
def owner(shop: Shop) -> Person:
    return shop.organizer()


@pytest.fixture
def buyer(shop: Shop) -> Person:
    return shop.person()


def say(owner: Person, event: OnSale | str, what: str, body: Any, status: int = 201, method: str = "POST") -> Any:
    event_id = event if isinstance(event, str) else event.id
    return done(owner.call(method, f"/v1/events/{event_id}{what}", prefer=WAIT, json=body), status)


def small(shop: Shop, owner: Person, **changes: Any) -> tuple[OnSale, str]:
    """An event with two seats in one row, and that ticket type."""
    event = shop.event(owner, **changes)
    body = SEATED | {"name": "Box", "layout": {"kind": "seated", "rows": 1, "seats_per_row": 2}}
    return event, say(owner, event, "/ticket-types", body)["id"]


def kinds(of: Person) -> list[str]:
    """The kinds of a person's notifications."""
    return [one["kind"] for one in done(of.get("/v1/notifications"), 200)["items"]]


# --- the event itself


def test_a_draft_is_deleted_and_a_programme_is_set(shop: Shop, owner: Person) -> None:
    draft = shop.event(owner, publish=False)
    item = {"title": "Doors", "starts_at": "2030-05-01T19:00:00+02:00", "ends_at": "2030-05-01T20:00:00+02:00"}
    shown = say(owner, draft, "/schedule", {"items": [item]}, 200, "PUT")["items"]
    assert [(one["title"], one["speaker"], one["starts_at"]) for one in shown] == [
        ("Doors", "", "2030-05-01T17:00:00Z")
    ]
    assert done(owner.get(f"/v1/events/{draft.id}/schedule"), 200)["items"] == shown
    turned = owner.call(
        "PUT", f"/v1/events/{draft.id}/schedule", json={"items": [item | {"ends_at": item["starts_at"]}]}
    )
    assert problem(turned, 422, "invalid-request")["field"] == "items[0].ends_at"
    assert owner.delete(f"/v1/events/{draft.id}", prefer=WAIT).status_code == 204
    problem(owner.get(f"/v1/events/{draft.id}"), 404, "event-not-found")
    published = shop.event(owner)
    problem(owner.delete(f"/v1/events/{published.id}", prefer=WAIT), 409, "not-draft")


def test_a_cancelled_event_voids_tickets_and_refunds_them(shop: Shop, owner: Person, buyer: Person) -> None:
    event = shop.event(owner)
    bought = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=2), 201)["id"]
    ticket = done(buyer.confirm(bought), 200)["tickets"][0]["id"]
    held = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)["id"]
    cancelled = say(owner, event, "/cancel", {"reason": "The singer is ill."}, 200)
    assert (cancelled["status"], cancelled["cancel_reason"]) == ("cancelled", "The singer is ill.")
    problem(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 409, "event-cancelled")
    eventually(
        lambda: done(buyer.get(f"/v1/reservations/{bought}"), 200)["payment"] == "refunded", "the payment is refunded"
    )
    assert done(buyer.get(f"/v1/reservations/{bought}"), 200)["status"] == "cancelled"
    assert done(buyer.get(f"/v1/reservations/{held}"), 200)["status"] == "released"
    assert done(buyer.get(f"/v1/tickets/{ticket}"), 200)["status"] == "void"
    eventually(lambda: {"event.cancelled", "payment.refunded"} <= set(kinds(buyer)), "both messages are there")


# --- inventory


def test_types_change_within_bounds_and_hidden_ones_need_a_code(shop: Shop, owner: Person, buyer: Person) -> None:
    event, box = small(shop, owner)
    path = f"/ticket-types/{box}"
    larger = say(owner, event, path, {"layout": {"kind": "seated", "rows": 2, "seats_per_row": 2}}, 200, "PATCH")
    assert larger["layout"]["rows"] == 2
    done(buyer.reserve(event.id, ticket_type_id=box, seats=["B-2"]), 201)
    smaller = {"layout": {"kind": "seated", "rows": 1, "seats_per_row": 2}}
    found = problem(
        owner.call("PATCH", f"/v1/events/{event.id}{path}", prefer=WAIT, json=smaller), 409, "layout-in-use"
    )
    assert "B-2" in found["detail"]
    assert say(owner, event, path, {"hidden": True}, 200, "PATCH")["hidden"]
    types = f"/v1/events/{event.id}/ticket-types"
    assert box not in {one["id"] for one in done(buyer.get(types), 200)["items"]}
    problem(buyer.reserve(event.id, ticket_type_id=box, quantity=1), 404, "ticket-type-not-found")
    problem(owner.reserve(event.id, ticket_type_id=box, quantity=1), 409, "access-code-required")
    say(owner, event, "/codes", {"code": "backstage", "kind": "access", "ticket_type_ids": [box], "uses_max": 1})
    assert box in {one["id"] for one in done(buyer.get(types, params={"access_code": "Backstage"}), 200)["items"]}
    done(buyer.reserve(event.id, ticket_type_id=box, quantity=1, access_code="Backstage"), 201)
    again = shop.person().reserve(event.id, ticket_type_id=box, quantity=1, access_code="BACKSTAGE")
    problem(again, 409, "code-used-up")


def test_a_promo_code_takes_its_part_off_and_a_free_order_needs_no_money(
    shop: Shop, owner: Person, buyer: Person
) -> None:
    event = shop.event(owner)
    code = say(owner, event, "/codes", {"code": "spring", "kind": "percent", "value": 20})
    assert (code["code"], code["used"]) == ("SPRING", 0)
    assert (code["places_max"], code["places_used"]) == (0, 0)
    held = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=2, promo_code="Spring"), 201)
    assert held["amount"] == 2_400
    say(owner, event, "/codes", {"code": "gratis", "kind": "percent", "value": 100})
    free = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1, promo_code="gratis"), 201)
    one_free = {"kind": "percent", "value": 100, "uses_max": 1}
    assert say(owner, event, "/codes", one_free | {"code": "guest"})["places_max"] == 1
    many = buyer.reserve(event.id, ticket_type_id=event.general, quantity=2, promo_code="guest")
    assert "room for 1 more, 2 are asked" in problem(many, 409, "code-used-up")["detail"]
    party = say(owner, event, "/codes", one_free | {"code": "party", "places_max": 2})
    assert (party["places_max"], party["places_used"]) == (2, 0)
    done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=2, promo_code="party"), 201)
    confirmed = done(buyer.confirm(free["id"], token="tok_declined"), 200)
    assert (confirmed["status"], confirmed["amount"]) == ("confirmed", 0)
    eventually(
        lambda: done(owner.get(f"/v1/events/{event.id}/codes"), 200)["items"][0]["places_used"] == 2,
        "the code's use is counted",
    )
    assert done(owner.delete(f"/v1/events/{event.id}/codes/{code['id']}", prefer=WAIT), 200)["disabled"]
    problem(
        buyer.reserve(event.id, ticket_type_id=event.general, quantity=1, promo_code="SPRING"), 409, "code-not-valid"
    )
    wrong = owner.post(f"/v1/events/{event.id}/codes", json={"code": "X", "kind": "access", "value": 3})
    assert problem(wrong, 422, "invalid-request")["field"] == "value"


def test_what_costs_nothing_is_had_in_one_step_and_nobody_speaks_of_money(
    running: tuple[Platform, Shop], owner: Person, buyer: Person
) -> None:
    """Confirmed with or without a token, released, transferred, cancelled: no payment, no refund, no message about
    money."""
    platform, shop = running
    event, friend = shop.event(owner), shop.person()
    gift = GENERAL | {"price": {"amount": 0, "currency": "EUR"}, "layout": {"kind": "general", "capacity": 3}}
    free = say(owner, event, "/ticket-types", gift)["id"]

    def confirm(who: Person, reservation: str, key: str | None = None, **body: Any) -> dict[str, Any]:
        path = f"/v1/reservations/{reservation}/confirm"
        had: dict[str, Any] = done(who.post(path, key=key or unique(), prefer=WAIT, **body), 200)
        return had

    def held(quantity: int = 1) -> str:
        return str(done(buyer.reserve(event.id, ticket_type_id=free, quantity=quantity), 201)["id"])

    first, key = held(2), unique()
    had = confirm(buyer, first, key, json={})
    assert (had["status"], had["amount"], had["payment"], len(had["tickets"])) == ("confirmed", 0, None, 2)
    assert confirm(buyer, first, key, json={"payment_token": "tok_ok"})["tickets"] == had["tickets"]
    second = held()
    assert confirm(buyer, second)["status"] == "confirmed"
    entry = done(
        friend.post(
            f"/v1/events/{event.id}/waitlist", key=unique(), prefer=WAIT, json={"ticket_type_id": free, "quantity": 1}
        ),
        201,
    )
    gone = {"ticket_ids": [had["tickets"][0]["id"]]}
    assert done(buyer.post(f"/v1/reservations/{first}/cancel-tickets", prefer=WAIT, json=gone), 200)["quantity"] == 1
    offer = f"/v1/waitlist/{entry['id']}"
    eventually(lambda: done(friend.get(offer), 200)["status"] == "offered", "the place is offered")
    assert confirm(friend, done(friend.get(offer), 200)["reservation_id"], json={"payment_token": "tok_declined"})[
        "tickets"
    ]
    given_back = done(buyer.delete(f"/v1/reservations/{second}", prefer=WAIT), 200)
    assert (given_back["status"], given_back["payment"]) == ("cancelled", None)
    say(owner, event, "/cancel", {"reason": "Rain."}, 200)
    eventually(lambda: {"event.cancelled", "tickets.cancelled"} <= set(kinds(buyer)), "the messages are there")
    eventually(lambda: "event.cancelled" in kinds(friend), "who was offered a place is told")
    assert not [kind for kind in kinds(buyer) + kinds(friend) if kind.startswith("payment.")]
    with rows_of(platform.settings) as query:
        assert query("SELECT count(*) FROM payments WHERE event_id = $1", event.id) == [(0,)]
        assert query("SELECT count(*) FROM refunds WHERE event_id = $1", event.id) == [(0,)]


def test_what_costs_something_is_not_confirmed_without_a_token(shop: Shop, owner: Person, buyer: Person) -> None:
    event = shop.event(owner, refund_percent=0)
    hold = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)["id"]
    for options in ({}, {"json": {}}):
        turned = buyer.post(f"/v1/reservations/{hold}/confirm", key=unique(), prefer=WAIT, **options)
        wrong = problem(turned, 422, "invalid-request")
        assert (wrong["field"], "15.00 EUR" in wrong["detail"]) == ("payment_token", True)
    done(buyer.confirm(hold), 200)
    ended = done(buyer.delete(f"/v1/reservations/{hold}", prefer=WAIT), 200)
    assert (ended["status"], ended["payment"]) == ("cancelled", "captured")  # by the terms nothing goes back
    assert "payment.refunded" not in kinds(buyer)


def test_a_pool_is_shared_and_blocked_seats_are_seen_and_not_sold(shop: Shop, owner: Person, buyer: Person) -> None:
    event = shop.event(owner)
    pool = say(owner, event, "/pools", {"name": "House", "capacity": 2})
    shared = [
        say(owner, event, "/ticket-types", GENERAL | {"name": name, "pool_id": pool["id"]})["id"] for name in "AB"
    ]
    done(buyer.reserve(event.id, ticket_type_id=shared[0], quantity=1), 201)
    problem(buyer.reserve(event.id, ticket_type_id=shared[1], quantity=2), 409, "sold-out")
    left = {one["id"]: one["available"] for one in done(buyer.get(f"/v1/events/{event.id}/availability"), 200)["items"]}
    assert [left[one] for one in shared] == [1, 1]
    eventually(
        lambda: done(owner.get(f"/v1/events/{event.id}/pools"), 200)["items"][0]["used"] == 1,
        "the pool's use is counted",
    )
    say(owner, event, f"/pools/{pool['id']}", {"name": "House", "capacity": 5}, 200, "PUT")

    block = say(owner, event, "/blocks", {"ticket_type_id": event.seated, "seats": ["A-1", "A-2"], "label": "Desk"})
    (section,) = done(buyer.get(f"/v1/events/{event.id}/seats"), 200)["items"]
    assert {one["seat"]: one["status"] for one in section["seats"][:3]} == {
        "A-1": "blocked", "A-2": "blocked", "A-3": "available",
    }  # fmt: skip
    problem(buyer.reserve(event.id, ticket_type_id=event.seated, seats=["A-1"]), 409, "seat-taken")
    rest = say(owner, event, f"/blocks/{block['id']}/release", {"seats": ["A-1"]}, 200)
    assert (rest["seats"], rest["quantity"]) == (["A-2"], 1)
    done(buyer.reserve(event.id, ticket_type_id=event.seated, seats=["A-1"]), 201)
    assert [one["id"] for one in done(owner.get(f"/v1/events/{event.id}/blocks"), 200)["items"]] == [block["id"]]


# --- orders


def test_a_hold_is_extended_once(shop: Shop, owner: Person, buyer: Person) -> None:
    event = shop.event(owner, hold_extension_s=60)
    held = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    path = f"/v1/reservations/{held['id']}/extend"
    longer = done(buyer.post(path, prefer=WAIT), 200)
    assert longer["expires_at"] > held["expires_at"]
    assert done(buyer.post(path, prefer=WAIT), 200)["expires_at"] == longer["expires_at"]
    problem(shop.person().post(path, prefer=WAIT), 404, "reservation-not-found")
    strict = shop.event(owner)
    other = done(buyer.reserve(strict.id, ticket_type_id=strict.general, quantity=1), 201)["id"]
    problem(buyer.post(f"/v1/reservations/{other}/extend", prefer=WAIT), 409, "extension-not-allowed")


def test_single_tickets_are_cancelled_by_the_terms_and_by_the_organizer(
    shop: Shop, owner: Person, buyer: Person
) -> None:
    event = shop.event(owner, refund_percent=50)
    bought = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=3), 201)["id"]
    first, second, _ = (one["id"] for one in done(buyer.confirm(bought), 200)["tickets"])
    left = done(buyer.post(f"/v1/reservations/{bought}/cancel-tickets", prefer=WAIT, json={"ticket_ids": [first]}), 200)
    assert (left["status"], left["quantity"], left["amount"]) == ("confirmed", 2, 3_000)
    assert say(owner, event, f"/reservations/{bought}/refund", {"ticket_ids": [second]}, 200)["quantity"] == 1
    eventually(lambda: kinds(buyer).count("payment.refunded") == 2, "both refunds are told")
    statuses = {one["id"]: one["status"] for one in done(buyer.get("/v1/tickets"), 200)["items"]}
    assert (statuses[first], statuses[second]) == ("void", "void")
    problem(buyer.post(f"/v1/events/{event.id}/reservations/{bought}/refund", prefer=WAIT, json={}), 403, "forbidden")


def test_freed_seats_are_offered_to_who_waits_longest(shop: Shop, owner: Person, buyer: Person) -> None:
    event, box = small(shop, owner, offer_ttl_s=120)
    held = done(buyer.reserve(event.id, ticket_type_id=box, quantity=2), 201)["id"]
    first, second = shop.person(), shop.person()
    path, key = f"/v1/events/{event.id}/waitlist", unique()
    entry = done(first.post(path, key=key, prefer=WAIT, json={"ticket_type_id": box, "quantity": 2}), 201)
    again = done(first.post(path, key=key, prefer=WAIT, json={"ticket_type_id": box, "quantity": 2}), 201)
    assert (entry["status"], entry["ahead"], again["id"]) == ("waiting", 0, entry["id"])
    other = done(second.post(path, key=unique(), prefer=WAIT, json={"ticket_type_id": box, "quantity": 1}), 201)
    assert other["ahead"] == 1
    problem(first.post(path, key=unique(), json={"ticket_type_id": event.general, "quantity": 1}), 409, "not-sold-out")
    done(buyer.delete(f"/v1/reservations/{held}", prefer=WAIT), 200)
    eventually(
        lambda: done(first.get(f"/v1/waitlist/{entry['id']}"), 200)["status"] == "offered", "the place is offered"
    )
    offered = done(first.get(f"/v1/waitlist/{entry['id']}"), 200)
    problem(buyer.reserve(event.id, ticket_type_id=box, quantity=1), 409, "sold-out")
    done(first.confirm(offered["reservation_id"]), 200)
    assert done(first.get(f"/v1/waitlist/{entry['id']}"), 200)["status"] == "bought"
    assert done(first.delete(f"/v1/waitlist/{entry['id']}", prefer=WAIT), 200)["status"] == "bought"
    assert done(second.delete(f"/v1/waitlist/{other['id']}", prefer=WAIT), 200)["status"] == "ended"
    problem(buyer.get(f"/v1/waitlist/{other['id']}"), 404, "entry-not-found")
    assert [one["status"] for one in done(owner.get(path), 200)["items"]] == ["bought", "ended"]
    third = shop.person()
    entry = done(third.post(path, key=unique(), prefer=WAIT, json={"ticket_type_id": box, "quantity": 2}), 201)
    done(first.delete(f"/v1/reservations/{offered['reservation_id']}", prefer=WAIT), 200)
    assert done(first.get("/v1/waitlist"), 200)["items"][0]["status"] == "cancelled"
    eventually(
        lambda: done(third.get(f"/v1/waitlist/{entry['id']}"), 200)["status"] == "offered",
        "the places are offered again",
    )
    hold = done(third.get(f"/v1/waitlist/{entry['id']}"), 200)["reservation_id"]
    done(third.delete(f"/v1/reservations/{hold}", prefer=WAIT), 200)
    assert done(third.get(f"/v1/waitlist/{entry['id']}"), 200)["status"] == "released"


def test_who_has_a_ticket_is_told_of_a_change_and_reminded_the_day_before(
    shop: Shop, owner: Person, buyer: Person
) -> None:
    starts_at = datetime.now(UTC) + timedelta(days=1, seconds=4)  # so that the day before is in four seconds
    times = {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=2)).isoformat()}
    event = shop.event(owner, timezone="UTC", sales_close_at=None, **times)
    bought = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=2), 201)["id"]
    done(buyer.confirm(bought), 200)
    done(owner.call("PATCH", f"/v1/events/{event.id}", prefer=WAIT, json={"venue": "Small hall"}), 200)
    eventually(lambda: {"event.changed", "event.reminder"} <= set(kinds(buyer)), "both messages are there")
    assert sorted(kind for kind in kinds(buyer) if kind.startswith("event.")) == ["event.changed", "event.reminder"]


def test_the_checker_finds_nothing_wrong_with_all_of_this(running: tuple[Platform, Shop]) -> None:
    wait_until_settled(running[0].settings, timeout_s=30)
    report = check(running[0].settings)
    assert report.ok, report.text()
