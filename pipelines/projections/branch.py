"""tickets.facts → rows in PostgreSQL: the branch of the read side from which people and workers read.

After the commit, one message on CHANNEL says how far each partition is projected.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.postgres import Connection, Database
from connectors.settings import Settings
from pipelines.branches.branch import Branch, FailedFact, News, Part, Positions
from pipelines.positions import PROJECTIONS
from pipelines.projections.changes import Changes
from pipelines.projections.project import project
from pipelines.projections.store import write_facts_set_aside, write_rows

CHANNEL = "circle:projected"


class Projections(Branch[Changes, None]):
    """Facts to row changes. Rows that lack a fact need a rebuild, so a redriven fact is not written here again."""

    name = PROJECTIONS
    again = False

    def __init__(self, *, dedupe: bool = True) -> None:
        self.dedupe = dedupe

    def prepare(self, part: Part) -> Changes:
        """The row changes of the facts."""
        return project(part.facts)

    async def write(self, connection: Connection, effects: Changes) -> None:
        """Write the rows. Raises TripwireBroken."""
        await write_rows(connection, effects, unchecked=not self.dedupe)

    async def write_failures(self, connection: Connection, failed: Sequence[FailedFact]) -> None:
        """Note the events whose rows are incomplete."""
        await write_facts_set_aside(connection, failed)

    def committed(self, results: Sequence[None], after: Positions) -> Sequence[News]:
        """How far each partition is projected."""
        ends = [{"partition": number, "offset": at.offset, "index": at.index} for number, at in after.items()]
        return [News(CHANNEL, ends)]


def branch(settings: Settings, _database: Database) -> Projections:
    """The branch of a running platform."""
    return Projections(dedupe="no-dedupe" not in settings.test_switches)
