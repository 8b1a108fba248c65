"""Foreign seat locks (`circle locks`): a box office or a partner keeps seats for itself for a time.

Guarantee: PostgreSQL says which seats the event has; only these can be locked. Redis decides whether they are free, all
or nothing. To free seats never touches another owner's locks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from connectors.errors import CircleError
from connectors.postgres import Connection, connect
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.reservations.core.seating import row_label
from pipelines.reservations.seat_locks import ForeignLocks
from schemas.ids import EventId, TicketTypeId
from schemas.statuses import LayoutKind
from schemas.times import utc

PLACES_MAX = 1_000  # one Lua call for this many takes less than ten milliseconds
SECONDS_MAX = 90 * 86_400
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:-]{0,63}")
RANGE = re.compile(r"([A-Z]{1,3})-([1-9][0-9]{0,4})\.\.([1-9][0-9]{0,4})")
SQL = queries(Path(__file__).with_name("locks.sql"))


class WrongRequest(CircleError):
    """The request cannot be met. The message names the event, the ticket type, the seat or the owner."""

    exit_code = 2


class SeatedType(NamedTuple):
    """A seated ticket type."""

    id: TicketTypeId
    name: str
    rows: int
    seats_per_row: int


class ListedLock(msgspec.Struct, frozen=True):
    """One foreign lock as Redis has it. The next sale removes an `ended` lock."""

    ticket_type_id: TicketTypeId
    seat: str
    owner: str
    expires_at: datetime
    ended: bool


async def places_of(
    settings: Settings, event_id: EventId, ticket_type_id: TicketTypeId | None, seats: Sequence[str]
) -> list[str]:
    """The seats as places "ticket_type_id/seat". Raises WrongRequest for a seat that the event does not have."""
    connection = await connect(settings.postgres_url)
    try:
        sections = await _sections(connection, event_id)
    finally:
        await connection.close()
    section = choose(sections, event_id, ticket_type_id)
    return [f"{section.id}/{seat}" for seat in check_seats(section, expand(seats))]


def choose(sections: Iterable[SeatedType], event_id: EventId, ticket_type_id: TicketTypeId | None) -> SeatedType:
    """The named section, or the only one. Raises WrongRequest."""
    known = list(sections)
    names = ", ".join(f"{one.id} ({one.name})" for one in known) or "none"
    if ticket_type_id is None:
        if len(known) == 1:
            return known[0]
        raise WrongRequest(f"event {event_id} has {len(known)} seated ticket types; name one of {names}")
    for one in known:
        if one.id == ticket_type_id.lower():
            return one
    raise WrongRequest(f"event {event_id} has no seated ticket type {ticket_type_id}; it has {names}")


def expand(seats: Iterable[str]) -> list[str]:
    """ "A-1..4" becomes four seats; any other text stays. Raises WrongRequest for a range that goes down."""
    labels: list[str] = []
    for seat in seats:
        matched = RANGE.fullmatch(seat)
        if matched is None:
            labels.append(seat)
            continue
        row, first, last = matched[1], int(matched[2]), int(matched[3])
        if last < first or last - first >= PLACES_MAX:
            raise WrongRequest(f"{seat}: a range goes up, by at most {PLACES_MAX} seats")
        labels += [f"{row}-{number}" for number in range(first, last + 1)]
    return labels


def check_seats(section: SeatedType, seats: Sequence[str]) -> list[str]:
    """The seats, each once. Raises WrongRequest for too many, none, or one that the section does not have."""
    wanted = list(dict.fromkeys(seats))
    if not 0 < len(wanted) <= PLACES_MAX:
        raise WrongRequest(f"{len(wanted)} seats; 1 to {PLACES_MAX} can be locked at once")
    rows = {row_label(row) for row in range(section.rows)}
    last_row = row_label(section.rows - 1)
    for seat in wanted:
        row, _, number = seat.partition("-")
        if row not in rows or not number.isdecimal() or not 1 <= int(number) <= section.seats_per_row:
            reach = f"A-1 to {last_row}-{section.seats_per_row}"
            raise WrongRequest(f"{section.name} ({section.id}) has no seat {seat}; it has {reach}")
    return wanted


def check_owner(owner: str) -> str:
    """The owner's name. Raises WrongRequest; "|" would break the lock's text."""
    if not OWNER.fullmatch(owner):
        raise WrongRequest(f"--owner: letters, digits, spaces and . _ : - up to 64 characters; got {owner!r}")
    return owner


def listed(settings: Settings, event_id: EventId, now: datetime | None = None) -> list[ListedLock]:
    """The event's foreign locks, by place."""
    now = now or datetime.now(UTC)
    locks = []
    with closing(ForeignLocks(settings.redis_url)) as foreign:
        held = foreign.held(event_id)
    for place, (owner, expires_us) in sorted(held.items()):
        type_id, _, seat = place.partition("/")
        expires_at = utc(expires_us)
        locks.append(
            ListedLock(
                ticket_type_id=TicketTypeId(type_id),
                seat=seat,
                owner=owner,
                expires_at=expires_at,
                ended=expires_at <= now,
            )
        )
    return locks


async def _sections(connection: Connection, event_id: EventId) -> list[SeatedType]:
    if await connection.fetchrow(SQL["event"], event_id) is None:
        raise WrongRequest(
            f"there is no event {event_id} in Postgres; was it created a moment ago, or is the id wrong?"
        )
    rows = await connection.fetch(SQL["ticket_types"], event_id)
    return [
        SeatedType(row["id"], row["name"], row["rows"], row["seats_per_row"])
        for row in rows
        if row["kind"] == LayoutKind.SEATED
    ]
