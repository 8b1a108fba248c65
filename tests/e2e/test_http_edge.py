"""The needs of browsers, caches and clocks: HEAD, ETag, gzip, Date and now, other origins, tickets for streams."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest

from api.fairness.limits import STREAM_TICKET_TTL_S
from api.routes.table import ROUTES
from ops.run.platform import Platform
from tests.harness.shop import OnSale, Person, Shop, done, open_shop, problem

ORIGIN = "https://tickets.example.org"
ID = "8a7f1f0e-5a7a-4a8e-9f0a-0123456789ab"
VARIES = {"date", "content-length", "transfer-encoding"}  # they differ by the second, or a stream has none


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Platform, Shop]]:
    with open_shop(CIRCLE_CORS_ORIGINS=f"{ORIGIN}, http://127.0.0.1:3000") as running:
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


# --- HEAD


def test_head_is_answered_as_get_on_every_route_that_has_it(shop: Shop, event: OnSale) -> None:
    ids = {"event_id": event.id, "kind": "sold-out"}
    streams = 0
    for route in (route for route in ROUTES if route.method == "GET"):
        path = re.sub(r"<(\w+)>", lambda match: ids.get(match[1], ID), route.path)
        headers = event.organizer.headers if route.access.value != "operator" else shop.operator
        head = shop.http.head(path, headers=headers)
        assert head.content == b"", route.name
        with shop.http.stream("GET", path, headers=headers) as got:
            assert got.status_code == head.status_code, route.name
            assert set(got.headers) == set(head.headers), route.name
            if route.media_type == "text/event-stream":
                assert (head.status_code, "content-length" in head.headers) == (200, False)
                streams += 1
            elif route.path not in ("/metrics", "/readyz") and "now" not in got.read().decode("latin-1"):
                assert got.headers.get("content-length") == head.headers.get("content-length"), route.name
                same = set(got.headers) - VARIES
                assert {name: got.headers[name] for name in same} == {name: head.headers[name] for name in same}
    assert streams == 4
    assert shop.http.head("/nowhere").status_code == 404
    refused = shop.http.head("/v1/auth/login")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


# --- clocks


def test_every_answer_says_when_it_was_made_and_countdowns_say_it_to_the_millisecond(
    shop: Shop, event: OnSale, buyer: Person
) -> None:
    hold = buyer.reserve(event.id, ticket_type_id=event.general, quantity=1)
    answers = [
        hold,
        buyer.get(f"/v1/reservations/{done(hold, 201)['id']}"),
        shop.http.get(f"/v1/events/{event.id}"),
        shop.http.get(f"/v1/events/{event.id}/availability"),
    ]
    for answer in answers:
        now = datetime.fromisoformat(answer.json()["now"])
        assert abs((datetime.now(UTC) - now).total_seconds()) < 5
        assert abs((parsedate_to_datetime(answer.headers["date"]) - now).total_seconds()) <= 2
    listed = done(buyer.get("/v1/reservations"), 200)["items"] + done(shop.http.get("/v1/events"), 200)["items"]
    assert all("now" not in one for one in listed)
    for refused in (shop.http.get("/nowhere"), shop.http.put("/v1/events"), shop.http.get("/v1/users/me")):
        assert refused.headers["date"]


# --- caches


@pytest.mark.parametrize("path", ["/v1/events/{}", "/v1/events/{}/availability", "/v1/events/{}/seats", "/v1/events",
                                  "/v1/events/{}/ticket-types", "/openapi.json", "/docs"])  # fmt: skip
def test_what_is_known_is_not_sent_again_and_what_has_changed_is(
    shop: Shop, event: OnSale, path: str, buyer: Person
) -> None:
    path = path.format(event.id)
    first = shop.http.get(path)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    assert re.fullmatch(r'W/"[0-9a-f]{32}"', tag)
    known = shop.http.get(path, headers={"if-none-match": f'"other", {tag}'})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    assert "content-length" not in known.headers
    assert known.headers["date"]
    private = buyer.get(path)
    if path.startswith("/v1"):
        assert private.headers["cache-control"] == "private, no-cache"
        assert "authorization" in private.headers["vary"]


def test_a_seat_that_is_taken_changes_the_tag_of_the_seats_and_of_availability(
    shop: Shop, event: OnSale, buyer: Person
) -> None:
    paths = [f"/v1/events/{event.id}/availability", f"/v1/events/{event.id}/seats"]
    tags = [shop.http.get(path).headers["etag"] for path in paths]
    done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=1), 201)
    for path, tag in zip(paths, tags, strict=True):
        assert shop.http.get(path, headers={"if-none-match": tag}).status_code == 200


def test_large_answers_are_compressed_for_those_who_take_it(shop: Shop, event: OnSale) -> None:
    for path in ("/openapi.json", "/docs", f"/v1/events/{event.id}/seats"):
        with shop.http.stream("GET", path, headers={"accept-encoding": "identity"}) as plain:
            whole = plain.read()
            assert "content-encoding" not in plain.headers
        with shop.http.stream("GET", path, headers={"accept-encoding": "gzip"}) as small:
            raw = b"".join(small.iter_raw())
        assert small.headers["content-encoding"] == "gzip"
        assert int(small.headers["content-length"]) == len(raw) < len(whole) / 2
        assert gzip.decompress(raw) == whole
        assert small.headers["etag"] == plain.headers["etag"]
        assert "accept-encoding" in small.headers["vary"]
        assert "accept-encoding" in plain.headers["vary"]


def test_what_is_private_is_neither_kept_nor_compressed(shop: Shop, buyer: Person) -> None:
    for path in ("/v1/users/me", "/v1/reservations", "/v1/notifications", "/v1/tickets"):
        answer = buyer.get(path, headers={"accept-encoding": "gzip"})
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "content-encoding" not in answer.headers
        assert "etag" not in answer.headers


# --- other origins


def test_a_page_of_a_named_origin_may_call_and_read(shop: Shop, event: OnSale, buyer: Person) -> None:
    path = f"/v1/events/{event.id}/reservations"
    asked = shop.http.options(
        path,
        headers={"origin": ORIGIN, "access-control-request-method": "POST",
                 "access-control-request-headers": "authorization,idempotency-key"},
    )  # fmt: skip
    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in asked.headers["access-control-allow-methods"]
    allowed = {name.strip() for name in asked.headers["access-control-allow-headers"].split(",")}
    assert allowed >= {"authorization", "content-type", "idempotency-key", "prefer"}
    assert "access-control-allow-credentials" not in asked.headers
    held = buyer.reserve(event.id, ticket_type_id=event.general, quantity=1)
    assert "access-control-allow-origin" not in held.headers, "no origin was named"
    for answer in (
        buyer.get("/v1/users/me", headers={"origin": ORIGIN}),
        shop.http.get("/nowhere", headers={"origin": ORIGIN}),
    ):
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
        assert exposed >= {"location", "retry-after", "circle-receipt", "etag", "idempotency-replayed"}
        assert "origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://tickets.example.org", f"{ORIGIN}.evil", "*"]
)
def test_a_page_of_another_origin_may_not(shop: Shop, origin: str) -> None:
    for answer in (
        shop.http.options("/v1/events", headers={"origin": origin, "access-control-request-method": "POST"}),
        shop.http.get("/v1/events", headers={"origin": origin}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert "origin" in answer.headers["vary"], "a cache must not give it to the other one"
    problem(shop.http.options("/v1/events", headers={"origin": origin}), 405, "method-not-allowed")


# --- tickets for streams


def ticket_for(person: Person, path: str) -> str:
    answer = done(person.post("/v1/streams/tickets", json={"path": path}), 201)
    assert answer["expires_in"] == STREAM_TICKET_TTL_S
    return str(answer["ticket"])


def opened(shop: Shop, path: str, **query: str) -> int:
    with shop.http.stream("GET", path, params=query) as stream:
        if stream.status_code == 200:
            assert next(stream.iter_lines()) == "retry: 2000"
        else:
            stream.read()
            problem(
                httpx.Response(stream.status_code, headers=stream.headers, content=stream.content), 401, "unauthorized"
            )
        return stream.status_code


def test_a_ticket_opens_the_stream_that_it_is_for_once(shop: Shop, event: OnSale, buyer: Person) -> None:
    own, seats = "/v1/notifications/stream", f"/v1/events/{event.id}/stream"
    ticket = ticket_for(buyer, own)
    assert opened(shop, own, ticket=ticket) == 200
    assert opened(shop, own, ticket=ticket) == 401, "it was used"
    assert opened(shop, seats, ticket=ticket_for(buyer, own)) == 401, "it is for another one"
    assert opened(shop, seats, ticket=ticket_for(buyer, seats)) == 200
    assert (
        opened(
            shop,
            seats.upper().replace("/V1/EVENTS", "/v1/events").replace("STREAM", "stream"),
            ticket=ticket_for(buyer, seats),
        )
        == 200
    )
    assert opened(shop, own, ticket="no ticket") == 401
    assert opened(shop, own, ticket=buyer.access_token) == 401, "an access token is no ticket"
    problem(
        shop.http.get("/v1/users/me", headers={"authorization": f"Bearer {ticket_for(buyer, own)}"}),
        401,
        "unauthorized",
    )
    refused = problem(buyer.post("/v1/streams/tickets", json={"path": "/v1/users/me"}), 422, "invalid-request")
    assert refused["field"] == "path"


def test_of_many_who_show_one_ticket_at_once_one_gets_in(shop: Shop, buyer: Person) -> None:
    ticket = ticket_for(buyer, "/v1/notifications/stream")
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: opened(shop, "/v1/notifications/stream", ticket=ticket), range(8)))
    assert sorted(statuses) == [200] + [401] * 7


def test_a_ticket_ends_with_its_session(shop: Shop) -> None:
    person = shop.person()
    ticket = ticket_for(person, "/v1/notifications/stream")
    shop.http.post("/v1/auth/logout", json={"refresh_token": person.refresh_token})
    assert opened(shop, "/v1/notifications/stream", ticket=ticket) == 401


def test_a_stream_by_ticket_goes_on_behind_the_last_id(shop: Shop, event: OnSale, buyer: Person) -> None:
    done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    query = {"ticket": ticket_for(buyer, "/v1/notifications/stream"), "last_event_id": "start"}
    with shop.http.stream("GET", "/v1/notifications/stream", params=query) as stream:
        message = next(
            json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: ")
        )
    assert message["kind"]


def test_no_ticket_is_ever_in_a_log(running: tuple[Platform, Shop], buyer: Person) -> None:
    platform, shop = running
    ticket = ticket_for(buyer, "/v1/notifications/stream")
    assert opened(shop, "/v1/notifications/stream", ticket=ticket) == 200
    assert opened(shop, "/v1/notifications/stream", ticket=ticket) == 401
    logs = [path.read_text(errors="replace") for path in platform.logs.glob("api*")]
    assert logs
    assert not any(ticket[:60] in text or "stream?ticket" in text for text in logs)
