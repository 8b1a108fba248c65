"""Rows that the postman has set aside, for `circle dlq rows` and the console: calls, messages and account mails.

They were never records, so they are no dead letters. Each row holds the cause; when it is redriven, it is due again. A
mail about tickets comes from notifications.outbound, so it becomes a dead letter of that topic instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import asyncpg
import msgspec

from connectors.errors import CircleError
from connectors.postgres import connect
from connectors.settings import Settings
from connectors.sql_files import queries
from schemas.ids import EventId

Querying: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
SQL = queries(Path(__file__).parent / "sql" / "set_aside_rows.sql")
TABLES = {
    "webhook_deliveries": ("calls", "redrive_calls"),
    "direct_messages": ("messages", "redrive_messages"),
    "account_mails": ("account_mails", "redrive_account_mails"),
}


class NoSuchRow(CircleError):
    """No set-aside row has this id. The message names it."""

    exit_code = 2


class SetAsideRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row: its kind, and the cause."""

    table: str
    id: str
    what: str
    event_id: EventId
    error: str
    created_at: datetime


async def set_aside_rows(settings: Settings, limit: int) -> list[SetAsideRow]:
    """The latest rows, oldest first. Raises ServiceUnreachable."""
    connection = await connect(settings.postgres_url)
    try:
        return await listed(connection, limit)
    finally:
        await connection.close()


async def listed(connection: Querying, limit: int) -> list[SetAsideRow]:
    """The latest rows, oldest first."""
    rows = [
        SetAsideRow(table=table, **dict(row))
        for table, (query, _) in TABLES.items()
        for row in await connection.fetch(SQL[query], limit)
    ]
    return sorted(rows, key=lambda row: row.created_at)[-limit:]


async def redrive_rows(settings: Settings, ids: Sequence[str], *, dry_run: bool = False) -> list[str]:
    """Make rows due again: those of `ids`, or all. Returns their ids. Raises NoSuchRow, ServiceUnreachable."""
    connection = await connect(settings.postgres_url)
    try:
        transaction = connection.transaction()
        await transaction.start()
        done = await made_due(connection, ids)
        await (transaction.rollback() if dry_run or set(ids) - set(done) else transaction.commit())
    finally:
        await connection.close()
    missing = sorted(set(ids) - set(done))
    if missing:
        raise NoSuchRow(f"no row that is set aside has the id {', '.join(missing)}; nothing was redriven")
    return done


async def made_due(connection: Querying, ids: Sequence[str]) -> list[str]:
    """Make rows due again within the caller's transaction: those of `ids`, or all. Returns their ids."""
    done: list[asyncpg.Record] = []
    for _, query in TABLES.values():
        done += await connection.fetch(SQL[query], list(ids), not ids)
    return [row[0] for row in done]
