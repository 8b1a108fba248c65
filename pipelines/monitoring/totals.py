"""The totals of facts, in the transaction of the read side.

Guarantee: a fact is counted once, also after a second delivery or a crash. So the totals are those of the log up to the
stored positions.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from connectors.postgres import Connection
from connectors.sql_files import queries
from pipelines.columns import storable
from pipelines.monitoring.tally import Series

CONSUMER = "monitoring"
SQL = queries(Path(__file__).parent / "sql" / "totals.sql")

Totals = dict[tuple[str, str], int]
"""Measure and label, over all partitions."""


async def add_totals(connection: Connection, counts: Counter[Series]) -> None:
    """Add these counts."""
    if counts:
        rows = [(*map(storable, series), number) for series, number in counts.items()]
        await connection.execute(SQL["add_totals"], *map(list, zip(*rows, strict=True)))


async def totals(connection: Connection) -> tuple[Totals, int]:
    """The totals of all processes, and the last fact's log time."""
    found = {(row[0], row[1]): row[2] for row in await connection.fetch(SQL["totals"])}
    return found, await connection.fetchval(SQL["last_log_time"], CONSUMER)
