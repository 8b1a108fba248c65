"""Offered tickets and invited people: the view of each side, and what a stranger learns about an address."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from ops.proof.checker.quiescence import wait_until_settled
from ops.proof.full_check import check
from ops.run.platform import Platform
from tests.harness.door import bought
from tests.harness.flows import eventually, rows_of
from tests.harness.shop import OnSale, Person, Shop, done, problem, unique

WAIT = "wait=20"


@pytest.fixture(scope="module")
def event(shop: Shop) -> OnSale:
    return shop.event(shop.organizer(), max_tickets_per_user=20)


@pytest.fixture
def buyer(shop: Shop) -> Person:
    return shop.person()


def offered(giver: Person, ticket: dict[str, Any], to: str) -> dict[str, Any]:
    path = f"/v1/tickets/{ticket['id']}/transfer"
    answer: dict[str, Any] = done(giver.post(path, json={"to": to}, prefer=WAIT), 200)
    return answer


def transfers(of: Person, direction: str) -> list[tuple[str, str]]:
    items = done(of.get("/v1/transfers", params={"direction": direction}), 200)["items"]
    return [(one["id"], one["status"]) for one in items]


def test_an_offer_is_declined_withdrawn_or_ends_with_its_ticket(shop: Shop, buyer: Person, event: OnSale) -> None:
    grace = shop.person()
    one, two, three = bought(buyer, event, 3, ticket_type=event.general)
    first, second, third = (offered(buyer, ticket, grace.email) for ticket in (one, two, three))
    assert done(grace.post(f"/v1/transfers/{first['transfer_id']}/decline", prefer=WAIT), 200)["status"] == "declined"
    assert done(buyer.delete(f"/v1/transfers/{second['transfer_id']}", prefer=WAIT), 200)["status"] == "withdrawn"
    path = f"/v1/reservations/{three['reservation_id']}/cancel-tickets"
    done(buyer.post(path, json={"ticket_ids": [three["id"]]}, prefer=WAIT), 200)
    wanted = [
        (third["transfer_id"], "cancelled"), (second["transfer_id"], "withdrawn"), (first["transfer_id"], "declined"),
    ]  # fmt: skip
    eventually(lambda: transfers(buyer, "out") == wanted, "how each of them ended")
    assert transfers(grace, "in") == wanted
    assert (transfers(grace, "out"), transfers(buyer, "in")) == ([], [])
    for over in (first, second, third):
        late = grace.post(f"/v1/transfers/{over['transfer_id']}/accept", prefer=WAIT)
        problem(late, 404, "transfer-not-found")
    assert done(buyer.get(f"/v1/tickets/{one['id']}"), 200)["code"] == one["code"]


def test_an_address_says_nothing_about_its_account(running: tuple[Platform, Shop], buyer: Person) -> None:
    platform, shop = running
    owner = shop.organizer()
    event = shop.event(owner, max_tickets_per_user=20)
    known, unproven = shop.person(), shop.person(verified=False)
    addresses = [known.email, unproven.email, f"{unique()}@example.org"]
    tickets = bought(buyer, event, 3, ticket_type=event.general)
    answers = [offered(buyer, ticket, address) for ticket, address in zip(tickets, addresses, strict=True)]
    assert [{**one, "ticket_id": "", "transfer_id": "", "expires_at": ""} for one in answers] == [
        {"ticket_id": "", "event_id": event.id, "status": "offered", "transfer_id": "", "expires_at": ""}
    ] * 3
    assert len(transfers(buyer, "out")) == 3
    assert (len(transfers(known, "in")), transfers(unproven, "in")) == (1, [])
    staff = f"/v1/events/{event.id}/staff"
    invited = [done(owner.post(staff, json={"user": one}, prefer=WAIT), 201) for one in addresses]
    assert {(one["status"], one["user_id"][14]) for one in invited} == {("invited", "4")}
    again = done(owner.post(staff, json={"user": addresses[2]}, prefer=WAIT), 201)
    assert again["user_id"] == invited[2]["user_id"], "the same address is the same person"
    assert len(done(owner.get(staff), 200)["items"]) == 3
    assert done(unproven.get("/v1/invitations"), 200)["items"] == []
    problem(unproven.post(f"/v1/invitations/{event.id}/accept", prefer=WAIT), 404, "invitation-not-found")
    with rows_of(platform.settings) as query:
        nobody = query("SELECT to_user_id FROM transfers WHERE id = $1", answers[1]["transfer_id"])
    assert nobody[0][0] != unproven.id


def test_an_invitation_is_shown_declined_withdrawn_and_made_again(shop: Shop) -> None:
    owner, grace = shop.organizer(), shop.person()
    event, draft = shop.event(owner), shop.event(owner, publish=False)
    for one in (event, draft):
        done(owner.post(f"/v1/events/{one.id}/staff", json={"user": grace.email}, prefer=WAIT), 201)
    shown = {one["event_id"]: one for one in done(grace.get("/v1/invitations"), 200)["items"]}
    assert shown[event.id]["event"]["title"] == "Night of the open circle"
    assert shown[draft.id]["event"] is None, "what nobody has read is no letter of ours"
    for _ in range(2):
        declined = done(grace.post(f"/v1/invitations/{event.id}/decline", prefer=WAIT), 200)
        assert declined["status"] == "declined"
    problem(grace.post(f"/v1/invitations/{event.id}/accept", prefer=WAIT), 404, "invitation-not-found")
    assert owner.delete(f"/v1/events/{draft.id}/staff/{grace.id}", prefer=WAIT).status_code == 204
    problem(grace.post(f"/v1/invitations/{draft.id}/accept", prefer=WAIT), 404, "invitation-not-found")
    done(owner.post(f"/v1/events/{event.id}/staff", json={"user": grace.email}, prefer=WAIT), 201)
    assert done(grace.post(f"/v1/invitations/{event.id}/accept", prefer=WAIT), 200)["status"] == "accepted"
    assert [one["id"] for one in done(grace.get("/v1/users/me/doors"), 200)["items"]] == [event.id]


def test_an_offer_whose_time_is_over_reads_as_expired(
    running: tuple[Platform, Shop], shop: Shop, buyer: Person, event: OnSale
) -> None:
    grace = shop.person()
    (ticket,) = bought(buyer, event, ticket_type=event.general)
    offer = offered(buyer, ticket, grace.email)
    with rows_of(running[0].settings) as query:
        query("UPDATE transfers SET expires_at = 1 WHERE id = $1", offer["transfer_id"])
        assert transfers(grace, "in") == [(offer["transfer_id"], "expired")]
        query("UPDATE transfers SET expires_at = $2 WHERE id = $1", offer["transfer_id"], expiry(offer))


def expiry(offer: dict[str, Any]) -> int:
    """An offer's deadline as its row has it."""
    return round(datetime.fromisoformat(offer["expires_at"]).timestamp() * 1_000_000)


def test_the_checker_finds_nothing(running: tuple[Platform, Shop]) -> None:
    settings = running[0].settings
    wait_until_settled(settings, timeout_s=60)
    report = check(settings)
    assert report.ok, report.text()
