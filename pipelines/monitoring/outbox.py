"""How many messages wait in the outbox of the export, and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from connectors.postgres import Connection, Database
from connectors.sql_files import queries
from schemas.ids import US_PER_S

COUNTED_MAX = 10_000  # counting more takes long, and says no more

SQL = queries(Path(__file__).parent / "sql" / "outbox.sql")


class OutboxLag(NamedTuple):
    """Messages that are not exported, at most COUNTED_MAX, and the seconds that the oldest has waited."""

    messages: int
    seconds: float


def look_at_outbox(database: Database, now_us: int, *, switched_on: bool) -> OutboxLag | None:
    """The lag of the export; None if it is off and nothing waits. Raises ServiceUnreachable."""

    async def read(connection: Connection) -> OutboxLag:
        row = await connection.fetchrow(SQL["outbox"], COUNTED_MAX)
        assert row is not None
        since = row["since"]
        return OutboxLag(row["messages"], 0.0 if since is None else max(0.0, (now_us - since) / US_PER_S))

    found = database.run(read, readonly=True)
    return found if switched_on or found.messages else None
