"""What each caller sees of an event, by every read: hidden ticket types, other people's drafts, guesses at codes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.auth.keys import KeyRing
from api.auth.tokens import AccessTokens, Role
from ops.run.platform import Platform
from schemas.placement import partition_of
from tests.harness.flows import eventually
from tests.harness.shop import GENERAL, SEATED, OnSale, Person, Shop, done, open_shop, problem, unique

WAIT = "wait=20"
NAME, CODE, OTHER_CODE = "Backstage of the patrons", "PATRON", "CREW"
CALLERS = ("anonymous", "buyer", "holder", "holder of another code", "other organizer", "owner", "admin")
SEE_HIDDEN = ("holder", "owner", "admin")
SEE_DRAFT = ("owner", "admin")
READS = ("ticket-types", "availability", "seats", "seats?at={now}", "stream")


class World:
    """An event on sale with a hidden ticket type, a draft, and all callers who may see them."""

    def __init__(self, platform: Platform, shop: Shop) -> None:
        self.shop, self.settings = shop, platform.settings
        self.owner = shop.organizer()
        self.event, self.draft = shop.event(self.owner), shop.event(self.owner, publish=False)
        self.hidden = [self.hide(self.event, body) for body in (SEATED, GENERAL)]
        self.hide(self.draft, SEATED)
        for code, types in ((CODE, self.hidden), (OTHER_CODE, [self.event.general])):
            body = {"code": code, "kind": "access", "ticket_type_ids": types}
            done(self.owner.post(f"/v1/events/{self.event.id}/codes", prefer=WAIT, json=body), 201)
        admin = shop.person()
        assert self.settings.jwt_key_file is not None
        token = AccessTokens(KeyRing.load(self.settings.jwt_key_file)).issue(admin.id, Role.ADMIN)
        buyer = shop.person()
        self.people: dict[str, Person | None] = {
            "anonymous": None,
            "buyer": buyer,
            "holder": None,
            "holder of another code": buyer,
            "other organizer": shop.organizer(),
            "owner": self.owner,
            "admin": Person(
                http=admin.http, id=admin.id, email=admin.email, access_token=token, refresh_token=admin.refresh_token
            ),
        }

    def hide(self, event: OnSale, body: dict[str, Any]) -> str:
        hidden = body | {"name": NAME, "hidden": True}
        return str(done(self.owner.post(f"/v1/events/{event.id}/ticket-types", prefer=WAIT, json=hidden), 201)["id"])

    def read(self, caller: str, event: OnSale, what: str) -> tuple[int, str]:
        """The status and the text of a read; for a stream, its first message."""
        person = self.people[caller]
        headers = person.headers if person is not None else {}
        code = {"holder": CODE, "holder of another code": OTHER_CODE}.get(caller)
        path, _, query = f"/v1/events/{event.id}/{what.format(now='2099-01-01T00:00:00Z')}".partition("?")
        params = dict(part.split("=") for part in query.split("&") if part) | ({"access_code": code} if code else {})
        with self.shop.http.stream("GET", path, params=params, headers=headers) as response:
            if "event-stream" not in response.headers["content-type"]:
                return response.status_code, response.read().decode()
            text = ""
            for piece in response.iter_text():
                text += piece
                if "event: availability" in text and text.endswith("\n\n"):
                    break
            return response.status_code, text


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_shop(CIRCLE_RATE_LIMIT_SCALE="1") as (platform, shop):
        yield World(platform, shop)


@pytest.mark.parametrize("what", READS)
def test_a_hidden_type_is_in_no_read_but_of_those_who_may_see_it(world: World, what: str) -> None:
    for caller in CALLERS:
        status, text = world.read(caller, world.event, what)
        assert status == 200, (caller, text)
        names = what.startswith(("ticket-types", "seats"))
        for one in world.hidden[:1] if what.startswith("seats") else world.hidden:
            assert (one in text) is (caller in SEE_HIDDEN), (caller, text)
        assert (NAME in text) is (names and caller in SEE_HIDDEN), (caller, text)
        assert world.event.seated in text, "what is not hidden is shown to everybody"


@pytest.mark.parametrize("what", [*READS, "", "schedule"])
def test_a_draft_is_to_strangers_as_an_event_that_does_not_exist(world: World, what: str) -> None:
    nothing = OnSale(str(uuid4()), "", "", world.owner)
    for caller in CALLERS:
        found, missing = world.read(caller, world.draft, what), world.read(caller, nothing, what)
        assert missing[0] == 404
        if caller in SEE_DRAFT:
            assert found[0] == 200, (caller, found)
        else:
            assert found[0] == 404
            assert found[1].replace(world.draft.id, "ID") == missing[1].replace(nothing.id, "ID"), caller


def told(response: httpx.Response, *ids: str) -> dict[str, Any]:
    """An answer without the parts that differ between requests."""
    text = response.text
    for number, one in enumerate(ids):
        text = text.replace(one, f"ID-{number}")
    document: dict[str, Any] = json.loads(text)
    document["position"] = "position" in document
    document.pop("now", None)
    document["status code"] = response.status_code
    return document


def asked_for(buyer: Person, event_id: str, type_id: str, **body: Any) -> list[dict[str, Any]]:
    """Everything that a request for a ticket type reveals: its answer, a repetition, another body, the rows."""
    key, quantity = unique(), {"quantity": 1} if "seats" not in body else {}
    first = buyer.reserve(event_id, key=key, ticket_type_id=type_id, **quantity, **body)
    again = buyer.reserve(event_id, key=key, ticket_type_id=type_id, **quantity, **body)
    other = buyer.reserve(event_id, key=key, ticket_type_id=type_id, quantity=2)
    reservation = first.json()["reservation_id"]
    row = buyer.get(f"/v1/reservations/{reservation}", prefer="wait=5" if "position" in first.json() else None)
    why = buyer.get(f"/v1/reservations/{reservation}/explanation")
    wait = buyer.post(
        f"/v1/events/{event_id}/waitlist", key=unique(), prefer=WAIT, json={"ticket_type_id": type_id, "quantity": 1}
    )
    ids = (event_id, type_id, reservation)
    decisions = [
        {name: value for name, value in one.items() if name not in ("position", "log_time", "time")}
        for one in why.json().get("decisions", [])
    ]
    entry = wait.json().get("field", "")
    return [
        told(first, *ids), told(again, *ids), told(other, *ids), told(row, *ids),
        {"why": why.status_code, "decisions": json.loads(re.sub("|".join(ids), "ID", json.dumps(decisions)))},
        {"waiting": wait.status_code, "type": wait.json()["type"], "entry": entry, "kept": row.json().get("reason")},
    ]  # fmt: skip


def test_a_request_for_a_draft_is_answered_as_one_for_an_event_that_does_not_exist(world: World) -> None:
    buyer = world.shop.person()
    for type_id in (world.draft.general, str(uuid4())):
        ids = (str(uuid4()) for _ in range(1_000))
        nowhere = next(one for one in ids if partition_of(one, 8) == partition_of(world.draft.id, 8))
        assert asked_for(buyer, world.draft.id, type_id) == asked_for(buyer, nowhere, str(uuid4()))
    problem(buyer.reserve(world.draft.id, ticket_type_id=world.draft.general, quantity=1), 404, "event-not-found")
    own = world.owner.reserve(world.draft.id, ticket_type_id=world.draft.general, quantity=1)
    problem(own, 409, "sales-not-open")


@pytest.mark.parametrize(
    "body", [{}, {"seats": ["A-1"]}, {"seats": ["Z-99"]}, {"access_code": "NO-SUCH"}, {"access_code": OTHER_CODE}],
    ids=["by quantity", "by seat", "by no seat", "with a wrong code", "with the code of another type"],
)  # fmt: skip
def test_a_request_for_a_hidden_type_is_answered_as_one_for_a_type_that_does_not_exist(
    world: World, body: dict[str, Any]
) -> None:
    buyer = world.shop.person()
    found = asked_for(buyer, world.event.id, world.hidden[0], **body)
    assert found == asked_for(buyer, world.event.id, str(uuid4()), **body)
    assert found[0]["type"] == "/problems/ticket-type-not-found"


def test_who_has_the_code_is_told_what_is_the_matter(world: World) -> None:
    buyer = world.shop.person()
    hidden = world.hidden[0]
    wrong_seat = buyer.reserve(world.event.id, ticket_type_id=hidden, seats=["Z-99"], access_code=CODE.lower())
    problem(wrong_seat, 409, "seat-unknown")
    done(buyer.reserve(world.event.id, ticket_type_id=hidden, seats=["A-1"], access_code=CODE.lower()), 201)
    problem(world.owner.reserve(world.event.id, ticket_type_id=hidden, quantity=1), 409, "access-code-required")


def test_guesses_at_codes_are_limited_and_a_right_one_says_no_more_by_then(world: World) -> None:
    event = world.event.id
    guesser, honest = world.shop.person(), world.shop.person()
    types = f"/v1/events/{event}/ticket-types"
    for number in range(10):
        found = done(guesser.get(types, params={"access_code": f"GUESS-{number}"}), 200)
        assert not set(world.hidden) & {one["id"] for one in found["items"]}
    refused = problem(guesser.get(types, params={"access_code": "GUESS-10"}), 429, "rate-limited")
    assert refused["retry_after_s"] > 0
    assert int(guesser.get(types, params={"access_code": CODE}).headers["retry-after"]) > 0
    for what in ("availability", "seats", "stream"):
        limited = guesser.get(f"/v1/events/{event}/{what}", params={"access_code": CODE})
        problem(limited, 429, "rate-limited")
    for body in ({"access_code": CODE}, {"promo_code": "GUESS"}):
        again = guesser.reserve(event, ticket_type_id=world.hidden[0], quantity=1, **body)
        problem(again, 429, "rate-limited")
    done(guesser.get(types), 200)
    assert set(world.hidden) <= {
        one["id"] for one in done(honest.get(types, params={"access_code": CODE}), 200)["items"]
    }


def test_anonymous_guesses_are_limited_by_their_network(world: World) -> None:
    path = f"/v1/events/{world.event.id}/ticket-types"
    answers = [world.shop.http.get(path, params={"access_code": f"TRY-{number}"}).status_code for number in range(130)]
    assert set(answers) == {200, 429}
    assert answers.index(429) <= 100
    eventually(lambda: world.shop.http.get(path).status_code == 200, "who guesses not is served")
