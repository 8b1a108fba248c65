"""PostgreSQL behind PgBouncer: session and transaction mode work, and what cannot hold there is refused by name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import asyncpg
import pytest

from connectors import pooler
from connectors.errors import ServiceUnreachable, UnsuitableService
from connectors.postgres import Connection, Database, connect, create_pool, refuse_unsuitable
from connectors.settings import Settings
from ops.migrations import migrate
from ops.operate.reconcile import reconcile
from ops.run.services.postgres import Postgres
from ops.run.services.process import run_coroutine
from pipelines.payments.providers.sandbox_books import SandboxBooks
from pipelines.platform_settings import PlatformSettings
from tests.harness.command_line import command_line
from tests.harness.pooler import PgBouncer, as_shipped

SERVERS, CLIENTS, ROUNDS = 2, 8, 50
SAME = "SELECT $1::int + $2::int"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as running:
        run_coroutine(as_shipped(running.url))
        yield running


@pytest.fixture(scope="module", params=["transaction", "session"])
def way(server: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL through a pooler. In transaction mode the clients share few servers."""
    servers = SERVERS if request.param == "transaction" else CLIENTS
    with PgBouncer(server, request.param, default_pool_size=servers) as running:
        yield running.url


@pytest.fixture(scope="module")
def transaction_mode(server: Postgres) -> Iterator[PgBouncer]:
    """Each transaction gets the server that has waited longest: seldom the one of the transaction before."""
    with PgBouncer(server, "transaction", default_pool_size=SERVERS, server_round_robin=1) as running:
        yield running


@pytest.fixture(scope="module")
def statement_mode(server: Postgres) -> Iterator[str]:
    with PgBouncer(server, "statement") as running:
        yield running.url


async def test_statements_and_transactions_of_many_clients_do_not_mix(way: str) -> None:
    async def client(pool: asyncpg.Pool[asyncpg.Record], number: int) -> None:
        for turn in range(ROUNDS):
            assert await pool.fetchval(f"{SAME} + {number}", turn, 1) == turn + 1 + number
            async with pool.acquire() as connection, connection.transaction():
                process = await connection.fetchval("SELECT pg_backend_pid()")
                assert await connection.fetchval(f"SELECT $1::text || '-{number}'", str(turn)) == f"{turn}-{number}"
                seen = [row[0] async for row in connection.cursor("SELECT generate_series(1, $1::int)", 60, prefetch=9)]
                assert seen == list(range(1, 61))
                assert process == await connection.fetchval("SELECT pg_backend_pid()")

    async with create_pool(way, min_size=0, max_size=CLIENTS) as pool:
        await asyncio.gather(*(client(pool, number) for number in range(CLIENTS)))
        assert await pool.fetch("SELECT name FROM pg_prepared_statements") == [], "nothing is left on a server"


async def test_a_client_without_our_care_breaks_on_the_same_pooler(server: Postgres) -> None:
    """The negative control: the library's own connection leaves its statements on a server that another client gets."""
    with PgBouncer(server, "transaction", default_pool_size=SERVERS) as running:
        careless, other = [await asyncpg.connect(running.url) for _ in range(2)]
        try:
            assert await careless.fetchval(SAME, 1, 1) == 2
            await other.execute("BEGIN")  # it gets the only server so far, and keeps it
            with pytest.raises(asyncpg.InvalidSQLStatementNameError):
                await careless.fetchval(SAME, 1, 1)
        finally:
            careless.terminate()
            other.terminate()


async def test_a_pooler_is_recognized_by_its_keys_and_a_server_is_not_taken_for_one(way: str, server: Postgres) -> None:
    for url, pooled in ((way, True), (server.url, False)):
        connection = await connect(url)
        assert pooler.is_pooled(connection) == pooled
        await connection.close()


async def test_a_pooler_that_drops_a_sessions_settings_is_recognized_too(server: Postgres) -> None:
    with PgBouncer(server, "transaction", ignore_startup_parameters="synchronous_commit,search_path") as running:
        connection = await connect(running.url)
        assert pooler.is_pooled(connection)
        await connection.close()


async def test_servers_that_report_commits_before_they_are_durable_are_refused() -> None:
    with Postgres() as server, PgBouncer(server, "transaction") as running:
        direct = await connect(server.url)
        assert await direct.fetchval("SHOW synchronous_commit") == "on", "a session of our own sets it"
        await direct.close()
        with pytest.raises(UnsuitableService, match=r"synchronous_commit is off.*ALTER ROLE"):
            await connect(running.url)
        await as_shipped(server.url)
        console = await asyncpg.connect(running.database_url("pgbouncer"), statement_cache_size=0)
        await console.execute("RECONNECT")
        await console.close()
        await (await connect(running.url)).close()


async def test_statement_mode_is_refused_by_name(statement_mode: str) -> None:
    for refused in (connect(statement_mode), refuse_unsuitable(statement_mode)):
        with pytest.raises(UnsuitableService, match=r"connection pooler has no transactions.*set pool_mode"):
            await refused
    with pytest.raises(UnsuitableService):
        await asyncio.to_thread(patiently, statement_mode)


async def test_a_pooler_without_its_server_is_an_outage_and_no_refusal() -> None:
    with Postgres() as server:
        await as_shipped(server.url)
        with PgBouncer(server, "transaction") as running:
            await (await connect(running.url)).close()
            server.stop()
            with pytest.raises(ServiceUnreachable):
                await connect(running.url, timeout_s=2)
            await refuse_unsuitable(running.url)
            server.start()
            assert await asyncio.to_thread(patiently, running.url) == 1


async def test_a_schema_of_ones_own_holds_in_each_transaction_and_for_nobody_else(way: str, server: Postgres) -> None:
    connection = await connect(server.url)
    await connection.execute("CREATE SCHEMA IF NOT EXISTS beside; CREATE TABLE IF NOT EXISTS beside.there (n int)")
    await connection.close()

    async def there(connection: Connection) -> object:
        return await connection.fetchval("SELECT to_regclass('there')::text")

    def both() -> None:
        with closing(Database(way, schema="beside")) as beside, closing(Database(way)) as live:
            for _ in range(ROUNDS):
                assert beside.run(there) == "there"
                assert live.run(there) is None

    await asyncio.to_thread(both)


async def test_many_migrate_at_once_through_a_pooler(server: Postgres, transaction_mode: PgBouncer) -> None:
    server_url = await asyncio.to_thread(server.create_database, "migrated_pooled")
    url = transaction_mode.database_url(server_url.rpartition("/")[2])
    applied = await asyncio.gather(*(migrate(url) for _ in range(CLIENTS)))
    numbers = [migration.number for one in applied for migration in one]
    assert len(numbers) == len(set(numbers)) > 20
    assert await migrate(url) == []


async def test_a_comparison_with_the_providers_books_keeps_its_table_on_one_server(
    server: Postgres, transaction_mode: PgBouncer
) -> None:
    server_url = await asyncio.to_thread(server.create_database, "reconciled_pooled")
    settings = PlatformSettings(postgres_url=transaction_mode.database_url(server_url.rpartition("/")[2]))
    await migrate(settings.postgres_url)
    now = int(time.time())
    for _ in range(2 * SERVERS):  # a table that was left behind would be there already
        books = SandboxBooks(settings.postgres_url)
        assert (await reconcile(settings, books, now - 60, now, lambda _: None)).agrees
        await books.close()


@pytest.mark.parametrize("arguments", [("api",), ("pipeline", "reservations"), ("pipeline", "read-side")], ids=" ".join)
def test_a_process_ends_at_its_start_where_the_pooler_cannot_be_used(
    arguments: tuple[str, ...],
    statement_mode: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    circle = command_line(replace(settings, postgres_url=statement_mode), monkeypatch, capsys)
    code, _ = circle(*arguments)
    said = capsys.readouterr().out
    assert code == UnsuitableService.exit_code, said
    assert "set pool_mode to transaction or session" in said


def test_the_doctor_names_a_pooler_that_cannot_be_used(
    statement_mode: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    circle = command_line(replace(settings, postgres_url=statement_mode), monkeypatch, capsys)
    code, checks = circle("doctor", "--json", "--no-start")
    (postgres,) = [one for one in checks if one["name"] == "PostgreSQL"]
    assert (code, postgres["result"]) == (1, "failed")
    assert "set pool_mode to transaction or session" in postgres["detail"]


def patiently(url: str) -> int:
    """What a dataflow does: it waits for a server that is away, and ends with the error of one that cannot be used."""

    async def alive(connection: Connection) -> int:
        number: int = await connection.fetchval("SELECT 1")
        return number

    with closing(Database(url)) as database:
        return database.patiently(alive, stop_requested=lambda: False)
