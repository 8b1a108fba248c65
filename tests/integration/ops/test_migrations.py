"""Migrations on PostgreSQL: once each, all or nothing, at once from many processes, never after a change."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from connectors.errors import MigrationError, ServiceUnreachable
from connectors.settings import Settings
from ops.migrations import SQL_DIR, connect, migrate, reset_derived, tables
from ops.migrations.tables import DERIVED_TABLES, KEPT_TABLES, NEXT_GENERATION, OUTBOUND_TABLES, PREVIOUS_GENERATION
from ops.run.services.process import free_port
from ops.run.services.stack import Stack


@pytest.fixture
def database(stack: Stack) -> str:
    stack.postgres.start()
    return stack.postgres.create_database("migrations_test")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (n integer); INSERT INTO first VALUES (1)")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE second (n integer)")
    return tmp_path


async def fetch(url: str, sql: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def test_each_file_is_applied_once(database: str, files: Path) -> None:
    assert [m.name for m in await migrate(database, directory=files)] == ["first", "second"]
    assert await migrate(database, directory=files) == []
    assert await fetch(database, "SELECT n FROM first") == [(1,)]


async def test_a_dry_run_writes_nothing(database: str, files: Path) -> None:
    assert len(await migrate(database, directory=files, dry_run=True)) == 2
    assert await fetch(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


async def test_many_at_once_apply_each_file_once(database: str, files: Path) -> None:
    applied = await asyncio.gather(*(migrate(database, directory=files) for _ in range(8)))
    assert sorted(migration.name for one in applied for migration in one) == ["first", "second"]
    assert await fetch(database, "SELECT n FROM first") == [(1,)]


async def test_a_changed_file_is_an_error(database: str, files: Path) -> None:
    await migrate(database, directory=files)
    (files / "0001_first.sql").write_text("CREATE TABLE other ()")
    with pytest.raises(MigrationError, match=r"0001_first.sql was changed after it was applied.*write 0003_"):
        await migrate(database, directory=files)


async def test_a_failing_file_leaves_nothing_and_names_itself(database: str, files: Path) -> None:
    (files / "0003_third.sql").write_text("CREATE TABLE third (); SELECT nonsense")
    with pytest.raises(MigrationError, match=r"0003_third\.sql: .*nonsense"):
        await migrate(database, directory=files)
    names = await fetch(database, "SELECT name FROM schema_migrations ORDER BY number")
    assert names == [("first",), ("second",)]
    assert await fetch(database, "SELECT to_regclass('third')") == [(None,)]


async def test_a_database_newer_than_the_files_is_an_error(database: str, files: Path) -> None:
    await migrate(database, directory=files)
    (files / "0002_second.sql").unlink()
    with pytest.raises(MigrationError, match="this program is older"):
        await migrate(database, directory=files)


async def test_no_database_is_named_with_its_address() -> None:
    port = free_port()
    with pytest.raises(ServiceUnreachable, match=f"PostgreSQL at 127.0.0.1:{port}/circle cannot be reached"):
        await migrate(f"postgresql://postgres:secret-word@127.0.0.1:{port}/circle")


async def test_every_table_is_derived_or_told_or_kept(settings: Settings) -> None:
    connection = await connect(settings.postgres_url)
    try:
        assert set(await tables(connection)) == {*DERIVED_TABLES, *OUTBOUND_TABLES, *KEPT_TABLES}
    finally:
        await connection.close()
    lists = (DERIVED_TABLES, OUTBOUND_TABLES, KEPT_TABLES)
    assert len({name for one in lists for name in one}) == sum(len(one) for one in lists)


async def test_reset_empties_derived_tables_and_no_other(settings: Settings) -> None:
    await fetch(
        settings.postgres_url,
        "INSERT INTO projection_positions SELECT * FROM json_populate_record(null::projection_positions, "
        "(SELECT json_object_agg(column_name, CASE data_type WHEN 'text' THEN 'x' ELSE '0' END) "
        "FROM information_schema.columns WHERE table_name = 'projection_positions')) RETURNING 1",
    )
    before = await fetch(settings.postgres_url, "SELECT count(*) FROM schema_migrations")
    for schema in (NEXT_GENERATION, PREVIOUS_GENERATION):
        await fetch(settings.postgres_url, f"CREATE SCHEMA {schema} CREATE TABLE projection_positions ()")
    assert "projection_positions" in await reset_derived(settings)
    assert await fetch(settings.postgres_url, "SELECT count(*) FROM projection_positions") == [(0,)]
    assert await fetch(settings.postgres_url, "SELECT count(*) FROM schema_migrations") == before
    # They have positions of a log that does not exist any more.
    assert await fetch(settings.postgres_url, "SELECT 1 FROM pg_namespace WHERE nspname LIKE 'generation_%'") == []


async def test_what_no_fact_has_told_stays_in_the_inbox_when_derived_tables_are_emptied(settings: Settings) -> None:
    for partition in (-1, 0):
        await fetch(
            settings.postgres_url,
            'INSERT INTO notifications (user_id, partition, "offset", "index", channel, template, kind, event_id, '
            "reservation_id, data, created_at, read_at, outbound_partition, outbound_offset) VALUES "
            f"('ada', {partition}, 0, 0, 'inbox', 'registered', 'registered', '', '', '{{\"a\": 1}}', 5, 6, 7, 8) "
            "RETURNING 1",
        )
    inbox = "SELECT * FROM notifications WHERE partition < 0"
    before = await fetch(settings.postgres_url, inbox)
    assert "notifications" in await reset_derived(settings)
    assert await fetch(settings.postgres_url, "SELECT * FROM notifications") == before != []


async def test_refunds_of_an_older_platform_are_carried_over(database: str, tmp_path: Path) -> None:
    """A worker must recognise a refund that the provider still owes: it knows it from its reservation."""
    for path in sorted(SQL_DIR.glob("000[1-3]_*.sql")):
        (tmp_path / path.name).write_text(path.read_text())
    await migrate(database, directory=tmp_path)
    for key, payment in (("r1", "refund-requested"), ("r2", "refunded"), ("r3", "captured")):
        await fetch(
            database,
            'INSERT INTO reservations (id, event_id, partition, "offset", user_id, ticket_type_id, status, quantity, '
            "fingerprint, payment, payment_id, created_at, updated_at, updated_offset, updated_index) VALUES "
            f"('{key}', 'e', 0, 1, 'u', 't', 'cancelled', 1, 1, '{payment}', 'pay-{key}', 5, 6, 7, 0) RETURNING 1",
        )
        await fetch(
            database,
            "INSERT INTO payments (event_id, attempt_id, partition, reservation_id, user_id, status, amount_minor, "
            "payment_id, updated_offset, updated_index) VALUES "
            f"('e', 'a-{key}', 0, '{key}', 'u', '{payment}', 900, 'pay-{key}', 7, 0) RETURNING 1",
        )
    await migrate(database)
    assert await fetch(database, "SELECT id, refunds_open FROM reservations ORDER BY id") == [
        ("r1", ["refund-pay-r1"]),
        ("r2", []),
        ("r3", []),
    ]
    assert await fetch(database, "SELECT refund_key, status, refunded_minor FROM refunds ORDER BY 1") == [
        ("refund-pay-r1", "requested", 0),
        ("refund-pay-r2", "refunded", 900),
    ]
