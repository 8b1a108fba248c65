"""How many messages wait to leave, and for how long: for the export, as mail, as webhook calls."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from connectors.postgres import Connection, Database
from connectors.sql_files import queries
from schemas.ids import US_PER_S

COUNTED_MAX = 10_000  # counting more takes long, and says no more

SQL = queries(Path(__file__).parent / "sql" / "outbox.sql")


class OutboxLag(NamedTuple):
    """Messages that have not left, at most COUNTED_MAX of a table, and the seconds that the oldest has waited."""

    messages: int
    seconds: float


def look_at_outbox(database: Database, now_us: int, *, switched_on: bool) -> OutboxLag | None:
    """The lag of the export; None if it is off and nothing waits. Raises ServiceUnreachable."""

    async def read(connection: Connection) -> OutboxLag:
        row = await connection.fetchrow(SQL["outbox"], COUNTED_MAX)
        assert row is not None
        return _lag(row["messages"], row["since"], now_us)

    found = database.run(read, readonly=True)
    return found if switched_on or found.messages else None


def look_at_deliveries(database: Database, now_us: int) -> dict[str, OutboxLag]:
    """By channel, mail and webhook: what is due or will be tried again. Raises ServiceUnreachable."""

    async def read(connection: Connection) -> dict[str, OutboxLag]:
        rows = await connection.fetch(SQL["deliveries"], COUNTED_MAX)
        return {row["channel"]: _lag(row["waiting"], row["since"], now_us) for row in rows}

    return database.run(read, readonly=True)


def _lag(messages: int, since_us: int | None, now_us: int) -> OutboxLag:
    return OutboxLag(messages, 0.0 if since_us is None else max(0.0, (now_us - since_us) / US_PER_S))
