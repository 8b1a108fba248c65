"""A ticket as an iCalendar file (RFC 5545). A later file of the same ticket replaces an earlier one in the calendar.

Times are in the event's zone; the file has the zone's rules for a year around the event. A local time that clocks show
twice is ambiguous, so such an event is in UTC. People share calendars, so the file has no secret: the ticket's code
stays out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pipelines.documents.ticket import PrintableTicket, is_ambiguous

# The library is loaded with the first entry: it is a tenth of a process's start, and few processes make one.
if TYPE_CHECKING:
    from icalendar import Timezone

PRODUCT = "-//General Circle//Tickets//EN"
SEQUENCE_MAX = 2**31 - 1  # an iCalendar integer
AROUND = timedelta(days=366)  # one change each way, at least, where clocks change
YEAR_MAX = 9_998  # the API accepts no later event; after it no calendar has the year around it
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def calendar_entry(ticket: PrintableTicket, now: datetime) -> bytes:
    """The file. For a void ticket it says CANCELLED, so that calendars remove the entry."""
    from icalendar import Calendar, Event

    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", PRODUCT)
    calendar.add("calscale", "GREGORIAN")
    zone = ticket.zone
    if zone is not None and _is_told_in(zone, ticket):
        calendar.add_component(vtimezone(zone, ticket.starts_at - AROUND, ticket.ends_at + AROUND))
    else:
        zone = None
    entry = Event()
    entry.add("uid", ticket.id)
    entry.add("sequence", min(ticket.revision, SEQUENCE_MAX))
    entry.add("dtstamp", now.astimezone(UTC).replace(microsecond=0))
    entry.add("dtstart", _on(ticket.starts_at, zone))
    entry.add("dtend", _on(ticket.ends_at, zone))
    entry.add("summary", ticket.title)
    entry.add("location", ticket.venue)
    entry.add("description", f"{ticket.ticket_type}\n{ticket.place}\nTicket {ticket.id}")
    entry.add("status", "CONFIRMED" if ticket.valid else "CANCELLED")
    calendar.add_component(entry)
    return bytes(calendar.to_ical())


def _is_told_in(zone: ZoneInfo, ticket: PrintableTicket) -> bool:
    """Whether the event's times are written in its zone. UTC needs no rules and no `fold`."""
    long = ticket.ends_at - ticket.starts_at > AROUND
    if zone.key == "UTC" or long or ticket.ends_at.year >= YEAR_MAX:
        return False
    return not any(is_ambiguous(time.astimezone(zone)) for time in (ticket.starts_at, ticket.ends_at))


def vtimezone(zone: ZoneInfo, start: datetime, end: datetime) -> Timezone:
    """The zone's rules from `start` to `end` (UTC), one observance for each change of the clocks.

    An onset is written in the local time before it (RFC 5545, section 3.6.5).
    """
    from icalendar import Timezone, TimezoneDaylight, TimezoneStandard

    component = Timezone()
    component.add("tzid", zone.key)
    before = start.astimezone(zone).utcoffset()
    for onset in (start, *_changes(zone, start, end)):
        local = onset.astimezone(zone)
        observance = TimezoneDaylight() if local.dst() else TimezoneStandard()
        assert before is not None
        observance.add("dtstart", (onset + before).replace(tzinfo=None, microsecond=0))
        observance.add("tzoffsetfrom", before)
        observance.add("tzoffsetto", local.utcoffset())
        observance.add("tzname", local.tzname())
        component.add_component(observance)
        before = local.utcoffset()
    return component


def _changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """The first second of each new offset or name in the zone, in UTC. Two changes within one day count as one."""
    at = start
    while at < end:
        following = min(at + DAY, end)
        if _rule(zone, following) != _rule(zone, at):
            low, high = at, following
            while high - low > SECOND:
                middle = low + (high - low) // 2
                low, high = (middle, high) if _rule(zone, middle) == _rule(zone, at) else (low, middle)
            yield high.replace(microsecond=0)
        at = following


def _rule(zone: ZoneInfo, at: datetime) -> tuple[timedelta | None, str | None]:
    local = at.astimezone(zone)
    return local.utcoffset(), local.tzname()


def _on(time: datetime, zone: ZoneInfo | None) -> datetime:
    return time.replace(microsecond=0).astimezone(zone or UTC)
