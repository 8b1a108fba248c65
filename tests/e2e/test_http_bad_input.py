"""Bad input: every answer is a problem document that names the field or the reason. Nothing is written, and there is no
500."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.auth.keys import KeyRing
from api.auth.tokens import AccessTokens, Role
from api.http.routing import Access, Route
from api.routes.table import ROUTES
from connectors import kafka
from ops.proof.checker import wait_until_settled
from ops.proof.checker.reading import reader, records
from ops.run.platform import Platform
from schemas.placement import partition_of
from schemas.topics import COMMANDS, dead_letters
from tests.harness.hostile import HostileTown
from tests.harness.shop import EVENT, GENERAL, OnSale, Person, Shop, done, open_shop, problem, unique
from tests.simulation.whole import EVENT as TOWN

NO_CURRENCIES = ("EUO", "ZZZ", "XXX", "XTS", "XAU", "XDR", "eur", "Eur", "EUR\n", "€€€")
ID = "8a7f1f0e-5a7a-4a8e-9f0a-0123456789ab"
BODY_MAX = 64 * 1024


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Platform, Shop]]:
    with open_shop() as running:
        yield running


@pytest.fixture(scope="module")
def shop(running: tuple[Platform, Shop]) -> Shop:
    return running[1]


@pytest.fixture(scope="module")
def event(shop: Shop) -> OnSale:
    return shop.event(shop.organizer())


@pytest.fixture(scope="module")
def buyer(shop: Shop) -> Person:
    return shop.person()


@pytest.fixture
def nothing_written(running: tuple[Platform, Shop]) -> Iterator[None]:
    """Fails a test after which the commands topic has more records than before."""
    before = written(running[0])
    yield
    assert written(running[0]) == before


def written(platform: Platform) -> int:
    """The number of records on the commands topic. No hold is due here, so there are no ticks."""
    client = kafka.consumer(platform.settings, group=None)
    try:
        parts = client.list_topics(COMMANDS, timeout=10).topics[COMMANDS].partitions
        return sum(client.get_watermark_offsets(TopicPartition(COMMANDS, part), timeout=10)[1] for part in parts)
    finally:
        client.close()


# --- bodies


BAD_RESERVATIONS: list[tuple[bytes, str, str]] = [
    (b"", "malformed-json", "body"),
    (b"{", "malformed-json", "body"),
    (b"not json", "malformed-json", "body"),
    (b'{"ticket_type_id":"%s","quantity":1} trailing' % ID.encode(), "malformed-json", "body"),
    (b'{"ticket_type_id":"%s","quantity":NaN}' % ID.encode(), "malformed-json", "body"),
    (b'{"ticket_type_id":"\\ud800","quantity":1}', "malformed-json", "body"),
    (b'{"ticket_type_id":"\xff","quantity":1}', "malformed-json", "body"),
    (b"[" * 60_000, "invalid-request", "body"),
    (b"[]", "invalid-request", "body"),
    (b"{}", "invalid-request", "ticket_type_id"),
    (b'{"ticket_type_id":"x","quantity":1}', "invalid-request", "ticket_type_id"),
    (b'{"ticket_type_id":"%s"}' % ID.encode(), "invalid-request", "quantity"),
    (b'{"ticket_type_id":"%s","quantity":0}' % ID.encode(), "invalid-request", "quantity"),
    (b'{"ticket_type_id":"%s","quantity":-1}' % ID.encode(), "invalid-request", "quantity"),
    (b'{"ticket_type_id":"%s","quantity":11}' % ID.encode(), "invalid-request", "quantity"),
    (b'{"ticket_type_id":"%s","quantity":%s}' % (ID.encode(), b"9" * 400), "invalid-request", "quantity"),
    (b'{"ticket_type_id":"%s","quantity":"1"}' % ID.encode(), "invalid-request", "quantity"),
    (b'{"ticket_type_id":"%s","quantity":1,"user_id":1}' % ID.encode(), "invalid-request", "user_id"),
    (b'{"ticket_type_id":"%s","quantity":1,"seats":["A-1"]}' % ID.encode(), "invalid-request", "quantity"),
    (b'{"ticket_type_id":"%s","seats":["A-1","A-1"]}' % ID.encode(), "invalid-request", "seats"),
    (b'{"ticket_type_id":"%s","seats":["A-1\\u0000"]}' % ID.encode(), "invalid-request", "seats[0]"),
    (b'{"ticket_type_id":"%s","seats":[%s]}' % (ID.encode(), b",".join(b'"A-%d"' % n for n in range(1, 12))),
     "invalid-request", "seats"),
]  # fmt: skip
"""Bodies, the slugs of their problems, and the fields that these name."""


@pytest.mark.parametrize(("body", "slug", "field"), BAD_RESERVATIONS)
@pytest.mark.usefixtures("nothing_written")
def test_a_bad_reservation_names_its_field(event: OnSale, buyer: Person, body: bytes, slug: str, field: str) -> None:
    path = f"/v1/events/{event.id}/reservations"
    response = buyer.post(path, key=unique(), content=body, headers={"content-type": "application/json"})
    assert problem(response, 400 if slug == "malformed-json" else 422, slug)["field"] == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "a\u0000b"}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"description": "x" * 5001}, "description"),
        ({"venue": None}, "venue"),
        ({"starts_at": "tomorrow"}, "starts_at"),
        ({"starts_at": "2030-05-01T20:00:00"}, "starts_at"),
        ({"starts_at": "0001-01-01T00:00:00Z"}, "starts_at"),
        ({"starts_at": 7}, "starts_at"),
        ({"ends_at": "2030-05-01T17:00:00Z"}, "ends_at"),
        ({"sales_close_at": "2019-01-01T00:00:00Z"}, "sales_close_at"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "localtime"}, "timezone"),
        ({"timezone": "Factory"}, "timezone"),
        ({"timezone": "posixrules"}, "timezone"),
        ({"timezone": "posix/Europe/Vienna"}, "timezone"),
        ({"timezone": "/usr/share/zoneinfo/UTC"}, "timezone"),
        ({"timezone": "europe/vienna"}, "timezone"),
        ({"title": "Opening \u202enight"}, "title"),
        ({"title": "Opening \u009b31m"}, "title"),
        ({"venue": "Town\u2028hall"}, "venue"),
        ({"description": "\u2066hidden\u2069"}, "description"),
        ({"category_id": ID}, "category_id"),
        ({"category_id": "rock"}, "category_id"),
        ({"hold_ttl_s": 0}, "hold_ttl_s"),
        ({"hold_ttl_s": 10**30}, "hold_ttl_s"),
        ({"max_tickets_per_user": 0}, "max_tickets_per_user"),
        ({"status": "published"}, "status"),
        ({"organizer_id": ID}, "organizer_id"),
    ],
)
@pytest.mark.usefixtures("nothing_written")
def test_a_bad_event_names_its_field(event: OnSale, changes: dict[str, Any], field: str) -> None:
    response = event.organizer.post("/v1/events", json=EVENT | changes)
    assert problem(response, 422, "invalid-request")["field"] == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"price": {"amount": 12.5, "currency": "EUR"}}, "price.amount"),
        ({"price": {"amount": 1, "currency": "euro"}}, "price.currency"),
        *(({"price": {"amount": 1, "currency": one}}, "price.currency") for one in NO_CURRENCIES),
        ({"layout": {"kind": "seated", "rows": 0, "seats_per_row": 5}}, "layout.rows"),
        ({"layout": {"kind": "seated", "rows": 1000, "seats_per_row": 500}}, "layout"),
        ({"layout": {"kind": "general", "capacity": 0}}, "layout.capacity"),
        ({"layout": {"kind": "cube"}}, "layout.kind"),
        ({"layout": {}}, "layout.kind"),
    ],
)
@pytest.mark.usefixtures("nothing_written")
def test_a_bad_ticket_type_names_its_field(event: OnSale, changes: dict[str, Any], field: str) -> None:
    response = event.organizer.post(f"/v1/events/{event.id}/ticket-types", json=GENERAL | changes)
    assert problem(response, 422, "invalid-request")["field"] == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "ada"}, "email"),
        ({"email": "a b@example.org"}, "email"),
        ({"email": "ada@example.org\n"}, "email"),
        ({"email": "x" * 250 + "@example.org"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"name": " "}, "name"),
        ({"role": "admin"}, "role"),
    ],
)
def test_a_bad_registration_names_its_field(shop: Shop, changes: dict[str, str], field: str) -> None:
    account = {"email": f"{unique()}@example.org", "password": "correct-horse-7", "name": "Ada"}
    response = shop.http.post("/v1/auth/register", json=account | changes)
    assert problem(response, 422, "invalid-request")["field"] == field


def test_an_address_has_one_account(shop: Shop, buyer: Person) -> None:
    account = {"email": buyer.email.upper(), "password": "correct-horse-7", "name": "Eve"}
    assert problem(shop.http.post("/v1/auth/register", json=account), 409, "email-taken")["field"] == "email"


def test_a_wrong_password_and_an_unknown_account_look_and_last_alike(shop: Shop, buyer: Person) -> None:
    def attempt(email: str) -> tuple[dict[str, Any], float]:
        started = time.perf_counter()
        response = shop.http.post("/v1/auth/login", json={"email": email, "password": "wrong-horse-7"})
        return problem(response, 401, "invalid-credentials"), time.perf_counter() - started

    attempt("nobody@example.org")
    known = [attempt(buyer.email) for _ in range(8)]
    unknown = [attempt(f"{unique()}@example.org") for _ in range(8)]
    assert known[0][0] == unknown[0][0]
    # Without a dummy hash, an unknown account would be answered ten times as fast.
    assert min(seconds for _, seconds in unknown) > min(seconds for _, seconds in known) / 3


@pytest.mark.usefixtures("nothing_written")
def test_a_body_over_64_kb_is_413(event: OnSale, buyer: Person) -> None:
    path = f"/v1/events/{event.id}/reservations"
    headers = {"content-type": "application/json"}
    response = buyer.post(path, key=unique(), content=b" " * (BODY_MAX + 1), headers=headers)
    assert problem(response, 413, "body-too-large")["field"] == "body"
    chunks = (b" " * 1024 for _ in range(65))
    problem(buyer.post(path, key=unique(), content=chunks, headers=headers), 413, "body-too-large")
    problem(buyer.post(path, key=unique(), content=b" " * BODY_MAX, headers=headers), 400, "malformed-json")


def test_other_media_types_are_415(event: OnSale, buyer: Person) -> None:
    path = f"/v1/events/{event.id}/reservations"
    for other in ("text/plain", "text/plain; x=json", "application/x-www-form-urlencoded; a=application/json"):
        response = buyer.post(path, key=unique(), content=b"{}", headers={"content-type": other})
        assert problem(response, 415, "unsupported-media-type")["field"] == "Content-Type"


# --- headers, paths, queries


@pytest.mark.parametrize("key", [None, "", "x" * 256, "é".encode(), b"a\tb"])
@pytest.mark.usefixtures("nothing_written")
def test_a_missing_or_bad_idempotency_key_names_the_header(event: OnSale, buyer: Person, key: str | None) -> None:
    slug = "missing-header" if key is None else "invalid-header"
    for path in (f"/v1/events/{event.id}/reservations", f"/v1/reservations/{ID}/confirm"):
        document = problem(buyer.post(path, key=key, json={}), 400, slug)
        assert document["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    "path",
    ["/v1/events/x", "/v1/events/%00", "/v1/events/..%2f", f"/v1/events/{ID}%0a", "/v1/events/x/availability",
     "/v1/events/x/seats", "/v1/events/x/ticket-types", "/v1/reservations/7", "/v1/tickets/7", "/v1/users/7",
     "/v1/categories/7"],
)  # fmt: skip
def test_ids_that_are_none_lead_nowhere(buyer: Person, path: str) -> None:
    assert problem(buyer.get(path), 404, "not-found")["field"].endswith("_id")


@pytest.mark.parametrize(
    ("path", "slug"),
    [(f"/v1/events/{ID}", "event-not-found"), (f"/v1/events/{ID}/seats", "event-not-found"),
     (f"/v1/reservations/{ID}", "reservation-not-found"), (f"/v1/tickets/{ID}", "not-found"),
     (f"/v1/users/{ID}", "not-found"), (f"/v1/categories/{ID}", "not-found"), ("/v1/nothing", "not-found"),
     ("/problems/nothing", "not-found")],
)  # fmt: skip
def test_unknown_ids_are_404(buyer: Person, path: str, slug: str) -> None:
    problem(buyer.get(path), 404, slug)


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=1e9", "limit"), ("cursor=AAAA", "cursor"), ("sort=price", "sort"),
     ("from=x", "from"), ("page=2", "page"), ("status=secret", "status"), ("q=%00", "q"), ("category=%00", "category"),
     ("from=0001-01-01T00:00:00Z", "from"), ("limit=1&limit=1", "limit")],
)  # fmt: skip
def test_a_bad_query_names_its_parameter(shop: Shop, query: str, field: str) -> None:
    assert problem(shop.http.get(f"/v1/events?{query}"), 422, "invalid-request")["field"] == field


def test_other_methods_are_405_and_say_which_there_are(shop: Shop) -> None:
    response = shop.http.put("/v1/events")
    problem(response, 405, "method-not-allowed")
    assert set(re.split(r",\s*", response.headers["allow"])) >= {"GET", "POST"}


def raw(shop: Shop, request: bytes) -> bytes:
    """The whole answer to these bytes; the server ends the connection after it."""
    host, port = shop.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + b"x-pad: " + b"a" * 9000 + b"\r\n\r\n", b"431"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n", b"400"),
        (b"POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n", b"400"),
        (b"POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n", b"400"),
        (b"POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"GET /v1/events?q=%ff%fe HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", b"200"),
        (b"GET /v1/events/\xff\xfe HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", b"4"),
        (
            b"GET /v1/users/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xff\xfe\r\nconnection: close\r\n\r\n",
            b"401",
        ),
    ],
)
def test_broken_http_is_answered_with_a_problem(shop: Shop, request_: bytes, status: bytes) -> None:
    answer = raw(shop, request_)
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:300]
    assert b"application/problem+json" in answer or status == b"200"
    done(shop.http.get("/healthz"), 200)


# --- tokens and the access matrix

EVERYBODY = {"nobody", "expired", "forged", "changed", "buyer", "organizer"}
MAY_CALL: dict[Access, set[str]] = {
    Access.PUBLIC: EVERYBODY,
    Access.OPTIONAL: {"nobody", "buyer", "organizer"},
    Access.USER: {"buyer", "organizer"},
    Access.ORGANIZER: {"organizer"},
    Access.ADMIN: set(),
    Access.OPERATOR: set(),
}


@pytest.fixture(scope="module")
def callers(running: tuple[Platform, Shop], event: OnSale, buyer: Person) -> dict[str, str | None]:
    keys = KeyRing.load(running[0].settings.jwt_key_file)
    issue = AccessTokens(keys).issue
    return {
        "nobody": None,
        "buyer": buyer.access_token,
        "organizer": event.organizer.access_token,
        "expired": issue(buyer.id, Role.ADMIN, ttl_s=-1),
        "forged": AccessTokens(KeyRing.load(None)).issue(buyer.id, Role.ADMIN),
        "changed": buyer.access_token[:-6] + "AAAAAA",
    }


@pytest.mark.parametrize("route", [one for one in ROUTES if "stream" not in one.path], ids=lambda one: one.name)
@pytest.mark.usefixtures("nothing_written")
def test_every_route_is_open_to_those_it_names(shop: Shop, callers: dict[str, str | None], route: Route) -> None:
    path = re.sub(r"<\w+>", lambda _: str(uuid4()), route.path)
    content = b"not json" if route.body is not None else None
    for caller, token in callers.items():
        if path == "/v1/users/me/become-organizer" and caller == "buyer":
            continue  # it would make the buyer an organizer, but this one must stay a buyer
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        response = shop.http.request(route.method, path, headers=headers, content=content)
        if caller in MAY_CALL[route.access]:
            assert response.status_code not in (401, 403, 500), (caller, response.text)
        elif caller in ("buyer", "organizer"):
            problem(response, 403, "forbidden")
        else:
            assert problem(response, 401, "unauthorized")["field"] == "Authorization"
            # A browser asks its user for a password only if the first challenge is one that it knows.
            scheme = "Basic" if route.access == Access.OPERATOR else "Bearer"
            assert response.headers["www-authenticate"].startswith(f"{scheme} ")


# --- anything

WRITES = [one for one in ROUTES if one.body is not None]


def anything() -> st.SearchStrategy[Any]:
    scalar = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=40)
        | st.just(ID)
        | st.sampled_from(["2030-05-01T20:00:00Z", "A-1", "EUR", "seated", "tok_ok", "ada@example.org"])
    )
    fields = {name for route in WRITES if route.body is not None for name in route.body.__struct_fields__}
    names = st.sampled_from([*sorted(fields), "amount", "currency", "kind", "rows", "other"])
    return st.recursive(
        scalar, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=8), max_leaves=20
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=st.sampled_from(WRITES), body=anything(), key=st.text("abc~!", max_size=5))
def test_no_body_is_ever_a_500(shop: Shop, event: OnSale, route: Route, body: Any, key: str) -> None:
    path = re.sub(r"<\w+>", event.id, route.path)
    headers = event.organizer.headers | {"idempotency-key": key}
    response = shop.http.request(route.method, path, headers=headers, json=body)
    assert response.status_code < 500, (route.name, body, response.text)
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code


def test_forged_commands_on_the_topic_stop_nothing(
    running: tuple[Platform, Shop], event: OnSale, buyer: Person
) -> None:
    """The last test here, since no checker accepts the records that it leaves on the log. test_postgres.py checks their
    effects."""
    platform, shop = running
    alive, town = platform.supervisor.pids(), HostileTown(77)
    town.run(300)
    writer = kafka.producer(platform.settings)
    place = partition_of(TOWN, platform.settings.partitions)
    for record in town.records:
        writer.produce(COMMANDS, record, TOWN.encode(), place)
    assert writer.flush(20) == 0
    letters = sum(town.refused.values())
    assert min(letters, len(town.records) - letters) > 20
    hold = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1, prefer="wait=20"), 201)
    done(buyer.confirm(hold["id"]), 200)
    wait_until_settled(platform.settings, timeout_s=30)
    assert len(dead_letters_of(platform)) >= letters
    mine = shop.organizer()
    for path in ("/v1/events?limit=100&q=title", "/v1/events?limit=100", "/readyz"):
        assert mine.get(path).status_code == 200, path
    assert shop.event(mine).id, "and everything goes on"
    assert platform.supervisor.pids() == alive, "a process has died"


def dead_letters_of(platform: Platform) -> list[Any]:
    client = reader(platform.settings)
    try:
        return list(records(client, dead_letters(COMMANDS), 0))
    finally:
        client.close()
