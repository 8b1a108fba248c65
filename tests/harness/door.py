"""A door over HTTP: bought tickets, staff, scans, live messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.harness.shop import OnSale, Person, done, unique


def bought(buyer: Person, event: OnSale, quantity: int = 1, *, ticket_type: str | None = None) -> list[dict[str, Any]]:
    """Paid tickets of the buyer, as `GET /v1/tickets/{id}` shows them."""
    held = done(buyer.reserve(event.id, ticket_type_id=ticket_type or event.seated, quantity=quantity), 201)
    tickets = done(buyer.confirm(held["id"]), 200)["tickets"]
    return [done(buyer.get(f"/v1/tickets/{ticket['id']}"), 200) for ticket in tickets]


def employed(event: OnSale, person: Person) -> Person:
    """The person, now invited and accepted as staff of the event."""
    done(event.organizer.post(f"/v1/events/{event.id}/staff", json={"user": person.email}, prefer="wait=20"), 201)
    done(person.post(f"/v1/invitations/{event.id}/accept", prefer="wait=20"), 200)
    return person


def handed_on(giver: Person, ticket: dict[str, Any], taker: Person) -> None:
    """The ticket after its transfer: the taker got the offer and has accepted it."""
    path = f"/v1/tickets/{ticket['id']}/transfer"
    offer = done(giver.post(path, json={"to": taker.email}, prefer="wait=20"), 200)
    done(taker.post(f"/v1/transfers/{offer['transfer_id']}/accept", prefer="wait=20"), 200)


def projected(event: OnSale) -> None:
    """Returns when everything decided so far can be read: the organizer's next write comes after it."""
    done(event.organizer.call("PATCH", f"/v1/events/{event.id}", json={"description": unique()}, prefer="wait=20"), 200)


def scan(person: Person, event: OnSale, ticket: dict[str, Any], **body: Any) -> httpx.Response:
    path = f"/v1/events/{event.id}/check-ins"
    return person.post(path, json={"code": ticket["code"]} | body, prefer="wait=20")


@contextmanager
def event_stream(person: Person, event: OnSale, name: str = "check-ins") -> Iterator[Iterator[dict[str, Any]]]:
    """The data of the events of one name on an event's live stream; only the door sees check-ins."""
    with person.http.stream("GET", f"/v1/events/{event.id}/stream", headers=person.headers, timeout=20) as response:

        def news() -> Iterator[dict[str, Any]]:
            told = ""
            for line in response.iter_lines():
                told = line.removeprefix("event: ") if line.startswith("event: ") else told
                assert name == "check-ins" or told != "check-ins"
                if line.startswith("data: ") and told == name:
                    yield json.loads(line.removeprefix("data: "))

        yield news()


def told(person: Person, kind: str) -> str:
    """The ticket of a person's notification of this kind, as soon as it is there."""
    with person.http.stream("GET", "/v1/notifications/stream", headers=person.headers, timeout=20) as response:
        lines = response.iter_lines()
        next(lines)  # from here on the stream brings the messages that the list does not have yet
        for one in done(person.get("/v1/notifications"), 200)["items"]:
            if one["kind"] == kind:
                return str(one["data"]["ticket_id"])
        name = ""
        for line in lines:
            name = line.removeprefix("event: ") if line.startswith("event: ") else name
            if line.startswith("data: ") and name == kind:
                return str(json.loads(line.removeprefix("data: "))["data"]["ticket_id"])
    raise AssertionError("the stream ended")
