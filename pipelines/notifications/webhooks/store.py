"""Stores due webhook calls: each fact once for each endpoint that wants it.

Guarantee: a fact and an endpoint are one row, however often the fact is delivered. If no organizer of a batch's events
has an endpoint, this costs one query.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from connectors.failure_policy import Bound
from connectors.postgres import Connection, Database
from connectors.sql_files import queries
from pipelines.notifications.calls import call_of
from pipelines.projections.columns import columns, storable
from schemas.facts import EventCreated, RecordedFact
from sinks.row_by_row import each, whole_or_singly

SQL = queries(Path(__file__).with_name("webhooks.sql"))

_CALL = ("event_id", "partition", "offset", "index", "type", "payload")


class WebhookStore:
    """Stores calls. Waits while Postgres is away; a stop during the wait raises Stopped."""

    def __init__(self, database: Database, *, stop_requested: Callable[[], bool]) -> None:
        self._database, self._stop_requested = database, stop_requested
        self._bound = Bound("webhooks")

    def put(self, facts: Sequence[RecordedFact], put_aside: Callable[[list[tuple[RecordedFact, str]]], None]) -> int:
        """Store the calls of facts that organizers receive. Returns the number of calls to make.

        Facts whose calls cannot be stored are `put_aside`. Raises EverythingFails.
        """
        if not facts:
            return 0

        async def write(connection: Connection, *, singly: bool) -> int:
            due = 0

            async def put(some: Sequence[RecordedFact]) -> None:
                nonlocal due
                due += await _put(connection, some)

            if singly:
                put_aside(await each(connection, facts, lambda one: put([one]), self._bound))
            else:
                await put(facts)
            return due

        return whole_or_singly(self._database, write, self._stop_requested)


async def _put(connection: Connection, facts: Sequence[RecordedFact]) -> int:
    created = {one.envelope.event_id: one.fact for one in facts if isinstance(one.fact, EventCreated)}
    if created:
        organizers = [storable(fact.user_id) for fact in created.values()]
        await connection.execute(SQL["put_webhook_events"], [storable(one) for one in created], organizers)
    event_ids = list({storable(one.envelope.event_id) for one in facts})
    audience = {row[0]: row[1] for row in await connection.fetch(SQL["webhook_audience"], event_ids)}
    if not audience:
        return 0
    found = (call_of(one) for one in facts if one.envelope.event_id in audience)
    calls = [one for one in found if one is not None]
    organizers = [audience[one.event_id] for one in calls]
    return len(await connection.fetch(SQL["put_webhook_deliveries"], *columns(calls, _CALL), organizers))
