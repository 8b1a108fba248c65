"""The checker's books against rows: no violation for right rows, and each table's damage by the table's name."""

from __future__ import annotations

import asyncio

import pytest

from connectors.postgres import Database, connect
from connectors.settings import Settings
from ops.proof.checker.expected_rows import check_partition
from ops.proof.checker.report import Report
from schemas import facts as f
from tests.harness.flows import rows_of
from tests.harness.towns import Writer, recorded, town_of
from tests.simulation.whole import EVENT, Town

COMMANDS = 400


@pytest.fixture(scope="module")
def town() -> Town:
    """A town with rows of everything that is damaged here. The first seed only saves some seconds."""
    return next(town for town in (town_of(seed, COMMANDS) for seed in range(40, 240)) if has_everything(town))


def has_everything(town: Town) -> bool:
    state, books = town.state, town.ledger
    reservations = state.reservations.values()
    return all(
        (
            any(one.kept_minor for one in reservations),
            any(one.refunds_open for one in reservations),
            any(one.void_places for one in reservations),
            any(one.version > 1 for one in state.tickets.values()),
            any(one.checked_in_at for one in state.tickets.values()),
            any(isinstance(fact, f.CheckInRefused) for _, fact in town.facts),
            any(one.status == "offered" for one in state.waitlist.values()),
            books.refunds,
            *(state.pools, state.codes, state.blocks, state.staff),
            *(books.offers, books.invited),
        )
    )


@pytest.fixture(scope="module")
def projected(module_settings: Settings, town: Town) -> Settings:
    database = Database(module_settings.postgres_url)
    Writer(database).write(recorded(town))
    database.close()
    return module_settings


def found(settings: Settings, town: Town) -> list[str]:
    async def check() -> Report:
        connection, report = await connect(settings.postgres_url), Report()
        try:
            await check_partition(connection, 0, {EVENT: town.ledger}, None, report)
        finally:
            await connection.close()
        return report

    return [f"{one.where}: {one.what}" for one in asyncio.run(check()).violations]


def test_rows_of_everything_the_platform_has_agree_with_the_books(projected: Settings, town: Town) -> None:
    assert found(projected, town) == []


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        ("reservations", "UPDATE reservations SET kept_minor = kept_minor + 1 WHERE kept_minor > 0"),
        ("reservations", "UPDATE reservations SET refunds_open = '{other}' WHERE refunds_open <> '{}'"),
        ("reservations", "UPDATE reservations SET void_places = '{}' WHERE void_places <> '{}'"),
        ("ticket_types", "UPDATE ticket_types SET max_per_user = 77"),
        ("tickets", "UPDATE tickets SET version = version - 1 WHERE version > 1"),
        ("tickets", "UPDATE tickets SET user_id = 'thief' WHERE transferred_at > 0"),
        ("tickets", "UPDATE tickets SET checked_in_at = 0 WHERE checked_in_at > 0"),
        ("check_ins", "DELETE FROM check_ins WHERE kind = 'refused'"),
        ("pools", "UPDATE pools SET capacity = capacity + 1"),
        ("codes", "UPDATE codes SET uses_max = 99"),
        ("codes", "UPDATE codes SET places_max = 99"),
        ("seat_blocks", "UPDATE seat_blocks SET quantity = quantity + 1 WHERE quantity > 0"),
        ("event_staff", "UPDATE event_staff SET active = NOT active"),
        ("transfers", "UPDATE transfers SET to_user_id = 'thief'"),
        ("staff_invitations", "UPDATE staff_invitations SET status = 'invited' WHERE status <> 'invited'"),
        ("waitlist_entries", "UPDATE waitlist_entries SET status = 'waiting' WHERE status = 'offered'"),
        ("refunds", "UPDATE refunds SET refunded_minor = 0 WHERE status = 'refunded'"),
    ],
)
def test_damage_is_found_in_the_table_that_has_it(projected: Settings, town: Town, table: str, damage: str) -> None:
    with rows_of(projected) as query:
        query(f"CREATE TABLE kept AS SELECT * FROM {table}")
        try:
            assert query(f"WITH damaged AS ({damage} RETURNING 1) SELECT count(*) FROM damaged") != [(0,)], "no damage"
            violations = found(projected, town)
        finally:
            query(f"TRUNCATE {table}")
            query(f"INSERT INTO {table} SELECT * FROM kept")
            query("DROP TABLE kept")
    assert violations
    assert all(text.startswith(f"{table} ") for text in violations), violations[:3]
