"""An event's row for its readers: who may see it, whose it is, and how the API shows it."""

from __future__ import annotations

import asyncpg
from sanic import HTTPResponse

from api.auth.tokens import Role
from api.http.reasons import for_reason
from api.http.routing import Call, json
from api.log.outcomes import Outcome
from api.log.writes import own_writes, pending, replayed
from api.shapes.events import EventOut, EventStatus
from api.shapes.terms import answer_of
from schemas.event_terms import EventTerms
from schemas.facts import Reason
from schemas.ids import EventId
from schemas.statuses import EventStage


async def answer(call: Call, event_id: EventId, outcome: Outcome, status: int = 200) -> HTTPResponse:
    """The event after a write."""
    location = f"/v1/events/{event_id}"
    row = await call.deps.database.row("event_by_id", event_id) if outcome.reply is not None else None
    if row is None:
        return pending(event_id, location, outcome)
    headers = replayed(outcome) | ({"location": location} if status == 201 else {})
    return json(event_out(row), status, headers)


async def visible(call: Call, event_id: EventId) -> asyncpg.Record:
    """The event's row. Raises Problem event-not-found, also for another organizer's draft."""
    row = await call.deps.database.row("event_by_id", event_id)
    gone = row is None or row["status"] == EventStage.DELETED
    if row is None or gone or (row["status"] == EventStatus.DRAFT and not is_owner(call, row)):
        raise for_reason(Reason.EVENT_NOT_FOUND, f"there is no event {event_id}", field="event_id")
    return row


async def owned(call: Call, event_id: EventId) -> asyncpg.Record:
    """The caller's own event. Raises Problem event-not-found or not-owner."""
    await own_writes(call)
    row = await visible(call, event_id)
    if row["organizer_id"] != call.user_id:
        raise for_reason(Reason.NOT_OWNER, "this is another organizer's event")
    return row


def event_out(row: asyncpg.Record) -> EventOut:
    """A row as the API shows it."""
    return answer_of(EventOut, EventTerms, row)


def is_owner(call: Call, row: asyncpg.Record) -> bool:
    """Whether the caller may see what only the event's organizer sees."""
    return call.caller is not None and (row["organizer_id"] == call.caller.user_id or call.caller.role is Role.ADMIN)


async def organized(call: Call, event_id: EventId) -> asyncpg.Record:
    """The caller's event, or any event for an admin. Raises Problem event-not-found or not-owner."""
    if not is_admin(call):
        return await owned(call, event_id)
    await own_writes(call)
    return await visible(call, event_id)


def is_admin(call: Call) -> bool:
    """Whether the caller's token has the role of an administrator."""
    return call.caller is not None and call.caller.role is Role.ADMIN
