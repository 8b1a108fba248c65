"""Postgres for the API: a small pool, named queries, and a 503 problem while the server is down.

The pool connects lazily, so the API starts and takes reservations without Postgres. A read on a dead connection is
repeated once on a new one; a write is not. Users, networks and lanes have shares of the connections
(`api.fairness.pools.POSTGRES`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import asyncpg

from api.fairness.limits import POSTGRES_CONNECTIONS_MAX, POSTGRES_TIMEOUT_S
from api.fairness.pools import POSTGRES
from api.fairness.shares import Places
from api.http.problem import unavailable
from connectors.postgres import create_pool
from connectors.sql_files import queries

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

SQL: dict[str, str] = {}
for _file in sorted((Path(__file__).parents[1] / "sql").glob("*.sql")):
    SQL |= queries(_file)

_GONE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.UndefinedTableError,  # the migrations have not run yet
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
)


class QueryPool:
    """All queries of the API, by name."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()
        self._places = Places(POSTGRES, "queries")

    async def close(self) -> None:
        """Close the pool without waiting for queries that hang."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def rows(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows of a read. Raises Problem unavailable (503)."""
        try:
            return await self._fetch(name, arguments)
        except _GONE:
            try:
                return await self._fetch(name, arguments)
            except _GONE as error:
                raise _unavailable(error) from error

    async def row(self, name: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row of a read, or None. Raises Problem unavailable (503)."""
        rows = await self.rows(name, *arguments)
        return rows[0] if rows else None

    async def write(self, name: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row that a writing statement returns, or None. Raises Problem unavailable (503), and asyncpg's
        errors for violated constraints."""
        try:
            rows = await self._fetch(name, arguments)
        except _GONE as error:
            raise _unavailable(error) from error
        return rows[0] if rows else None

    async def transact(self, *statements: tuple[str, *tuple[Any, ...]]) -> list[asyncpg.Record | None]:
        """Run statements (name, then arguments) in one transaction, all or none. Returns the first row of each.

        Raises as `write` does.
        """
        try:
            pool = self._pool or await self._open()
            async with (
                self._places.of(patience_s=POSTGRES_TIMEOUT_S),
                pool.acquire(timeout=POSTGRES_TIMEOUT_S) as connection,
                connection.transaction(),
            ):
                return [await connection.fetchrow(SQL[name], *arguments) for name, *arguments in statements]
        except _GONE as error:
            raise _unavailable(error) from error

    async def within(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What `work` returns, in one transaction: an error rolls all of it back. Raises as `write` does."""
        try:
            pool = self._pool or await self._open()
            async with pool.acquire(timeout=POSTGRES_TIMEOUT_S) as connection, connection.transaction():
                return await work(connection)
        except _GONE as error:
            raise _unavailable(error) from error

    async def _fetch(self, name: str, arguments: tuple[Any, ...]) -> list[asyncpg.Record]:
        pool = self._pool or await self._open()
        async with (
            self._places.of(patience_s=POSTGRES_TIMEOUT_S),
            pool.acquire(timeout=POSTGRES_TIMEOUT_S) as connection,
        ):
            return await connection.fetch(SQL[name], *arguments)

    async def _open(self) -> asyncpg.Pool[asyncpg.Record]:
        async with self._opening:
            if self._pool is None:
                self._pool = await create_pool(
                    self._url,
                    min_size=0,
                    max_size=POSTGRES_CONNECTIONS_MAX,
                    timeout=POSTGRES_TIMEOUT_S,
                    command_timeout=POSTGRES_TIMEOUT_S,
                    max_inactive_connection_lifetime=60,
                )
            return self._pool


def _unavailable(error: BaseException) -> Exception:
    return unavailable("postgres", f"the database does not answer at the moment ({type(error).__name__})")
