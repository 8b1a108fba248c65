"""Deleting a draft, cancelling an event, and its programme."""

from __future__ import annotations

import msgspec
from sanic import HTTPResponse

from api.fairness.limits import PROGRAMME_BYTES_MAX
from api.http import validation
from api.http.problem import invalid
from api.http.routing import Call, json
from api.log.writes import own_writes, pending, replayed, write
from api.reads.events import answer, owned, visible
from api.shapes.base import Page
from api.shapes.events import ActivityOut, CancelIn, ScheduleIn
from schemas.commands import CancelEvent, DeleteEvent, SetSchedule
from schemas.ids import EventId
from schemas.times import utc

_cancel = msgspec.json.Decoder(CancelIn)
_schedule = msgspec.json.Decoder(ScheduleIn)


class _Activity(msgspec.Struct):
    """An activity as on the log; times in microseconds."""

    title: str
    speaker: str
    starts_at: int
    ends_at: int


_activity = msgspec.json.Decoder(_Activity)


async def delete(call: Call, event_id: EventId) -> HTTPResponse:
    """204 after the draft is deleted. Its owner only; a published event has to be cancelled instead."""
    call.no_body()
    await owned(call, event_id)
    outcome = await write(call, DeleteEvent(event_id, call.user_id, call.deps.log_writer.next_id()))
    if outcome.reply is None:
        return pending(event_id, f"/v1/events/{event_id}", outcome)
    return HTTPResponse(status=204, headers=replayed(outcome))


async def cancel(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with the cancelled event. Soon its holds end, tickets are void, payments are refunded, users are notified."""
    body = call.body(_cancel)
    await owned(call, event_id)
    command = CancelEvent(event_id, call.user_id, call.deps.log_writer.next_id(), body.reason.strip())
    return await answer(call, event_id, await write(call, command))


async def schedule(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with the programme."""
    await own_writes(call)
    await visible(call, event_id)
    return json(await _page(call, event_id))


async def set_schedule(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with the new programme. The event's owner only."""
    body = call.body(_schedule)
    activities = []
    for number, one in enumerate(body.items):
        field = f"items[{number}]"
        starts_at = validation.micros(one.starts_at, field=f"{field}.starts_at")
        ends_at = validation.micros(one.ends_at, field=f"{field}.ends_at")
        if ends_at <= starts_at:
            raise invalid(f"{field}.ends_at", "has to be after starts_at")
        text = msgspec.json.encode(_Activity(one.title.strip(), one.speaker.strip(), starts_at, ends_at))
        activities.append(text.decode())
    size = sum(len(text.encode()) for text in activities)
    if size > PROGRAMME_BYTES_MAX:
        raise invalid("items", f"have {size} bytes together, more than {PROGRAMME_BYTES_MAX}; shorten some texts")
    await owned(call, event_id)
    command = SetSchedule(event_id, call.user_id, call.deps.log_writer.next_id(), activities)
    outcome = await write(call, command)
    if outcome.reply is None:
        return pending(event_id, f"/v1/events/{event_id}/schedule", outcome)
    return json(await _page(call, event_id), headers=replayed(outcome))


async def _page(call: Call, event_id: EventId) -> Page[ActivityOut]:
    row = await call.deps.database.row("schedule_of_event", event_id)
    activities = [_activity.decode(text) for text in row["activities"]] if row is not None else []
    return Page([_out(one) for one in activities])


def _out(one: _Activity) -> ActivityOut:
    return ActivityOut(title=one.title, speaker=one.speaker, starts_at=utc(one.starts_at), ends_at=utc(one.ends_at))
