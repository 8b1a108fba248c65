"""What operators see of a running platform: one request from HTTP to its mails and webhook calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from connectors.log_reader import chosen
from connectors.settings import Settings
from pipelines.watch import journey
from pipelines.watch.journey_steps import Stage
from schemas.ids import ReservationId
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_line import Circle, command_line
from tests.harness.flows import eventually, rows_of
from tests.harness.hook_server import HookServer
from tests.harness.mail_server import MailServer
from tests.harness.shop import OnSale, Person, Shop, done, open_shop, problem, unique


@dataclass(frozen=True)
class Street:
    """A platform with a mail server, an organizer's own server, and an event on sale."""

    settings: Settings
    shop: Shop
    mails: MailServer
    event: OnSale
    buyer: Person


@pytest.fixture(scope="module")
def street() -> Iterator[Street]:
    with MailServer() as mails, HookServer() as hooks, open_shop(CIRCLE_SMTP_URL=mails.url) as (platform, shop):
        organizer = shop.organizer()
        done(organizer.post("/v1/webhooks", json={"url": hooks.url}), 201)
        yield Street(
            settings=platform.settings, shop=shop, mails=mails, event=shop.event(organizer), buyer=shop.person()
        )


@pytest.fixture
def circle(street: Street, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Circle:
    assert street.settings.jwt_key_file is not None
    monkeypatch.setenv("CIRCLE_JWT_KEY_FILE", str(street.settings.jwt_key_file))
    call = command_line(street.settings, monkeypatch, capsys)
    monkeypatch.setenv("CIRCLE_JWT_KEY_FILE", str(street.settings.jwt_key_file))
    return call


def stages(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["stage"], one["what"], one["outcome"]) for one in found["steps"]]


def test_a_purchase_is_followed_from_the_request_to_its_mail_and_webhook(street: Street, circle: Circle) -> None:
    key = unique()
    hold = done(street.buyer.reserve(street.event.id, key=key, ticket_type_id=street.event.seated, quantity=2), 201)
    done(street.buyer.confirm(hold["id"]), 200)

    def finished() -> bool:
        code, found = circle("follow", hold["id"], "--json")
        assert code == 0
        return not found["waits_for"]

    eventually(finished, "mail and webhook calls have left")
    code, found = circle("follow", hold["id"], "--json")
    assert code == 0
    assert (found["reservation_id"], found["status"], found["stopped"]) == (hold["id"], "confirmed", "")
    assert (found["user_id"], found["event_id"]) == (street.buyer.id, street.event.id)
    happened = stages(found)
    in_order = [
        ("http", "POST /v1/events/<event_id>/reservations", "201"),
        ("command", "ReserveTickets", ""),
        ("decision", "TicketsHeld", ""),
        ("row", "projections", ""),
        ("webhook", "tickets.held", "delivered"),
        ("http", "POST /v1/reservations/<reservation_id>/confirm", "200"),
        ("command", "ConfirmReservation", ""),
        ("decision", "PaymentRequested", ""),
        ("row", "projections", ""),
        ("command", "RecordPayment", ""),
        ("decision", "ReservationConfirmed", ""),
        ("row", "reservations", "confirmed"),
        ("message", "reservation.confirmed", "inbox"),
        ("mail", "reservation.confirmed", "sent"),
        ("webhook", "reservation.confirmed", "delivered"),
    ]
    assert [one for one in happened if one in in_order] == in_order, happened
    times = [one["time"] for one in found["steps"] if one["stage"] in ("http", "command", "decision")]
    assert all(times)
    assert times == sorted(times)
    persisted = [one["time"] for one in found["steps"] if one["stage"] == "row" and one["what"] != "projections"]
    assert len(persisted) == 4, "the reservation, its payment and two tickets"
    decided = next(one["time"] for one in found["steps"] if one["what"] == "ReservationConfirmed")
    assert all(decided <= one for one in persisted), (decided, persisted)
    assert all(persisted)
    bounds = [one for one in found["steps"] if one["what"] == "projections"]
    earlier = [one["position"] for one in found["steps"] if one["what"] in ("TicketsHeld", "PaymentRequested")]
    assert [one["position"] for one in bounds] == earlier, "the rows have a later version since"
    assert {one["time"] for one in bounds} == {min(persisted)}
    told = ("message", "reservation.confirmed")
    message = next(one["time"] for one in found["steps"] if (one["stage"], one["what"]) == told)
    assert message == min(persisted), "one transaction"
    assert all(one["time"] for one in found["steps"]), "each stage has its time"
    first = found["steps"][1]
    assert circle("topics", "get", COMMANDS, first["position"], "--json")[1]["record"]["record"] == "ReserveTickets"
    assert (
        circle("topics", "get", FACTS, found["steps"][2]["position"], "--json")[1]["record"]["record"] == "TicketsHeld"
    )
    by_key = circle("follow", "--key", key, "--user", street.buyer.id, "--json")[1]
    by_position = circle("follow", first["position"], "--json")[1]
    assert by_key == by_position == found
    text = circle("follow", hold["id"])[1]
    assert "reservation.confirmed" in text
    assert "answer 201" in text
    assert street.buyer.email not in text


def test_what_happens_while_the_rows_are_looked_at_is_in_the_journey(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = done(street.buyer.reserve(street.event.id, ticket_type_id=street.event.seated, quantity=1), 201)

    def until_rows_say(status: str) -> None:
        query = "SELECT status FROM reservations WHERE id = $1"
        with rows_of(street.settings) as rows:
            eventually(lambda: rows(query, hold["id"]) == [(status,)], f"the rows say {status}")

    def bought_meanwhile(*arguments: Any) -> list[int]:
        done(street.buyer.confirm(hold["id"]), 200)
        until_rows_say("confirmed")
        return chosen(*arguments)

    until_rows_say("held")
    monkeypatch.setattr(journey, "chosen", bought_meanwhile)  # the first step after the look at the rows
    found = journey.follow(street.settings, ReservationId(hold["id"]))
    decisions = [one.what for one in found.steps if one.stage is Stage.DECISION]
    assert decisions == ["TicketsHeld", "PaymentRequested", "ReservationConfirmed"]


def test_a_refusal_is_followed_by_its_receipt_and_has_its_reason(street: Street, circle: Circle) -> None:
    asked = street.buyer.reserve(
        street.event.id, prefer="respond-async", ticket_type_id=street.event.general, quantity=7
    )
    accepted = done(asked, 202)
    receipt = accepted["receipt"]
    eventually(lambda: not circle("follow", "--receipt", receipt, "--json")[1]["waits_for"], "projected")
    code, found = circle("follow", "--receipt", receipt, "--json")
    assert code == 0
    assert found["reservation_id"] == accepted["id"]
    (request,) = (one for one in found["steps"] if one["stage"] == "http")
    assert request["outcome"] == "202" or "202 to a client that did not wait" in request["detail"]
    assert ("decision", "ReservationRejected", "limit-exceeded") in stages(found)
    assert ("row", "reservations", "rejected") in stages(found)
    assert circle("follow", "--receipt", receipt[:-3] + "abc", "--json")[0] == 1


def test_a_refusal_that_changes_no_row_is_followed_by_its_position_with_its_status(
    street: Street, circle: Circle
) -> None:
    key = unique()
    hold = done(street.buyer.reserve(street.event.id, key=key, ticket_type_id=street.event.general, quantity=1), 201)
    problem(
        street.buyer.reserve(street.event.id, key=key, ticket_type_id=street.event.general, quantity=2),
        422,
        "idempotency-key-reused",
    )
    first, again = circle(
        "topics", "search", COMMANDS, "--type", "ReserveTickets", "--where", f"reservation_id={hold['id']}", "--json"
    )[1]["records"]  # fmt: skip
    eventually(lambda: not circle("follow", hold["id"], "--json")[1]["waits_for"], "projected")
    found = circle("follow", again["position"], "--json")[1]
    answered = {one["position"]: one["outcome"] for one in found["steps"] if one["stage"] == "http"}
    assert answered == {first["position"]: "201", again["position"]: "422"}
    assert ("decision", "CommandRefused", "idempotency-key-reused") in stages(found)


def test_a_command_of_no_reservation_is_followed_by_its_position(street: Street, circle: Circle) -> None:
    problem(street.buyer.post(f"/v1/events/{street.event.id}/publish", prefer="wait=10"), 403, "forbidden")
    (created,) = circle(
        "topics", "search", COMMANDS, "--key", street.event.id, "--type", "CreateEvent", "--json"
    )[1]["records"]  # fmt: skip
    code, found = circle("follow", created["position"], "--json")
    assert (code, found["reservation_id"]) == (0, "")
    assert stages(found)[:3] == [
        ("http", "POST /v1/events", "201"),
        ("command", "CreateEvent", ""),
        ("decision", "EventCreated", ""),
    ]


def test_a_request_that_nobody_knows_or_that_is_named_twice_is_said_so(circle: Circle) -> None:
    assert circle("follow", unique())[0] == 1
    assert circle("follow", "0-99999999")[0] == 1
    assert circle("follow")[0] == 2
    assert circle("follow", unique(), "--key", "k", "--user", "u")[0] == 2
    assert circle("follow", "--key", "k")[0] == 2
    assert circle("follow", "--key", "k", "--user", "nobody")[0] == 2


def test_top_shows_each_flow_the_sales_and_what_fires(street: Street, circle: Circle) -> None:
    done(street.buyer.reserve(street.event.id, ticket_type_id=street.event.general, quantity=1), 201)
    looks: list[dict[str, Any]] = []

    def counted() -> bool:
        code, text = circle("top", "--json", "--looks", "2", "--every", "0.5")
        assert code == 0
        looks[:] = [json.loads(line) for line in text.splitlines()] if isinstance(text, str) else [text]
        return bool(looks[-1]["monitored"] and looks[-1]["monitored"]["places"].get("held"))

    eventually(counted, "monitoring has counted the hold")
    first, second = looks
    assert [one["name"] for one in first["flows"]] == [
        "reservations", "payments", "projections", "notifications", "monitoring",
    ]  # fmt: skip
    assert {one["state"] for one in first["flows"]} == {"STABLE"}
    assert [one["topic"] for one in first["topics"]] == [COMMANDS, FACTS]
    assert [one["per_s"] for one in first["topics"]] == [None, None]
    assert all(one["per_s"] is not None for one in second["topics"])
    assert first["alerts"] == []
    code, text = circle("top")
    assert code == 0
    assert "held" in text
    assert "reservations" in text
    assert "no alert fires" in text


def test_alerts_are_listed_and_one_that_fires_is_a_failed_check(street: Street, circle: Circle) -> None:
    assert circle("alerts", "--firing", "--json") == (0, [])
    assert circle("alerts", "--firing")[1] == "no alert fires\n"
    fired = (
        "INSERT INTO alert_history (alert, about, severity, summary, value, began_at, fired_at, resolved_at) VALUES "
    )
    with rows_of(street.settings) as query:
        query(f"{fired} ('CircleLag', 'payments', 'warning', 'is behind', 7, 1000000, 2000000, 3000000)")
        assert circle("alerts", "--json")[0] == 0
        query(f"{fired} ('CircleTest', 'somewhere', 'critical', 'is wrong', 5, 1000000, 2000000, 0)")
        code, (alert, former) = circle("alerts", "--json")
        assert (alert["alert"], alert["about"], alert["status"], alert["reported"]) == (
            "CircleTest", "somewhere", "firing", False,
        )  # fmt: skip
        assert (former["status"], former["resolved_at"]) == ("resolved", "1970-01-01T00:00:03.000Z")
        assert (code, alert["fired_at"]) == (1, "1970-01-01T00:00:02.000Z")
        assert circle("alerts", "--firing", "--json") == (1, [alert])
        assert "is wrong" in circle("alerts")[1]
        assert "CircleTest somewhere: is wrong" in circle("top")[1]
        query("DELETE FROM alert_history")
