"""Places that were sold twice, counted in the platform's rows. A bench whose figures count finds none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from connectors.postgres import Connection
from connectors.sql_files import queries
from ops.proof.load.open_loop import Target

SQL = queries(Path(__file__).parent / "sql" / "oversold.sql")


class Oversold(NamedTuple):
    """`beyond`: places of live reservations beyond those of their event. `twice`: seats with a second live owner."""

    beyond: int
    twice: int

    @property
    def places(self) -> int:
        return self.beyond + self.twice

    def __str__(self) -> str:
        return f"{self.beyond} places beyond the capacity, {self.twice} seats twice"


async def oversold(connection: Connection, targets: Sequence[Target]) -> Oversold:
    """What is sold twice of these events. Ask when all rows are there, and before holds run out."""
    events = [target.event_id for target in targets]
    beyond: int = await connection.fetchval(SQL["sold_beyond"], events, [target.places for target in targets])
    twice: int = await connection.fetchval(SQL["seats_twice"], events)
    return Oversold(beyond, twice)
