"""Brings the database's schema up to date from `sql/NNNN_name.sql`, and empties the tables that come from the log.

Each file is applied once, in the order of the numbers, in its own transaction. An advisory lock of that transaction
guards it, so any number of processes may migrate at the same time, and a connection pooler may be in between. The
database keeps each file's checksum: a file that changed after it was applied is an error.
"""

import hashlib
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import asyncpg

from connectors import postgres
from connectors.errors import MigrationError
from connectors.settings import Settings
from ops.migrations.tables import DERIVED_TABLES, NEXT_GENERATION, OUTBOUND_TABLES, PREVIOUS_GENERATION

SQL_DIR = Path(__file__).parent / "sql"
FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
LOCK_KEY = 0x636972636C65  # "circle"; any number no one else uses
CONNECT_TIMEOUT_S = 10.0
# Messages about accounts come from no fact, so a replay cannot make them again.
SET_ASIDE = "CREATE TEMP TABLE beside_the_log ON COMMIT DROP AS SELECT * FROM notifications WHERE partition < 0"
PUT_BACK = "INSERT INTO notifications SELECT * FROM beside_the_log"
HISTORY = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Migration:
    """One file: its number, name, SQL text and the checksum of that text."""

    number: int
    name: str
    sql: str
    checksum: str


def migrations(directory: Path = SQL_DIR) -> list[Migration]:
    """The files in number order. Raises `MigrationError` for a wrong name or a number used twice."""
    files: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        match = FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: a migration is named NNNN_name.sql, for example 0002_tickets.sql")
        text = path.read_text()
        checksum = hashlib.sha256(text.encode()).hexdigest()
        files.append(Migration(number=int(match[1]), name=match[2], sql=text, checksum=checksum))
    for earlier, later in pairwise(files):
        if earlier.number == later.number:
            raise MigrationError(f"{earlier.name} and {later.name} have the same number {later.number:04d}")
    return files


async def migrate(url: str, *, directory: Path = SQL_DIR, dry_run: bool = False) -> list[Migration]:
    """Applies the missing migrations and returns them. With `dry_run` it writes nothing.

    Raises `MigrationError` when a file was changed, is missing, or fails; `ServiceUnreachable` without a
    database.
    """
    wanted = migrations(directory)
    ours: list[Migration] = []
    connection = await connect(url)
    try:
        while True:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
                applied = await _history(connection)
                _compare(wanted, applied)
                missing = [migration for migration in wanted if migration.number not in applied]
                if dry_run:
                    return missing
                await connection.execute(HISTORY)
                if not missing:
                    return ours
                await _apply(connection, missing[0])
                ours.append(missing[0])
    finally:
        await connection.close()


async def reset_derived(settings: Settings) -> list[str]:
    """Empties each table that is derived from the log, or that says what was sent because of it. Returns their names.

    Users, keys and the like stay. Messages about accounts stay, too: no fact makes them. Other generations of the rows
    are dropped, because they hold positions of the former log.
    """
    connection = await connect(settings.postgres_url)
    try:
        present = sorted(set(await tables(connection)) & {*DERIVED_TABLES, *OUTBOUND_TABLES})
        if present:
            async with connection.transaction():
                await connection.execute(f"DROP SCHEMA IF EXISTS {NEXT_GENERATION}, {PREVIOUS_GENERATION} CASCADE")
                inbox = "notifications" in present
                if inbox:
                    await connection.execute(SET_ASIDE)
                await connection.execute(f"TRUNCATE {', '.join(present)}")
                if inbox:
                    await connection.execute(PUT_BACK)
        return present
    finally:
        await connection.close()


async def tables(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    """Every table of ours, with its schema where that is not `public`."""
    rows = await connection.fetch(
        "SELECT CASE schemaname WHEN 'public' THEN tablename ELSE schemaname || '.' || tablename END AS name "
        "FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    return [row["name"] for row in rows]


async def connect(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection without a time limit for statements. Raises ServiceUnreachable, AccessRefused."""
    return await postgres.connect(url, timeout_s=CONNECT_TIMEOUT_S, command_timeout_s=None)


async def _history(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[int, tuple[str, str]]:
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return {}
    rows = await connection.fetch("SELECT number, name, checksum FROM schema_migrations")
    return {row["number"]: (row["name"], row["checksum"]) for row in rows}


def _compare(wanted: list[Migration], applied: dict[int, tuple[str, str]]) -> None:
    by_number = {migration.number: migration for migration in wanted}
    for number, (name, checksum) in sorted(applied.items()):
        if number not in by_number:
            raise MigrationError(
                f"the database has {number:04d}_{name} and the files do not; this program is older than the database"
            )
        if by_number[number].checksum != checksum:
            raise MigrationError(
                f"{number:04d}_{by_number[number].name}.sql was changed after it was applied; "
                f"put it back and write {max(by_number) + 1:04d}_….sql for the change"
            )


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{migration.number:04d}_{migration.name}.sql: {error}") from error
