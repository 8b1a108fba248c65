"""The matrix says for every route who may call it."""

from __future__ import annotations

from api.routes.table import ROUTES
from tests.harness.access import CALLERS, MATRIX


def test_every_route_is_in_the_matrix_and_every_line_is_a_route() -> None:
    listed = {line.split(" (")[0] for line in MATRIX}
    routes = {route.name for route in ROUTES}
    assert routes - listed == set(), "say who may call these, in tests/harness/access.py"
    assert listed - routes == set()


def test_every_line_has_a_word_for_every_caller() -> None:
    for line, words in MATRIX.items():
        assert len(words.split()) == len(CALLERS), line
        assert all(word == "ok" or word in {"401", "403", "404"} for word in words.split()), line
