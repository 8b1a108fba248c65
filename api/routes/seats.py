"""The seat map of an event, now or at an earlier time: the sections that the caller may see."""

from __future__ import annotations

import asyncpg
from sanic import HTTPResponse

from api.fairness.rate_limits import HISTORY_COST, SEAT_BYTES_PER_READ
from api.http import validation
from api.http.problem import invalid
from api.http.routing import Call
from api.reads.events import visible
from api.reads.history_worker import ReadingPlace
from api.reads.seat_documents import answer
from api.reads.seat_sections import SeatSection, SectionBody
from api.reads.seats_now import seats_now
from api.reads.visibility import Sight, sight
from api.shapes.events import SeatsQuery
from pipelines.history.moment import Moment, moment
from schemas.ids import EventId

NOT_OVER = {"cache-control": "no-store"}


async def seats(call: Call, event_id: EventId) -> HTTPResponse | None:
    """200 with the state of every numbered seat, now or at an earlier time."""
    query = call.query(SeatsQuery)
    event = await visible(call, event_id)
    eyes = await sight(call, event, query.access_code)
    if query.at is not None:
        call.costs(HISTORY_COST)
        return await _seats_at(call, event, query.at, eyes)
    found = await call.deps.seat_maps.get(event_id, lambda: seats_now(call.deps, event_id))
    shown = [body for key, body in found.sections.items() if eyes.sees(key, found.hidden[key])]
    call.costs(sum(body.size for body in shown) // SEAT_BYTES_PER_READ)
    return await answer(call, event_id, shown, found.source)


async def _seats_at(call: Call, event: asyncpg.Record, at: str, eyes: Sight) -> HTTPResponse | None:
    """200 with an earlier seat map, of the sections that the caller may see now; 503 if it needs too much reading."""
    deps, until = call.deps, _moment(at, event["partition"])
    seat_map = await deps.history.seats(ReadingPlace(event["id"], event["partition"], event["created_at"]), until)
    seen = await eyes.among(deps, event["id"], [one.ticket_type_id for one in seat_map.sections])
    shown = [one for one in seat_map.sections if one.rows and one.ticket_type_id in seen]

    def made() -> list[SectionBody]:
        return [
            deps.seat_maps.sections.of(
                SeatSection(
                    ticket_type_id=one.ticket_type_id,
                    name=one.name,
                    rows=len(one.rows),
                    seats_per_row=len(one.rows[0].seats),
                    letters="".join([row.seats for row in one.rows]).encode(),
                )
            )
            for one in shown
        ]

    bodies = await deps.seat_maps.of_the_past(made)
    time = validation.moment_or_none(seat_map.log_time)
    position = seat_map.position or None
    return await answer(call, event["id"], bodies, "log", position=position, time=time, headers=NOT_OVER)


def _moment(at: str, partition: int) -> Moment:
    try:
        until = moment(at.replace(" ", "+"))  # a plus sign that a client did not escape
    except ValueError as error:
        raise invalid("at", str(error)) from None
    if until.position is not None and until.position.partition != partition:
        raise invalid("at", f"has to be a position on partition {partition}, the event's")
    return until
