"""A person's export: all of their own data, no data of others, no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.routes.personal_data import SECTIONS
from ops.run.platform import Platform
from tests.harness.door import bought, employed, handed_on
from tests.harness.flows import eventually, rows_of
from tests.harness.shop import Person, Shop, done, open_shop, problem

WAIT = "wait=20"
# Tables with a column that names a person, and the section with their rows; "" for rows that are not the person's data.
NAMING = {
    "account_mails": "", "direct_messages": "", "erased_users": "", "mailed_links": "", "refresh_tokens": "",
    "recovery_codes": "", "second_factors": "", "reservations": "reservations", "payments": "payments",
    "refunds": "refunds", "disputes": "disputes", "tickets": "tickets", "waitlist_entries": "waiting",
    "transfers": "transfers_out",
    "staff_invitations": "invitations", "event_staff": "staff", "check_ins": "check_ins", "notifications": "inbox",
    "mail_deliveries": "mails", "events": "events", "webhook_endpoints": "webhooks", "webhook_events": "",
    "sessions": "sessions", "known_networks": "known_networks", "security_events": "security_events",
    "notification_preferences": "preferences", "notification_exports": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Platform, Shop]]:
    with open_shop(CIRCLE_RATE_LIMIT_SCALE="1") as opened:
        yield opened


def exported(person: Person) -> dict[str, Any]:
    response = person.get("/v1/users/me/export")
    assert "attachment" in response.headers["content-disposition"]
    assert response.headers["cache-control"] == "no-store"
    found: dict[str, Any] = done(response, 200)
    return found


def test_a_persons_data_is_one_document_with_all_of_it(running: tuple[Platform, Shop]) -> None:
    shop = running[1]
    owner, ada, grace = shop.organizer(), shop.person(), shop.person()
    event = shop.event(owner)
    first, second = bought(ada, event, 2, ticket_type=event.general)
    handed_on(ada, first, grace)
    employed(event, grace)
    done(owner.post(f"/v1/events/{event.id}/check-ins", json={"code": second["code"]}, prefer=WAIT), 201)
    with rows_of(running[0].settings) as query:
        scans = "SELECT count(*) FROM check_ins WHERE event_id = $1"
        eventually(lambda: query(scans, event.id)[0][0] == 1, "the check-in has its row")
    mine, hers, owners = exported(ada), exported(grace), exported(owner)
    assert set(mine) == {"user_id", "exported_at", *SECTIONS}
    assert [one["email"] for one in mine["account"]] == [ada.email]
    assert [one["id"] for one in mine["tickets"]] == [second["id"]]
    assert [one["status"] for one in mine["transfers_out"]] == ["accepted"]
    assert len(mine["reservations"]) == len(mine["payments"]) == len(mine["check_ins"]) == 1
    assert {"registered", "reservation.confirmed", "ticket.transferred"} <= {one["kind"] for one in mine["inbox"]}
    assert [one["id"] for one in hers["tickets"]] == [one["ticket_id"] for one in hers["transfers_in"]] == [first["id"]]
    assert [one["status"] for one in hers["invitations"]] == ["accepted"]
    assert [one["id"] for one in owners["events"]] == [event.id]
    for document, others in ((mine, (grace, owner)), (hers, (ada, owner))):
        text = json.dumps(document)
        for secret in ("password_hash", "payment_token", "secret", "token_hash", *(one.email for one in others)):
            assert secret not in text, secret
        for other in others:
            named = [section for section in SECTIONS if other.id in json.dumps(document[section])]
            assert named == [], "who the other side is stays with them"


def test_a_long_list_is_there_whole(running: tuple[Platform, Shop]) -> None:
    platform, shop = running
    person = shop.person()
    with rows_of(platform.settings) as query:
        query(
            "INSERT INTO security_events (kind, outcome, actor, user_id)"
            " SELECT 'login', 'done', 'owner', $1::uuid FROM generate_series(1, 1201)",
            person.id,
        )
    ids = [one["id"] for one in exported(person)["security_events"]]
    assert len(ids) == len(set(ids)) >= 1_201


def test_whatever_table_names_a_person_has_its_section(running: tuple[Platform, Shop]) -> None:
    with rows_of(running[0].settings) as query:
        found = query(
            "SELECT DISTINCT table_name::text FROM information_schema.columns WHERE table_schema = 'public'"
            " AND column_name IN ('user_id', 'to_user_id', 'member_id', 'organizer_id')"
        )
    tables = {row[0] for row in found}
    assert tables - NAMING.keys() == set(), "a table with a person's data that no export has been decided for"
    assert {name for name in NAMING.values() if name} | {"account", "transfers_in"} == set(SECTIONS)


def test_exports_are_limited(running: tuple[Platform, Shop]) -> None:
    person = running[1].person()
    for _ in range(5):
        exported(person)
    problem(person.get("/v1/users/me/export"), 429, "rate-limited")
