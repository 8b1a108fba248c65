"""PostgreSQL: connections with clear errors, and a synchronous facade for the steps of a dataflow.

Guarantee: a failure between us and the server is a `ServiceUnreachable`. A broken rule of the database is asyncpg's own
error. `Database.run` and `patiently` run an operation in one transaction, so it happens whole or not at all. An
operation that is tried again must be idempotent: a commit's answer may be lost.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg

from connectors import pooler
from connectors.backoff import Backoff
from connectors.errors import AccessRefused, ServiceUnreachable
from connectors.logs import Log
from connectors.stoppable_wait import Stopped, pause

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 30.0  # the largest load takes a second; a server that is silent this long is gone
BACKOFF = Backoff(first_s=0.05, max_s=2.0)  # a restart takes half a second, and catching up begins soon after it
NAME = {"application_name": "general-circle"}
# Set against the server's default: a commit that we have reported survives a crash. Epochs must not go back.
SESSION = NAME | {"synchronous_commit": "on"}

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Isolation = Literal["read_committed", "repeatable_read"]
T = TypeVar("T")

log = Log("postgres")
_POOLED: set[str] = set()  # the URLs at which this process has found a pooler

# The server is gone, going or not yet there. Everything else is a bug or a broken rule and is raised as it is.
SERVER_GONE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
)


# The server answers and refuses us; it will refuse us tomorrow too.
REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,  # a wrong password is one of these
    asyncpg.InvalidCatalogNameError,
    ssl.SSLCertVerificationError,
)


def address_of(url: str) -> str:
    """Host, port and database of a URL, without its credentials."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5432}{parts.path}"


def refused(url: str, error: BaseException) -> AccessRefused:
    """The error for a server that refuses us, or whose certificate is not the expected one."""
    return AccessRefused("PostgreSQL", address_of(url), f"{error}; look at CIRCLE_POSTGRES_URL")


def unreachable(url: str, error: BaseException) -> ServiceUnreachable:
    """The error for a server at `url` that does not answer. It does not contain the URL's password."""
    text = str(error) or type(error).__name__
    return ServiceUnreachable(
        "PostgreSQL", address_of(url), f"{text}; is it running, and is CIRCLE_POSTGRES_URL right?"
    )


async def connect(
    url: str, *, timeout_s: float = CONNECT_TIMEOUT_S, command_timeout_s: float | None = COMMAND_TIMEOUT_S
) -> Connection:
    """One connection. The URL says how: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`.

    Raises ServiceUnreachable, AccessRefused, UnsuitableService. With create_pool, the one place where connections are
    made.
    """
    try:
        return await _open(url, timeout=timeout_s, command_timeout=command_timeout_s)
    except REFUSED as error:
        raise refused(url, error) from None
    except SERVER_GONE as error:
        raise unreachable(url, error) from error


def create_pool(url: str, **options: Any) -> asyncpg.Pool[asyncpg.Record]:
    """A pool of connections with SESSION, to be awaited or entered: asyncpg's own, and its own errors.

    A new connection raises UnsuitableService, too.
    """
    connect_with: Any = _open  # the stub's type of it has every keyword of the library
    return asyncpg.create_pool(url, connect=connect_with, **options)


async def refuse_unsuitable(url: str) -> None:
    """Raises UnsuitableService for a pooler that cannot be used.

    A server that is away, or refuses us, is no error here: a process may start before its server.
    """
    with suppress(ServiceUnreachable, AccessRefused, asyncpg.PostgresError):
        await (await connect(url)).close()


async def _open(url: str, **options: Any) -> Connection:
    """A connection to a server process of our own, else through a pooler."""
    if url not in _POOLED:
        try:
            connection: Connection = await asyncpg.connect(url, server_settings=SESSION, **options)
        except asyncpg.ProtocolViolationError as error:
            if not pooler.refuses_settings(error):
                raise
        else:
            if await _checked(connection, pooler.is_direct(connection), options):
                return connection
            await connection.close()
        _POOLED.add(url)
        log.info("postgres.pooler", address=address_of(url))
    pooled: Connection = await asyncpg.connect(url, server_settings=NAME, **(options | pooler.OPTIONS))
    await _checked(pooled, pooler.refuse_unsuitable(pooled, address_of(url)), options)
    return pooled


async def _checked(connection: Connection, check: Awaitable[T], options: Mapping[str, Any]) -> T:
    """The result of a check, within the time for a connection. Its error ends the connection."""
    try:
        async with asyncio.timeout(options.get("timeout", CONNECT_TIMEOUT_S)):
            return await check
    except BaseException:
        connection.terminate()
        raise


class Database:
    """A connection and an event loop of its own, for synchronous code: not for use inside a running event loop."""

    def __init__(self, url: str, *, schema: str = "") -> None:
        """Tables are those of `schema`, else those of the server's default path."""
        self._url, self._schema = url, schema
        self._loop = asyncio.new_event_loop()
        self._connection: Connection | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with suppress(*SERVER_GONE):
                self._loop.run_until_complete(self._connection.close(timeout=1))
        self._loop.close()

    def run(
        self,
        operation: Callable[[Connection], Awaitable[T]],
        *,
        isolation: Isolation = "read_committed",
        readonly: bool = False,
    ) -> T:
        """Run `operation` in one transaction. Raises ServiceUnreachable when the server is gone or goes away."""
        return self._loop.run_until_complete(self._run(operation, isolation, readonly))

    def patiently(
        self,
        operation: Callable[[Connection], Awaitable[T]],
        *,
        stop_requested: Callable[[], bool],
        isolation: Isolation = "read_committed",
        readonly: bool = False,
    ) -> T:
        """`run`, repeated while the server is gone, as far apart as BACKOFF says.

        Raises Stopped when a stop is requested in between.
        """
        started, tries = time.monotonic(), 0
        while True:
            try:
                result = self.run(operation, isolation=isolation, readonly=readonly)
            except ServiceUnreachable as error:
                tries += 1
                wait = BACKOFF.spread_s(tries)
                log.warning("postgres.unreachable", tries=tries, retry_s=round(wait, 2), error=str(error))
                if not pause(wait, stop_requested):
                    raise Stopped("stopped while PostgreSQL was away; unwritten records are read again") from None
            else:
                if tries:
                    log.info("postgres.back", tries=tries, seconds=round(time.monotonic() - started, 1))
                return result

    async def _run(self, operation: Callable[[Connection], Awaitable[T]], isolation: Isolation, readonly: bool) -> T:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._url)
        connection = self._connection
        try:
            async with connection.transaction(isolation=isolation, readonly=readonly):
                if self._schema:  # for this transaction: a pooler keeps no setting of a session
                    await connection.execute(f"SET LOCAL search_path = {self._schema}")
                return await operation(connection)
        except SERVER_GONE as error:
            # The connection may be in any state, so the next try makes a new one.
            connection.terminate()
            self._connection = None
            raise unreachable(self._url, error) from error
