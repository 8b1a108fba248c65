"""Writes the totals of facts: a batch's counts and its positions, in one transaction.

Guarantee: a fact is counted once, also after a second delivery or a crash. So the totals are those of the log up to the
stored positions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from connectors.postgres import Connection, Database
from connectors.sql_files import queries
from pipelines.monitoring.tally import Series
from pipelines.projections.columns import storable
from pipelines.projections.snapshot import AppliedPosition
from pipelines.projections.store import adopt, advance, may_write

CONSUMER = "monitoring"
SQL = queries(Path(__file__).parent / "sql" / "totals.sql")

Totals = dict[tuple[str, str], int]
"""Measure and label, over all partitions."""


class TotalsStore:
    """The totals and their positions. Waits while Postgres is away; a stop during the wait raises Stopped."""

    def __init__(self, database: Database, *, stop_requested: Callable[[], bool]) -> None:
        self._database, self._stop_requested = database, stop_requested

    def positions(self, partitions: Sequence[int]) -> dict[int, AppliedPosition]:
        """The position of each partition. Creates the rows that later batches lock."""

        async def load(connection: Connection) -> dict[int, AppliedPosition]:
            return await adopt(connection, CONSUMER, partitions)

        return self._database.patiently(load, stop_requested=self._stop_requested)

    def add(
        self, counts: Counter[Series], *, before: dict[int, AppliedPosition], after: dict[int, AppliedPosition]
    ) -> None:
        """Count a batch. Raises Fenced, PositionsLost, Stopped."""

        async def write(connection: Connection) -> None:
            if await may_write(connection, CONSUMER, before, after):
                if counts:
                    rows = [(*map(storable, series), number) for series, number in counts.items()]
                    await connection.execute(SQL["add_totals"], *map(list, zip(*rows, strict=True)))
                await advance(connection, CONSUMER, after)

        self._database.patiently(write, stop_requested=self._stop_requested)

    def totals(self) -> tuple[Totals, int]:
        """The totals of all processes, and the last fact's log time. Raises ServiceUnreachable at once."""

        async def load(connection: Connection) -> tuple[Totals, int]:
            totals = {(row[0], row[1]): row[2] for row in await connection.fetch(SQL["totals"])}
            return totals, await connection.fetchval(SQL["last_log_time"], CONSUMER)

        return self._database.run(load, readonly=True)
