"""Each message goes out once on each channel that its user wants, and to a proven address only, over HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from hashlib import sha256
from typing import Any

import pypdfium2
import pytest

from connectors.kafka import producer
from connectors.settings import Settings
from ops.proof.checker import wait_until_settled
from ops.proof.full_check import check
from schemas.codec import Codec
from schemas.commands import Tick
from schemas.topics import COMMANDS
from tests.harness.flows import eventually, rows_of
from tests.harness.hook_server import HookServer
from tests.harness.mail_server import MailServer
from tests.harness.shop import PASSWORD, Person, Shop, done, open_shop, problem, unique
from tests.unit.pipelines.documents.tickets import scanned
from tests.unit.pipelines.notifications.webhooks.test_signature import verify


@dataclass(frozen=True)
class Street:
    """A platform, its mail server, and an organizer's own server."""

    settings: Settings
    shop: Shop
    mails: MailServer
    hooks: HookServer


@pytest.fixture(scope="module")
def street() -> Iterator[Street]:
    with MailServer() as mails, HookServer() as hooks, open_shop(CIRCLE_SMTP_URL=mails.url) as (platform, shop):
        yield Street(platform.settings, shop, mails, hooks)


LINK = "Is this your mail address?"


def subjects(street: Street, person: Person) -> list[str]:
    """The subjects of the mails to an address, without the link that proves it."""
    return [one["Subject"] for one in street.mails.taken if person.email in one["To"] and one["Subject"] != LINK]


def links(street: Street, person: Person) -> list[str]:
    """The tokens that were mailed to an address."""
    return [token_of(one) for one in street.mails.taken if person.email in one["To"] and one["Subject"] == LINK]


def token_of(mail: EmailMessage) -> str:
    """The token of the link in a mail."""
    body = mail.get_body(("plain",))
    assert body is not None
    found = re.search(r"/account#[a-z-]+=([A-Za-z0-9_-]+)", body.get_content())
    assert found is not None
    return found[1]


def kinds(person: Person) -> list[str]:
    return [one["kind"] for one in done(person.get("/v1/notifications"), 200)["items"]]


def preferences(person: Person, **changes: dict[str, bool]) -> dict[str, dict[str, Any]]:
    items = [{"kind": kind.replace("_", "."), **change} for kind, change in changes.items()]
    path = "/v1/notifications/preferences"
    answer = person.call("PATCH", path, json={"items": items}) if items else person.get(path)
    return {one["kind"]: one for one in done(answer, 200)["items"]}


def test_a_buyer_is_told_what_they_want_where_they_want_it(street: Street) -> None:
    buyer, event = street.shop.person(), street.shop.event(street.shop.organizer())
    before = preferences(buyer)
    assert before["reservation.confirmed"]["mail"]
    assert not before["ticket.held"]["mail"]
    assert all(one["inbox"] and one["stream"] and one["about"] for one in before.values())
    after = preferences(buyer, ticket_held={"mail": True, "inbox": False})
    assert (after["ticket.held"]["mail"], after["ticket.held"]["inbox"]) == (True, False)
    assert after["reservation.confirmed"] == before["reservation.confirmed"]

    hold = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=2), 201)
    done(buyer.confirm(hold["id"]), 200)
    street.mails.wait(lambda: len(subjects(street, buyer)) >= 3, "three mails")
    title = "Night of the open circle"
    assert sorted(subjects(street, buyer)) == [
        f"Held for you: seats {', '.join(hold['seats'])}, {title}",
        "Welcome to General Circle",
        f"Your tickets: {title}",
    ]
    eventually(lambda: "reservation.confirmed" in kinds(buyer), "the confirmation in the inbox")
    assert kinds(buyer) == ["reservation.confirmed", "registered"]
    assert done(buyer.get("/v1/notifications/unread-count"), 200) == {"unread": 2}
    mail = next(one for one in street.mails.taken if one["Subject"] == f"Your tickets: {title}")
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert "Wed 1 May 2030, 20:00 (Europe/Vienna)" in text
    assert "85.00 EUR" in text
    assert f"{street.shop.url}/your-tickets#{hold['id']}" in text, "where the tickets are to be found"
    codes = {one["code"] for one in done(buyer.get("/v1/tickets"), 200)["items"]}
    files = {one.get_filename(): one for one in mail.iter_attachments()}
    assert set(files) == {*(f"ticket-{seat}.pdf" for seat in hold["seats"]), "event.ics"}
    printed = set()
    for seat in hold["seats"]:
        with pypdfium2.PdfDocument(files[f"ticket-{seat}.pdf"].get_content()) as page:
            printed |= set(scanned(page[0].render(scale=2).to_pil()))
    assert printed == codes, "what is attached opens the door"
    assert "BEGIN:VEVENT" in str(files["event.ics"].get_content())
    page = street.shop.http.get("/your-tickets")
    assert page.headers["content-type"].startswith("text/html")


def test_nothing_but_a_link_goes_to_an_address_until_its_link_is_followed(street: Street) -> None:
    """A stranger registers another person's address, with a text of their own as the name (FIELD C7)."""
    shop, event = street.shop, street.shop.event(street.shop.organizer())
    lure = "You have won, see https://phish.example"
    account = {"email": f"{unique()}@example.org", "password": PASSWORD, "name": lure}
    done(shop.http.post("/v1/auth/register", json=account), 201)
    login = {name: account[name] for name in ("email", "password")}
    logged_in = done(shop.http.post("/v1/auth/login", json=login), 200)
    buyer = Person(
        http=shop.http,
        id="",
        email=account["email"],
        access_token=logged_in["access_token"],
        refresh_token=logged_in["refresh_token"],
    )
    assert done(buyer.get("/v1/users/me"), 200)["email_verified"] is False
    hold = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    done(buyer.confirm(hold["id"]), 200)
    eventually(lambda: "reservation.confirmed" in kinds(buyer), "the inbox has it all the same")
    with rows_of(street.settings) as query:
        held = (
            "SELECT kind FROM mail_deliveries JOIN users ON users.id::text = user_id WHERE email = $1 AND status = $2"
        )
        eventually(lambda: len(query(held, buyer.email, "held")) == 2, "the welcome and the tickets are held")
    street.mails.wait(lambda: len(links(street, buyer)) == 1, "the link")
    (mail,) = (one for one in street.mails.taken if buyer.email in one["To"])
    assert mail["To"] == buyer.email
    assert "phish" not in mail.as_string()

    assert buyer.post("/v1/auth/verification/resend").status_code == 202
    street.mails.wait(lambda: len(links(street, buyer)) == 2, "the link once more")
    tokens = links(street, buyer)
    assert len(set(tokens)) == 2
    assert subjects(street, buyer) == [], "nothing else"
    for wrong in (tokens[0][1:] + tokens[0][0], "x"):
        problem(shop.http.post("/v1/auth/verify-email", json={"token": wrong}), 410, "link-not-valid")
    with rows_of(street.settings) as query:
        own = "SELECT token_hash FROM mailed_links JOIN users ON users.id = user_id WHERE email = $1"
        assert {row[0] for row in query(own, buyer.email)} == {sha256(one.encode()).digest() for one in tokens}
    assert shop.http.post("/v1/auth/verify-email", json={"token": tokens[0]}).status_code == 204
    assert done(buyer.get("/v1/users/me"), 200)["email_verified"] is True
    for used in tokens:
        problem(shop.http.post("/v1/auth/verify-email", json={"token": used}), 410, "link-not-valid")
    expected = {"Welcome to General Circle", "Your tickets: Night of the open circle"}
    street.mails.wait(lambda: expected <= set(subjects(street, buyer)), "what was held")
    assert buyer.post("/v1/auth/verification/resend").status_code == 202
    with rows_of(street.settings) as query:
        left = "SELECT count(*) FROM account_mails JOIN users ON users.id = user_id WHERE email = $1"
        assert query(left, buyer.email) == [(0,)], "there is nothing to prove any more"


def test_a_link_that_is_too_old_proves_nothing(street: Street) -> None:
    person = street.shop.person(verified=False)
    street.mails.wait(lambda: len(links(street, person)) == 1, "the link")
    with rows_of(street.settings) as query:
        query("UPDATE mailed_links SET expires_at = now() WHERE user_id = $1", person.id)
    body = {"token": links(street, person)[0]}
    problem(street.shop.http.post("/v1/auth/verify-email", json=body), 410, "link-not-valid")
    assert done(person.get("/v1/users/me"), 200)["email_verified"] is False


def test_bad_preferences_are_refused(street: Street) -> None:
    buyer, path = street.shop.person(), "/v1/notifications/preferences"
    for items in (
        [],
        [{"kind": "no.such", "mail": True}],
        [{"kind": "ticket.held", "pigeon": True}],
        [{"kind": "ticket.held"}, {"kind": "ticket.held"}],
        [{"kind": "ticket.held", "mail": "yes"}],
    ):
        problem(buyer.call("PATCH", path, json={"items": items}), 422, "invalid-request")


def test_who_has_erased_their_account_gets_no_more_mails(street: Street) -> None:
    event, erased, other = street.shop.event(street.shop.organizer()), street.shop.person(), street.shop.person()
    for buyer in (erased, other):
        hold = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
        done(buyer.confirm(hold["id"]), 200)
    street.mails.wait(lambda: len(subjects(street, erased)) >= 2, "the welcome and the tickets")
    assert erased.call("DELETE", "/v1/users/me", json={"password": "correct-horse-7"}).status_code == 204
    path = f"/v1/events/{event.id}/cancel"
    done(event.organizer.post(path, prefer="wait=20", json={"reason": "the roof leaks"}), 200)
    subjects_sent = {"Cancelled: Night of the open circle", "Refunded: Night of the open circle"}
    street.mails.wait(lambda: subjects_sent <= set(subjects(street, other)), "the other buyer is told")
    assert len(subjects(street, erased)) == 2


def test_an_organizer_is_called_about_their_own_events_only(street: Street) -> None:
    organizer, shop, hooks = street.shop.organizer(), street.shop, street.hooks
    path = f"/{unique()}"
    made = done(organizer.post("/v1/webhooks", json={"url": hooks.url + path, "types": ["tickets.held"]}), 201)
    assert made["secret"].startswith("whsec_")
    assert "secret" not in done(organizer.get(f"/v1/webhooks/{made['id']}"), 200)
    assert [one["id"] for one in done(organizer.get("/v1/webhooks"), 200)["items"]] == [made["id"]]

    sent = done(organizer.post(f"/v1/webhooks/{made['id']}/test"), 202)
    eventually(lambda: len(calls(hooks, path)) == 1, "the test call")
    (test,) = calls(hooks, path)
    assert (test.type, test.headers["webhook-id"]) == ("webhook.test", sent["id"])
    assert verify()(made["secret"], test.headers, test.body)

    buyer, own, foreign = shop.person(), shop.event(organizer), shop.event(shop.organizer())
    for event in (foreign, own):
        done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    eventually(lambda: len(calls(hooks, path)) == 2, "the call about the hold")
    held = calls(hooks, path)[1]
    assert (held.type, held.json["data"]["event_id"]) == ("tickets.held", own.id)
    assert buyer.id.encode() not in held.body

    deliveries = f"/v1/webhooks/{made['id']}/deliveries"
    eventually(
        lambda: log(organizer, deliveries) == [("tickets.held", "delivered"), ("webhook.test", "delivered")], "log"
    )
    (latest,) = done(organizer.get(f"{deliveries}?limit=1"), 200)["items"]
    assert (latest["id"], latest["answer"], latest["payload"]) == (held.headers["webhook-id"], 204, held.json)
    assert done(organizer.get(f"{deliveries}?status=failed"), 200)["items"] == []
    done(organizer.post(f"{deliveries}/{latest['id']}/redeliver"), 202)
    eventually(lambda: len(calls(hooks, path)) == 3, "the call again")
    again = calls(hooks, path)[2]
    assert (again.headers["webhook-id"], again.body) == (held.headers["webhook-id"], held.body)

    off = done(organizer.call("PATCH", f"/v1/webhooks/{made['id']}", json={"enabled": False}), 200)
    assert (off["enabled"], off["disabled_why"]) == (False, "by its organizer")
    problem(shop.organizer().get(f"/v1/webhooks/{made['id']}"), 404, "not-found")
    assert organizer.delete(f"/v1/webhooks/{made['id']}").status_code == 204
    problem(organizer.get(deliveries), 404, "not-found")


def test_a_secret_is_replaced_and_the_former_one_holds_for_a_while(street: Street) -> None:
    organizer, hooks, path = street.shop.organizer(), street.hooks, f"/{unique()}"
    made = done(organizer.post("/v1/webhooks", json={"url": hooks.url + path}), 201)
    secrets = [made["secret"]]
    for _ in range(2):
        answer = done(organizer.post(f"/v1/webhooks/{made['id']}/rotate-secret"), 200)
        secrets.append(answer.pop("secret"))
        assert answer == done(organizer.get(f"/v1/webhooks/{made['id']}"), 200)
    done(organizer.post(f"/v1/webhooks/{made['id']}/test"), 202)
    eventually(lambda: len(calls(hooks, path)) == 1, "the test call")
    (test,) = calls(hooks, path)
    assert [verify()(secret, test.headers, test.body) for secret in secrets] == [False, True, True]
    with rows_of(street.settings) as query:
        query("UPDATE webhook_endpoints SET former_until = now() WHERE id = $1", made["id"])
    done(organizer.post(f"/v1/webhooks/{made['id']}/test"), 202)
    eventually(lambda: len(calls(hooks, path)) == 2, "the call a day later")
    later = calls(hooks, path)[1]
    assert [verify()(secret, later.headers, later.body) for secret in secrets] == [False, False, True]


def test_whoever_is_to_work_at_a_door_is_told(street: Street) -> None:
    event, hedy = street.shop.event(street.shop.organizer()), street.shop.person()
    staff = f"/v1/events/{event.id}/staff"
    for _ in range(2):
        done(event.organizer.post(staff, prefer="wait=20", json={"user": hedy.email}), 201)
    street.mails.wait(lambda: "You are invited to work at a door" in subjects(street, hedy), "the invitation")
    assert not any("open circle" in subject for subject in subjects(street, hedy)), "no word of the organizer's yet"
    done(hedy.post(f"/v1/invitations/{event.id}/accept", prefer="wait=20"), 200)
    street.mails.wait(lambda: "At the door: Night of the open circle" in subjects(street, hedy), "the mail")
    eventually(lambda: kinds(hedy) == ["staff.added", "staff.invited", "registered"], "the message in the inbox")
    assert done(hedy.get("/v1/notifications"), 200)["items"][0]["event_id"] == event.id
    assert sum("door" in subject for subject in subjects(street, hedy)) == 2


def test_bad_webhooks_are_refused(street: Street) -> None:
    organizer = street.shop.organizer()
    foreign = street.shop.event(street.shop.organizer())
    for body in (
        {},
        {"url": "ftp://example.org/"},
        {"url": "https://10.0.0.1/"},
        {"url": "https://[::ffff:169.254.169.254]/"},
        {"url": "https://me:pw@example.org/"},
        {"url": "https://example.org/", "types": ["no.such"]},
        {"url": "https://example.org/", "secret": "mine"},
    ):
        problem(organizer.post("/v1/webhooks", json=body), 422, "invalid-request")
    url = street.hooks.url
    problem(organizer.post("/v1/webhooks", json={"url": url, "event_id": foreign.id}), 403, "not-owner")
    own = done(organizer.post("/v1/webhooks", json={"url": url}), 201)["id"]
    problem(
        organizer.call("PATCH", f"/v1/webhooks/{own}", json={"url": "https://192.168.0.1/"}), 422, "invalid-request"
    )
    problem(organizer.post(f"/v1/webhooks/{own}/deliveries/msg_nothing/redeliver"), 404, "not-found")
    for _ in range(19):
        done(organizer.post("/v1/webhooks", json={"url": url}), 201)
    problem(organizer.post("/v1/webhooks", json={"url": url}), 409, "too-many")


def test_every_message_is_there_once_whatever_was_switched_off_or_erased(street: Street) -> None:
    """The checker's table says which messages the facts of this module make. The inbox and the mails have them."""
    wait_until_settled(street.settings)
    report = check(street.settings, strict=False)
    assert report.ok, report.text()
    assert report.counts["mail_rows"] >= 5
    with rows_of(street.settings) as query:
        one = "(SELECT id FROM mail_deliveries WHERE kind = 'reservation.confirmed' LIMIT 1)"
        (user,) = query(f"UPDATE mail_deliveries SET template = 'event.reminder' WHERE id = {one} RETURNING user_id")[0]
    found = [(one.rule, one.what) for one in check(street.settings, strict=False).violations]
    assert ("mail", f"reservation.confirmed to {user} is missing") in found
    assert ("mail", f"event.reminder to {user}, which the log does not say") in found


def test_who_has_not_paid_yet_is_warned_a_minute_before_the_hold_ends(street: Street) -> None:
    """The time of one record moves the log by two minutes; so this is the last test of this module."""
    buyer, event = street.shop.person(), street.shop.event(street.shop.organizer(), hold_ttl_s=180)
    done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    client = producer(street.settings)
    later_ms = int((time.time() + 121) * 1_000)
    client.produce(COMMANDS, Codec().encode(Tick(event.id, "", "tick")), event.id.encode(), timestamp=later_ms)
    assert client.flush(20) == 0
    eventually(lambda: "hold.expiring" in kinds(buyer), "the warning in the inbox")
    warning = "Your hold is about to end: Night of the open circle"
    street.mails.wait(lambda: warning in subjects(street, buyer), "the warning by mail")
    assert kinds(buyer).count("hold.expiring") == 1


def calls(hooks: HookServer, path: str) -> list[Any]:
    return [one for one in hooks.calls if one.path == path]


def log(organizer: Person, path: str) -> list[tuple[str, str]]:
    return [(one["type"], one["status"]) for one in done(organizer.get(path), 200)["items"]]
