"""Turns messages about accounts into due mails and exported messages.

A message about an account has no fact. The statement that changes the account writes it, and its inbox entry.
Guarantee: a row is deleted in the transaction that writes its mail. A row that makes no message stays, set aside with
the error.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import asyncpg

from connectors.failure_policy import FailureBound, is_of_record
from connectors.logs import Log
from connectors.postgres import Connection
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.notifications.compose import compose_direct
from pipelines.notifications.export import put_exports
from pipelines.notifications.mail.store import put_mails
from sinks.postman import Desk

BATCH = 100

SQL = queries(Path(__file__).parent / "sql" / "account_messages.sql")
log = Log("account-messages")


class AccountMessageDesk(Desk):
    """One of the postman's desks."""

    name = "account-messages"

    def __init__(self, settings: Settings) -> None:
        self._mails, self._export = settings.smtp_url is not None, settings.export_notifications
        self._bound = FailureBound(self.name)

    async def work(self, pool: asyncpg.Pool[asyncpg.Record]) -> bool:
        """Write the mails of the waiting messages, each in a savepoint."""
        async with pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(SQL["direct_messages"], BATCH)
            done: list[int] = []
            for row in rows:
                try:
                    async with connection.transaction():
                        await self._write(cast("Connection", connection), row)
                except Exception as error:
                    if not is_of_record(error):
                        raise
                    log.exception("message.set_aside", error, id=row["id"], kind=row["kind"])
                    await connection.execute(SQL["direct_message_set_aside"], row["id"], self._bound.failed(error))
                else:
                    self._bound.went_well()
                    done.append(row["id"])
            if done:
                await connection.execute(SQL["direct_messages_done"], done)
        return len(rows) == BATCH

    async def _write(self, connection: Connection, row: asyncpg.Record) -> None:
        messages = compose_direct(row["id"], row["user_id"], row["kind"], row["data"], row["created_us"])
        if self._mails:
            await put_mails(connection, messages)
        if self._export:
            await put_exports(connection, messages)
