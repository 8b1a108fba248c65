"""Figures of sales are those of the rows: holds, sell-through, money; and places beyond what there is."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY

from connectors.postgres import Connection, Database
from connectors.settings import Settings
from pipelines.monitoring import watch
from pipelines.monitoring.sales import Sales, sales
from pipelines.monitoring.services import look_at_postgres
from tests.harness.fact_logs import log_of, recorded
from tests.harness.flows import Flow, eventually, monitoring, projections, rows_of, write_facts
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


def test_of_thirty_events_the_twenty_that_sell_most_have_series(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(30)]
    facts = []
    for number, event in enumerate(events):
        of_event = [*on_sale(), *([held(quantity=number, rid=f"r-{number}")] if number else [])]
        facts += [recorded(fact, offset=10 * number + place, event=event) for place, fact in enumerate(of_event)]
    write_facts(settings, facts)
    with Flow(projections, settings), rows_of(settings) as query:
        eventually(lambda: query("SELECT count(*) FROM reservations") == [(29,)], "each hold has its row")
    found = database.run(lambda connection: sales(connection, 1), readonly=True)
    assert [one.held for one in found.events] == list(range(29, 9, -1))
    monkeypatch.setattr(watch, "LOOK_S", 0.1)
    with Flow(monitoring, settings):
        eventually(lambda: shown("circle_event_places") == set(events[10:]), "the events that sell most have series")
        assert shown("circle_event_money_minor") <= set(events[10:])


def shown(metric: str) -> set[str]:
    """The events that a metric has series of, in this process."""
    (family,) = [one for one in REGISTRY.collect() if one.name == metric]
    return {sample.labels["event"] for sample in family.samples}
