"""Events: reads from the projection, writes to the log. A write is answered when its rows are there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from msgspec import UNSET
from sanic import HTTPResponse

from api.auth.tokens import Role
from api.fairness.rate_limits import SEARCH_COST
from api.http import cursors, validation
from api.http.problem import invalid
from api.http.routing import Call, json
from api.log.writes import new_id, own_writes, write
from api.reads.events import answer, event_out, owned, visible
from api.shapes.events import EventIn, EventPatch, EventSort, EventsQuery, EventStatus
from api.shapes.terms import terms_in
from schemas.commands import CreateEvent, PublishEvent, UpdateEvent
from schemas.event_terms import EventTerms
from schemas.ids import NO_CATEGORY, CategoryId, EventId
from schemas.times import utc

_create = msgspec.json.Decoder(EventIn)
_patch = msgspec.json.Decoder(EventPatch)
# A system's zone files also have names that differ on other systems, or do not exist there.
_OF_THIS_SYSTEM = frozenset({"localtime", "posixrules", "Factory"})
_zones = frozenset(name for name in available_timezones() - _OF_THIS_SYSTEM if not name.startswith("SystemV/"))
_spellings = {name.casefold(): name for name in _zones}

QUERIES = {
    EventSort.STARTS_AT: ("events_by_starts_at", "starts_at"),
    EventSort.STARTS_AT_DOWN: ("events_by_starts_at_down", "starts_at"),
    EventSort.CREATED_AT: ("events_by_created_at", "created_at"),
    EventSort.CREATED_AT_DOWN: ("events_by_created_at_down", "created_at"),
}


async def events(call: Call) -> HTTPResponse:
    """200 with a page. Only their organizer sees drafts."""
    query = call.query(EventsQuery)
    if query.q:
        call.costs(SEARCH_COST)
    await own_writes(call)
    organizer = None
    if query.status is EventStatus.DRAFT:
        if call.caller is None:
            return json(cursors.page([], query.limit, event_out, lambda _: ("", 0, "")))
        organizer = None if call.caller.role is Role.ADMIN else call.user_id
    name, column = QUERIES[query.sort]
    value, identity = cursors.decode(query.cursor, query.sort.value)
    rows = await call.deps.database.rows(
        name,
        query.q or None,
        query.category.lower() if query.category else None,
        query.status.value,
        validation.micros(query.from_, field="from") if query.from_ else None,
        validation.micros(query.to, field="to") if query.to else None,
        organizer,
        value,
        identity,
        query.limit + 1,
    )
    key = query.sort.value
    return json(cursors.page(rows, query.limit, event_out, lambda row: (key, row[column], row["id"])))


def reminder_at(starts_at: datetime, timezone: str) -> int:
    """The day before, at the same time of day in the event's time zone, also across a clock change; in microseconds."""
    zone = ZoneInfo(timezone) if timezone in _zones else UTC
    day_before = starts_at.astimezone(zone).replace(tzinfo=None) - timedelta(days=1)
    return max(0, validation.micros(day_before.replace(tzinfo=zone), field="starts_at"))


async def create(call: Call) -> HTTPResponse:
    """201 with the draft. The same Idempotency-Key gives the same event."""
    body = call.body(_create)
    _check_zone(body.timezone)
    terms = terms_in(EventTerms, body)
    if terms["ends_at"] <= terms["starts_at"]:
        raise invalid("ends_at", "has to be after starts_at")
    if terms["sales_close_at"] and terms["sales_close_at"] <= terms["sales_open_at"]:
        raise invalid("sales_close_at", "has to be after sales_open_at")
    terms |= {
        "title": body.title.strip(),
        "venue": body.venue.strip(),
        "category_id": await _category(call, body.category_id),
        "reminder_at": reminder_at(body.starts_at, body.timezone),
    }
    command = CreateEvent(
        event_id=new_id(call, "event", EventId),
        user_id=call.user_id,
        command_id=call.deps.log_writer.next_id(),
        **terms,
    )
    outcome = await write(call, command)
    return await answer(call, command.event_id, outcome, status=201)


async def event(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with the event."""
    await own_writes(call)
    return json(event_out(await visible(call, event_id)), tagged=True)


async def update(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with the changed event. Its owner only."""
    body = call.body(_patch)
    terms = terms_in(EventTerms, body)
    if not terms:
        raise invalid("body", "has no field to change")
    if body.timezone is not UNSET:
        _check_zone(body.timezone)
    if body.category_id is not UNSET:
        terms["category_id"] = await _category(call, body.category_id)
    event = await owned(call, event_id)
    if body.starts_at is not UNSET or body.timezone is not UNSET:
        starts_at = utc(event["starts_at"]) if body.starts_at is UNSET else body.starts_at
        zone = event["timezone"] if body.timezone is UNSET else body.timezone
        terms["reminder_at"] = reminder_at(starts_at, zone)
    command = UpdateEvent(event_id, call.user_id, call.deps.log_writer.next_id(), **terms)
    return await answer(call, event_id, await write(call, command))


async def publish(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with the published event. Its owner only."""
    call.no_body()
    await owned(call, event_id)
    command = PublishEvent(event_id, call.user_id, call.deps.log_writer.next_id())
    return await answer(call, event_id, await write(call, command))


async def _category(call: Call, category_id: CategoryId | None) -> CategoryId:
    if category_id is None:
        return NO_CATEGORY
    if await call.deps.database.row("category", category_id) is None:
        raise invalid("category_id", "there is no such category")
    return CategoryId(category_id.lower())


def _check_zone(name: str) -> None:
    if name not in _zones:
        example = _spellings.get(name.casefold(), "Europe/Vienna")
        raise invalid("timezone", f"is not the name of an IANA time zone, such as {example}")
