"""`circle locks` takes all seats of a request or none, and frees only an owner's own; errors have their exit codes."""

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import asyncpg
import pytest

from connectors.settings import Settings
from ops.cli.main import run
from ops.run.services.process import run_coroutine
from pipelines.reservations.seat_locks import SeatLocks, claim_text

EVENT = "11111111-1111-4111-8111-111111111111"
STALLS = "22222222-2222-4222-8222-222222222222"
Circle = Callable[..., tuple[int, Any, str]]


async def add_event(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO events VALUES ($1, 0, 'o', 'published', 't', '', '', 'v', 1, 2, 'UTC', 0, 0, 60, 4, 1, 1, 0, 0)",
        EVENT,
    )
    await connection.execute(
        "INSERT INTO ticket_types VALUES ($1, $2, 0, 0, 'Stalls', 100, 'EUR', 'seated', 3, 6, 0, 0, 0, 0, 0)",
        STALLS, EVENT,
    )  # fmt: skip
    await connection.close()


@pytest.fixture
def circle(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Circle:
    """Runs a command on the stack: its code, its JSON, its error."""
    monkeypatch.setenv("CIRCLE_POSTGRES_URL", settings.postgres_url)
    monkeypatch.setenv("CIRCLE_REDIS_URL", settings.redis_url)
    run_coroutine(add_event(settings.postgres_url))

    def call(*arguments: str) -> tuple[int, Any, str]:
        code = run(["locks", *arguments, "--json"])
        told = capsys.readouterr()
        return code, json.loads(told.out) if told.out else None, told.err

    return call


def seats(circle: Circle) -> dict[str, str]:
    return {lock["seat"]: lock["owner"] for lock in circle("list", EVENT)[1]}


def test_seats_are_taken_listed_and_freed(circle: Circle) -> None:
    assert circle("take", EVENT, "A-1..2", "C-6", "--owner", "box office")[0] == 0
    assert seats(circle) == {"A-1": "box office", "A-2": "box office", "C-6": "box office"}
    code, report, _ = circle("free", EVENT, "A-1", "--owner", "box office")
    assert (code, report["freed"]) == (0, 1)
    assert circle("free", EVENT, "--all", "--owner", "box office")[1]["freed"] == 2
    assert seats(circle) == {}


def test_a_dry_run_changes_nothing(circle: Circle) -> None:
    assert circle("take", EVENT, "A-1", "--owner", "x", "--dry-run")[0] == 0
    assert seats(circle) == {}
    circle("take", EVENT, "A-1", "--owner", "x")
    assert circle("free", EVENT, "A-1", "--owner", "x", "--dry-run")[1]["freed"] == 1
    assert seats(circle) == {"A-1": "x"}


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_seat_that_another_has_takes_nothing_and_exits_1(circle: Circle, dry: tuple[str, ...]) -> None:
    circle("take", EVENT, "B-2", "--owner", "partner")
    code, _, error = circle("take", EVENT, "B-1", "B-2", "--owner", "box office", *dry)
    assert code == 1
    assert f"{STALLS}/B-2: locked by partner" in error
    assert seats(circle) == {"B-2": "partner"}


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_seat_that_a_buyer_has_takes_nothing_and_exits_1(
    circle: Circle, settings: Settings, dry: tuple[str, ...]
) -> None:
    with closing(SeatLocks(settings.redis_url)) as locks:
        locks.install({EVENT: 1}, {EVENT: {f"{STALLS}/A-3": claim_text("held", "r", 9, 1, 1)}})
    code, _, error = circle("take", EVENT, "A-2..4", "--owner", "box office", *dry)
    assert code == 1
    assert "A-3: a buyer has claimed it" in error
    assert seats(circle) == {}


def test_anothers_locks_are_not_freed(circle: Circle) -> None:
    circle("take", EVENT, "A-1", "--owner", "partner")
    code, report, _ = circle("free", EVENT, "A-1", "--owner", "box office")
    assert (code, report["freed"]) == (1, 0)
    assert seats(circle) == {"A-1": "partner"}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("take", STALLS, "A-1", "--owner", "x"), f"no event {STALLS}"),
        (("take", EVENT, "Z-1", "--owner", "x"), "no seat Z-1"),
        (("take", EVENT, "A-1", "--owner", "x|y"), "--owner"),
        (("take", EVENT, "A-1", "--owner", "x", "--ticket-type", EVENT), "no seated ticket type"),
        (("free", EVENT, "--owner", "x"), "--all"),
    ],
)
def test_wrong_usage_names_what_is_wrong_and_exits_2(circle: Circle, arguments: tuple[str, ...], names: str) -> None:
    code, _, error = circle(*arguments)
    assert code == 2
    assert names in error


def test_a_service_that_is_away_exits_3(circle: Circle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCLE_REDIS_URL", "redis://127.0.0.1:1/0")
    code, _, error = circle("list", EVENT)
    assert code == 3
    assert "Redis at" in error
    assert "127.0.0.1:1" in error
