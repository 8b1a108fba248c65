"""Every feature of the platform as rows: the state rebuilt from them is the fold of the facts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import api
from connectors.postgres import Database
from connectors.settings import Settings
from connectors.sql_files import queries
from ops.migrations import reset_derived
from ops.rebuild.rows import TABLES
from pipelines.notifications.compose import compose
from pipelines.notifications.inbox import put_inbox
from pipelines.notifications.kinds import Channel
from pipelines.reservations.core.counters import Availability, availability_of
from pipelines.reservations.core.digest import canonical
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import NOW, EventState
from pipelines.reservations.snapshot import state_from
from pipelines.reservations.snapshot_store import SnapshotStore
from schemas import facts as f
from schemas.ids import LogTime
from tests.harness.flows import rows_of
from tests.harness.hostile import HostileTown
from tests.harness.towns import Writer, cut, recorded, town_of
from tests.simulation.whole import EVENT

AVAILABILITY = queries(Path(api.__file__).parent / "sql" / "events.sql")["availability_from_rows"]
SEEDS = range(3, 6)  # towns with every kind of fact that the tests below need
COMMANDS_EACH = 400


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.postgres_url)
    yield database
    database.close()


def all_rows(settings: Settings) -> dict[str, list[tuple]]:
    with rows_of(settings) as query:
        return {table: sorted(query(f"SELECT * FROM {table}"), key=repr) for table in TABLES}


def rebuilt(database: Database) -> EventState:
    return state_from(SnapshotStore(database).load_event(EVENT, 0))


def due_by_rows(database: Database) -> list[tuple[str, int]]:
    return [(one.event_id, one.time) for one in SnapshotStore(database).load_partition(0).deadlines]


def due_by_facts(state: EventState) -> list[tuple[str, int]]:
    """A new owner of a partition checks every waiting list once."""
    due = NOW if state.waiting_of else state.next_deadline()
    return [] if due is None else [(EVENT, due)]


def availability_by_rows(settings: Settings) -> dict[str, str]:
    """The API's figures while Redis has none, in the form that the worker writes to Redis."""
    with rows_of(settings) as query:
        rows = query(AVAILABILITY, EVENT)
    return {
        kind: msgspec.json.encode(
            Availability(total=total, available=free, held=held, sold=sold, blocked=blocked, waiting=waiting)
        ).decode()
        for kind, total, held, sold, blocked, waiting, free in rows
    }


def test_rows_are_the_state_however_the_facts_are_cut(settings: Settings, database: Database) -> None:
    seen: set[type[f.Fact]] = set()
    for seed in SEEDS:
        town = town_of(seed, COMMANDS_EACH)
        facts = recorded(town)
        asyncio.run(reset_derived(settings))
        writer, folded = Writer(database), EventState(EVENT)
        for batch in cut(facts, random.Random(seed), 0.06):
            writer.write(batch)
            for one in batch:
                evolve(folded, one.fact, At(0, one.envelope.offset, LogTime(one.envelope.log_time)))
            assert canonical(rebuilt(database)) == canonical(folded), (seed, batch[-1].envelope.offset)
            assert due_by_rows(database) == due_by_facts(folded), (seed, batch[-1].envelope.offset)
            assert availability_by_rows(settings) == availability_of(folded), (seed, batch[-1].envelope.offset)
        one_by_one = all_rows(settings)
        asyncio.run(reset_derived(settings))
        Writer(database).write(facts)
        for table, rows in all_rows(settings).items():
            assert rows == one_by_one[table], (seed, table)
        seen |= {type(fact) for _, fact in town.facts}
    assert {f.TicketsCancelled, f.CheckInReversed, f.HoldReacquired, f.ChoreFinished, f.PaymentRefunded} <= seen


def test_what_is_made_of_forged_commands_fits_every_table_and_is_loaded_again(
    settings: Settings, database: Database
) -> None:
    for seed in range(3):
        town = HostileTown(seed)
        town.run(COMMANDS_EACH)
        asyncio.run(reset_derived(settings))
        facts = recorded(town)
        Writer(database).write(facts)
        assert canonical(rebuilt(database)) == canonical(town.state), seed
        assert availability_by_rows(settings) == availability_of(town.state), seed
        messages = [message for one in facts for message in compose(one) if message.channel == Channel.INBOX]
        database.run(lambda connection, messages=messages: put_inbox(connection, messages))
        with rows_of(settings) as query:
            assert query("SELECT count(*) FROM notifications") == [(len(messages),)]
