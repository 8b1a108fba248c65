"""Writes the inbox: the messages of a batch and how far notifications.outbound is read, in one transaction.

Guarantee: a message is stored once, whatever the number of its deliveries; a delivery that was stored is not read
again. Raises Fenced like `sinks.postgres` when another process has written the partitions meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from connectors.postgres import Connection, Database
from connectors.sql_files import queries
from pipelines.projections.snapshot import AppliedPosition
from schemas.notifications import Notification
from sinks.postgres import adopt, advance, columns, may_write

CONSUMER = "inbox"

SQL = queries(Path(__file__).parent / "sql" / "inbox.sql")

_MESSAGE = ("user_id", "partition", "offset", "index", "channel", "template", "kind", "event_id", "reservation_id",
            "data", "created_at")  # fmt: skip


class Delivery(NamedTuple):
    """A message at its place on notifications.outbound."""

    partition: int
    offset: int
    message: Notification


class InboxStore:
    """The inbox and its positions. Waits while Postgres is away; raises Stopped when told to end meanwhile."""

    def __init__(self, database: Database, *, stop_requested: Callable[[], bool]) -> None:
        self._database, self._stop_requested = database, stop_requested

    def positions(self, partitions: Sequence[int]) -> dict[int, AppliedPosition]:
        """How far each partition of notifications.outbound is delivered."""

        async def load(connection: Connection) -> dict[int, AppliedPosition]:
            return await adopt(connection, CONSUMER, partitions)

        return self._database.patiently(load, stop_requested=self._stop_requested)

    def write(
        self,
        deliveries: Sequence[Delivery],
        *,
        before: dict[int, AppliedPosition],
        after: dict[int, AppliedPosition],
    ) -> list[str]:
        """Store a batch. Returns the users who have something new."""

        async def write(connection: Connection) -> list[str]:
            if not await may_write(connection, CONSUMER, before, after):
                return []
            users: set[str] = set()
            if deliveries:
                messages = columns([delivery.message for delivery in deliveries], _MESSAGE)
                places = columns(deliveries, ("partition", "offset"))
                users = {row[0] for row in await connection.fetch(SQL["put_notifications"], *messages, *places)}
            await advance(connection, CONSUMER, after)
            return sorted(users)

        return self._database.patiently(write, stop_requested=self._stop_requested)
