"""Everything the platform has, as rows: the state rebuilt from them is the state that the facts add up to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from itertools import groupby, pairwise

import pytest

from connectors.postgres import PROJECTIONS, Database, SnapshotStore
from connectors.settings import Settings
from ops.migrations import reset_derived
from ops.replay.generation import KEYS
from pipelines.projections.project import project
from pipelines.projections.snapshot import AppliedPosition
from pipelines.reservations.digest import canonical
from pipelines.reservations.entities import At
from pipelines.reservations.evolve import evolve
from pipelines.reservations.snapshot import state_from
from pipelines.reservations.state import EventState
from schemas import facts as f
from schemas.facts import RULES_VERSION, Envelope, RecordedFact
from schemas.ids import LogTime
from sinks.postgres import ProjectionStore
from tests.harness.flows import rows_of
from tests.simulation.whole import EVENT, Town

SEEDS = range(3)
COMMANDS_EACH = 400


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.postgres_url)
    yield database
    database.close()


def recorded(town: Town) -> list[RecordedFact]:
    """A town's facts as they stand on the log."""
    found: list[RecordedFact] = []
    for at, facts in groupby(town.facts, key=lambda one: one[0]):
        of_command = [fact for _, fact in facts]
        found += [
            RecordedFact(Envelope(EVENT, 0, at.offset, index, len(of_command), at.log_time, RULES_VERSION), fact)
            for index, fact in enumerate(of_command)
        ]
    return found


class Writer:
    """The projections' own writing, without their dataflow."""

    def __init__(self, database: Database) -> None:
        self._store = ProjectionStore(database, PROJECTIONS, stop_requested=lambda: False)
        self._at = self._store.positions([0])[0]

    def write(self, facts: list[RecordedFact]) -> None:
        last = facts[-1].envelope
        after = AppliedPosition(last.offset, last.index, (self._at.next_offset or 0) + len(facts), last.log_time)
        self._store.write(project(facts), before={0: self._at}, after={0: after})
        self._at = after


def cut(facts: list[RecordedFact], rng: random.Random) -> list[list[RecordedFact]]:
    """Whole commands in batches of random sizes, as `Intake` lets them through."""
    ends = [place for place, one in enumerate(facts, 1) if one.envelope.index == one.envelope.count - 1]
    chosen = [end for end in ends[:-1] if rng.random() < 0.06]
    return [facts[start:end] for start, end in pairwise([0, *chosen, len(facts)])]


def all_rows(settings: Settings) -> dict[str, list[tuple]]:
    with rows_of(settings) as query:
        return {
            table: query(f"SELECT * FROM {table} ORDER BY " + ", ".join(f'"{key}"' for key in keys))
            for table, keys in KEYS.items()
        }


def rebuilt(database: Database) -> EventState:
    return state_from(SnapshotStore(database).load_event(EVENT, 0))


def test_rows_are_the_state_however_the_facts_are_cut(settings: Settings, database: Database) -> None:
    seen: set[type[f.Fact]] = set()
    for seed in SEEDS:
        town = Town(seed)
        town.run(COMMANDS_EACH)
        facts = recorded(town)
        asyncio.run(reset_derived(settings))
        writer, folded = Writer(database), EventState(EVENT)
        for batch in cut(facts, random.Random(seed)):
            writer.write(batch)
            for one in batch:
                evolve(folded, one.fact, At(0, one.envelope.offset, LogTime(one.envelope.log_time)))
            assert canonical(rebuilt(database)) == canonical(folded), (seed, batch[-1].envelope.offset)
        one_by_one = all_rows(settings)
        asyncio.run(reset_derived(settings))
        Writer(database).write(facts)
        for table, rows in all_rows(settings).items():
            assert rows == one_by_one[table], (seed, table)
        seen |= {type(fact) for _, fact in town.facts}
    assert {f.TicketsCancelled, f.CheckInReversed, f.HoldReacquired, f.ChoreFinished, f.PaymentRefunded} <= seen
