"""One greedy client of each kind: its share stops it, all others are served, and the door is never refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from confluent_kafka import TopicPartition

from api.fairness.limits import BACKGROUND_QUEUE_MAX
from api.fairness.pools import EXPORTS, SEAT_MAPS_SENT, STREAMS
from connectors.kafka import consumer
from ops.run.platform import Platform
from pipelines.reservations.core.limits import HOLDS_UNPAID_MAX
from schemas.placement import partition_of
from schemas.topics import COMMANDS
from tests.harness.door import bought
from tests.harness.flows import eventually
from tests.harness.shop import PASSWORD, SEATED, OnSale, Person, Shop, done, open_shop, problem, unique


@pytest.fixture(scope="module")
def platform_and_shop() -> Iterator[tuple[Platform, Shop]]:
    with open_shop() as both:
        yield both


@pytest.fixture(scope="module")
def shop(platform_and_shop: tuple[Platform, Shop]) -> Shop:
    return platform_and_shop[1]


@pytest.fixture(scope="module")
def event(shop: Shop) -> OnSale:
    return shop.event(shop.organizer(), max_tickets_per_user=100)


@pytest.fixture(scope="module")
def codes(shop: Shop, event: OnSale) -> list[str]:
    """Codes of tickets for the door."""
    return [ticket["code"] for ticket in bought(shop.person(), event)]


def at_once(work: Callable[[int], httpx.Response], count: int) -> Counter[int]:
    """The statuses of `count` requests that are under way together."""
    with ThreadPoolExecutor(count) as pool:
        return Counter(response.status_code for response in pool.map(work, range(count)))


def door_lets_in(event: OnSale, codes: list[str], devices: int = 15) -> None:
    """Many devices of one door send their scans at the same moment; none is refused."""

    def merge(number: int) -> httpx.Response:
        scans = [{"code": code, "scanned_at": "2026-11-28T20:00:00Z"} for code in codes * 20]
        return event.organizer.post(
            f"/v1/events/{event.id}/check-ins/batch", json={"scanner": f"device-{number}", "scans": scans}
        )

    assert at_once(merge, devices) == {200: devices}


def test_who_opens_all_streams_meets_their_share_and_leaves_the_rest(
    shop: Shop, event: OnSale, codes: list[str]
) -> None:
    greedy, modest = shop.person(), shop.person()
    with ExitStack() as open_streams, httpx.Client(base_url=shop.url, timeout=20, limits=httpx.Limits()) as http:

        def watch(person: Person, path: str) -> httpx.Response:
            stream = http.stream("GET", path, headers=person.headers)
            return open_streams.enter_context(stream)

        path = f"/v1/events/{event.id}/stream"
        statuses = [watch(greedy, path).status_code for _ in range(STREAMS.user + 3)]
        assert statuses == [200] * STREAMS.user + [429] * 3
        refused = http.get(path, headers=greedy.headers)
        assert problem(refused, 429, "too-many-at-once")["detail"]
        assert refused.headers["retry-after"] == "1"
        assert watch(modest, path).status_code == 200
        assert watch(modest, "/v1/notifications/stream").status_code == 200
        door_lets_in(event, codes, devices=3)


def test_who_draws_eighty_tickets_at_once_keeps_no_door_and_no_other_holder_waiting(
    shop: Shop, event: OnSale, codes: list[str]
) -> None:
    greedy, modest = shop.person(), shop.person()
    (mine,), (others,) = bought(greedy, event), bought(modest, event)
    with ThreadPoolExecutor(1) as beside:
        flood = beside.submit(at_once, lambda _: greedy.get(f"/v1/tickets/{mine['id']}/ticket.pdf"), 80)
        door_lets_in(event, codes)
        assert modest.get(f"/v1/tickets/{others['id']}/ticket.pdf").status_code == 200
        statuses = flood.result()
    assert set(statuses) == {200, 429}
    assert statuses[200] >= BACKGROUND_QUEUE_MAX // 8


def floods(work: Callable[[int], httpx.Response], event: OnSale, codes: list[str], count: int = 60) -> Counter[int]:
    """The statuses of one client's requests, while a door works and is never refused."""
    with ThreadPoolExecutor(1) as beside:
        flood = beside.submit(at_once, work, count)
        door_lets_in(event, codes)
        return flood.result()


def test_who_asks_for_the_past_without_end_meets_their_share_and_the_door_does_not(
    shop: Shop, event: OnSale, codes: list[str]
) -> None:
    greedy, modest = shop.person(), shop.person()
    mine, others = (
        done(person.reserve(event.id, ticket_type_id=event.general, quantity=1), 201) for person in (greedy, modest)
    )
    partition, offset = mine["position"]["partition"], mine["position"]["offset"]

    def ask(number: int) -> httpx.Response:
        if number % 2:
            return greedy.get(f"/v1/reservations/{mine['id']}/explanation")
        return greedy.get(f"/v1/events/{event.id}/seats", params={"at": f"{partition}-{offset - number // 2}"})

    statuses = floods(ask, event, codes)
    assert set(statuses) == {200, 429}
    assert modest.get(f"/v1/reservations/{others['id']}/explanation").status_code == 200


def test_registrations_keep_no_door_waiting(shop: Shop, event: OnSale, codes: list[str]) -> None:
    def register(_: int) -> httpx.Response:
        account = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD, "name": "Eve"}
        return shop.http.post("/v1/auth/register", json=account)

    assert set(floods(register, event, codes, 40)) <= {201, 503}


def test_seat_maps_of_a_large_event_keep_no_door_waiting(shop: Shop, event: OnSale, codes: list[str]) -> None:
    greedy, modest = shop.person(), shop.person()
    arena = shop.event(shop.organizer())
    large = SEATED | {"layout": {"kind": "seated", "rows": 100, "seats_per_row": 500}}
    done(arena.organizer.post(f"/v1/events/{arena.id}/ticket-types", prefer="wait=20", json=large), 201)
    statuses = floods(lambda _: greedy.get(f"/v1/events/{arena.id}/seats"), event, codes)
    assert set(statuses) <= {200, 429}
    assert statuses[200] >= SEAT_MAPS_SENT.user
    assert modest.get(f"/v1/events/{arena.id}/seats").status_code == 200


def test_searches_keep_no_door_waiting(shop: Shop, event: OnSale, codes: list[str]) -> None:
    def search(number: int) -> httpx.Response:
        return shop.http.get("/v1/events", params={"q": f"circle {number}", "limit": 100})

    assert set(floods(search, event, codes, 80)) <= {200, 503}


def test_who_exports_without_end_meets_their_share_and_the_door_does_not(
    shop: Shop, event: OnSale, codes: list[str]
) -> None:
    modest = shop.person()

    def export(number: int) -> httpx.Response:
        paths = (f"/v1/events/{event.id}/orders.csv", "/v1/users/me/export")
        return event.organizer.get(paths[number % 2])

    statuses = floods(export, event, codes)
    assert set(statuses) == {200, 429}
    assert statuses[200] >= EXPORTS.user
    assert modest.get("/v1/users/me/export").status_code == 200


def test_registrations_keep_nobody_from_logging_in(shop: Shop) -> None:
    person = shop.person()

    def register(_: int) -> httpx.Response:
        account = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD, "name": "Eve"}
        with httpx.Client(base_url=shop.url, timeout=40) as http:
            return http.post("/v1/auth/register", json=account)

    with ThreadPoolExecutor(1) as beside:
        flood = beside.submit(at_once, register, 90)
        for _ in range(5):
            done(shop.http.post("/v1/auth/login", json={"email": person.email, "password": PASSWORD}), 200)
        statuses = flood.result()
    assert set(statuses) <= {201, 503}
    assert statuses[201] > 0


def test_a_hold_on_an_event_that_there_is_not_is_refused_before_the_log(
    platform_and_shop: tuple[Platform, Shop], event: OnSale
) -> None:
    platform, shop = platform_and_shop
    buyer = shop.person()
    home = partition_of(event.id, platform.settings.partitions)
    nowhere = next(one for _ in range(100) if partition_of(one := str(uuid4()), platform.settings.partitions) == home)

    def ask() -> dict[str, Any]:
        document = problem(buyer.reserve(nowhere, ticket_type_id=event.seated, quantity=1), 404, "event-not-found")
        waiting = {"ticket_type_id": event.seated, "quantity": 1}
        problem(buyer.post(f"/v1/events/{nowhere}/waitlist", key=unique(), json=waiting), 404, "event-not-found")
        return document

    ask()
    before = end_of(platform, home)
    assert ask()["reservation_id"]
    assert end_of(platform, home) == before


def test_an_event_is_known_as_soon_as_it_is_made(shop: Shop) -> None:
    organizer, buyer = shop.organizer(), shop.person()
    for _ in range(5):
        fresh = shop.event(organizer)
        done(buyer.reserve(fresh.id, ticket_type_id=fresh.seated, quantity=1), 201)


def end_of(platform: Platform, partition: int) -> int:
    """The offset behind the last command."""
    client = consumer(platform.settings, group=None)
    try:
        return client.get_watermark_offsets(TopicPartition(COMMANDS, partition), timeout=10)[1]
    finally:
        client.close()


def test_who_lets_twenty_holds_run_out_waits_and_others_do_not(shop: Shop) -> None:
    event = shop.event(shop.organizer(), hold_ttl_s=1, max_tickets_per_user=100)
    greedy, modest = shop.person(), shop.person()
    for _ in range(HOLDS_UNPAID_MAX):
        done(greedy.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)

    def next_hold() -> bool:
        response = greedy.reserve(event.id, ticket_type_id=event.general, quantity=1)
        if response.status_code == 409:
            assert "20" in problem(response, 409, "holds-exhausted")["detail"]
        return response.status_code == 409

    eventually(next_hold, "the holds have run out")
    done(modest.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)


def test_five_accounts_of_one_mailbox_keep_seats_no_longer_than_one_account_would(shop: Shop) -> None:
    event = shop.event(shop.organizer(), hold_ttl_s=1, max_tickets_per_user=100)
    name = unique()
    five = [shop.person(f"{name}+{number}@example.org") for number in range(1, 6)]
    seats = [f"A-{number}" for number in range(1, 6)]
    asked: list[tuple[Person, str, dict[str, Any], str]] = []
    for turn in range(HOLDS_UNPAID_MAX // 5):
        for number, person in enumerate(five):
            body = {"ticket_type_id": event.seated, "seats": [seats[(turn + number) % 5]]}

            def kept_again(person: Person = person, body: dict[str, Any] = body) -> bool:
                response = person.reserve(event.id, key=(key := unique()), **body)
                if response.status_code == 201:
                    asked.append((person, key, body, response.json()["id"]))
                return response.status_code == 201

            eventually(kept_again, f"{body['seats']} are free again")
    assert len(asked) == HOLDS_UNPAID_MAX
    modest = shop.person()
    eventually(
        lambda: modest.reserve(event.id, ticket_type_id=event.seated, seats=seats).status_code == 201,
        "another person has the seats",
    )
    key, body = unique(), {"ticket_type_id": event.general, "quantity": 1}
    for person in (*five, shop.person(f"{name}+another@example.org"), shop.person(f"{name}@example.org")):
        refusal = problem(person.reserve(event.id, key=key, **body), 409, "holds-exhausted")
        assert f"{HOLDS_UNPAID_MAX} holds" in refusal["detail"]
        again = problem(person.reserve(event.id, key=key, **body), 409, "holds-exhausted")
        assert (again["detail"], again["reservation_id"]) == (refusal["detail"], refusal["reservation_id"])
    person, key, body, identity = asked[0]
    repeated = person.reserve(event.id, key=key, **body)
    assert (repeated.headers["idempotency-replayed"], repeated.json()["id"]) == ("true", identity)


def test_after_ten_declined_cards_an_eleventh_is_not_tried(shop: Shop, event: OnSale) -> None:
    buyer = shop.person()
    hold = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)["id"]
    for _ in range(10):
        problem(buyer.confirm(hold, "tok_declined"), 402, "payment-declined")
    problem(buyer.confirm(hold, "tok_ok"), 409, "payments-exhausted")


def test_a_seat_map_of_fifty_thousand_seats_has_each_and_a_hold_beside_it_is_had(shop: Shop) -> None:
    organizer, buyer = shop.organizer(), shop.person()
    event = shop.event(organizer)
    layout = {"kind": "seated", "rows": 100, "seats_per_row": 500}
    large = {"name": "Arena", "price": {"amount": 100, "currency": "EUR"}, "layout": layout}
    path = f"/v1/events/{event.id}/ticket-types"
    arena = done(organizer.post(path, prefer="wait=20", json=large), 201)["id"]
    with ThreadPoolExecutor(4) as pool:
        maps = [pool.submit(shop.http.get, f"/v1/events/{event.id}/seats") for _ in range(4)]
        held = done(buyer.reserve(event.id, ticket_type_id=arena, seats=["A-1"]), 201)
        assert all(one.result().status_code == 200 for one in maps)
    sections = {one["ticket_type_id"]: one for one in done(shop.http.get(f"/v1/events/{event.id}/seats"), 200)["items"]}
    states = {one["seat"]: one["status"] for one in sections[arena]["seats"]}
    assert len(states) == 50_000
    assert (held["seats"], states["A-1"], states["A-2"]) == (["A-1"], "held", "available")
    again = organizer.post(path, prefer="wait=20", json=large | {"name": "Arena II"})
    assert "100000" in problem(again, 409, "invalid-ticket-type")["detail"]
