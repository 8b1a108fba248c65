"""Tickets and the door over HTTP: documents, codes that can be checked offline, check-ins, transferred tickets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import icalendar
import pypdfium2
import pytest
from PIL import Image

from api.auth.keys import KeyRing
from api.ticket_codes import TicketCodes
from ops.cli.main import run
from tests.harness.door import bought, employed, event_stream, handed_on, projected, scan, told
from tests.harness.flows import eventually
from tests.harness.shop import OnSale, Person, Shop, done, problem
from tests.unit.pipelines.documents.tickets import scanned

DOCUMENTS = ("qr.svg", "qr.png", "ticket.pdf", "ticket.ics")


@pytest.fixture(scope="module")
def organizer(shop: Shop) -> Person:
    return shop.organizer()


@pytest.fixture(scope="module")
def event(shop: Shop, organizer: Person) -> OnSale:
    return shop.event(organizer, title="Żywa muzyka 東京", max_tickets_per_user=100)


@pytest.fixture(scope="module")
def buyer(shop: Shop) -> Person:
    return shop.person()


def document(person: Person, ticket: dict[str, Any], name: str, media_type: str) -> bytes:
    """A document of a ticket, after a check of its headers."""
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


# --- the door


@pytest.fixture(scope="module")
def staff(shop: Shop, event: OnSale) -> Person:
    return employed(event, shop.person())


def test_the_first_scan_wins_and_the_second_says_when_and_where_it_was(
    staff: Person, organizer: Person, buyer: Person, event: OnSale
) -> None:
    (ticket,) = bought(buyer, event)
    response = scan(staff, event, ticket, gate="North")
    first = done(response, 201)
    assert (first["outcome"], first["ticket_id"], first["seat"]) == ("accepted", ticket["id"], ticket["seat"])
    assert first["scanned"]["gate"] == "North"
    second = problem(scan(organizer, event, ticket, gate="South"), 409, "already-checked-in")
    assert second["first"] == first["scanned"]
    assert second["scanned"]["gate"] == "South"
    assert second["ticket_id"] == ticket["id"]
    assert " at North" in second["detail"]
    assert first["scanned"]["at"][:19] in second["detail"]
    seen = done(staff.get(response.headers["location"]), 200)
    assert (seen["ticket_id"], seen["checked_in"]) == (ticket["id"], first["scanned"])


def test_of_many_scans_at_the_same_moment_exactly_one_lets_in(
    staff: Person, organizer: Person, buyer: Person, event: OnSale
) -> None:
    (ticket,) = bought(buyer, event)

    def at(number: int) -> tuple[int, str]:
        response = scan((staff, organizer)[number % 2], event, ticket, gate=f"Gate {number}")
        body = response.json()
        return response.status_code, body["scanned"]["gate"] if response.status_code == 201 else body["first"]["gate"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(at, range(8)))
    (winner,) = (gate for status, gate in answers if status == 201)
    assert sorted(status for status, _ in answers) == [201] + [409] * 7
    assert {gate for _, gate in answers} == {winner}


def test_the_same_scan_sent_again_is_the_same_scan(staff: Person, buyer: Person, event: OnSale) -> None:
    (ticket,) = bought(buyer, event)
    for _ in range(2):
        assert done(scan(staff, event, ticket, gate="North", scanned_at="2030-05-01T17:00:00.25Z"), 201)
    problem(scan(staff, event, ticket, gate="North"), 409, "already-checked-in")


def test_a_check_in_is_taken_back(staff: Person, organizer: Person, buyer: Person, event: OnSale) -> None:
    (ticket,) = bought(buyer, event)
    path = f"/v1/events/{event.id}/check-ins/{ticket['id']}"
    problem(staff.delete(path, prefer="wait=20"), 409, "not-checked-in")
    done(scan(staff, event, ticket), 201)
    assert done(staff.delete(path, prefer="wait=20"), 200)["checked_in"] is None
    projected(event)
    assert done(staff.get(path), 200)["checked_in"] is None
    done(scan(staff, event, ticket, gate="East"), 201)
    projected(event)
    record = done(staff.get(f"/v1/events/{event.id}/check-ins?ticket_id={ticket['id']}"), 200)["items"]
    assert [(one["kind"], one["inside"], one["by_user_id"]) for one in record] == [
        ("accepted", True, staff.id), ("reversed", False, staff.id), ("accepted", False, staff.id),
    ]  # fmt: skip


def test_every_refusal_has_its_own_reason(
    shop: Shop, staff: Person, organizer: Person, buyer: Person, event: OnSale
) -> None:
    other = shop.event(organizer)
    (elsewhere,) = bought(buyer, other, ticket_type=other.general)
    (void,) = bought(buyer, event, ticket_type=event.general)
    done(buyer.delete(f"/v1/reservations/{void['reservation_id']}", prefer="wait=20"), 200)
    forged = TicketCodes(KeyRing.load(None)).sign(void["id"], event.id, "")
    problem(scan(staff, event, elsewhere), 409, "ticket-of-other-event")
    problem(scan(staff, event, void), 409, "ticket-void")
    problem(scan(staff, event, {"code": forged}), 409, "ticket-code-forged")
    problem(scan(staff, event, {"code": "nonsense"}), 422, "ticket-code-malformed")


def test_the_door_refuses_the_tickets_of_a_cancelled_event(shop: Shop, organizer: Person, buyer: Person) -> None:
    event = shop.event(organizer)
    (ticket,) = bought(buyer, event, ticket_type=event.general)
    (given,) = bought(buyer, event, ticket_type=event.general)
    grace = shop.person()
    handed_on(buyer, given, grace)
    done(organizer.post(f"/v1/events/{event.id}/cancel", json={"reason": "rain"}, prefer="wait=20"), 200)
    problem(scan(organizer, event, ticket), 409, "event-cancelled")
    checked = done(organizer.post("/v1/tickets/validate", json={"code": ticket["code"]}), 200)
    assert (checked["valid"], checked["reason"]) == (False, "event-cancelled")

    def news(person: Person) -> list[str]:
        return [one["kind"] for one in done(person.get("/v1/notifications"), 200)["items"]]

    eventually(lambda: "event.cancelled" in news(grace), "whoever was handed a ticket is told")
    eventually(lambda: news(buyer).count("payment.refunded") >= 2, "both are paid back")


def test_a_code_is_validated_without_checking_in(
    staff: Person, organizer: Person, buyer: Person, event: OnSale
) -> None:
    (ticket,) = bought(buyer, event)
    for person in (staff, organizer):
        found = done(person.post("/v1/tickets/validate", json={"code": ticket["code"]}), 200)
        assert (found["valid"], found["checked_in"]) == (True, None)
    first = done(scan(staff, event, ticket, gate="North"), 201)
    projected(event)
    found = done(staff.post("/v1/tickets/validate", json={"code": ticket["code"]}), 200)
    assert (found["valid"], found["reason"]) == (False, "already-checked-in")
    assert found["checked_in"] == first["scanned"]
    assert done(buyer.get(f"/v1/tickets/{ticket['id']}"), 200)["checked_in_at"] == first["scanned"]["at"]


def test_a_devices_scans_are_merged_and_double_entries_named(
    staff: Person, organizer: Person, buyer: Person, event: OnSale
) -> None:
    fresh, twice, online = bought(buyer, event, 3)
    live = done(scan(staff, event, online, gate="North"), 201)
    scans = [
        {"code": twice["code"], "scanned_at": "2030-05-01T17:05:00Z", "gate": "South"},
        {"code": fresh["code"], "scanned_at": "2030-05-01T17:04:00Z", "gate": "West"},
        {"code": twice["code"], "scanned_at": "2030-05-01T17:03:00Z", "gate": "West"},
        {"code": online["code"], "scanned_at": "2030-05-01T17:02:00Z", "gate": "West"},
        {"code": "nonsense", "scanned_at": "2030-05-01T17:01:00Z"},
    ]

    def merge() -> dict[str, Any]:
        body = {"scanner": "tablet-2", "scans": scans}
        return done(staff.post(f"/v1/events/{event.id}/check-ins/batch", json=body, prefer="wait=20"), 200)

    merged = merge()
    assert (merged["accepted"], merged["refused"], merged["pending"]) == (2, 3, 0)
    assert [(one["outcome"], one["reason"]) for one in merged["results"]] == [
        ("refused", "already-checked-in"), ("accepted", None), ("accepted", None), ("refused", "already-checked-in"),
        ("refused", "ticket-code-malformed"),
    ]  # fmt: skip
    late, _, early, second, _ = merged["results"]
    assert early["scanned"] == {"at": "2030-05-01T17:03:00Z", "gate": "West", "scanner": "tablet-2"}
    assert (late["first"], late["scanned"]["gate"]) == (early["scanned"], "South")
    assert (second["first"], second["scanned"]["at"]) == (live["scanned"], "2030-05-01T17:02:00Z")
    again = merge()
    assert [(one["outcome"], one["reason"], one["first"]) for one in again["results"]] == [
        (one["outcome"], one["reason"], one["first"]) for one in merged["results"]
    ]


def test_each_scan_of_a_batch_has_its_own_verdict_whatever_was_scanned_and_whatever_the_clock_says(
    staff: Person, buyer: Person, event: OnSale
) -> None:
    good, trimmed, old, far, broken = bought(buyer, event, 5)
    at = "2030-05-01T17:05:00Z"
    odd = [
        "WIFI:S:My Net;;",
        "入場券",
        "BEGIN:VCARD\nFN:Ada\nEND:VCARD",
        "x" * 600,
        "",
        " ",
        "\x00\x1d",
        good["code"][:-4],
    ]
    scans = [{"code": code, "scanned_at": at} for code in odd]
    scans += [
        {"code": good["code"], "scanned_at": at, "gate": "North"},
        {"code": f"\ufeff {trimmed['code']}\r\n", "scanned_at": at, "gate": "North\x07"},
        {"code": old["code"], "scanned_at": "1970-01-01T00:00:00Z"},
        {"code": far["code"], "scanned_at": "9999-12-31T23:59:59-14:00"},
        {"code": broken["code"], "scanned_at": "0000-00-00T00:00:00Z", "gate": "West " * 40},
    ]

    def merge() -> list[dict[str, Any]]:
        path, body = f"/v1/events/{event.id}/check-ins/batch", {"scanner": "tablet-2", "scans": scans}
        results: list[dict[str, Any]] = done(staff.post(path, json=body, prefer="wait=20"), 200)["results"]
        return results

    results = merge()
    assert {one["reason"] for one in results[: len(odd)]} <= {"ticket-code-malformed", "ticket-code-forged"}
    assert [one["reason"] for one in results[: len(odd) - 1]] == ["ticket-code-malformed"] * (len(odd) - 1)
    kept = results[len(odd) :]
    assert [(one["outcome"], one["clock"]) for one in kept] == [
        ("accepted", None), ("accepted", None), *[("accepted", "implausible")] * 3,
    ]  # fmt: skip
    assert [one["scanned"]["at"][:10] for one in kept] == ["2030-05-01"] * 2 + [
        "1970-01-01",
        "9999-12-31",
        "1970-01-01",
    ]
    assert [one["scanned"]["gate"] for one in kept[:2]] == ["North"] * 2
    assert [one["outcome"] for one in merge()] == [one["outcome"] for one in results], "the same batch is the same"


def test_a_single_scan_is_trimmed_and_its_clock_noted_too(staff: Person, buyer: Person, event: OnSale) -> None:
    first, second = bought(buyer, event, 2)
    padded = {"code": f" {first['code']}\n"}
    assert done(staff.post("/v1/tickets/validate", json=padded), 200)["valid"] is True
    assert done(staff.post("/v1/tickets/validate", json={"code": "WIFI:S:My Net;;"}), 200)["reason"] == "malformed"
    assert done(scan(staff, event, padded), 201)["ticket_id"] == first["id"]
    problem(scan(staff, event, {"code": "x" * 600}), 422, "ticket-code-malformed")
    answer = done(scan(staff, event, second, scanned_at="1970-01-01T00:00:00Z"), 201)
    assert (answer["clock"], answer["outcome"]) == ("implausible", "accepted")


def test_a_batch_that_is_sent_again_after_an_undo_lets_nobody_in_again(
    staff: Person, buyer: Person, event: OnSale
) -> None:
    (ticket,) = bought(buyer, event)
    entry = {"code": ticket["code"], "scanned_at": "2030-05-01T17:05:00Z", "gate": "South"}
    body, path = {"scanner": "tablet-3", "scans": [entry]}, f"/v1/events/{event.id}/check-ins"

    def merged() -> list[Any]:
        answer = done(staff.post(f"{path}/batch", json=body, prefer="wait=20"), 200)
        return [(one["outcome"], one["reason"]) for one in answer["results"]]

    assert [merged(), merged()] == [[("accepted", None)]] * 2
    assert done(staff.delete(f"{path}/{ticket['id']}", prefer="wait=20"), 200)["checked_in"] is None
    assert merged() == [("refused", "check-in-undone")]
    projected(event)
    assert done(staff.get(f"{path}/{ticket['id']}"), 200)["checked_in"] is None
    done(scan(staff, event, ticket, gate="South"), 201)


def test_a_batch_is_bounded(staff: Person, event: OnSale) -> None:
    one = {"code": "nonsense", "scanned_at": "2030-05-01T17:05:00Z"}
    path = f"/v1/events/{event.id}/check-ins/batch"
    problem(staff.post(path, json={"scanner": "x", "scans": [one] * 201}), 422, "invalid-request")
    problem(staff.post(path, json={"scanner": "x", "scans": []}), 422, "invalid-request")
    assert done(staff.post(path, json={"scanner": "x", "scans": [one] * 200}), 200)["refused"] == 200


def test_the_record_and_the_counts_are_the_doors(shop: Shop, organizer: Person) -> None:
    event = shop.event(organizer)
    buyer = shop.person()
    staff = employed(event, shop.person())
    seated, general = bought(buyer, event, 2), bought(buyer, event, 3, ticket_type=event.general)
    path = f"/v1/events/{event.id}/check-ins"
    with event_stream(staff, event) as live:
        nobody = next(one for one in live if one["tickets"] == 5)
        assert (nobody["checked_in"], nobody["refused"], nobody["gates"]) == (0, 0, [])
        done(scan(staff, event, seated[0], gate="North"), 201)
        done(scan(staff, event, general[0], gate="North"), 201)
        done(scan(staff, event, general[1]), 201)
        problem(scan(staff, event, general[1]), 409, "already-checked-in")
        counts = next(one for one in live if (one["checked_in"], one["refused"]) == (3, 1))
    assert counts["gates"] == [{"gate": None, "checked_in": 1}, {"gate": "North", "checked_in": 2}]
    assert {one["id"]: (one["tickets"], one["checked_in"]) for one in counts["ticket_types"]} == {
        event.seated: (2, 1),
        event.general: (3, 2),
    }
    assert done(staff.get(f"{path}/counts"), 200) == counts
    pages, cursor = [], None
    while len(pages) < 9:
        page = done(staff.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {})), 200)
        pages += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [(one["kind"], one["ticket_id"], one["reason"]) for one in pages] == [
        ("refused", general[1]["id"], "already-checked-in"),
        ("accepted", general[1]["id"], None),
        ("accepted", general[0]["id"], None),
        ("accepted", seated[0]["id"], None),
    ]
    assert pages[0]["first"] == pages[1]["scanned"]
    inside = done(staff.get(f"{path}?kind=inside"), 200)["items"]
    assert [one["ticket_id"] for one in inside] == [one["ticket_id"] for one in pages[1:]]
    assert [one["kind"] for one in done(staff.get(f"{path}?kind=refused"), 200)["items"]] == ["refused"]


def test_the_organizer_says_who_works_at_the_door(shop: Shop, organizer: Person, buyer: Person) -> None:
    event = shop.event(organizer)
    path = f"/v1/events/{event.id}/staff"
    (ticket,) = bought(buyer, event, ticket_type=event.general)
    grace, hedy = shop.person(), shop.person()
    for person in (grace, hedy, grace):
        done(organizer.post(path, json={"user": person.id}, prefer="wait=20"), 201)
    assert {one["status"] for one in done(organizer.get(path), 200)["items"]} == {"invited"}
    assert done(grace.get("/v1/users/me/doors"), 200)["items"] == []
    problem(scan(grace, event, ticket), 403, "staff-only")
    for person in (grace, hedy, grace):
        done(person.post(f"/v1/invitations/{event.id}/accept", prefer="wait=20"), 200)
    assert {one["status"] for one in done(organizer.get(path), 200)["items"]} == {"working"}
    assert {one["user_id"] for one in done(organizer.get(path), 200)["items"]} == {grace.id, hedy.id}
    assert [one["id"] for one in done(grace.get("/v1/users/me/doors"), 200)["items"]] == [event.id]
    for _ in range(2):
        assert organizer.delete(f"{path}/{grace.id}", prefer="wait=20").status_code == 204
    assert [one["user_id"] for one in done(organizer.get(path), 200)["items"]] == [hedy.id]
    assert done(grace.get("/v1/users/me/doors"), 200)["items"] == []
    problem(scan(grace, event, ticket), 403, "staff-only")
    done(scan(hedy, event, ticket), 201)
    problem(organizer.post(path, json={"user": "nobody"}), 422, "invalid-request")
    problem(shop.organizer().post(path, json={"user": hedy.id}), 403, "not-owner")
    problem(hedy.get(path), 403, "forbidden")


def test_nobody_else_stands_at_the_door(shop: Shop, staff: Person, buyer: Person, event: OnSale) -> None:
    (ticket,) = bought(buyer, event, ticket_type=event.general)
    for person in (buyer, shop.organizer()):
        problem(scan(person, event, ticket), 403, "staff-only")
        problem(person.get(f"/v1/events/{event.id}/check-ins"), 403, "staff-only")
        problem(person.delete(f"/v1/events/{event.id}/check-ins/{ticket['id']}"), 403, "staff-only")
    elsewhere = shop.event(shop.organizer())
    problem(scan(staff, elsewhere, ticket), 403, "staff-only")
    with event_stream(buyer, event, name="availability") as live:
        next(live)


# --- handing a ticket on


def test_a_ticket_is_handed_on_by_mail_or_id_and_its_former_code_is_dead(
    shop: Shop, staff: Person, organizer: Person, buyer: Person, event: OnSale
) -> None:
    grace, hedy = shop.person(), shop.person()
    (ticket,) = bought(buyer, event)
    path = f"/v1/tickets/{ticket['id']}/transfer"
    answer = done(buyer.post(path, json={"to": grace.email.upper()}, prefer="wait=20"), 200)
    assert (answer["ticket_id"], answer["event_id"], answer["status"]) == (ticket["id"], event.id, "offered")
    again = buyer.post(path, json={"to": grace.id}, prefer="wait=20")
    assert done(again, 200) == answer
    assert done(buyer.get(f"/v1/tickets/{ticket['id']}"), 200)["code"] == ticket["code"], "still the buyer's"
    assert done(staff.post("/v1/tickets/validate", json={"code": ticket["code"]}), 200)["valid"]
    problem(buyer.post(path, json={"to": hedy.id}, prefer="wait=20"), 409, "already-offered")
    (offer,) = done(grace.get("/v1/transfers?direction=in"), 200)["items"]
    assert (offer["id"], offer["direction"], offer["status"]) == (answer["transfer_id"], "in", "offered")
    assert offer["event"]["title"] == done(buyer.get(f"/v1/events/{event.id}"), 200)["title"]
    one = f"/v1/transfers/{offer['id']}"
    for stranger in (hedy, buyer):
        problem(stranger.post(f"{one}/accept", prefer="wait=20"), 404, "transfer-not-found")
    problem(hedy.get(one), 404, "transfer-not-found")
    for _ in range(2):
        assert done(grace.post(f"{one}/accept", prefer="wait=20"), 200)["status"] == "accepted"
    projected(event)
    problem(buyer.get(f"/v1/tickets/{ticket['id']}"), 404, "not-found")
    problem(buyer.get(f"/v1/tickets/{ticket['id']}/qr.svg"), 404, "not-found")
    theirs = done(grace.get("/v1/tickets"), 200)["items"]
    assert [(one["id"], one["seat"]) for one in theirs] == [(ticket["id"], ticket["seat"])]
    assert theirs[0]["code"] != ticket["code"]
    problem(scan(staff, event, ticket), 409, "ticket-superseded")
    assert done(staff.post("/v1/tickets/validate", json={"code": ticket["code"]}), 200)["reason"] == "superseded"
    handed_on(grace, theirs[0], hedy)
    projected(event)
    problem(scan(staff, event, theirs[0]), 409, "ticket-superseded")
    (hers,) = done(hedy.get("/v1/tickets"), 200)["items"]
    done(scan(staff, event, hers), 201)
    problem(hedy.post(path, json={"to": buyer.id}, prefer="wait=20"), 409, "already-checked-in")
    assert [told(buyer, "ticket.transferred"), told(grace, "ticket.received")] == [ticket["id"]] * 2


def test_a_ticket_that_was_handed_on_is_drawn_for_its_new_holder_with_the_new_code(
    shop: Shop, buyer: Person, event: OnSale
) -> None:
    (ticket,) = bought(buyer, event)
    before = document(buyer, ticket, "ticket.pdf", "application/pdf")
    grace = shop.person()
    handed_on(buyer, ticket, grace)
    projected(event)
    for name in DOCUMENTS:
        problem(buyer.get(f"/v1/tickets/{ticket['id']}/{name}"), 404, "not-found")
    theirs = done(grace.get(f"/v1/tickets/{ticket['id']}"), 200)
    after = document(grace, theirs, "ticket.pdf", "application/pdf")
    png = Image.open(BytesIO(document(grace, theirs, "qr.png", "image/png")))
    with pypdfium2.PdfDocument(before) as former, pypdfium2.PdfDocument(after) as printed:
        codes = [scanned(one[0].render(scale=2).to_pil()) for one in (former, printed)]
    assert codes == [[ticket["code"]], [theirs["code"]]]
    assert scanned(png) == [theirs["code"]] != [ticket["code"]]


def test_who_may_hand_on_what_to_whom(shop: Shop, buyer: Person, event: OnSale) -> None:
    (ticket,) = bought(buyer, event, ticket_type=event.general)
    path = f"/v1/tickets/{ticket['id']}/transfer"
    other = shop.person()
    problem(other.post(path, json={"to": other.id}), 404, "not-found")
    problem(buyer.post(path, json={"to": "somebody"}), 422, "invalid-request")
    problem(buyer.post(path, json={"to": buyer.id}, prefer="wait=20"), 409, "transfer-not-allowed")
