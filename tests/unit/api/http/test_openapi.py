"""The document describes the whole table, and only it."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from api.http.openapi import document
from api.http.problem import KINDS
from api.http.routing import Access, Route
from api.routes.table import ROUTES
from api.shapes.channels import WebhookIn

# The built part of the design's table: a route that disappears fails here.
DESIGN = """
POST /v1/auth/register|POST /v1/auth/login|POST /v1/auth/refresh|POST /v1/auth/logout|GET /.well-known/jwks.json
GET /v1/users/me|PATCH /v1/users/me|POST /v1/users/me/become-organizer|GET /v1/users/{user_id}
GET /v1/categories|POST /v1/categories|GET /v1/categories/{category_id}|DELETE /v1/categories/{category_id}
GET /v1/events|POST /v1/events|GET /v1/events/{event_id}|PATCH /v1/events/{event_id}|POST /v1/events/{event_id}/publish
GET /v1/events/{event_id}/ticket-types|POST /v1/events/{event_id}/ticket-types
GET /v1/events/{event_id}/availability|GET /v1/events/{event_id}/seats|POST /v1/events/{event_id}/reservations
GET /v1/reservations|GET /v1/reservations/{reservation_id}|POST /v1/reservations/{reservation_id}/confirm
GET /v1/reservations/{reservation_id}/explanation
POST /v1/events/{event_id}/check-ins
DELETE /v1/reservations/{reservation_id}|GET /v1/tickets|GET /v1/tickets/{ticket_id}|POST /v1/tickets/validate
GET /v1/notifications|GET /v1/notifications/unread-count|PUT /v1/notifications/{notification}/read
PUT /v1/notifications/read-all|DELETE /v1/notifications/{notification}|GET /v1/notifications/stream
GET /v1/webhooks|POST /v1/webhooks|GET /v1/webhooks/{webhook_id}|DELETE /v1/webhooks/{webhook_id}
GET /v1/webhooks/{webhook_id}/deliveries|POST /v1/webhooks/{webhook_id}/deliveries/{delivery}/redeliver
GET /v1/notifications/preferences|PATCH /v1/notifications/preferences
GET /v1/events/{event_id}/stream|GET /healthz|GET /readyz|GET /metrics|GET /dashboard|GET /docs|GET /openapi.json
"""


@pytest.fixture(scope="module")
def served() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(msgspec.json.encode(document(ROUTES, "0")))
    return found


def operations(served: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in served["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_of_the_design_is_described(served: dict[str, Any]) -> None:
    missing = {row for row in re.split(r"[|\n]", DESIGN) if row} - operations(served).keys()
    assert not missing


def test_every_route_of_the_table_is_described_once(served: dict[str, Any]) -> None:
    assert len(operations(served)) == len(ROUTES) == len({route.name for route in ROUTES})
    ids = [operation["operationId"] for operation in operations(served).values()]
    assert len(set(ids)) == len(ids)


def test_every_shape_has_one_name_that_a_class_can_have_and_says_what_it_is(served: dict[str, Any]) -> None:
    schemas = served["components"]["schemas"]
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9]*", name) for name in schemas), sorted(schemas)
    assert [name for name, shape in schemas.items() if shape["title"] != name] == []
    assert [name for name, shape in schemas.items() if not shape.get("description")] == []


def test_no_description_is_pythons_own(served: dict[str, Any]) -> None:
    found = re.findall(r'"description": "([^"]*)"', json.dumps(served))
    assert [text for text in found if re.match(r"(str|int|bytes|dict|list|bool|float)\(|OK$|$", text)] == []


def test_every_component_is_used(served: dict[str, Any]) -> None:
    text = json.dumps(served)
    assert [name for name in served["components"]["schemas"] if f'/schemas/{name}"' not in text] == []


def test_every_reference_leads_somewhere(served: dict[str, Any]) -> None:
    found = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(served)))
    assert found <= served["components"]["schemas"].keys()


def test_nothing_is_loaded_from_elsewhere(served: dict[str, Any]) -> None:
    text = json.dumps(served)
    example = json.dumps(WebhookIn.EXAMPLE["url"])  # an address to call, as a value
    assert text.count(example) == 1
    text = text.replace(example, "")
    assert "http://" not in text
    assert "https://" not in text


def test_a_route_names_each_problem_once() -> None:
    assert [route.path for route in ROUTES if len(set(route.problems)) != len(route.problems)] == []


def test_every_problem_type_that_a_route_can_answer_is_known(served: dict[str, Any]) -> None:
    assert {slug for route in ROUTES for slug in route.problems} <= KINDS.keys()
    types = served["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert types == [f"/problems/{slug}" for slug in sorted(KINDS)]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_says_who_may_call_it_and_what_comes_back(route: Route, served: dict[str, Any]) -> None:
    path = re.sub(r"<(\w+)>", r"{\1}", route.path)
    operation = operations(served)[f"{route.method} {path}"]
    assert operation["summary"]
    assert operation["x-access"] == route.access
    assert bool(operation["security"]) == (route.access is not Access.PUBLIC)
    assert any(status.startswith("2") for status in operation["responses"])
    if route.access in (Access.USER, Access.ORGANIZER, Access.ADMIN):
        assert "401" in operation["responses"]
    if route.body is not None:
        assert {"400", "413", "422"} <= operation["responses"].keys()
    if route.idempotency_key == "required":
        header = next(one for one in operation["parameters"] if one["name"] == "Idempotency-Key")
        assert header["required"] is True


@pytest.mark.parametrize("route", [one for one in ROUTES if one.body is not None], ids=lambda route: route.name)
def test_every_body_has_an_example_that_the_api_would_take(route: Route, served: dict[str, Any]) -> None:
    assert route.body is not None
    example = route.body.EXAMPLE
    assert example, f"{route.body.__name__} needs an EXAMPLE"
    msgspec.json.decode(json.dumps(example), type=route.body)
    path = re.sub(r"<(\w+)>", r"{\1}", route.path)
    content = operations(served)[f"{route.method} {path}"]["requestBody"]["content"]["application/json"]
    assert content["example"] == example


def test_a_webhook_says_which_header_vouches_for_it(served: dict[str, Any]) -> None:
    operation = operations(served)["POST /v1/payments/stripe/webhook"]
    header = next(one for one in operation["parameters"] if one["in"] == "header")
    assert (header["name"], header["required"]) == ("Stripe-Signature", True)
    assert operation["security"] == []
