"""An event's seats as they are now: from Redis, or from the rows if Redis has none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import asyncpg

from api.deps import ApiDeps
from api.reads.event_hashes import seat_hashes
from api.reads.seat_feeds import SeatPicture
from api.reads.seat_maps import EventSeats
from api.reads.seat_sections import BLOCKED, SeatSection, SectionBody
from api.shapes.events import SeatStatus
from connectors import clock
from pipelines.history.seat_map import FREE, HELD, LOCKED, SOLD
from pipelines.reservations.core.seating import row_label
from schemas.ids import EventId, TicketTypeId
from schemas.statuses import LayoutKind

_CLAIMED = {b"s|": SOLD, b"b|": BLOCKED}
_IN_ROWS = {SeatStatus.HELD: HELD, SeatStatus.SOLD: SOLD, SeatStatus.LOCKED: LOCKED, SeatStatus.BLOCKED: BLOCKED}
Taken = Iterable[tuple[str, str]]  # each place that is not free, as "<ticket type>/<seat>", with its letter


async def picture_of(deps: ApiDeps, event_id: EventId) -> SeatPicture:
    """The current seats of all seated ticket types, made in a thread."""
    rows = await deps.database.rows("ticket_types_of_event", event_id)
    seated = [row for row in rows if row["kind"] == LayoutKind.SEATED]
    taken_places, _ = await _taken(deps, event_id, sum(row["rows"] * row["seats_per_row"] for row in seated))
    sections = await deps.seat_maps.make(lambda: sections_of(seated, taken_places()))
    return SeatPicture(sections, {row["id"]: row["hidden"] for row in seated})


async def seats_now(deps: ApiDeps, event_id: EventId) -> EventSeats:
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
