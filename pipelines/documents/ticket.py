"""The content of a ticket's documents: one row of the projections, in words and in times of the event's zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import asyncpg

from schemas.ids import EventId, TicketId
from schemas.statuses import TicketStatus
from schemas.times import utc


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintableTicket:
    """A ticket, its event and its ticket type. Times are UTC."""

    id: TicketId
    version: int
    status: str
    seat: str
    ordinal: int
    holder: str
    ticket_type: str
    event_id: EventId
    title: str
    venue: str
    starts_at: datetime
    ends_at: datetime
    timezone: str
    issued_at: datetime
    revision: int  # grows whenever the ticket or its event changes
    disputed: bool  # whether its payment is disputed, so that it opens no door now

    @classmethod
    def of(cls, row: asyncpg.Record, *, holder: str) -> PrintableTicket:
        """From a row of `ticket_document` and the holder's name, which the log does not have."""
        return cls(
            id=row["id"],
            version=row["version"],
            status=row["status"],
            seat=row["seat"],
            ordinal=row["ordinal"],
            holder=holder,
            ticket_type=row["ticket_type"] or "",
            event_id=row["event_id"],
            title=row["title"],
            venue=row["venue"],
            starts_at=utc(row["starts_at"]),
            ends_at=utc(row["ends_at"]),
            timezone=row["timezone"],
            issued_at=utc(row["issued_at"]),
            revision=row["revision"],
            disputed=row["disputed"],
        )

    @property
    def valid(self) -> bool:
        """Whether it opens the door. Only a valid ticket has a code."""
        return self.status == TicketStatus.VALID

    @property
    def place(self) -> str:
        """The holder's seat or standing place."""
        return f"Seat {self.seat}" if self.seat else f"General admission, no. {self.ordinal}"

    @property
    def zone(self) -> ZoneInfo | None:
        """The event's zone; None if this system has no zone of that name. The documents then use UTC."""
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a name that is a directory of the zone files
            return None

    @property
    def when(self) -> str:
        """The event's begin and end on the clocks of its zone, with the zone's name."""
        zone = self.zone or UTC
        start, end = self.starts_at.astimezone(zone), self.ends_at.astimezone(zone)
        changes = start.tzname() != end.tzname()  # the clocks change in between: each time says which it is
        since, until = ((f"{_clock(at)} {at.tzname()}" if changes else _clock(at)) for at in (start, end))
        until = until if end.date() == start.date() else f"{_day(end)}, {until}"
        offset = "" if changes or start.tzname() == self.timezone else f" ({start.tzname()})"
        return f"{_day(start)}, {since} – {until}\n{self.timezone if self.zone else 'UTC'}{offset}"


def is_ambiguous(local: datetime) -> bool:
    """Whether the clocks of its zone show this local time twice (PEP 495)."""
    return local.replace(fold=0).utcoffset() > local.replace(fold=1).utcoffset()  # type: ignore[operator]


def _day(time: datetime) -> str:
    return f"{time:%A}, {time.day} {time:%B} {time.year}"


def _clock(time: datetime) -> str:
    return f"{time:%H:%M}"
