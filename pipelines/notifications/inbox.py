"""Writes the inbox, in the transaction of the read side.

Guarantee: a message is stored once, however often it is made. The messages of a user are numbered in the order in which
their transactions commit, so a live stream that goes on behind a number misses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from connectors.postgres import Connection
from connectors.sql_files import queries
from pipelines.columns import columns
from schemas.notifications import Notification

SQL = queries(Path(__file__).parent / "sql" / "inbox.sql")

_MESSAGE = ("user_id", "partition", "offset", "index", "channel", "template", "kind", "event_id", "reservation_id",
            "data", "created_at")  # fmt: skip


async def put_inbox(connection: Connection, messages: Sequence[Notification]) -> set[str]:
    """Store messages of the inbox. Returns the users with new messages."""
    if not messages:
        return set()
    return {row[0] for row in await connection.fetch(SQL["put_notifications"], *columns(messages, _MESSAGE))}
