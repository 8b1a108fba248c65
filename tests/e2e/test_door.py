"""Tickets and the door over HTTP: documents of a ticket, codes that hold without a network."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import icalendar
import pypdfium2
import pytest
from PIL import Image

from ops.cli.main import run
from tests.harness.shop import OnSale, Person, Shop, done, open_shop, problem
from tests.unit.api.documents.tickets import scanned

DOCUMENTS = ("qr.svg", "qr.png", "ticket.pdf", "ticket.ics")


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with open_shop() as (_, shop):
        yield shop


@pytest.fixture(scope="module")
def organizer(shop: Shop) -> Person:
    return shop.organizer()


@pytest.fixture(scope="module")
def event(shop: Shop, organizer: Person) -> OnSale:
    return shop.event(organizer, title="Żywa muzyka 東京", max_tickets_per_user=100)


@pytest.fixture(scope="module")
def buyer(shop: Shop) -> Person:
    return shop.person()


def bought(buyer: Person, event: OnSale, quantity: int = 1, *, ticket_type: str | None = None) -> list[dict[str, Any]]:
    """Tickets of the buyer's, paid for, as `GET /v1/tickets/{id}` shows them."""
    held = done(buyer.reserve(event.id, ticket_type_id=ticket_type or event.seated, quantity=quantity), 201)
    tickets = done(buyer.confirm(held["id"]), 200)["tickets"]
    return [done(buyer.get(f"/v1/tickets/{ticket['id']}"), 200) for ticket in tickets]


def document(person: Person, ticket: dict[str, Any], name: str, media_type: str) -> bytes:
    """A document of a ticket, after its headers were as they should be."""
    response = person.get(f"/v1/tickets/{ticket['id']}/{name}")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == media_type
    assert response.headers["cache-control"] == "private, no-store"
    assert ticket["id"] in response.headers["content-disposition"]
    return response.content


# --- a ticket's documents


def test_the_code_is_scanned_off_every_picture_of_it(buyer: Person, event: OnSale) -> None:
    (ticket,) = bought(buyer, event)
    png = Image.open(BytesIO(document(buyer, ticket, "qr.png", "image/png")))
    assert scanned(png) == [ticket["code"]]
    assert document(buyer, ticket, "qr.svg", "image/svg+xml").startswith(b"<?xml")
    with pypdfium2.PdfDocument(document(buyer, ticket, "ticket.pdf", "application/pdf")) as printed:
        assert len(printed) == 1
        assert scanned(printed[0].render(scale=2).to_pil()) == [ticket["code"]]
        text = printed[0].get_textpage().get_text_range()
    assert f"Seat {ticket['seat']}" in text
    assert "Żywa muzyka 東京" in text
    assert "Wednesday, 1 May 2030, 20:00" in text


def test_the_calendar_entry_follows_the_event(buyer: Person, event: OnSale, organizer: Person) -> None:
    (ticket,) = bought(buyer, event, ticket_type=event.general)

    def entry() -> icalendar.Event:
        data = document(buyer, ticket, "ticket.ics", "text/calendar; charset=utf-8")
        assert ticket["code"].encode() not in data.replace(b"\r\n ", b"")
        return icalendar.Calendar.from_ical(data).walk("VEVENT")[0]

    first = entry()
    assert (first["uid"], first["summary"], first["status"]) == (ticket["id"], "Żywa muzyka 東京", "CONFIRMED")
    assert first["dtstart"].dt.isoformat() == "2030-05-01T20:00:00+02:00"
    done(organizer.call("PATCH", f"/v1/events/{event.id}", json={"venue": "Garden"}, prefer="wait=20"), 200)
    second = entry()
    assert (second["uid"], second["location"]) == (ticket["id"], "Garden")
    assert second["sequence"] > first["sequence"]
    done(buyer.delete(f"/v1/reservations/{ticket['reservation_id']}", prefer="wait=20"), 200)
    third = entry()
    assert (third["uid"], third["status"]) == (ticket["id"], "CANCELLED")
    assert third["sequence"] > second["sequence"]


def test_a_void_ticket_has_no_code_to_show(buyer: Person, event: OnSale) -> None:
    (ticket,) = bought(buyer, event, ticket_type=event.general)
    done(buyer.delete(f"/v1/reservations/{ticket['reservation_id']}", prefer="wait=20"), 200)
    for name in DOCUMENTS[:3]:
        problem(buyer.get(f"/v1/tickets/{ticket['id']}/{name}"), 409, "ticket-void")


def test_nobody_elses_ticket_is_drawn(shop: Shop, buyer: Person, organizer: Person, event: OnSale) -> None:
    (ticket,) = bought(buyer, event, ticket_type=event.general)
    for name in DOCUMENTS:
        for person in (shop.person(), organizer):
            problem(person.get(f"/v1/tickets/{ticket['id']}/{name}"), 404, "not-found")
        problem(shop.http.get(f"/v1/tickets/{ticket['id']}/{name}"), 401, "unauthorized")
        problem(buyer.get(f"/v1/tickets/{event.id}/{name}"), 404, "not-found")


def test_a_code_holds_with_the_keys_that_the_platform_serves(
    shop: Shop, buyer: Person, event: OnSale, capsys: pytest.CaptureFixture[str]
) -> None:
    (ticket,) = bought(buyer, event)
    assert run(["tickets", "verify", ticket["code"], "--jwks", f"{shop.url}/.well-known/jwks.json"]) == 0
    said = f"signed: ticket {ticket['id']}, event {event.id}, seat {ticket['seat']}, version 1\n"
    assert capsys.readouterr().out == said
