"""An event's sales, for its organizer, admins and operators; and its seat map as a stream: once, then as changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

import asyncpg
import msgspec
from sanic import HTTPResponse

from api.deps import ApiDeps
from api.fairness.owner import Lane
from api.http.problem import Problem
from api.http.reasons import for_reason
from api.http.routing import Call, json
from api.http.stream_groups import Looked, chunk
from api.http.streaming import HEADERS, HELLO, is_open
from api.reads.availability import availability_of
from api.reads.events import organized, visible
from api.reads.seat_feeds import Changes, SeatPicture, SeatWatcher
from api.reads.seats_now import picture_of
from api.reads.visibility import Sight, sight
from api.reads.watched_events import WatchedEvent
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
    with call.deps.live.stream(f"event/{event_id}", Lane.READ):
        response = await call.request.respond(content_type="text/event-stream", headers=HEADERS)
        await response.send(HELLO)
        if not call.is_head:
            watcher = SeatWatcher(call.request, partial(is_open, call), eyes)
            await call.deps.seat_watchers.serve(event_id, watcher, _SeatFeed(call.deps, event_id, partition))
        await response.eof()
    return None


class _SeatFeed(WatchedEvent[SeatWatcher]):
    """An event's seat map."""

    async def look(self, streams: Iterable[SeatWatcher]) -> Looked | None:
        """Read the seats, and send each stream its map or what has changed."""
        streams, feeds = list(streams), self.deps.seat_feeds  # some may come or go meanwhile
        try:
            reading = await feeds.get(self.event_id, lambda: picture_of(self.deps, self.event_id), self.position)
        except Problem:  # Redis or PostgreSQL is away, or busy: the streams stay open
            return None
        reached = [stream.show(reading.next_at, reading.value, _message) for stream in streams]
        return Looked(reading.position, feeds.due_s(reading)) if all(reached) else None


def _message(picture: SeatPicture, sent: SeatPicture | None, eyes: Sight) -> bytes:
    """The next message of a stream, as a chunk; b"" without news."""
    if picture is sent:
        return b""
    seen = tuple([key for key in picture.sections if eyes.sees(key, picture.hidden[key])])
    changes = None if sent is None else picture.message_since(sent, seen, _changes)
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


def _changes(shown: Changes) -> bytes:
    return _event("changes", SeatChangesOut(shown))


def _event(name: str, data: msgspec.Struct) -> bytes:
    return chunk(f"event: {name}\ndata: {msgspec.json.encode(data).decode()}\n\n")


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
