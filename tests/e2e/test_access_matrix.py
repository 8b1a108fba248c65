"""Every route with every kind of caller, as `tests.harness.access.MATRIX` says; then with generated requests.

The arguments of a route come from the world below: the event is the owner's and on sale; the reservation, the ticket
and the notification are the buyer's; the category is the owner's. A body is the example of the API's description. Add
to PATHS a new route whose id is not in the world, or whose call uses something up; to BODIES one whose example is no
good body; to NEWCOMERS one whose call changes its caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import httpx
import jwt
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, openapi
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.http.openapi import document
from api.http.routing import Route
from api.routes.table import ROUTES
from api.shapes.inventory import CodeIn, PoolIn
from ops.run.platform import Platform
from tests.harness.access import CALLERS, MATRIX
from tests.harness.door import employed
from tests.harness.shop import GENERAL, PASSWORD, Person, Shop, done, open_shop, unique
from tests.harness.two_ways import BothWays, both_ways

REFUSED = (401, 403, 404)


class World:
    """A platform with all kinds of callers, and one of each thing that an id may name."""

    def __init__(self, platform: Platform, ways: BothWays) -> None:
        shop = Shop(ways.url, platform.settings)
        self.settings, self.shop, self.ways = platform.settings, shop, ways
        self.owner = shop.organizer()
        self.people: dict[str, Person | None] = {
            "anonymous": None,
            "buyer": shop.person(),
            "other buyer": shop.person(),
            "staff": shop.person(),
            "other organizer": shop.organizer(),
            "owner": self.owner,
            "admin": shop.admin(),
        }
        self.event = shop.event(self.owner, max_tickets_per_user=1000)
        self.draft = shop.event(self.owner, publish=False)
        employed(self.event, self.person("staff"))
        held = self.held()
        self.ticket = done(self.buyer.confirm(held), 200)["tickets"][0]
        self.ids: dict[str, str] = {
            "event_id": self.event.id,
            "reservation_id": held,
            "ticket_id": self.ticket["id"],
            "notification": self.notification(),
            "category_id": self.category(),
            "user_id": self.owner.id,
            "kind": "sold-out",
            "file": "console.js",
            "topic": "tickets.commands",
            "place": "99-0",
            "offset": "0",
            "row": "no-row",
            "ticket_type_id": self.event.general,
            "pool_id": self.made("pools", PoolIn.EXAMPLE),
            "code_id": self.made("codes", CodeIn.EXAMPLE),
            "block_id": self.made("blocks", {"ticket_type_id": self.event.general, "quantity": 2}),
            "entry_id": self.entry(),
            "delivery": self.delivery(),
            "webhook_id": self.hook,
            "transfer_id": self.offer(),
            "session_id": self.session(),
        }
        # The cases in brackets: the ids that differ there.
        self.cases = {"draft": {"event_id": self.draft.id}, "buyer": {"user_id": self.buyer.id}, "": {}}

    @property
    def buyer(self) -> Person:
        return self.person("buyer")

    def person(self, caller: str) -> Person:
        """A caller with an account."""
        one = self.people[caller]
        assert one is not None
        return one

    def paid(self) -> str:
        """A paid reservation of the buyer's; its ticket is `spare`."""
        reservation = self.held()
        self.spare = str(done(self.buyer.confirm(reservation), 200)["tickets"][0]["id"])
        return reservation

    def bought(self) -> str:
        """A ticket of the buyer's."""
        self.paid()
        return self.spare

    def newcomer(self, caller: str) -> Person | None:
        """A new caller of the same role, without any data."""
        make = {"anonymous": lambda: None, "admin": self.shop.admin, "owner": self.shop.organizer}
        return make.get(caller, self.shop.organizer if "organizer" in caller else self.shop.person)()

    def offer(self) -> str:
        """A ticket that the buyer offers to the other buyer."""
        path = f"/v1/tickets/{self.bought()}/transfer"
        body = {"to": self.person("other buyer").email}
        return str(done(self.buyer.post(path, json=body, prefer="wait=20"), 200)["transfer_id"])

    def invitation(self) -> str:
        """An event of the owner's to whose door the buyer is invited."""
        event = self.shop.event(self.owner)
        body = {"user": self.buyer.email}
        done(self.owner.post(f"/v1/events/{event.id}/staff", json=body, prefer="wait=20"), 201)
        return event.id

    def held_and_shown(self) -> str:
        """A hold of the buyer's that is in the rows already."""
        held = self.held()
        done(self.buyer.get(f"/v1/reservations/{held}"), 200)
        return held

    def made(self, what: str, body: dict[str, Any]) -> str:
        """A part of the event, made by its owner."""
        path = f"/v1/events/{self.event.id}/{what}"
        return str(done(self.owner.post(path, key=unique(), prefer="wait=20", json=body), 201)["id"])

    def entry(self) -> str:
        """The buyer's place in a waiting list."""
        scarce = self.made("ticket-types", GENERAL | {"layout": {"kind": "general", "capacity": 1}})
        done(self.buyer.reserve(self.event.id, ticket_type_id=scarce, quantity=1), 201)
        path, body = f"/v1/events/{self.event.id}/waitlist", {"ticket_type_id": scarce, "quantity": 1}
        return str(done(self.buyer.post(path, key=unique(), prefer="wait=20", json=body), 201)["id"])

    @cached_property
    def doomed(self) -> str:
        """An event of the owner's that may be cancelled."""
        return self.shop.event(self.owner).id

    @cached_property
    def unwanted(self) -> str:
        """A draft of the owner's that may be deleted."""
        return self.shop.event(self.owner, publish=False).id

    def category(self) -> str:
        """A category of the owner's that no event is in."""
        return str(done(self.owner.post("/v1/categories", json={"name": f"Category {unique()}"}), 201)["id"])

    def session(self) -> str:
        """An unused session of the buyer's."""
        login = {"email": self.buyer.email, "password": PASSWORD}
        token = done(self.shop.http.post("/v1/auth/login", json=login), 200)["access_token"]
        return str(jwt.decode(token, options={"verify_signature": False})["sid"])

    def webhook(self) -> str:
        """An endpoint of the owner's, without a server."""
        return str(done(self.owner.post("/v1/webhooks", json={"url": "https://no-such-name.invalid/"}), 201)["id"])

    def delivery(self) -> str:
        """A call to an endpoint. Its routes name the endpoint too, so both are made at once."""
        self.hook = self.webhook()
        return str(done(self.owner.post(f"/v1/webhooks/{self.hook}/test"), 202)["id"])

    def held(self) -> str:
        """A hold of the buyer's."""
        return str(done(self.buyer.reserve(self.event.id, ticket_type_id=self.event.general, quantity=1), 201)["id"])

    def notification(self) -> str:
        """A notification of the buyer's, as soon as it is there."""
        with self.buyer.http.stream(
            "GET", "/v1/notifications/stream", headers=self.buyer.headers | {"last-event-id": "0-0"}
        ) as stream:
            self.held()
            return next(line.removeprefix("id: ") for line in stream.iter_lines() if line.startswith("id: "))


# Where the world's own id would not do: a call that uses something up gets a new one for each caller.
PATHS: dict[str, dict[str, Callable[[World], str]]] = {
    "DELETE /v1/categories/<category_id>": {"category_id": World.category},
    "POST /v1/events/<event_id>/cancel": {"event_id": lambda world: world.doomed},
    "DELETE /v1/events/<event_id>": {"event_id": lambda world: world.unwanted},
    "POST /v1/events/<event_id>/reservations/<reservation_id>/refund": {"reservation_id": World.held_and_shown},
    "DELETE /v1/reservations/<reservation_id>": {"reservation_id": World.held},
    "POST /v1/reservations/<reservation_id>/confirm": {"reservation_id": World.held},
    "POST /v1/reservations/<reservation_id>/cancel-tickets": {"reservation_id": World.paid},
    "POST /v1/tickets/<ticket_id>/transfer": {"ticket_id": World.bought},
    "POST /v1/transfers/<transfer_id>/accept": {"transfer_id": World.offer},
    "POST /v1/transfers/<transfer_id>/decline": {"transfer_id": World.offer},
    "DELETE /v1/transfers/<transfer_id>": {"transfer_id": World.offer},
    "POST /v1/invitations/<event_id>/accept": {"event_id": World.invitation},
    "POST /v1/invitations/<event_id>/decline": {"event_id": World.invitation},
    "DELETE /v1/users/me/sessions/<session_id>": {"session_id": World.session},
    "DELETE /v1/webhooks/<webhook_id>": {"webhook_id": World.webhook},
    "DELETE /v1/notifications/<notification>": {"notification": World.notification},
}
BODIES: dict[str, Callable[[World], dict[str, Any]]] = {
    "POST /v1/auth/register": lambda _: {"email": f"{unique()}@example.org", "password": unique(), "name": "Ada"},
    "POST /v1/auth/login": lambda world: {"email": world.buyer.email, "password": "correct-horse-7"},
    "POST /v1/auth/refresh": lambda world: {"refresh_token": world.shop.person().refresh_token},
    "POST /v1/categories": lambda _: {"name": f"Category {unique()}"},
    "POST /v1/events/<event_id>/reservations": lambda world: {"ticket_type_id": world.event.general, "quantity": 1},
    "POST /v1/events/<event_id>/ticket-types": lambda _: GENERAL,
    "POST /v1/reservations/<reservation_id>/cancel-tickets": lambda world: {"ticket_ids": [world.spare]},
    "POST /v1/tickets/<ticket_id>/transfer": lambda world: {"to": world.person("other buyer").email},
    "POST /v1/events/<event_id>/staff": lambda world: {"user": world.person("staff").id},
    "POST /v1/events/<event_id>/check-ins": lambda world: {"code": world.ticket["code"]},
    "POST /v1/events/<event_id>/check-ins/batch": lambda world: {
        "scanner": "tablet",
        "scans": [{"code": world.ticket["code"], "scanned_at": "2030-05-01T17:00:00Z"}],
    },
    "POST /v1/events/<event_id>/blocks": lambda world: {"ticket_type_id": world.event.general, "quantity": 1},
    "POST /v1/events/<event_id>/waitlist": lambda world: {"ticket_type_id": world.event.general, "quantity": 1},
    "POST /v1/tickets/validate": lambda world: {"code": world.ticket["code"]},
}
# Calls that change their caller: each one gets a new caller.
NEWCOMERS = frozenset(
    {
        "DELETE /v1/users/me",
        "PATCH /v1/users/me",
        "POST /v1/users/me/become-organizer",
        "POST /v1/users/me/second-factor",
        "DELETE /v1/users/me/sessions",
    }
)

BY_NAME = {route.name: route for route in ROUTES}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    scratch = tmp_path_factory.mktemp("ways")
    with open_shop() as (platform, _), both_ways(platform, scratch) as ways:
        made = World(platform, ways)
        yield made
        made.shop.http.close()


def test_what_is_said_of_a_route_is_said_of_one_that_there_is() -> None:
    assert {*PATHS, *BODIES, *NEWCOMERS} <= BY_NAME.keys()


@pytest.mark.parametrize("line", MATRIX)
def test_a_route_is_open_to_those_it_names_and_closed_to_all_others(world: World, line: str) -> None:
    name, _, case = line.removesuffix(")").partition(" (")
    expected = dict(zip(CALLERS, MATRIX[line].split(), strict=True))
    slim, route = world.ways.taken, BY_NAME[name]
    # Refused callers come first, while the thing still exists.
    for caller in sorted(CALLERS, key=lambda one: expected[one] == "ok"):
        person = world.newcomer(caller) if name in NEWCOMERS else world.people[caller]
        status, text = call(world, route, person, world.cases[case])
        where = f"{line} by {caller}: {status} {text}"
        if expected[caller] == "ok":
            assert status not in REFUSED, where
            assert status < 500, where
        else:
            assert status == int(expected[caller]), where
    assert not route.hot or world.ways.taken >= slim + len(CALLERS), "a hot route's requests took Sanic's way"


def call(world: World, route: Route, person: Person | None, case: dict[str, str]) -> tuple[int, str]:
    """One request with the world's ids: the status and the answer."""
    ids = world.ids | case | {name: make(world) for name, make in PATHS.get(route.name, {}).items()}
    path = re.sub(r"<(\w+)>", lambda match: ids[match[1]], route.path)
    headers = {"idempotency-key": unique()} if route.idempotency_key else {}
    if person is not None:
        headers |= person.headers
    body = None
    if route.body is not None:
        make = BODIES.get(route.name)
        body = route.body.EXAMPLE if make is None else make(world)
    with world.shop.http.stream(route.method, path, headers=headers, json=body) as response:
        return response.status_code, _text(response)


def _text(response: httpx.Response) -> str:
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return "a stream"
    return response.read().decode(errors="replace")[:500]


# --- as it describes itself

DESCRIBED = [route for route in ROUTES if route.media_type != "text/event-stream"]  # a stream has no end
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES_EACH = 6  # of each kind of request: 1,000 requests in all
DESCRIPTION = openapi.from_dict(json.loads(msgspec.json.encode(document(ROUTES, "0"))))
OPERATIONS = {found.ok().label: found.ok() for found in DESCRIPTION.get_all_operations()}


@pytest.fixture(scope="module")
def described(world: World) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Existing ids, and the callers. The event may be changed, cancelled and used up."""
    organizer = world.shop.organizer()
    ids = world.ids | {"event_id": world.shop.event(organizer).id}
    # Hypothesis prefers the first one: the caller with the most rights.
    return ids, [*(person.headers for person in (organizer, world.buyer, world.shop.admin())), {}]


@pytest.mark.parametrize("route", DESCRIBED, ids=lambda route: str(route.name))
def test_every_answer_is_as_the_description_says(
    world: World, described: tuple[dict[str, str], list[dict[str, str]]], route: Route
) -> None:
    (ids, callers), slim = described, world.ways.taken
    operation = OPERATIONS[re.sub(r"<(\w+)>", r"{\1}", route.name)]
    own = {name: ids[name] for name in re.findall(r"<(\w+)>", route.path) if name in ids}
    ways = [operation.as_strategy(path_parameters=known) for known in ([own, None] if own else [None])]
    if route.body is not None or route.query is not None:
        ways.append(operation.as_strategy(GenerationMode.NEGATIVE, path_parameters=own or None))

    @seed(7)  # the same requests each time
    @settings(
        max_examples=EXAMPLES_EACH * len(ways),
        database=None,
        phases=[Phase.generate],
        suppress_health_check=HealthCheck,
    )
    @given(case=st.one_of(ways), caller=st.sampled_from(callers))
    def ask(case: Case, caller: dict[str, str]) -> None:
        headers = caller | ({"prefer": "wait=2"} if route.prefer else {})
        if route.idempotency_key:
            headers["idempotency-key"] = unique()
        response = case.call(base_url=world.shop.url, headers=headers, timeout=30)
        case.validate_response(response, checks=CHECKS)

    ask()
    assert not route.hot or world.ways.taken > slim, "no request of a hot route took the slim way"
