"""A followed request begins at its route: the table knows every command that the API writes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from api.routes.table import ROUTES as TABLE
from pipelines.watch.command_routes import ROUTES, route_of
from schemas import commands
from schemas.commands import COMMANDS
from schemas.statuses import OfferAnswer

API = Path(commands.__file__).parents[1] / "api"
NOT_OF_THE_API = {"Tick"}
"""Time passes without a request."""


def test_every_command_has_its_routes_or_is_written_by_no_request() -> None:
    names = {one.__name__ for one in COMMANDS}
    assert {*ROUTES} | NOT_OF_THE_API == names
    assert not {*ROUTES} & NOT_OF_THE_API


def test_every_command_that_the_source_of_the_api_makes_has_its_routes() -> None:
    names, made = {one.__name__ for one in COMMANDS}, set[str]()
    for file in API.rglob("*.py"):
        calls = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
        made |= {one.func.id for one in calls if isinstance(one.func, ast.Name)} & names
    assert len(made) > 20
    assert made <= {*ROUTES}


@pytest.mark.parametrize("command", ROUTES)
def test_the_routes_are_those_of_the_table_and_change_something(command: str) -> None:
    writing = {route.name for route in TABLE if route.writes}
    assert ROUTES[command]
    assert {*ROUTES[command]} <= writing


def test_an_answer_names_its_route() -> None:
    assert route_of("AnswerTransfer", {"answer": OfferAnswer.WITHDRAW}) == "DELETE /v1/transfers/<transfer_id>"
    assert route_of("AnswerTransfer", {"answer": "decline"}) == "POST /v1/transfers/<transfer_id>/decline"
    assert route_of("AnswerInvitation", {"answer": "accept"}) == "POST /v1/invitations/<event_id>/accept"


def test_a_command_of_several_routes_names_them_all_and_a_tick_none() -> None:
    assert route_of("CheckIn", {}) == (
        "POST /v1/events/<event_id>/check-ins or POST /v1/events/<event_id>/check-ins/batch"
    )
    assert route_of("Tick", {}) == ""
