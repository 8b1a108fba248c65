"""The seat map of an event, now or at an earlier time: the sections that the caller may see."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import asyncpg
from sanic import HTTPResponse

from api.deps import ApiDeps
from api.fairness.rate_limits import HISTORY_COST, SEAT_BYTES_PER_READ
from api.http import validation
from api.http.problem import invalid
from api.http.routing import Call
from api.reads.event_hashes import seat_hashes
from api.reads.history_worker import Place
from api.reads.seat_documents import answer
from api.reads.seat_feeds import SeatPicture
from api.reads.seat_maps import EventSeats
from api.reads.seat_sections import BLOCKED, SeatSection, SectionBody
from api.reads.visibility import Sight, sight
from api.routes.events import visible
from api.shapes.events import SeatsQuery, SeatStatus
from connectors import clock
from pipelines.history.moment import Moment, moment
from pipelines.history.seat_map import FREE, HELD, LOCKED, SOLD
from pipelines.reservations.core.seating import row_label
from schemas.ids import EventId, TicketTypeId
from schemas.statuses import LayoutKind

NOT_OVER = {"cache-control": "no-store"}
_CLAIMED = {b"s|": SOLD, b"b|": BLOCKED}
_IN_ROWS = {SeatStatus.HELD: HELD, SeatStatus.SOLD: SOLD, SeatStatus.LOCKED: LOCKED, SeatStatus.BLOCKED: BLOCKED}

Taken = Iterable[tuple[str, str]]  # each place that is not free, as "<ticket type>/<seat>", with its letter


async def seats(call: Call, event_id: EventId) -> HTTPResponse | None:
    """200 with the state of every numbered seat, now or at an earlier time."""
    query = call.query(SeatsQuery)
    event = await visible(call, event_id)
    eyes = await sight(call, event, query.access_code)
    if query.at is not None:
        call.costs(HISTORY_COST)
        return await _seats_at(call, event, query.at, eyes)
    found = await call.deps.seat_maps.get(event_id, lambda: _now(call.deps, event_id))
    shown = [body for key, body in found.sections.items() if eyes.sees(key, found.hidden[key])]
    call.costs(sum(body.size for body in shown) // SEAT_BYTES_PER_READ)
    return await answer(call, event_id, shown, found.source)


async def _seats_at(call: Call, event: asyncpg.Record, at: str, eyes: Sight) -> HTTPResponse | None:
    """200 with an earlier seat map, of the sections that the caller may see now; 503 if it needs too much reading."""
    deps, until = call.deps, _moment(at, event["partition"])
    seat_map = await deps.history.seats(Place(event["id"], event["partition"], event["created_at"]), until)
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


async def picture_of(deps: ApiDeps, event_id: EventId) -> SeatPicture:
    """The current seats of all seated ticket types, made in a thread."""
    rows = await deps.database.rows("ticket_types_of_event", event_id)
    seated = [row for row in rows if row["kind"] == LayoutKind.SEATED]
    taken_places, _ = await _taken(deps, event_id, sum(row["rows"] * row["seats_per_row"] for row in seated))
    sections = await deps.seat_maps.make(lambda: sections_of(seated, taken_places()))
    return SeatPicture(sections, {row["id"]: row["hidden"] for row in seated})


async def _now(deps: ApiDeps, event_id: EventId) -> EventSeats:
    """The current seat map, made in a thread: 100,000 seats take a tenth of a second."""
    rows = await deps.database.rows("ticket_types_of_event", event_id)
    seated = [row for row in rows if row["kind"] == LayoutKind.SEATED]
    taken_places, source = await _taken(deps, event_id, sum(row["rows"] * row["seats_per_row"] for row in seated))

    def made() -> dict[TicketTypeId, SectionBody]:
        return {one.ticket_type_id: deps.seat_maps.sections.of(one) for one in sections_of(seated, taken_places())}

    return EventSeats(await deps.seat_maps.make(made), {row["id"]: row["hidden"] for row in seated}, source)


async def _taken(deps: ApiDeps, event_id: EventId, seats: int) -> tuple[Callable[[], Taken], str]:
    """A function that gives the places that are not free, to call in a thread; and its source."""
    meta, claims, foreign = await seat_hashes(deps, event_id, seats)
    if b"epoch" in meta:
        return lambda: taken(claims, foreign, clock.now_us()), "redis"
    # never installed, or Redis was flushed
    rows = await deps.database.rows("seats_from_rows", event_id)
    return lambda: [(row["place"], _IN_ROWS[SeatStatus(row["status"])]) for row in rows], "postgres"


def taken(claims: dict[bytes, bytes], foreign: dict[bytes, bytes], now_us: int) -> Taken:
    """The places that are claimed, or locked by other sellers. A claim takes precedence over a lock."""
    for place, lock in foreign.items():
        if _until(lock) > now_us:  # the next claim removes an expired lock
            yield place.decode(), LOCKED
    for place, claim in claims.items():
        yield place.decode(), _CLAIMED.get(claim[:2], HELD)


def sections_of(rows: Iterable[asyncpg.Record], places: Taken) -> list[SeatSection]:
    """The sections of these ticket types. Skips places that are in no layout."""
    sections = list(rows)
    letters = {row["id"]: bytearray(FREE.encode() * (row["rows"] * row["seats_per_row"])) for row in sections}
    width = {row["id"]: row["seats_per_row"] for row in sections}
    first = {
        row["id"]: {row_label(number): number * row["seats_per_row"] for number in range(row["rows"])}
        for row in sections
    }
    for place, letter in places:
        ticket_type_id, _, seat = place.partition("/")
        label, _, number = seat.rpartition("-")
        start = first.get(ticket_type_id, {}).get(label)
        if start is not None and number.isascii() and number.isdecimal() and 1 <= int(number) <= width[ticket_type_id]:
            letters[ticket_type_id][start + int(number) - 1] = ord(letter)
    return [
        SeatSection(
            ticket_type_id=row["id"],
            name=row["name"],
            rows=row["rows"],
            seats_per_row=row["seats_per_row"],
            letters=bytes(letters[row["id"]]),
        )
        for row in sections
    ]


def _until(lock: bytes) -> int:
    """The end of a foreign lock, in microseconds; 0 for a lock without one."""
    text = lock.rpartition(b"|")[2]
    return int(text) if text.isdigit() else 0
