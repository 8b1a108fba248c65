"""tickets.facts → totals: the branch of the read side that counts, and the watch over the lag of every flow.

Each fact is counted once. A fact that cannot be counted becomes a dead letter, and is counted after a redrive.
"""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Self

from connectors.postgres import Connection, Database
from connectors.settings import Settings
from pipelines.branches.branch import Branch, Part
from pipelines.monitoring.tally import Series, tally
from pipelines.monitoring.totals import CONSUMER, add_totals
from pipelines.monitoring.watch import Watch


class Monitoring(Branch[Counter[Series], None]):
    """Facts to counts."""

    name = CONSUMER
    sets_aside = False

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def prepare(self, part: Part) -> Counter[Series]:
        """How much the facts add to each series."""
        return tally(part.facts)

    async def write(self, connection: Connection, effects: Counter[Series]) -> None:
        """Add the counts."""
        await add_totals(connection, effects)

    def look_after(self) -> None:
        """Raise the unexpected error of the watch."""
        self._watch.look_after()

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.close()


def branch(settings: Settings, _database: Database) -> Monitoring:
    """The branch of a running platform."""
    return Monitoring(Watch(settings))
