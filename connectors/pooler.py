"""PostgreSQL behind a connection pooler, such as PgBouncer in session or transaction mode.

Guarantee: what needs a session is not left to a pooler. Each statement reaches one server whole, no prepared statement
and no setting stays on a server for the next client, and a commit that we report survives a crash. A pooler that
cannot give this is refused with `UnsuitableService`.

A pooler is recognized by the key for cancelling queries: it makes its own, so the process id in it is not that of
the server's process.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

from connectors.errors import UnsuitableService

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# Sent as one message of the simple protocol, without a prepared statement: so any server may answer it.
SESSION_STATE = "SELECT pg_backend_pid(), current_setting('synchronous_commit')"
# With these a reported commit is on the disk, and on the standbys that count.
DURABLE = frozenset({"on", "remote_apply"})
REFUSES_SETTINGS = "unsupported startup parameter"
NO_TRANSACTIONS = "statement pooling"


class PooledConnection(asyncpg.Connection):
    """A connection that may get another server for each transaction. It leaves nothing behind on a server."""

    def get_reset_query(self) -> str:
        """No statement when a pool takes the connection back: it would reset a server that another client has now."""
        return ""

    async def _get_statement(self, query: str, *options: Any, **named_options: Any) -> Any:
        # A cursor asks for a statement with a name, which would stay on the server. Its portal is all that it needs.
        return await super()._get_statement(query, *options, **named_options | {"named": False})  # type: ignore[misc]


OPTIONS: dict[str, Any] = {"connection_class": PooledConnection, "statement_cache_size": 0}
"""For connections through a pooler. Without its cache the library sends a statement's text with its arguments."""


def refuses_settings(error: asyncpg.PostgresError) -> bool:
    """Whether a pooler has refused a connection because of a session's settings."""
    return REFUSES_SETTINGS in str(error)


def is_pooled(connection: Connection) -> bool:
    """Whether the connection goes through a pooler."""
    return issubclass(type(connection), PooledConnection)  # the library takes every connection for an instance


async def is_direct(connection: Connection) -> bool:
    """Whether the connection has a server process of its own."""
    pid, _ = await _session_state(connection)
    return pid == connection.get_server_pid()


async def refuse_unsuitable(connection: Connection, address: str) -> None:
    """Raises UnsuitableService for a pooler in statement mode, and for servers that report commits too early."""
    try:
        async with connection.transaction(readonly=True):
            _, synchronous_commit = await _session_state(connection)
    except asyncpg.PostgresConnectionError as error:
        if NO_TRANSACTIONS not in str(error):
            raise
        hint = "its connection pooler has no transactions (statement mode); set pool_mode to transaction or session"
        raise UnsuitableService("PostgreSQL", address, hint) from None
    if synchronous_commit not in DURABLE:
        hint = (
            f"behind its connection pooler synchronous_commit is {synchronous_commit}, so a crash may undo a commit "
            "that we have reported; ALTER ROLE … SET synchronous_commit = on for our role, then RECONNECT in the pooler"
        )
        raise UnsuitableService("PostgreSQL", address, hint)


@asynccontextmanager
async def one_server(connection: Connection) -> AsyncIterator[None]:
    """Within it, all statements reach one server process, and a temporary table is there: for work that only reads.

    Through a pooler it is a transaction, which is rolled back. A server process of our own needs none.
    """
    if not is_pooled(connection):
        yield
        return
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        if not connection.is_closed():
            await transaction.rollback()


async def _session_state(connection: Connection) -> tuple[int, str]:
    answer = io.BytesIO()
    await connection.copy_from_query(SESSION_STATE, output=answer)
    pid, synchronous_commit = answer.getvalue().decode().split()
    return int(pid), synchronous_commit
