"""Failed logins are recorded once an hour for each reason, network and account, and their number is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from api.auth.attempts import ATTEMPTS_NOTED_MAX, WINDOW_S, AttemptKind, Attempts
from api.auth.origin import Origin
from api.http.problem import Problem
from api.reads.database import QueryPool

ACCOUNT = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"


class Rows:
    """The requests to PostgreSQL: the names of rows that must be there once."""

    def __init__(self) -> None:
        self.once: list[str] = []
        self.away = False

    async def within(self, work: Callable[[Any], Awaitable[None]]) -> None:
        if self.away:
            raise Problem("unavailable", "PostgreSQL is away")
        await work(self)

    async def execute(self, _sql: str, *arguments: Any) -> str:
        self.once.append(arguments[-1])
        return "INSERT 0 1"


@pytest.fixture
def rows() -> Rows:
    return Rows()


def noting(rows: Rows, now: list[float]) -> Callable[..., None]:
    attempts = Attempts(cast("QueryPool", rows), lambda: now[0])

    def note(
        why: AttemptKind = AttemptKind.UNKNOWN_ACCOUNT, network: str = "192.0.2.1", user_id: str | None = None
    ) -> None:
        asyncio.run(attempts.note(why, Origin(network, network), user_id))

    return note


def test_an_attempt_is_written_down_once_an_hour_for_each_reason_network_and_account(rows: Rows) -> None:
    now = [float(WINDOW_S)]
    note = noting(rows, now)
    for _ in range(3):
        note()
        note(AttemptKind.RATE_LIMITED)
        note(AttemptKind.RATE_LIMITED, user_id=ACCOUNT)
        note(network="192.0.2.2")
    assert len(rows.once) == len(set(rows.once)) == 4
    now[0] += WINDOW_S - 1
    note()
    assert len(rows.once) == 4
    now[0] += 1
    note()
    assert len(set(rows.once)) == 5


def test_however_many_networks_there_are_an_hour_has_so_many_rows(rows: Rows) -> None:
    now = [float(WINDOW_S)]
    note = noting(rows, now)
    for number in range(ATTEMPTS_NOTED_MAX + 1):
        note(network=f"network {number}")
    assert len(rows.once) == ATTEMPTS_NOTED_MAX
    now[0] += WINDOW_S
    note()
    assert len(rows.once) == ATTEMPTS_NOTED_MAX + 1


def test_what_could_not_be_written_down_is_with_the_next_attempt(rows: Rows) -> None:
    note = noting(rows, [float(WINDOW_S)])
    rows.away = True
    note()
    rows.away = False
    note()
    assert len(rows.once) == 1
