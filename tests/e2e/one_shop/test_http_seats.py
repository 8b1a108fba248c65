"""The seat map over HTTP: the same shape, tag and headers as one answer and section by section."""

from __future__ import annotations

import gzip
import socket
from typing import Any

import msgspec
import pytest

from api.fairness.limits import CLAIMS_AT_ONCE, INLINE_BYTES_MAX
from api.shapes.events import SeatsOut
from pipelines.reservations.core.limits import BLOCK_SEATS_MAX
from tests.harness.shop import EVENT, GENERAL, SEATED, OnSale, Shop, done

ARENA = SEATED | {"name": "Aréna", "layout": {"kind": "seated", "rows": 50, "seats_per_row": 400}}


@pytest.fixture(scope="module")
def small(shop: Shop) -> OnSale:
    return shop.event(shop.organizer())


@pytest.fixture(scope="module")
def large(shop: Shop) -> OnSale:
    """With a section of 20,000 seats behind the small one."""
    event = shop.event(shop.organizer())
    add(event, ARENA)
    return event


def add(event: OnSale, ticket_type: dict[str, Any]) -> str:
    path = f"/v1/events/{event.id}/ticket-types"
    added: str = done(event.organizer.post(path, prefer="wait=20", json=ticket_type), 201)["id"]
    return added


def raw(shop: Shop, path: str, **headers: str) -> tuple[Any, bytes]:
    """The answer and its body as it was sent."""
    with shop.http.stream("GET", path, headers=headers) as response:
        return response, b"".join(response.iter_raw())


@pytest.mark.parametrize("which", ["small", "large"])
def test_the_map_is_its_shape_in_json_and_says_where_it_comes_from(
    shop: Shop, which: str, request: pytest.FixtureRequest
) -> None:
    event: OnSale = request.getfixturevalue(which)
    held = done(shop.person().reserve(event.id, ticket_type_id=event.seated, quantity=1), 201)
    answer, body = raw(shop, f"/v1/events/{event.id}/seats", **{"accept-encoding": "identity"})
    assert (len(body) > INLINE_BYTES_MAX) is (which == "large")
    found = msgspec.json.decode(body, type=SeatsOut)
    assert msgspec.json.encode(found) == body
    assert answer.headers["content-type"] == "application/json"
    assert (found.event_id, found.source, found.position, found.time) == (event.id, "redis", None, None)
    sizes = [(one.name, one.rows, one.seats_per_row, len(one.seats)) for one in found.items]
    assert sizes == [("Stalls", 4, 10, 40), ("Aréna", 50, 400, 20_000)][: len(sizes)]
    assert {seat.seat: str(seat.status) for seat in found.items[0].seats}[held["seats"][0]] == "held"


@pytest.mark.parametrize("which", ["small", "large"])
def test_head_and_gzip_say_the_same(shop: Shop, which: str, request: pytest.FixtureRequest) -> None:
    path = f"/v1/events/{request.getfixturevalue(which).id}/seats"
    for coding in ("identity", "gzip"):
        answer, body = raw(shop, path, **{"accept-encoding": coding})
        head = shop.http.head(path, headers={"accept-encoding": coding})
        assert (head.status_code, head.content) == (200, b"")
        for name in ("etag", "cache-control", "vary", "content-type", "content-length"):
            assert head.headers[name] == answer.headers[name], name
        assert int(answer.headers["content-length"]) == len(body)
        assert answer.headers.get("content-encoding", "identity") == coding
    plain = raw(shop, path, **{"accept-encoding": "identity"})[1]
    assert gzip.decompress(body) == plain
    assert len(body) < len(plain) / 3


def test_one_seat_makes_another_tag_and_what_is_known_is_not_sent_again(shop: Shop, large: OnSale) -> None:
    path = f"/v1/events/{large.id}/seats"
    tag = shop.http.get(path).headers["etag"]
    assert tag == shop.http.get(path).headers["etag"]
    known = shop.http.get(path, headers={"if-none-match": tag})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    buyer = shop.person()
    held = done(buyer.reserve(large.id, ticket_type_id=large.seated, quantity=1), 201)
    changed = shop.http.get(path, headers={"if-none-match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    done(buyer.delete(f"/v1/reservations/{held['id']}", prefer="wait=20"), 200)
    assert shop.http.get(path).headers["etag"] == tag, "the seats are as they were"


def test_a_hidden_section_is_sent_to_who_may_see_it_only(shop: Shop) -> None:
    event = shop.event(shop.organizer())
    add(event, ARENA | {"hidden": True})
    path = f"/v1/events/{event.id}/seats"
    public, own = shop.http.get(path), event.organizer.get(path)
    assert [one["name"] for one in public.json()["items"]] == ["Stalls"]
    assert [one["name"] for one in own.json()["items"]] == ["Stalls", "Aréna"]
    assert public.headers["etag"] != own.headers["etag"]
    assert own.headers["cache-control"] == "private, no-cache"
    assert "authorization" in own.headers["vary"]


def test_a_large_event_shows_each_of_thousands_of_seats_that_are_taken(shop: Shop) -> None:
    event = shop.event(shop.organizer())
    arena = add(event, ARENA)
    taken = [f"{row}-{number}" for row in "ABCDEFGHIJKL" for number in range(1, 401)]
    assert len(taken) > 2 * CLAIMS_AT_ONCE
    for start in range(0, len(taken), BLOCK_SEATS_MAX):
        block = {"ticket_type_id": arena, "seats": taken[start : start + BLOCK_SEATS_MAX]}
        done(event.organizer.post(f"/v1/events/{event.id}/blocks", prefer="wait=20", json=block), 201)
    found = {one["ticket_type_id"]: one for one in done(shop.http.get(f"/v1/events/{event.id}/seats"), 200)["items"]}
    blocked = [one["seat"] for one in found[arena]["seats"] if one["status"] == "blocked"]
    assert blocked == taken
    assert {one["status"] for one in found[event.seated]["seats"]} == {"available"}


def test_an_event_without_numbered_seats_has_no_sections(shop: Shop) -> None:
    organizer = shop.organizer()
    event = shop.event(organizer)
    bare = done(organizer.post("/v1/events", prefer="wait=20", json=EVENT), 201)["id"]
    done(organizer.post(f"/v1/events/{bare}/ticket-types", prefer="wait=20", json=GENERAL), 201)
    assert done(organizer.get(f"/v1/events/{bare}/seats"), 200)["items"] == []
    assert len(done(organizer.get(f"/v1/events/{event.id}/seats"), 200)["items"]) == 1


def test_the_seats_as_they_were_have_the_same_shape(shop: Shop, large: OnSale) -> None:
    held = done(shop.person().reserve(large.id, ticket_type_id=large.seated, quantity=1), 201)
    at = "-".join(str(part) for part in held["position"].values())
    for coding in ("identity", "gzip"):
        path = f"/v1/events/{large.id}/seats?at={at}"
        answer, body = raw(shop, path, **{"accept-encoding": coding})
        found = msgspec.json.decode(gzip.decompress(body) if coding == "gzip" else body, type=SeatsOut)
        assert answer.headers["cache-control"] == "no-store"
        assert (found.source, found.position is not None, found.time is not None) == ("log", True, True)
        assert [len(one.seats) for one in found.items] == [40, 20_000]
        assert {seat.seat: str(seat.status) for seat in found.items[0].seats}[held["seats"][0]] == "held"


def test_who_reads_slowly_has_all_of_it_in_the_end(shop: Shop, large: OnSale) -> None:
    whole = raw(shop, f"/v1/events/{large.id}/seats", **{"accept-encoding": "identity"})[1]
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", int(shop.url.rpartition(":")[2])))
        request = f"GET /v1/events/{large.id}/seats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        found = b""
        while chunk := connection.recv(2_048):
            found += chunk
    assert found.partition(b"\r\n\r\n")[2] == whole
