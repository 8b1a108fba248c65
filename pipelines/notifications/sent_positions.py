"""How far the messages of each partition have left the platform: mails, webhook calls, the export.

Guarantee: a fact at or below this position sends nothing, even if all derived rows are dropped and made again. The
position moves in the transaction that writes what is due. It is no derived row, and never goes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from connectors.postgres import Connection
from connectors.sql_files import queries
from pipelines.positions import AppliedPosition

SQL = queries(Path(__file__).parent / "sql" / "sent_positions.sql")

NOTHING_SENT = (-1, -1)


async def sent_positions(connection: Connection, partitions: Sequence[int]) -> dict[int, tuple[int, int]]:
    """The last fact whose messages have left, by partition."""
    rows = await connection.fetch(SQL["sent_positions"], list(partitions))
    return dict.fromkeys(partitions, NOTHING_SENT) | {row[0]: (row[1], row[2]) for row in rows}


async def advance_sent(connection: Connection, after: Mapping[int, AppliedPosition]) -> None:
    """Move the positions forward."""
    places = [(partition, at.offset, at.index) for partition, at in after.items()]
    await connection.execute(SQL["advance_sent"], *map(list, zip(*places, strict=True)))
