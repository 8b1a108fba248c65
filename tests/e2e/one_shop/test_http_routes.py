"""The happy path of every route, over the whole platform: HTTP, the log, the dataflows, Postgres and Redis."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.harness.flows import eventually
from tests.harness.prometheus import lint
from tests.harness.shop import EVENT, GENERAL, SEATED, OnSale, Person, Shop, done, problem, unique


@pytest.fixture(scope="module")
def organizer(shop: Shop) -> Person:
    return shop.organizer()


@pytest.fixture(scope="module")
def event(shop: Shop, organizer: Person) -> OnSale:
    return shop.event(organizer)


@pytest.fixture
def buyer(shop: Shop) -> Person:
    return shop.person()


# --- categories, events, ticket types


def test_categories_are_made_listed_and_deleted(shop: Shop, organizer: Person) -> None:
    made = [done(organizer.post("/v1/categories", json={"name": f"Category {unique()}"}), 201) for _ in range(3)]
    found, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = done(shop.http.get("/v1/categories", params=params), 200)
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [one for one in found if one in made] == made
    path = f"/v1/categories/{made[0]['id']}"
    assert done(shop.http.get(path), 200) == made[0]
    problem(organizer.post("/v1/categories", json={"name": made[0]["name"].upper()}), 409, "category-taken")
    problem(shop.organizer().delete(path), 403, "forbidden")
    done(organizer.post("/v1/events", json=EVENT | {"category_id": made[1]["id"]}, prefer="wait=20"), 201)
    problem(organizer.delete(f"/v1/categories/{made[1]['id']}"), 409, "category-in-use")
    assert organizer.delete(path).status_code == 204
    problem(shop.http.get(path), 404, "not-found")


def test_an_event_is_drafted_changed_and_published(shop: Shop, organizer: Person) -> None:
    key = unique()
    response = organizer.post("/v1/events", json=EVENT, key=key, prefer="wait=20")
    draft = done(response, 201)
    path = f"/v1/events/{draft['id']}"
    assert response.headers["location"] == path
    assert draft["status"] == "draft"
    assert draft["starts_at"] == "2030-05-01T18:00:00Z"
    assert {name: draft[name] for name in ("title", "venue", "timezone", "hold_ttl_s", "max_tickets_per_user")} == {
        name: EVENT[name] for name in ("title", "venue", "timezone", "hold_ttl_s", "max_tickets_per_user")
    }
    again = organizer.post("/v1/events", json=EVENT, key=key, prefer="wait=20")
    assert done(again, 201)["id"] == draft["id"]
    assert again.headers["idempotency-replayed"] == "true"
    problem(shop.http.get(path), 404, "event-not-found")
    assert draft["id"] in ids(organizer.get("/v1/events?status=draft&limit=100"))
    assert draft["id"] not in ids(shop.http.get("/v1/events?status=draft&limit=100"))
    changed = done(
        organizer.call("PATCH", path, json={"title": "Matinée", "sales_close_at": None}, prefer="wait=20"), 200
    )
    assert (changed["title"], changed["sales_close_at"], changed["venue"]) == ("Matinée", None, EVENT["venue"])
    assert done(organizer.post(f"{path}/publish", prefer="wait=20"), 200)["status"] == "published"
    assert done(shop.http.get(path), 200)["published_at"] is not None
    problem(shop.organizer().call("PATCH", path, json={"title": "Mine"}), 403, "not-owner")
    problem(shop.organizer().post(f"{path}/publish"), 403, "not-owner")


def test_events_are_searched_filtered_sorted_and_paged(shop: Shop, organizer: Person) -> None:
    word = unique()
    made = []
    for day in (3, 1, 2):
        times = {
            "starts_at": f"2031-05-0{day}T20:00:00Z",
            "ends_at": f"2031-05-0{day}T22:00:00Z",
            "sales_close_at": None,
        }
        made.append(shop.event(organizer, title=f"100% {word}", **times).id)
    third, first, second = made
    search = f"/v1/events?q={word.upper()}"
    assert ids(shop.http.get(search)) == [first, second, third]
    assert ids(shop.http.get(f"{search}&sort=-starts_at")) == [third, second, first]
    assert ids(shop.http.get(f"{search}&sort=created_at")) == made
    assert ids(shop.http.get(f"{search}&sort=-created_at")) == made[::-1]
    assert ids(shop.http.get(f"{search}&from=2031-05-02T00:00:00Z&to=2031-05-03T00:00:00Z")) == [second]
    assert ids(shop.http.get(f"/v1/events?q=100%25 {word}")) == [first, second, third]
    assert ids(shop.http.get(f"/v1/events?q=100_ {word}")) == []
    page = done(shop.http.get(f"{search}&limit=2"), 200)
    assert [one["id"] for one in page["items"]] == [first, second]
    rest = done(shop.http.get(f"{search}&limit=2&cursor={page['next_cursor']}"), 200)
    assert ([one["id"] for one in rest["items"]], rest["next_cursor"]) == ([third], None)
    problem(shop.http.get(f"{search}&sort=-starts_at&cursor={page['next_cursor']}"), 422, "invalid-request")


def test_events_are_found_by_category_and_by_what_has_become_of_them(shop: Shop, organizer: Person) -> None:
    category = done(organizer.post("/v1/categories", json={"name": f"Category {unique()}"}), 201)["id"]
    called_off, on_sale = (shop.event(organizer, category_id=category).id for _ in range(2))
    done(organizer.post(f"/v1/events/{called_off}/cancel", json={"reason": "rain"}, prefer="wait=20"), 200)
    search = f"/v1/events?category={category}"
    assert ids(shop.http.get(search)) == [on_sale]
    assert ids(shop.http.get(f"{search}&status=cancelled")) == [called_off]
    assert ids(shop.http.get(f"{search}&status=ended")) == []
    assert ids(shop.http.get(f"/v1/events?category={unique_id()}")) == []


def test_what_is_cancelled_stays_as_it_is(shop: Shop, organizer: Person) -> None:
    event = shop.event(organizer)
    path = f"/v1/events/{event.id}"
    done(organizer.post(f"{path}/cancel", json={"reason": "rain"}, prefer="wait=20"), 200)
    block = {"ticket_type_id": event.general, "quantity": 1}
    for method, what, body in (
        ("PATCH", "", {"title": "New"}),
        ("PUT", "/schedule", {"items": []}),
        ("POST", "/ticket-types", GENERAL),
        ("PATCH", f"/ticket-types/{event.general}", {"name": "New"}),
        ("POST", "/codes", {"code": "LATE", "kind": "percent", "value": 5}),
        ("POST", "/pools", {"name": "House", "capacity": 5}),
        ("POST", "/blocks", block),
    ):
        problem(organizer.call(method, f"{path}{what}", json=body, prefer="wait=20"), 409, "event-cancelled")


def test_a_new_price_is_for_new_holds_only(shop: Shop, organizer: Person, buyer: Person) -> None:
    event = shop.event(organizer)
    held = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    change = {"price": {"amount": 9_900, "currency": "EUR"}}
    path = f"/v1/events/{event.id}/ticket-types/{event.general}"
    assert done(organizer.call("PATCH", path, json=change, prefer="wait=20"), 200)["price"]["amount"] == 9_900
    assert done(buyer.confirm(held["id"]), 200)["amount"] == held["amount"] == GENERAL["price"]["amount"]
    assert done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)["amount"] == 9_900


def test_ticket_types_are_added_and_listed(shop: Shop, organizer: Person, event: OnSale) -> None:
    found = done(shop.http.get(f"/v1/events/{event.id}/ticket-types"), 200)["items"]
    assert [one["id"] for one in found] == [event.seated, event.general]
    assert [(one["price"], one["layout"]) for one in found] == [
        (SEATED["price"], SEATED["layout"]),
        (GENERAL["price"], GENERAL["layout"]),
    ]
    problem(shop.organizer().post(f"/v1/events/{event.id}/ticket-types", json=GENERAL), 403, "not-owner")


# --- reservations


def test_a_hold_by_quantity_has_the_contracts_shape(shop: Shop, organizer: Person, buyer: Person) -> None:
    event = shop.event(organizer)
    response = buyer.reserve(event.id, ticket_type_id=event.seated, quantity=3)
    held = done(response, 201)
    assert response.headers["location"] == f"/v1/reservations/{held['id']}"
    assert (held["status"], held["quantity"], held["amount"], held["currency"]) == ("held", 3, 12750, "EUR")
    assert held["seats"] == ["A-4", "A-5", "A-6"] or len({seat.split("-")[0] for seat in held["seats"]}) == 1
    assert set(held["position"]) == {"partition", "offset"}
    assert held["expires_at"].endswith("Z")
    read = done(buyer.get(f"/v1/reservations/{held['id']}"), 200)
    assert held["now"] <= read["now"] < held["expires_at"], "the countdown of whoever reads it later is shorter"
    assert read | {"now": held["now"]} == held
    assert [one["id"] for one in done(buyer.get("/v1/reservations"), 200)["items"]] == [held["id"]]
    seated, general = done(shop.http.get(f"/v1/events/{event.id}/availability"), 200)["items"]
    none = {"blocked": 0, "waiting": 0}
    assert seated == {"id": event.seated, "total": 40, "available": 37, "held": 3, "sold": 0} | none
    assert general == {"id": event.general, "total": 100, "available": 100, "held": 0, "sold": 0} | none


def test_named_seats_are_had_all_or_not_at_all(shop: Shop, event: OnSale, buyer: Person) -> None:
    held = done(buyer.reserve(event.id, ticket_type_id=event.seated, seats=["D-1", "D-2"]), 201)
    assert held["seats"] == ["D-1", "D-2"]
    other = shop.person()
    document = problem(other.reserve(event.id, ticket_type_id=event.seated, seats=["D-2", "D-3"]), 409, "seat-taken")
    assert "D-2" in document["detail"]
    assert document["reservation_id"]
    assert document["position"]["offset"] > held["position"]["offset"]
    seats = seat_map(shop, event)
    assert (seats["D-1"], seats["D-2"], seats["D-3"]) == ("held", "held", "available")
    problem(other.reserve(event.id, ticket_type_id=event.seated, seats=["Z-99"]), 409, "seat-unknown")
    problem(other.reserve(event.id, ticket_type_id=event.general, seats=["A-1"]), 409, "invalid-seats")


def test_refusals_have_their_status_and_reason(shop: Shop, organizer: Person, event: OnSale, buyer: Person) -> None:
    document = problem(buyer.reserve(event.id, ticket_type_id=event.general, quantity=7), 409, "limit-exceeded")
    assert set(document) >= {"reservation_id", "position"}
    gone = unique_id()
    problem(buyer.reserve(event.id, ticket_type_id=gone, quantity=1), 404, "ticket-type-not-found")
    problem(buyer.reserve(gone, ticket_type_id=event.seated, quantity=1), 404, "event-not-found")
    closed = {"sales_open_at": "2020-01-01T00:00:00Z", "sales_close_at": "2021-01-01T00:00:00Z"}
    over = shop.event(organizer, **closed)
    problem(buyer.reserve(over.id, ticket_type_id=over.general, quantity=1), 409, "sales-closed")
    early = shop.event(organizer, sales_open_at="2029-01-01T00:00:00Z")
    document = problem(buyer.reserve(early.id, ticket_type_id=early.general, quantity=1), 409, "sales-not-open")
    assert "2029-01-01" in document["detail"]
    draft = shop.event(organizer, publish=False)
    problem(buyer.reserve(draft.id, ticket_type_id=draft.general, quantity=1), 404, "event-not-found")
    problem(organizer.reserve(draft.id, ticket_type_id=draft.general, quantity=1), 409, "sales-not-open")


def test_a_long_programme_is_taken_whole_or_refused_by_its_field(organizer: Person, event: OnSale) -> None:
    times = {"starts_at": "2030-05-01T18:00:00Z", "ends_at": "2030-05-01T19:00:00Z"}

    def programme(items: int, title: str) -> httpx.Response:
        body = {"items": [times | {"title": title, "speaker": "Ä" * 20}] * items}
        return organizer.call("PUT", f"/v1/events/{event.id}/schedule", prefer="wait=20", json=body)

    shown = done(programme(200, "x" * 175), 200)["items"]
    assert shown == [times | {"title": "x" * 175, "speaker": "Ä" * 20}] * 200
    assert problem(programme(200, "x" * 185), 422, "invalid-request")["field"] == "items"
    problem(programme(200, "x" * 200), 413, "body-too-large")
    assert len(done(programme(1, "short"), 200)["items"]) == 1


def test_a_code_that_is_over_is_refused_by_its_field(organizer: Person, event: OnSale) -> None:
    path, body = f"/v1/events/{event.id}/codes", {"code": unique()[:12], "kind": "percent", "value": 10}
    over = organizer.post(path, prefer="wait=20", json=body | {"valid_until": "2021-05-01T20:00:00Z"})
    assert problem(over, 422, "invalid-request")["field"] == "valid_until"
    upside_down = body | {"valid_from": "2031-05-02T20:00:00Z", "valid_until": "2031-05-01T20:00:00Z"}
    assert problem(organizer.post(path, json=upside_down), 422, "invalid-request")["field"] == "valid_until"
    assert done(organizer.post(path, prefer="wait=20", json=body | {"valid_until": "2031-05-01T20:00:00Z"}), 201)


def test_availability_says_what_is_held_back_and_how_many_wait(shop: Shop, organizer: Person, buyer: Person) -> None:
    event = shop.event(organizer)
    few = GENERAL | {"name": "Box", "layout": {"kind": "general", "capacity": 3}}
    box = done(organizer.post(f"/v1/events/{event.id}/ticket-types", prefer="wait=20", json=few), 201)["id"]
    held_back = {"ticket_type_id": box, "quantity": 1, "label": "Desk"}
    done(organizer.post(f"/v1/events/{event.id}/blocks", prefer="wait=20", json=held_back), 201)
    done(buyer.reserve(event.id, ticket_type_id=box, quantity=2), 201)
    wanted = {"ticket_type_id": box, "quantity": 1}
    done(shop.person().post(f"/v1/events/{event.id}/waitlist", key=unique(), prefer="wait=20", json=wanted), 201)
    found = done(shop.http.get(f"/v1/events/{event.id}/availability"), 200)
    assert found["source"] == "redis"
    assert next(one for one in found["items"] if one["id"] == box) == {
        "id": box, "total": 3, "available": 0, "held": 2, "sold": 0, "blocked": 1, "waiting": 1,
    }  # fmt: skip


def test_a_block_that_was_freed_is_not_made_again_by_the_same_key(organizer: Person, event: OnSale) -> None:
    path, key = f"/v1/events/{event.id}/blocks", unique()
    body = {"ticket_type_id": event.general, "quantity": 3, "label": "Desk"}

    def asked() -> dict[str, Any]:
        block: dict[str, Any] = done(organizer.post(path, key=key, prefer="wait=20", json=body), 201)
        return block

    block = asked()
    assert asked() == block
    once = unique()
    for _ in range(2):
        some = organizer.post(f"{path}/{block['id']}/release", key=once, prefer="wait=20", json={"quantity": 1})
        assert done(some, 200) == block | {"quantity": 2}
    for _ in range(2):
        freed = done(organizer.post(f"{path}/{block['id']}/release", prefer="wait=20", json={}), 200)
        assert freed == block | {"quantity": 0}
    assert asked() == freed
    assert done(organizer.get(path), 200)["items"] == []


def test_a_timed_block_is_on_sale_again_by_itself(shop: Shop, organizer: Person) -> None:
    event = shop.event(organizer)
    until = datetime.now(UTC) + timedelta(seconds=4)
    body = {"ticket_type_id": event.seated, "seats": ["A-1"], "until": until.isoformat()}
    done(organizer.post(f"/v1/events/{event.id}/blocks", prefer="wait=20", json=body), 201)
    assert seat_map(shop, event)["A-1"] == "blocked"
    eventually(lambda: seat_map(shop, event)["A-1"] == "available", "its time is over")
    over = organizer.post(f"/v1/events/{event.id}/blocks", prefer="wait=20", json=body)
    problem(over, 409, "invalid-block")


def test_the_same_key_fifty_times_at_once_is_one_reservation(shop: Shop, organizer: Person, buyer: Person) -> None:
    event, key = shop.event(organizer), unique()

    def reserve(_: int) -> httpx.Response:
        return buyer.reserve(event.id, key=key, ticket_type_id=event.seated, quantity=2)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(reserve, range(50)))
    bodies = {json.dumps(done(answer, 201), sort_keys=True) for answer in answers}
    assert len(bodies) == 1
    assert sum(answer.headers.get("idempotency-replayed") == "true" for answer in answers) == 49
    seated = done(shop.http.get(f"/v1/events/{event.id}/availability"), 200)["items"][0]
    assert (seated["held"], seated["available"]) == (2, 38)
    document = problem(
        buyer.reserve(event.id, key=key, ticket_type_id=event.seated, quantity=3), 422, "idempotency-key-reused"
    )
    assert document["reservation_id"] == json.loads(next(iter(bodies)))["id"]
    elsewhere = shop.event(organizer)
    problem(
        buyer.reserve(elsewhere.id, key=key, ticket_type_id=elsewhere.seated, quantity=2), 422, "idempotency-key-reused"
    )


def test_a_replayed_refusal_is_the_same_refusal(event: OnSale, buyer: Person) -> None:
    key = unique()
    first = buyer.reserve(event.id, key=key, ticket_type_id=event.general, quantity=9)
    again = buyer.reserve(event.id, key=key, ticket_type_id=event.general, quantity=9)
    assert problem(first, 409, "limit-exceeded") == problem(again, 409, "limit-exceeded")


def test_respond_async_answers_202_and_the_outcome_is_found_at_its_location(event: OnSale, buyer: Person) -> None:
    response = buyer.reserve(event.id, prefer="respond-async", ticket_type_id=event.general, quantity=1)
    accepted = done(response, 202)
    assert accepted["status"] == "pending"
    assert set(accepted["position"]) == {"partition", "offset"}
    found = done(buyer.get(response.headers["location"], prefer="wait=20"), 200)
    assert (found["id"], found["status"], found["position"]) == (accepted["id"], "held", accepted["position"])


def test_a_confirmed_reservation_has_tickets_whose_codes_hold(
    shop: Shop, organizer: Person, event: OnSale, buyer: Person
) -> None:
    held = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=2), 201)
    key = unique()
    confirmed = done(buyer.confirm(held["id"], key=key), 200)
    assert (confirmed["status"], confirmed["payment"]) == ("confirmed", "captured")
    assert [ticket["seat"] for ticket in confirmed["tickets"]] == held["seats"]
    again = buyer.confirm(held["id"], key=key)
    assert done(again, 200) == confirmed
    assert again.headers["idempotency-replayed"] == "true"
    listed = done(buyer.get("/v1/tickets"), 200)["items"]
    assert {(one["id"], one["seat"], one["code"]) for one in listed} == {
        (one["id"], one["seat"], one["code"]) for one in confirmed["tickets"]
    }
    ticket = confirmed["tickets"][0]
    assert done(buyer.get(f"/v1/tickets/{ticket['id']}"), 200)["status"] == "valid"
    problem(shop.person().get(f"/v1/tickets/{ticket['id']}"), 404, "not-found")
    validate = {"code": ticket["code"]}
    found = done(organizer.post("/v1/tickets/validate", json=validate), 200)
    assert (found["valid"], found["ticket_id"], found["seat"]) == (True, ticket["id"], ticket["seat"])
    problem(shop.organizer().post("/v1/tickets/validate", json=validate), 403, "not-owner")
    for code, reason in (("nonsense", "malformed"), (ticket["code"][:-8] + "AAAAAAAA", "forged")):
        assert done(organizer.post("/v1/tickets/validate", json={"code": code}), 200) == {
            "valid": False, "reason": reason, "ticket_id": None, "event_id": None, "ticket_type_id": None, "seat": None,
            "checked_in": None,
        }  # fmt: skip
    assert seat_map(shop, event)[ticket["seat"]] == "sold"
    cancelled = done(buyer.delete(f"/v1/reservations/{held['id']}", prefer="wait=20"), 200)
    assert cancelled["status"] == "cancelled"
    assert cancelled["payment"] in ("refund-requested", "refunded")
    assert done(buyer.get(f"/v1/tickets/{ticket['id']}"), 200)["code"] is None
    assert done(organizer.post("/v1/tickets/validate", json=validate), 200)["reason"] == "void"


def test_general_admission_has_tickets_without_seats(event: OnSale, buyer: Person) -> None:
    held = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=2), 201)
    assert held["seats"] == []
    tickets = done(buyer.confirm(held["id"]), 200)["tickets"]
    assert [ticket["seat"] for ticket in tickets] == [None, None]
    assert len({ticket["code"] for ticket in tickets}) == 2


def test_a_declined_payment_is_402_and_the_hold_stands(event: OnSale, buyer: Person) -> None:
    held = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    document = problem(buyer.confirm(held["id"], "tok_declined"), 402, "payment-declined")
    assert document["reservation_id"] == held["id"]
    assert done(buyer.get(f"/v1/reservations/{held['id']}"), 200)["status"] == "held"
    assert done(buyer.confirm(held["id"]), 200)["status"] == "confirmed"


def test_a_confirmation_that_took_too_long_is_found_by_its_retry(event: OnSale, buyer: Person) -> None:
    for token, status in (("tok_slow", 200), ("tok_lost_reply", 200)):
        held = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
        path, key = f"/v1/reservations/{held['id']}/confirm", unique()
        first = buyer.post(path, key=key, prefer="respond-async", json={"payment_token": token})
        assert done(first, 202)["status"] == "pending"
        again = buyer.post(path, key=key, prefer="wait=30", json={"payment_token": token})
        confirmed = done(again, status)
        assert (confirmed["status"], len(confirmed["tickets"])) == ("confirmed", 1)
        assert again.headers["idempotency-replayed"] == "true"
        other = buyer.post(path, key=key, prefer="wait=30", json={"payment_token": "tok_ok"})
        problem(other, 422, "idempotency-key-reused")


def test_a_released_hold_is_free_again(shop: Shop, organizer: Person, buyer: Person) -> None:
    event = shop.event(organizer)
    held = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=2), 201)
    assert done(buyer.delete(f"/v1/reservations/{held['id']}", prefer="wait=20"), 200)["status"] == "released"
    again = buyer.delete(f"/v1/reservations/{held['id']}", prefer="wait=20")
    assert (done(again, 200)["status"], again.headers["idempotency-replayed"]) == ("released", "true")
    assert seat_map(shop, event)[held["seats"][0]] == "available"
    problem(buyer.confirm(held["id"]), 409, "not-held")


def test_a_confirmation_after_expiry_is_409(shop: Shop, organizer: Person, buyer: Person) -> None:
    event = shop.event(organizer, hold_ttl_s=1)
    held = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=1), 201)
    expired = threading.Event()
    while not expired.wait(0.2):
        if done(buyer.get(f"/v1/reservations/{held['id']}"), 200)["status"] == "expired":
            expired.set()
    document = problem(buyer.confirm(held["id"]), 409, "hold-expired")
    assert document["reservation_id"] == held["id"]
    assert seat_map(shop, event)[held["seats"][0]] == "available"


def test_a_payment_that_outlasts_the_hold_is_refunded_and_says_so(shop: Shop, organizer: Person, buyer: Person) -> None:
    event, key, other = shop.event(organizer, hold_ttl_s=1), unique(), shop.person()
    held = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=1), 201)
    path, body = f"/v1/reservations/{held['id']}/confirm", {"payment_token": "tok_slow"}
    done(buyer.post(path, key=key, prefer="respond-async", json=body), 202)
    # Another buyer buys the seat between the deadline and the capture, which comes a second later.
    while (taken := other.reserve(event.id, ticket_type_id=event.seated, seats=held["seats"])).status_code != 201:
        pass
    done(other.confirm(taken.json()["id"]), 200)
    document = problem(buyer.post(path, key=key, prefer="wait=20", json=body), 409, "hold-expired")
    assert document["payment"] in ("refund-requested", "refunded")
    assert "refunded" in document["detail"]


def test_a_payment_that_comes_late_has_its_seats_again_while_they_are_free(
    shop: Shop, organizer: Person, buyer: Person
) -> None:
    event, key = shop.event(organizer, hold_ttl_s=1), unique()
    held = done(buyer.reserve(event.id, ticket_type_id=event.seated, seats=["B-4", "B-5"]), 201)
    path, body = f"/v1/reservations/{held['id']}/confirm", {"payment_token": "tok_slow"}
    done(buyer.post(path, key=key, prefer="respond-async", json=body), 202)
    confirmed = done(buyer.post(path, key=key, prefer="wait=20", json=body), 200)
    assert (confirmed["status"], confirmed["payment"], confirmed["seats"]) == ("confirmed", "captured", held["seats"])
    assert [ticket["seat"] for ticket in confirmed["tickets"]] == held["seats"]

    def told() -> list[str]:
        return [one["kind"] for one in done(buyer.get("/v1/notifications"), 200)["items"]]

    eventually(lambda: "hold.expired" in told(), "the deadline had passed before")


def test_somebody_elses_reservation_looks_like_none(shop: Shop, event: OnSale, buyer: Person) -> None:
    held = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    stranger = shop.person()
    path = f"/v1/reservations/{held['id']}"
    for response in (stranger.get(path), stranger.confirm(held["id"]), stranger.delete(path)):
        assert problem(response, 404, "reservation-not-found")["field"] == "reservation_id"
    assert done(stranger.get("/v1/reservations"), 200)["items"] == []
    assert done(buyer.get(path), 200)["status"] == "held"


# --- notifications and live streams


def test_notifications_are_listed_read_and_deleted(event: OnSale, buyer: Person) -> None:
    with Stream(buyer, "/v1/notifications/stream") as stream:
        stream.connected()
        held = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
        first = stream.next()
    assert (first["event"], first["data"]["reservation_id"]) == ("ticket.held", held["id"])
    assert first["id"] == first["data"]["id"]
    listed = done(buyer.get("/v1/notifications"), 200)["items"]
    assert listed[0] == first["data"]
    assert listed[1]["kind"] == "registered"
    assert done(buyer.get("/v1/notifications/unread-count"), 200) == {"unread": 2}
    path = f"/v1/notifications/{listed[0]['id']}"
    read = done(buyer.call("PUT", f"{path}/read"), 200)
    assert read["read_at"] is not None
    assert done(buyer.call("PUT", f"{path}/read"), 200) == read
    assert done(buyer.get("/v1/notifications?unread=true"), 200)["items"] == listed[1:]
    assert done(buyer.call("PUT", "/v1/notifications/read-all"), 200) == {"marked": 1}
    assert done(buyer.get("/v1/notifications?unread=true"), 200)["items"] == []
    assert buyer.delete(path).status_code == 204
    problem(buyer.delete(path), 404, "not-found")
    problem(buyer.delete("/v1/notifications/x"), 404, "not-found")


def test_notifications_are_paged(event: OnSale, buyer: Person) -> None:
    for _ in range(3):
        done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)

    def inbox() -> list[Any]:
        items: list[Any] = done(buyer.get("/v1/notifications"), 200)["items"]
        return items

    eventually(lambda: len(inbox()) == 4, "everything is told")
    whole = inbox()
    found, cursor = [], None
    while True:
        page = done(buyer.get("/v1/notifications", params={"limit": 3} | ({"cursor": cursor} if cursor else {})), 200)
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == whole


def test_the_stream_goes_on_where_a_client_left_off(event: OnSale, buyer: Person) -> None:
    with Stream(buyer, "/v1/notifications/stream") as stream:
        stream.connected()
        done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
        seen = stream.next()["id"]
    missed = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    with Stream(buyer, "/v1/notifications/stream", last_event_id=seen) as stream:
        assert stream.next()["data"]["reservation_id"] == missed["id"]
        live = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
        assert stream.next()["data"]["reservation_id"] == live["id"]


def test_a_stream_from_the_start_has_the_first_message_of_all(shop: Shop, event: OnSale) -> None:
    somebody = shop.person()
    first = done(somebody.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    with Stream(somebody, "/v1/notifications/stream", last_event_id="start") as stream:
        messages = [stream.next() for _ in range(2)]
    assert {one["data"]["kind"] for one in messages} == {"registered", "ticket.held"}
    assert first["id"] in [one["data"]["reservation_id"] for one in messages]
    with Stream(somebody, "/v1/notifications/stream", last_event_id=messages[0]["id"]) as stream:
        assert stream.next() == messages[1], "nothing is between the first and the second"
    for wrong in ("first", "2147483648-0"):
        refused = somebody.get("/v1/notifications/stream", headers={"last-event-id": wrong})
        assert problem(refused, 400, "invalid-header")["field"] == "Last-Event-ID"


def test_an_events_stream_tells_its_availability(shop: Shop, organizer: Person, buyer: Person) -> None:
    event = shop.event(organizer)
    with Stream(buyer, f"/v1/events/{event.id}/stream") as stream:
        assert stream.next()["data"]["items"][1]["available"] == 100
        done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=4), 201)
        assert stream.next()["data"]["items"][1] == {
            "id": event.general, "total": 100, "available": 96, "held": 4, "sold": 0, "blocked": 0, "waiting": 0,
        }  # fmt: skip


# --- the platform


def test_the_platforms_own_routes_answer(shop: Shop, event: OnSale) -> None:
    assert done(shop.http.get("/healthz"), 200) == {"status": "ok"}
    checks = {name: {"ok": True} for name in ("kafka", "redis", "postgres")}
    assert done(shop.http.get("/readyz"), 200) == {"status": "ready", "checks": checks}
    metrics = shop.http.get("/metrics", headers=shop.operator)
    assert 'circle_http_requests_total{method="POST",route="/v1/events",status="201"}' in metrics.text
    assert lint(metrics.text) == ""
    assert done(shop.http.get("/openapi.json"), 200)["openapi"] == "3.1.0"
    assert done(shop.http.get("/problems/sold-out"), 200)["status"] == 409
    for page in ("/docs", "/dashboard"):
        response = shop.http.get(page, headers=shop.operator)
        assert response.status_code == 200
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "http://" not in response.text
        assert "https://" not in response.text


def test_what_operators_see_is_for_operators(shop: Shop) -> None:
    token = shop.operator["authorization"].removeprefix("Bearer ")
    for path in ("/metrics", "/dashboard"):
        refused = shop.http.get(path)
        problem(refused, 401, "unauthorized")
        assert refused.headers["www-authenticate"].startswith('Basic realm="operators"')
        assert shop.http.get(path, headers=shop.operator).status_code == 200
        assert shop.http.get(path, auth=("anybody", token)).status_code == 200, "as a browser sends it"
        for wrong in (("operator", token[:-1]), ("operator", ""), (token, "")):
            problem(shop.http.get(path, auth=wrong), 401, "unauthorized")
        for wrong in (f"Bearer {token}x", f"Basic {token}", "Basic é", token):
            problem(shop.http.get(path, headers={"authorization": wrong.encode()}), 401, "unauthorized")
    inside = done(shop.http.get("/readyz", headers=shop.operator), 200)
    assert set(inside) == {"status", "checks", "details"}
    assert set(inside["checks"]["kafka"]) == {"ok", "detail", "ms"}
    stranger = shop.http.get("/readyz", headers={"authorization": "Bearer wrong"})
    assert set(done(stranger, 200)) == {"status", "checks"}, "readiness is for everybody"


class Stream:
    """A reader of server-sent events."""

    def __init__(self, person: Person, path: str, last_event_id: str | None = None) -> None:
        headers = person.headers | ({"last-event-id": last_event_id} if last_event_id else {})
        self._context = person.http.stream("GET", path, headers=headers, timeout=30)

    def __enter__(self) -> Stream:
        response = self._context.__enter__()
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        self._lines = response.iter_lines()
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)

    def connected(self) -> None:
        """Returns when the stream is open: all later events will be on it."""
        while next(self._lines) != ": connected":
            pass

    def next(self) -> dict[str, Any]:
        """The next event, whole."""
        found: dict[str, Any] = {}
        for line in self._lines:
            if not line and "data" in found:
                return found
            name, _, value = line.partition(": ")
            if name in ("id", "event"):
                found[name] = value
            elif name == "data":
                found["data"] = json.loads(value)
        raise AssertionError("the stream ended")


def ids(response: httpx.Response) -> list[str]:
    return [one["id"] for one in done(response, 200)["items"]]


def seat_map(shop: Shop, event: OnSale) -> dict[str, str]:
    sections = done(shop.http.get(f"/v1/events/{event.id}/seats"), 200)["items"]
    return {seat["seat"]: seat["status"] for seat in sections[0]["seats"]}


def unique_id() -> str:
    key = unique()
    return f"{key[:8]}-{key[8:12]}-4{key[13:16]}-a{key[17:20]}-{key[20:32]}"
