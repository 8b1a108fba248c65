"""Live streams: server-sent events, first from Postgres after the client's last id, then as they arrive.

Guarantee: `id:` is a position, so a client that reconnects with Last-Event-ID misses nothing and sees nothing twice. A
stream has no queue: the missed events of a slow client wait in Postgres, not in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from time import time

import msgspec
from sanic import HTTPResponse

from api.deps import ApiDeps
from api.fairness.limits import DOOR_COUNTS_S, HEARTBEAT_S, SSE_BATCH_MAX, STREAM_TICKET_TTL_S
from api.fairness.owner import Lane
from api.http.problem import FieldError, Problem
from api.http.routing import Call, json, stamped
from api.http.stream_groups import Looked, chunk
from api.http.streaming import HEADERS, HEARTBEAT, HELLO, is_open
from api.log.door import works_at_door
from api.reads.availability import availability_of, seen_part
from api.reads.availability_feeds import Counted, EventWatcher, SeenAvailability, WatchedAvailability
from api.reads.door_counts import counts_of
from api.reads.events import visible
from api.reads.feeds import Reading
from api.reads.visibility import Sight, sight
from api.reads.watched_events import WatchedEvent
from api.shapes.base import StreamQuery, StreamTicketIn, StreamTicketOut
from api.shapes.events import EventStreamQuery
from api.shapes.reservations import notification_out
from schemas.field_types import LONG_MAX
from schemas.ids import EventId, Position, position_text

PARTITION_MAX = 2**31 - 1
START, FIRST = "start", (-1, 0)  # no id comes before the first message's, so the client sends a word
_ticket = msgspec.json.Decoder(StreamTicketIn)


async def notifications(call: Call) -> HTTPResponse | None:
    """The caller's notifications. Ends with the access token: reconnect with a new one and Last-Event-ID."""
    database, user_id = call.deps.database, call.user_id
    after = _last_event_id(call)
    if after is None:
        row = await database.row("notifications_last", user_id)
        after = (row["outbound_offset"], row["outbound_partition"]) if row is not None else FIRST
    with call.deps.live.stream(user_id) as news:
        response = await call.request.respond(content_type="text/event-stream", headers=HEADERS)
        await response.send(HELLO)
        while is_open(call) and not call.is_head:
            news.clear()
            try:
                rows = await database.rows("notifications_after", user_id, *after, SSE_BATCH_MAX)
            except Problem:  # Postgres does not answer: the stream stays open, and continues later
                rows = []
            for row in rows:
                after = row["outbound_offset"], row["outbound_partition"]
                notification = notification_out(row)
                await response.send(_event(notification.id, notification.kind, _json(notification)))
            if len(rows) < SSE_BATCH_MAX and not await _wait(news, call):
                await response.send(HEARTBEAT)
        await response.eof()
    return None


async def event(call: Call, event_id: EventId) -> HTTPResponse | None:
    """An event's availability, at each change. Its organizer and staff get the door's counts too.

    `id` is the position at which it was read.
    """
    code = call.query(EventStreamQuery).access_code
    shown_event = await visible(call, event_id)
    partition: int = shown_event["partition"]
    eyes = await sight(call, shown_event, code)
    deps, at_door = call.deps, await works_at_door(call, event_id)
    with deps.live.stream(f"event/{event_id}", Lane.READ):
        response = await call.request.respond(content_type="text/event-stream", headers=HEADERS)
        await response.send(HELLO)
        if not call.is_head:
            watcher = EventWatcher(call.request, partial(is_open, call), eyes)
            feed = _EventFeed(deps, event_id, partition, at_door)
            await deps.event_watchers.serve((event_id, at_door), watcher, feed)
        await response.eof()
    return None


class _EventFeed(WatchedEvent[EventWatcher]):
    """An event's availability, and at the door its counts."""

    def __init__(self, deps: ApiDeps, event_id: EventId, partition: int, at_door: bool) -> None:
        super().__init__(deps, event_id, partition)
        self._at_door = at_door

    async def look(self, streams: Iterable[EventWatcher]) -> Looked | None:
        """Read the availability, and send each stream what has changed."""
        streams, feeds = list(streams), self.deps.availability_feeds  # some may come or go meanwhile
        try:
            reading = await feeds.get(self.event_id, self._read, self.position)
            counts = await counts_of(self.deps, self.event_id) if self._at_door else None
            seen = {eyes: await self._seen(reading, eyes) for eyes in {stream.eyes for stream in streams}}
        except Problem:
            return None
        counted = None if counts is None else Counted(counts, self._message(reading, "check-ins", _json(counts)))
        reached = [stream.show(reading.next_at, seen[stream.eyes], counted) for stream in streams]
        return Looked(reading.position, feeds.due_s(reading)) if all(reached) else None

    def patience_s(self, changed: bool) -> float:
        """At the door DOOR_COUNTS_S after a change: counts may be so old, so they are read once more."""
        return DOOR_COUNTS_S if self._at_door and changed else HEARTBEAT_S

    async def _seen(self, reading: Reading[WatchedAvailability], eyes: Sight) -> SeenAvailability:
        """What a watcher sees: made once for all who see the same. Raises Problem unavailable."""
        seen = reading.value.by_sight.get(eyes)
        if seen is None:
            part = await seen_part(self.deps, reading.value.whole, eyes)
            seen = SeenAvailability(part.items, self._message(reading, "availability", _json(stamped(part))))
            reading.value.by_sight[eyes] = seen
        return seen

    async def _read(self) -> WatchedAvailability:
        return WatchedAvailability(await availability_of(self.deps, self.event_id))

    def _message(self, reading: Reading[WatchedAvailability], name: str, data: str) -> bytes:
        return chunk(_event(position_text(self.partition, max(reading.position, 0)), name, data))


async def ticket(call: Call) -> HTTPResponse:
    """201 with a ticket for one stream, for clients that cannot send an Authorization header."""
    path = call.body(_ticket).path.lower()
    assert call.caller is not None
    issued = await call.deps.stream_tickets.issue(call.caller, path)
    return json(StreamTicketOut(issued, STREAM_TICKET_TTL_S), 201)


async def _wait(news: asyncio.Event, call: Call) -> bool:
    """Whether there is news before the next heartbeat, or before the token ends."""
    left = call.caller.expires_at - time() if call.caller is not None else HEARTBEAT_S
    try:
        async with asyncio.timeout(max(0.0, min(HEARTBEAT_S, left))):
            await news.wait()
    except TimeoutError:
        return False
    return True


def _json(data: msgspec.Struct) -> str:
    return msgspec.json.encode(data).decode()


def _event(identity: str, name: str, data: str) -> str:
    return f"id: {identity}\nevent: {name}\ndata: {data}\n\n"


def _last_event_id(call: Call) -> tuple[int, int] | None:
    """Offset and partition of the last event a client has seen. Raises Problem invalid-header (400)."""
    text = call.request.headers.get("last-event-id") or call.query(StreamQuery).last_event_id
    if not text:
        return None
    if text == START:
        return FIRST
    try:
        last = Position.parse(text)
    except ValueError:
        last = None
    if last is None or last.partition > PARTITION_MAX or last.offset > LONG_MAX:
        name, detail = "Last-Event-ID", "has to be an id of this stream (partition-offset), or start"
        raise Problem("invalid-header", f"{name}: {detail}", field=name, errors=(FieldError(name, detail),))
    return last.offset, last.partition
