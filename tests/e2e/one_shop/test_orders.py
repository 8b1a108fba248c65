"""An organizer sees every order of the own events once, with its history, and no order of others."""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest

from ops.run.platform import Platform
from tests.harness.flows import eventually, rows_of
from tests.harness.shop import PASSWORD, OnSale, Person, Shop, done, problem, unique
from tests.harness.suspended import suspended

WAIT = "wait=20"


@pytest.fixture(scope="module")
def owner(shop: Shop) -> Person:
    return shop.organizer()


@pytest.fixture(scope="module")
def sold(shop: Shop, owner: Person) -> tuple[OnSale, dict[str, Person], dict[str, str]]:
    """An event with one order of each kind; buyers and orders by kind."""
    event = shop.event(owner)
    buyers = {kind: named(shop, name) for kind, name in NAMES.items()}
    orders = {}
    for kind, buyer in buyers.items():
        type_id, quantity = (event.seated, 2) if kind in ("confirmed", "cancelled") else (event.general, 3)
        response = buyer.reserve(event.id, ticket_type_id=type_id, quantity=9 if kind == "rejected" else quantity)
        orders[kind] = response.json()["reservation_id" if kind == "rejected" else "id"]
        if kind in ("confirmed", "cancelled"):
            done(buyer.confirm(orders[kind]), 200)
        if kind in ("cancelled", "released"):
            done(buyer.delete(f"/v1/reservations/{orders[kind]}", prefer=WAIT), 200)
        done(buyer.get(f"/v1/reservations/{orders[kind]}"), 200)
    return event, buyers, orders


NAMES = {
    "confirmed": "Zoë Müller",
    "held": '=HYPERLINK("https://phish.example")',
    "released": 'Bob, "the" Builder',
    "cancelled": "@SUM(A1)",
    "rejected": "Eve",
}


def named(shop: Shop, name: str) -> Person:
    person = shop.person()
    done(person.call("PATCH", "/v1/users/me", json={"name": name}), 200)
    return person


def listed(owner: Person, event: OnSale, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = done(owner.get(f"/v1/events/{event.id}/orders", params=query), 200)["items"]
    return found


def test_orders_are_listed_with_their_buyers_the_latest_first_page_by_page(
    owner: Person, sold: tuple[OnSale, dict[str, Person], dict[str, str]]
) -> None:
    event, buyers, orders = sold
    found = listed(owner, event)
    assert [one["id"] for one in found] == [orders[kind] for kind in ("cancelled", "released", "held", "confirmed")]
    first = found[-1]
    assert first["buyer"] == {
        "id": buyers["confirmed"].id, "name": NAMES["confirmed"], "email": buyers["confirmed"].email,
    }  # fmt: skip
    assert (first["status"], first["payment"], first["amount"], first["currency"]) == (
        "confirmed", "captured", 8_500, "EUR",
    )  # fmt: skip
    assert (first["ticket_type"], first["quantity"], len(first["seats"])) == ("Stalls", 2, 2)
    path, pages, cursor = f"/v1/events/{event.id}/orders", [], {}
    while True:
        page = done(owner.get(path, params={"limit": 1} | cursor), 200)
        pages += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert [one["id"] for one in pages] == [one["id"] for one in found]


def test_orders_are_filtered_by_status_type_and_text(
    owner: Person, sold: tuple[OnSale, dict[str, Person], dict[str, str]]
) -> None:
    event, buyers, orders = sold
    for kind, order in orders.items():
        assert [one["id"] for one in listed(owner, event, status=kind)] == [order]
    assert {one["id"] for one in listed(owner, event, ticket_type_id=event.seated)} == {
        orders["confirmed"], orders["cancelled"],
    }  # fmt: skip
    for text in ("muller", "ZOË", buyers["confirmed"].email.upper(), orders["confirmed"], buyers["confirmed"].id):
        assert [one["id"] for one in listed(owner, event, q=text)] == [orders["confirmed"]], text
    assert listed(owner, event, q="%") == []
    assert listed(owner, event, q="muller", status="held") == []
    path = f"/v1/events/{event.id}/orders"
    problem(owner.get(path, params={"status": "paid"}), 422, "invalid-request")
    problem(owner.get(path, params={"cursor": "AAAA"}), 422, "invalid-request")


def test_all_of_them_are_a_file_in_which_no_cell_is_a_formula(
    owner: Person, sold: tuple[OnSale, dict[str, Person], dict[str, str]]
) -> None:
    event, _, orders = sold
    path = f"/v1/events/{event.id}/orders"
    response = owner.get(path, headers={"accept": "text/csv"})
    assert response.headers["content-type"].startswith("text/csv")
    assert f"orders-{event.id}.csv" in response.headers["content-disposition"]
    assert response.text == owner.get(f"{path}.csv").text
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["reservation_id"] for row in rows] == [one["id"] for one in listed(owner, event)]
    by_id = {row["reservation_id"]: row for row in rows}
    bought = by_id[orders["confirmed"]]
    assert (bought["amount"], bought["amount_minor"], bought["currency"]) == ("85.00", "8500", "EUR")
    assert by_id[orders["held"]]["buyer_name"] == "'" + NAMES["held"]
    assert by_id[orders["cancelled"]]["buyer_name"] == "'" + NAMES["cancelled"]
    assert by_id[orders["released"]]["buyer_name"] == NAMES["released"]
    only = owner.get(f"{path}.csv", params={"status": "rejected"}).text
    assert [row["reservation_id"] for row in csv.DictReader(io.StringIO(only))] == [orders["rejected"]]


def test_an_order_tells_what_happened_to_it(
    owner: Person, sold: tuple[OnSale, dict[str, Person], dict[str, str]]
) -> None:
    event, _, orders = sold
    path = f"/v1/events/{event.id}/orders/"
    eventually(
        lambda: done(owner.get(path + orders["cancelled"]), 200)["order"]["refunded"] == 8_500, "the money is back"
    )
    found = done(owner.get(path + orders["cancelled"]), 200)
    assert [one["what"] for one in found["history"]] == [
        "held", "PaymentRequested", "ReservationConfirmed", "ReservationCancelled", "RefundRequested",
        "PaymentRefunded",
    ]  # fmt: skip
    assert all(one["time"] and one["why"] for one in found["history"])
    assert [(one["status"], one["amount"]) for one in found["refunds"]] == [("refunded", 8_500)]
    assert [one["status"] for one in found["tickets"]] == ["void", "void"]
    problem(owner.get(path + unique() + "-"), 404, "not-found")
    problem(owner.get(path + event.id), 404, "reservation-not-found")


def test_a_large_list_is_one_file_of_every_order_once(
    running: tuple[Platform, Shop], owner: Person, shop: Shop
) -> None:
    event = shop.event(owner)
    with rows_of(running[0].settings) as query:
        query(
            'INSERT INTO reservations (id, event_id, partition, "offset", user_id, ticket_type_id, status, quantity,'
            " fingerprint, amount_minor, currency, created_at, updated_at, updated_offset, updated_index)"
            " SELECT gen_random_uuid(), $1, 0, n, 'nobody', $2, 'confirmed', 1, 0, 1500, 'EUR',"
            " 1800000000000000 + n / 3, 0, 0, 0 FROM generate_series(1, 1501) AS n",
            event.id, event.general,
        )  # fmt: skip
        try:
            with ThreadPoolExecutor(2) as pool:
                files = list(pool.map(lambda _: owner.get(f"/v1/events/{event.id}/orders.csv").text, range(2)))
        finally:  # the log has none of them, which the checker finds
            query("DELETE FROM reservations WHERE event_id = $1", event.id)
    for text in files:
        ids = [row["reservation_id"] for row in csv.DictReader(io.StringIO(text))]
        assert len(ids) == len(set(ids)) == 1_501


def test_a_deleted_buyer_is_a_number_without_a_name(shop: Shop, owner: Person) -> None:
    event, buyer = shop.event(owner), shop.person()
    held = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    done(buyer.delete(f"/v1/reservations/{held['id']}", prefer=WAIT), 200)
    assert buyer.call("DELETE", "/v1/users/me", json={"password": PASSWORD}).status_code == 204
    found = listed(owner, event)
    assert [(one["buyer"]["name"], one["buyer"]["email"]) for one in found] == [(None, None)]


def test_orders_are_nobody_elses(shop: Shop, sold: tuple[OnSale, dict[str, Person], dict[str, str]]) -> None:
    event, buyers, orders = sold
    for what in ("orders", "orders.csv", f"orders/{orders['confirmed']}"):
        path = f"/v1/events/{event.id}/{what}"
        problem(shop.organizer().get(path), 403, "not-owner")
        problem(buyers["confirmed"].get(path), 403, "forbidden")


def test_an_order_whose_row_is_late_is_refunded(platform: Platform, shop: Shop, owner: Person) -> None:
    event, buyer = shop.event(owner), shop.person()
    listed(owner, event)  # the owner's own writes have their rows
    read_side = platform.supervisor.pid("read-side")
    with ThreadPoolExecutor(1) as pool:
        with suspended(read_side):
            held = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=1), 201)
            path = f"/v1/events/{event.id}/reservations/{held['id']}/refund"
            answer = pool.submit(owner.post, path, key=unique(), prefer=WAIT, json={"ticket_ids": []})
            assert wait([answer], timeout=0.5).not_done, "it waits for the row"
        assert problem(answer.result(), 409, "not-held")["detail"]


def test_an_amount_is_given_back_once_and_the_tickets_stay(shop: Shop, owner: Person) -> None:
    event, buyer = shop.event(owner), shop.person()
    held = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=2), 201)
    done(buyer.confirm(held["id"]), 200)
    path, key = f"/v1/events/{event.id}/reservations/{held['id']}/refund", unique()
    for _ in range(2):
        found = done(owner.post(path, key=key, prefer=WAIT, json={"amount": 1_000}), 200)
        assert (found["status"], found["amount"]) == ("confirmed", 7_500)
    problem(owner.post(path, key=key, prefer=WAIT, json={"amount": 1_001}), 422, "idempotency-key-reused")
    problem(owner.post(path, prefer=WAIT, json={"amount": 1_000}), 400, "missing-header")
    problem(owner.post(path, key=unique(), prefer=WAIT, json={"amount": 7_501}), 409, "refund-too-large")
    wrong = owner.post(path, key=unique(), json={"amount": 5, "ticket_ids": [held["id"]]})
    assert problem(wrong, 422, "invalid-request")["field"] == "amount"
    order = f"/v1/events/{event.id}/orders/{held['id']}"
    eventually(lambda: done(owner.get(order), 200)["order"]["refunded"] == 1_000, "the money is back")
    assert {one["status"] for one in done(buyer.get("/v1/tickets"), 200)["items"]} == {"valid"}
    done(owner.post(path, prefer=WAIT, json={"ticket_ids": []}), 200)
    eventually(lambda: done(owner.get(order), 200)["order"]["refunded"] == 8_500, "all of it, and no more")
