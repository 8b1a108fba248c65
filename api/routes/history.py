"""What was: the seats at a time or a position of the log, and why a reservation got what it got."""

from __future__ import annotations

import asyncpg
from sanic import HTTPResponse

from api import validation
from api.history import Place
from api.problem import invalid
from api.reasons import for_reason
from api.routes.events import own_writes
from api.routing import Call, json
from api.shapes.events import SeatOut, SeatsOut, SeatStatus, SectionOut
from api.visibility import Sight
from pipelines.replay.past import Moment, moment
from pipelines.replay.seat_map import FREE, HELD, LOCKED, SOLD, SectionMap
from schemas.facts import Reason

LETTERS = {
    FREE: SeatStatus.AVAILABLE,
    HELD: SeatStatus.HELD,
    SOLD: SeatStatus.SOLD,
    LOCKED: SeatStatus.LOCKED,
}
NOT_OVER = {"cache-control": "no-store"}


async def seats_at(call: Call, event: asyncpg.Record, at: str, eyes: Sight) -> HTTPResponse:
    """200 with the seat map as it was, of what the caller may see now; 503 when that would take too much reading."""
    until = _moment(at, event["partition"])
    found = await call.deps.history.seats(_place(event), until)
    seen = await eyes.among(call.deps, event["id"], [one.ticket_type_id for one in found.sections])
    items = [_section(one) for one in found.sections if one.rows and one.ticket_type_id in seen]
    time = validation.moment_or_none(found.log_time)
    return json(SeatsOut(event["id"], items, "log", None, found.position or None, time), headers=NOT_OVER)


async def explanation(call: Call, reservation_id: str) -> HTTPResponse:
    """200 with what the log says of one's own reservation; others appear as positions on the log alone."""
    await own_writes(call)
    row = await call.deps.database.row("reservation_by_id", reservation_id)
    if row is None or row["user_id"] != call.user_id:
        raise for_reason(
            Reason.RESERVATION_NOT_FOUND,
            "you have no such reservation, or it is not decided yet",
            field="reservation_id",
            reservation_id=reservation_id,
        )
    event = await call.deps.database.row("event_by_id", row["event_id"])
    created_at = row["created_at"] if event is None else event["created_at"]
    place = Place(row["event_id"], row["partition"], created_at)
    through = row["updated_offset"], row["updated_index"]
    return json(await call.deps.history.explanation(place, reservation_id, through), headers=NOT_OVER)


def _place(event: asyncpg.Record) -> Place:
    return Place(event["id"], event["partition"], event["created_at"])


def _moment(at: str, partition: int) -> Moment:
    try:
        until = moment(at.replace(" ", "+"))  # what a client forgot to escape
    except ValueError as error:
        raise invalid("at", str(error)) from None
    if until.position is not None and until.position.partition != partition:
        raise invalid("at", f"this event is on partition {partition}")
    return until


def _section(section: SectionMap) -> SectionOut:
    seats = [
        SeatOut(f"{row.row}-{number}", LETTERS[letter])
        for row in section.rows
        for number, letter in enumerate(row.seats, 1)
    ]
    return SectionOut(section.ticket_type_id, section.name, len(section.rows), len(section.rows[0].seats), seats)
