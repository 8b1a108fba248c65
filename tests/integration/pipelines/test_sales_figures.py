"""Figures of sales are those of the rows: holds, sell-through, money; and places beyond what there is."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.postgres import Connection, Database
from connectors.settings import Settings
from pipelines.monitoring.sales import Sales, sales
from pipelines.monitoring.services import look_at_postgres
from tests.harness.fact_logs import log_of
from tests.harness.flows import Flow, eventually, projections, rows_of, write_facts
from tests.harness.words import DETAILS, held, on_sale


@pytest.fixture
def database(settings: Settings) -> Any:
    database = Database(settings.postgres_url)
    yield database
    database.close()


def test_sales_are_counted_from_the_rows_and_an_oversell_is_seen(settings: Settings, database: Database) -> None:
    facts = log_of(*on_sale(), held(["A-1", "A-2"]))
    write_facts(settings, facts)
    with Flow(projections, settings), rows_of(settings) as query:
        eventually(lambda: query("SELECT count(*) FROM reservations") == [(1,)], "the hold has its row")
        ((expires_at,),) = query("SELECT expires_at FROM reservations")

    def at(now_us: int) -> Sales:
        return database.run(lambda connection: sales(connection, now_us), readonly=True)

    before = at(expires_at - 30_000_000)
    assert (before.holds.open, before.holds.expiring, before.holds.overdue) == (1, 1, 0)
    assert at(expires_at + 1).holds.overdue == 1
    (event,) = before.events
    assert (event.held, event.sold) == (2, 0)
    assert event.total > 2
    assert before.oversold_places == 0
    assert at(DETAILS["ends_at"] + 1).events == [], "an event that is over has no series"

    async def oversell(connection: Connection) -> None:
        await connection.execute("UPDATE reservations SET quantity = $1", event.total + 3)

    database.run(oversell)
    assert at(expires_at).oversold_places == 3


def test_postgres_says_what_it_does_and_what_time_it_is(settings: Settings, database: Database) -> None:
    report = look_at_postgres(database)
    assert abs(report.clock_skew_s) < 1
    assert report.figures["connections"] >= 1
    assert report.figures["connections_max"] > report.figures["connections"]
    assert report.figures["bytes"] > 0
