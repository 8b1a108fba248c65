"""CONTRIBUTING's new field of an event is a column of PostgreSQL: written, changed, loaded and read for an answer."""

from __future__ import annotations

from pathlib import Path

from connectors.settings import Settings
from tests.harness.page_steps import commands, copied, followed, run
from tests.unit.docs.pages import section, text_of

STEPS = section(text_of("CONTRIBUTING.md"), "Add a field to an event")
THROUGH_THE_DATABASE = """
import asyncio
import sys
from datetime import datetime
from pathlib import Path

import api
from api.shapes.events import EventOut
from api.shapes.terms import answer_of
from connectors.postgres import Database, connect
from connectors.sql_files import queries
from ops.migrations import migrate
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.state import At, EventState
from pipelines.reservations.snapshot import state_from
from pipelines.reservations.snapshot_store import SnapshotStore
from schemas.event_terms import EventTerms
from schemas.facts import RULES_VERSION, Envelope, RecordedFact
from schemas.ids import LogTime
from schemas.times import micros_of
from tests.harness.towns import Writer
from tests.harness.words import EVENT, T, create, update

(url,) = sys.argv[1:]
(migration,) = asyncio.run(migrate(url))
assert migration.name == "doors", migration.name
database = Database(url)
writer, state = Writer(database), EventState(EVENT)


async def row():
    connection = await connect(url)
    try:
        sql = queries(Path(api.__file__).parent / "sql" / "events.sql")
        return await connection.fetchrow(sql["event_by_id"], EVENT)
    finally:
        await connection.close()


def answer_after(offset, command):
    at = At(0, offset, LogTime(T + offset))
    (fact,) = step(state, command, at)
    envelope = Envelope(
        event_id=EVENT, partition=0, offset=offset, index=0, count=1, log_time=at.log_time, rules_version=RULES_VERSION
    )
    writer.write([RecordedFact(envelope, fact)])
    loaded = state_from(SnapshotStore(database).load_event(EVENT, 0))
    assert loaded.details == state.details, loaded.details
    return answer_of(EventOut, EventTerms, asyncio.run(row())).doors_open_at


opens = datetime.fromisoformat("2027-01-15T08:00:00+00:00")
assert answer_after(0, create()) is None
assert answer_after(1, update(doors_open_at=micros_of(opens))) == opens
assert answer_after(2, update(venue="Great hall")) == opens
assert answer_after(3, update(doors_open_at=0)) is None
database.close()
"""


def test_the_field_goes_through_the_database(settings: Settings, tmp_path: Path) -> None:
    root = copied(tmp_path / "repository")
    followed(STEPS, root)
    for arguments in commands(STEPS):
        run(root, arguments)
    run(root, ["bin/python", "-c", THROUGH_THE_DATABASE, settings.postgres_url])
