"""One role a process on PostgreSQL: every query of a process runs as its role, and every right is needed."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from connectors.errors import AccessRefused
from connectors.postgres import Connection, connect
from connectors.settings import Settings
from connectors.sql_files import queries
from ops.cli.main import run
from ops.operate.acls import BRANCHES, Process
from ops.operate.database_rights import GRANTS, PROCESSES, Grant, NotMigrated, apply, chosen, role_of, statement
from ops.operate.users import API as API_QUERIES_OF_OPERATORS
from ops.run.services.process import run_coroutine
from ops.run.services.stack import Stack
from pipelines.columns import filled
from tests.unit.docs.pages import rows, section, text_of

REPOSITORY = Path(__file__).parents[4]
OF_OWNERS = ("raise_epoch", "give_back")  # the worker that decides a partition's commands
OF_OPERATORS = ("security_event_add", "recovery_codes_forget", "recovery_codes_put", *API_QUERIES_OF_OPERATORS)
POSITIONS, REDRIVES = "pipelines/branches/sql/positions.sql", "pipelines/redrives/sql/redrives.sql"
# The console, `circle follow`, `circle dlq rows`.
WATCHED = (
    "pipelines/watch/sql/fact_redrives.sql",
    "pipelines/watch/sql/journey.sql",
    "pipelines/watch/sql/positions.sql",
    "pipelines/watch/sql/set_aside_rows.sql",
)
ROLE = "test {process}"  # which has to be quoted
NOT_EXPLAINED = re.compile(r"^\s*(?:--.*\n)*\s*(?:LOCK|CREATE TEMPORARY) TABLE", re.MULTILINE)
ELSEWHERE = {
    (Process.OPERATOR, "schema_migrations", "SELECT"),  # `circle doctor` compares it with the files
}
"""Rights that are for statements in no .sql file."""


def texts(*files: str, names: Iterable[str] | None = None, without: Iterable[str] = ()) -> dict[str, str]:
    found = {f"{file}: {name}": text for file in files for name, text in filled(queries(REPOSITORY / file)).items()}
    return {
        key: text
        for key, text in found.items()
        if (names is None or key.partition(": ")[2] in names) and key.partition(": ")[2] not in without
    }


def queries_of(process: Process) -> dict[str, str]:
    """Every query that a process may run, by file and name."""
    of_api = [str(path.relative_to(REPOSITORY)) for path in sorted((REPOSITORY / "api" / "sql").glob("*.sql"))]
    snapshots, projections = "pipelines/reservations/sql/snapshots.sql", "pipelines/projections/sql/projections.sql"
    match process:
        case Process.API:
            return texts(*of_api, *WATCHED)
        case Process.RESERVATIONS:
            return texts(snapshots)
        case Process.READ_SIDE:
            return {name: text for one in BRANCHES for name, text in queries_of(one).items()}
        case Process.PROJECTIONS:
            return texts(projections, "pipelines/projections/sql/organizing.sql", POSITIONS)
        case Process.NOTIFICATIONS:
            room = (REPOSITORY / "pipelines" / "notifications").rglob("*.sql")
            desks = sorted(str(path.relative_to(REPOSITORY)) for path in room)
            return texts(POSITIONS, REDRIVES, *desks)
        case Process.PAYMENTS:
            return texts("pipelines/payments/providers/sandbox.sql", REDRIVES)
        case Process.MONITORING:
            room = (REPOSITORY / "pipelines" / "monitoring").rglob("*.sql")
            return texts(POSITIONS, REDRIVES, *sorted(str(path.relative_to(REPOSITORY)) for path in room))
        case _:
            tools = ("operate/users", "operate/locks", "operate/reconcile", "verify/verify")
            return (
                texts(
                    *(f"ops/{name}.sql" for name in tools),
                    *WATCHED,
                    "pipelines/watch/sql/alerts.sql",
                    "ops/proof/checker/expected_rows.sql",
                )
                | texts("pipelines/payments/providers/sandbox_books.sql", "pipelines/monitoring/sql/survey.sql")
                | texts(snapshots, without=OF_OWNERS)
                | texts(*of_api, names=OF_OPERATORS)
            )


@pytest.fixture(scope="module")
def database(module_settings: Settings) -> Iterator[str]:
    """A migrated database whose roles have their rights. Roles are the server's, so they go with the tests."""
    url = module_settings.postgres_url
    assert run_coroutine(apply(url, chosen(), ROLE)) == [ROLE.format(process=one.value) for one in PROCESSES]
    yield url
    run_coroutine(without_roles(url))


@pytest.fixture
async def owner(database: str) -> AsyncIterator[Connection]:
    """The role that migrated."""
    connection = await connect(database)
    yield connection
    await connection.close()


async def without_roles(url: str) -> None:
    connection = await connect(url)
    for process in PROCESSES:
        await connection.execute(f"DROP OWNED BY {role_of(process, ROLE)}; DROP ROLE {role_of(process, ROLE)}")
    await connection.close()


async def refused(owner: Connection, process: Process, asked: dict[str, str]) -> list[str]:
    """The queries that PostgreSQL does not run for this role. It checks rights before it explains."""
    found = []
    await owner.execute(f"SET ROLE {role_of(process, ROLE)}")
    try:
        for name, text in asked.items():
            explained = "" if NOT_EXPLAINED.match(text) else "EXPLAIN (GENERIC_PLAN)"
            try:
                async with owner.transaction():
                    await owner.execute(f"{explained} {text}")
            except asyncpg.DuplicateTableError:
                continue  # a temporary one, made for the queries after it
            except asyncpg.InsufficientPrivilegeError:
                found.append(name)
    finally:
        await owner.execute("RESET ROLE")
    return found


@pytest.mark.parametrize("process", PROCESSES)
async def test_every_query_of_a_process_runs_as_its_role(owner: Connection, process: Process) -> None:
    asked = queries_of(process)
    assert asked
    assert await refused(owner, process, asked) == []


@pytest.mark.parametrize("process", PROCESSES)
async def test_without_any_one_of_its_rights_a_query_of_the_process_is_refused(
    owner: Connection, process: Process
) -> None:
    asked = queries_of(process)
    assert await refused(owner, process, asked) == []
    superfluous = []
    for right in single(chosen(process)):
        (table,), (privilege,) = right.tables, right.privileges
        about = {name: text for name, text in asked.items() if table.rpartition(".")[2] in text}
        await owner.execute(statement(right, ROLE).replace("GRANT", "REVOKE", 1).replace(" TO ", " FROM "))
        if not await refused(owner, process, about) and (process, table, privilege) not in ELSEWHERE:
            superfluous.append((table, privilege, right.columns))
        await owner.execute(statement(right, ROLE))
    assert superfluous == []


def single(grants: Iterable[Grant]) -> list[Grant]:
    """Each right by itself: one privilege on one table, or on one column of it."""
    return [
        replace(one, tables=(table,), privileges=(privilege,), columns=(column,) if column else ())
        for one in grants
        for table in one.tables
        for privilege in one.privileges
        for column in (one.columns or ("",))
    ]


@pytest.mark.parametrize(
    ("process", "sql"),
    [
        (Process.RESERVATIONS, "SELECT password_hash FROM users"),
        (Process.RESERVATIONS, "UPDATE reservations SET status = 'confirmed'"),
        (Process.PROJECTIONS, "SELECT email FROM users"),
        (Process.PROJECTIONS, "DELETE FROM tickets"),
        (Process.NOTIFICATIONS, "SELECT password_hash FROM users"),
        (Process.NOTIFICATIONS, "UPDATE users SET role = 'admin'"),
        (Process.NOTIFICATIONS, "SELECT secret FROM second_factors"),
        (Process.PAYMENTS, "SELECT id FROM reservations"),
        (Process.PAYMENTS, "DELETE FROM sandbox.payments"),
        (Process.MONITORING, "UPDATE reservations SET status = 'held'"),
        (Process.MONITORING, "SELECT email FROM users"),
        (Process.API, "UPDATE reservations SET status = 'confirmed'"),
        (Process.API, "INSERT INTO tickets (id) VALUES ('t')"),
        (Process.API, "UPDATE partition_epochs SET epoch = 9"),
        (Process.API, "DELETE FROM security_events"),
        (Process.OPERATOR, "SELECT password_hash FROM users"),
        (Process.OPERATOR, "UPDATE users SET password_hash = ''"),
        (Process.OPERATOR, "UPDATE reservations SET status = 'confirmed'"),
        *((process, "CREATE TABLE mine (id integer)") for process in PROCESSES),
        *((process, "DROP TABLE events") for process in PROCESSES),
        *((process, "TRUNCATE events") for process in PROCESSES),
    ],
)
async def test_what_is_another_processs_work_is_refused(owner: Connection, process: Process, sql: str) -> None:
    await owner.execute(f"SET ROLE {role_of(process, ROLE)}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute(sql)


async def test_applied_again_a_role_loses_what_is_not_in_the_table(owner: Connection, database: str) -> None:
    name = role_of(Process.PAYMENTS, ROLE)
    await owner.execute(f"GRANT DELETE ON sandbox.payments TO {name}; GRANT SELECT (email) ON users TO {name}")
    assert await apply(database, chosen(Process.PAYMENTS), ROLE) == [], "the role was there"
    await owner.execute(f"SET ROLE {name}")
    for sql in ("DELETE FROM sandbox.payments", "SELECT email FROM users"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute(sql)


def test_every_privilege_is_of_a_table_once() -> None:
    there = [(one.process, *one.tables, *one.privileges, *one.columns) for one in single(GRANTS)]
    assert len(there) == len(set(there))


async def test_without_a_schema_the_command_to_make_one_is_named(stack: Stack) -> None:
    with pytest.raises(NotMigrated, match="run `circle migrate` first"):
        await apply(stack.postgres.create_database("empty"), chosen(Process.PAYMENTS), ROLE)


async def test_a_role_that_may_make_no_roles_is_told_who_may(owner: Connection, database: str) -> None:
    name = role_of(Process.PAYMENTS, ROLE)
    await owner.execute(f"ALTER ROLE {name} PASSWORD 'p-0815-x'")
    parts = urlsplit(database)
    url = f"postgresql://{quote(ROLE.format(process='payments'))}:p-0815-x@127.0.0.1:{parts.port}{parts.path}"
    with pytest.raises(AccessRefused, match="connect as the role that migrates"):
        await apply(url, chosen(Process.PAYMENTS), "other {process}")


def test_the_operations_page_has_the_same_table() -> None:
    listed = {tuple(cells[:4]) for cells in rows(section(text_of("ops/docs/operations.md"), "Rights on PostgreSQL"))}

    def quoted(names: Iterable[str]) -> str:
        return ", ".join(f"`{name}`" for name in names)

    there = {
        (f"`{one.process.value}`", quoted(one.tables), quoted(one.columns) or "all", ", ".join(one.privileges))
        for one in GRANTS
    }
    assert listed == there


def test_the_command_prints_what_a_database_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rights", "postgres", "--process", "payments", "--role", "pay"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "BEGIN;",
        'REVOKE ALL ON ALL TABLES IN SCHEMA public, sandbox FROM "pay";',
        'GRANT USAGE ON SCHEMA public, sandbox TO "pay";',
        'GRANT SELECT, INSERT, UPDATE ON sandbox.payments, sandbox.refunds TO "pay";',
        'GRANT SELECT, UPDATE ON fact_redrives TO "pay";',
        "COMMIT;",
    ]
    assert run(["rights", "postgres", "--json"]) == 0
    assert {one["role"] for one in json.loads(capsys.readouterr().out)} == {f"circle_{one.value}" for one in PROCESSES}
