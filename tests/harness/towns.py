"""A town's facts (`tests.simulation.whole`) as on the log, cut into batches, and written as rows."""

from __future__ import annotations

import random
from itertools import groupby, pairwise

from connectors.postgres import Database
from pipelines.branches.branch import Part, prepared
from pipelines.branches.store import BranchStore
from pipelines.positions import AppliedPosition
from pipelines.projections.branch import Projections
from schemas.facts import RecordedFact
from tests.harness.fact_logs import recorded_at
from tests.simulation.whole import EVENT, Town


def town_of(seed: int, commands: int) -> Town:
    """A town after `commands` commands."""
    town = Town(seed)
    town.run(commands)
    return town


def recorded(town: Town, partition: int = 0) -> list[RecordedFact]:
    """A town's facts as on the log."""
    found: list[RecordedFact] = []
    for at, facts in groupby(town.facts, key=lambda one: one[0]):
        of_command = [fact for _, fact in facts]
        found += recorded_at(at, EVENT, of_command, partition=partition)
    return found


def cut(facts: list[RecordedFact], rng: random.Random, share: float) -> list[list[RecordedFact]]:
    """Whole commands in batches, as `Intake` lets them through; a batch ends after `share` of the commands."""
    ends = [place for place, one in enumerate(facts, 1) if one.envelope.index == one.envelope.count - 1]
    chosen = [end for end in ends[:-1] if rng.random() < share]
    return [facts[start:end] for start, end in pairwise([0, *chosen, len(facts)])]


def nothing_failed(_branch: object, failed: object) -> None:
    raise AssertionError(f"set aside: {failed}")


class Writer:
    """The projections' own writing of partition 0, without their dataflow."""

    def __init__(self, database: Database) -> None:
        self._branch = Projections()
        self._store = BranchStore(database, [self._branch], stop_requested=lambda: False)
        self._at = self._store.positions([0])[self._branch.name][0]

    def write(self, facts: list[RecordedFact]) -> None:
        last = facts[-1].envelope
        after = AppliedPosition(last.offset, last.index, (self._at.next_offset or 0) + len(facts), last.log_time)
        self._store.write([prepared(Part(self._branch, facts, {0: self._at}, {0: after}))], nothing_failed)
        self._at = after
