"""Writes due webhook calls, in the transaction of the read side: each fact once for each endpoint that wants it.

Guarantee: a fact and an endpoint are one row, however often the fact is delivered. If no organizer of a batch's events
has an endpoint, this costs one query.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from connectors.postgres import Connection
from connectors.sql_files import queries
from pipelines.columns import columns, storable
from pipelines.notifications.calls import call_of
from pipelines.notifications.delivery_spans import NO_TRACES, Traces, trace_of
from schemas.facts import EventCreated, RecordedFact

SQL = queries(Path(__file__).with_name("webhooks.sql"))

_CALL = ("event_id", "partition", "offset", "index", "type", "payload")


async def put_calls(connection: Connection, facts: Sequence[RecordedFact], traces: Traces = NO_TRACES) -> int:
    """Store the calls of facts that organizers receive. Returns the number of calls to make."""
    if not facts:
        return 0
    created = {one.envelope.event_id: one.fact for one in facts if isinstance(one.fact, EventCreated)}
    if created:
        organizers = [storable(fact.user_id) for fact in created.values()]
        await connection.execute(SQL["put_webhook_events"], [storable(one) for one in created], organizers)
    event_ids = list({storable(one.envelope.event_id) for one in facts})
    audience = {row[0]: row[1] for row in await connection.fetch(SQL["webhook_audience"], event_ids)}
    if not audience:
        return 0
    found = ((call_of(one), trace_of(one.envelope, traces)) for one in facts if one.envelope.event_id in audience)
    due = [(call, trace) for call, trace in found if call is not None]
    calls, contexts = [call for call, _ in due], [trace for _, trace in due]
    organizers = [audience[one.event_id] for one in calls]
    return len(await connection.fetch(SQL["put_webhook_deliveries"], *columns(calls, _CALL), organizers, contexts))
