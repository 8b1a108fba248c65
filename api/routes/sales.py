"""An event's sales, for its organizer, admins and operators; and its seat map as a stream: once, then as changes."""

from __future__ import annotations

import asyncio
from time import monotonic

import asyncpg
import msgspec
from sanic import HTTPResponse

from api.deps import ApiDeps
from api.fairness.limits import HEARTBEAT_S
from api.fairness.owner import Lane
from api.http.problem import Problem
from api.http.reasons import for_reason
from api.http.routing import Call, json
from api.http.streaming import HEADERS, HEARTBEAT, HELLO, TICK_S, StreamPace, is_open
from api.reads.availability import availability_of
from api.reads.events import organized, visible
from api.reads.seat_feeds import Changes, SeatPicture
from api.reads.seats_now import picture_of
from api.reads.visibility import Sight, sight
from api.shapes.console import (
    MinuteOut,
    MoneyOut,
    OutcomeOut,
    SalesOut,
    SeatChangesOut,
    SeatLettersOut,
    SeatMapOut,
    TicketTypeSales,
)
from api.shapes.events import AvailabilityOut, EventStreamQuery
from connectors import clock
from schemas.facts import Reason
from schemas.ids import US_PER_S, EventId
from schemas.money import formatted
from schemas.times import utc

REST_S_MAX = 1.0  # of a stream at a large map, which is read less often: until it notices that it has to end
MINUTES_S = 3_600
US_PER_MINUTE = 60 * US_PER_S
NOT_OVER = {"cache-control": "no-store"}


async def of_own_event(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with the sales of the caller's event. Nothing of other events is in it."""
    event = await organized(call, event_id)
    return json(await _sales(call.deps, event), headers=NOT_OVER)


async def of_any_event(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with the sales of any event, and the commands that wait on its partition."""
    event = await call.deps.database.row("event_by_id", event_id)
    if event is None:
        raise for_reason(Reason.EVENT_NOT_FOUND, f"there is no event {event_id}", field="event_id")
    sales, end = await asyncio.gather(_sales(call.deps, event), call.deps.log_ends.of(event["partition"]))
    decided = call.deps.watermarks.applied(event["partition"])
    waiting = None if end is None else max(0, end - decided - 1)
    return json(msgspec.structs.replace(sales, commands_waiting=waiting), headers=NOT_OVER)


async def seat_stream(call: Call, event_id: EventId) -> HTTPResponse | None:
    """The seat map of the sections that the caller may see: whole once, then its changes."""
    code = call.query(EventStreamQuery).access_code
    event = await visible(call, event_id)
    eyes, partition = await sight(call, event, code), event["partition"]
    deps = call.deps

    def position() -> int:
        return deps.watermarks.applied(partition)

    with deps.live.stream(f"event/{event_id}", Lane.READ):
        response = await call.request.respond(content_type="text/event-stream", headers=HEADERS)
        await response.send(HELLO)
        sent: SeatPicture | None = None
        pace = StreamPace()
        while is_open(call) and not call.is_head:
            try:
                reading = await deps.seat_feeds.get(event_id, lambda: picture_of(deps, event_id), position)
            except Problem:  # Redis or PostgreSQL is away, or busy: the stream stays open
                await asyncio.sleep(pace.rest_s(monotonic()))
                continue
            message = _message(reading.value, sent, eyes)
            sent = reading.value
            if message:
                await response.send(message)
            due_s = min(deps.seat_feeds.due_s(reading), REST_S_MAX)
            # A large map is read less often than a stream looks.
            await asyncio.sleep(pace.rest_until_s(due_s) if due_s > TICK_S else pace.rest_s(monotonic()))
            # A picture that another watcher has read earlier may lack a change that is known already.
            if not message and not await deps.watermarks.wait(partition, reading.position + 1, HEARTBEAT_S, ask=False):
                await response.send(HEARTBEAT)
        await response.eof()
    return None


def _message(picture: SeatPicture, sent: SeatPicture | None, eyes: Sight) -> str:
    """The next message of a stream; "" without news."""
    if picture is sent:
        return ""
    seen = tuple([key for key in picture.sections if eyes.sees(key, picture.hidden[key])])
    changes = None if sent is None else picture.text_since(sent, seen, _changes)
    if changes is not None:
        return changes
    sections = [
        SeatLettersOut(
            ticket_type_id=one.ticket_type_id,
            name=one.name,
            rows=one.rows,
            seats_per_row=one.seats_per_row,
            letters=one.letters.decode(),
        )
        for one in map(picture.sections.__getitem__, seen)
    ]
    return _event("map", SeatMapOut(sections))


def _changes(shown: Changes) -> str:
    return _event("changes", SeatChangesOut(shown))


def _event(name: str, data: msgspec.Struct) -> str:
    return f"event: {name}\ndata: {msgspec.json.encode(data).decode()}\n\n"


async def _sales(deps: ApiDeps, event: asyncpg.Record) -> SalesOut:
    return await deps.sales.get(event["id"], lambda: _counted(deps, event))


async def _counted(deps: ApiDeps, event: asyncpg.Record) -> SalesOut:
    event_id, rows = event["id"], deps.database.rows
    availability = await availability_of(deps, event_id)
    types = {row["id"]: row for row in await rows("ticket_types_of_event", event_id)}
    outcomes = await rows("outcomes_of_event", event_id)
    minutes = await rows("requests_of_event", event_id, clock.now_us() - MINUTES_S * US_PER_S)
    paid = {row["currency"]: row for row in await rows("money_of_event", event_id)}
    held = {row["currency"]: row["held"] for row in await rows("held_money_of_event", event_id)}
    return SalesOut(
        event_id=event_id,
        title=event["title"],
        status=event["status"],
        starts_at=utc(event["starts_at"]),
        ticket_types=[_ticket_type(one, types.get(one.id)) for one in availability.items],
        outcomes=[OutcomeOut(row["status"], row["reason"], row["reservations"], row["places"]) for row in outcomes],
        money=[_money(code, paid.get(code), held.get(code, 0)) for code in sorted(paid.keys() | held.keys())],
        minutes=[
            MinuteOut(utc(row["minute"] * US_PER_MINUTE), row["asked"], row["confirmed"], row["rejected"])
            for row in minutes
        ],
        waiting=sum(one.waiting for one in availability.items),
        commands_waiting=None,
        source=availability.source,
    )


def _ticket_type(places: AvailabilityOut, row: asyncpg.Record | None) -> TicketTypeSales:
    name, price = ("", "") if row is None else (row["name"], formatted(row["price_minor"], row["currency"]))
    return TicketTypeSales(**msgspec.structs.asdict(places), name=name, price_text=price)


def _money(currency: str, paid: asyncpg.Record | None, held: int) -> MoneyOut:
    taken, given_back = (0, 0) if paid is None else (paid["taken"], paid["given_back"])
    return MoneyOut(
        currency=currency,
        taken=taken,
        given_back=given_back,
        held=held,
        taken_text=formatted(taken, currency),
        given_back_text=formatted(given_back, currency),
        held_text=formatted(held, currency),
    )
