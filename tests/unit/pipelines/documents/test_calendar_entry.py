"""The calendar entry by RFC 5545: lines, escaping, times, the zone's rules, revisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.documents.calendar_entry import calendar_entry
from pipelines.documents.ticket import is_ambiguous
from tests.unit.pipelines.documents.tickets import TICKET_ID, ticket

NOW = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
HOUR = timedelta(hours=1)


def entry(data: bytes) -> icalendar.Event:
    return icalendar.Calendar.from_ical(data).walk("VEVENT")[0]


def offset_by_the_file(data: bytes, at: datetime) -> timedelta:
    """The offset of an instant by the file's own rules: the last observance whose onset is not after it (section
    3.6.5)."""
    (zone,) = icalendar.Calendar.from_ical(data).walk("VTIMEZONE")
    onsets = [
        (one["dtstart"].dt.replace(tzinfo=UTC) - one["tzoffsetfrom"].td, one["tzoffsetto"].td)
        for one in zone.subcomponents
    ]
    return max(onset for onset in onsets if onset[0] <= at)[1]


def test_the_entry_says_what_the_ticket_says() -> None:
    found = entry(calendar_entry(ticket(), NOW))
    assert (found["uid"], found["sequence"], found["status"]) == (TICKET_ID, 7, "CONFIRMED")
    assert found["dtstamp"].dt == NOW.replace(microsecond=0)
    assert (found["summary"], found["location"]) == ("Night of the open circle", "Great Hall")
    assert found["description"] == f"Stalls\nSeat A-12\nTicket {TICKET_ID}"
    assert (found["dtstart"].dt, found["dtend"].dt) == (ticket().starts_at, ticket().ends_at)
    assert found["dtstart"].params["TZID"] == "Europe/Vienna"


def test_an_event_at_the_end_of_all_calendars_has_an_entry_in_utc() -> None:
    """The API refuses such an event, but a record on the topic may have one."""
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    data = calendar_entry(ticket(starts_at=end - HOUR, ends_at=end), NOW)
    assert entry(data)["dtend"].dt == end
    assert b"VTIMEZONE" not in data


def test_lines_are_folded_at_75_bytes_with_no_character_torn_apart_and_end_with_crlf() -> None:
    title = "Žofín – ein Abend, 東京; " * 8
    data = calendar_entry(ticket(title=title), NOW)
    assert data.startswith(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
    lines = data.split(b"\r\n")
    assert max(map(len, lines)) <= 75
    assert all(b"\n" not in line and line.decode() is not None for line in lines)
    assert entry(data)["summary"] == title


def test_what_has_a_meaning_in_the_format_is_escaped() -> None:
    title = "Bread, butter; \\ salt\nEND:VEVENT"
    data = calendar_entry(ticket(title=title), NOW)
    assert b"SUMMARY:Bread\\, butter\\; \\\\ salt\\nEND:VEVENT\r\n" in data
    assert data.count(b"\r\nEND:VEVENT") == 1
    assert entry(data)["summary"] == title


def test_a_void_tickets_entry_is_cancelled_under_the_same_uid() -> None:
    found = entry(calendar_entry(ticket(status="void", revision=9), NOW))
    assert (found["uid"], found["sequence"], found["status"]) == (TICKET_ID, 9, "CANCELLED")


def test_a_revision_beyond_an_ical_integer_stays_one() -> None:
    assert entry(calendar_entry(ticket(revision=2**40), NOW))["sequence"] == 2**31 - 1


@pytest.mark.parametrize("zone", ["UTC", "Mars/Olympus", "Europe"])
def test_without_a_zone_times_are_utc(zone: str) -> None:
    data = calendar_entry(ticket(timezone=zone), NOW)
    assert b"DTSTART:20300501T180000Z\r\n" in data
    assert b"VTIMEZONE" not in data


def test_an_exhibition_of_years_is_in_utc() -> None:
    data = calendar_entry(ticket(ends_at=datetime(2199, 1, 1, tzinfo=UTC)), NOW)
    assert b"DTEND:21990101T000000Z\r\n" in data


def test_the_change_to_summer_time_is_told_in_the_time_before_it() -> None:
    data = calendar_entry(ticket(), NOW).decode()
    rule = "BEGIN:{}\r\nDTSTART:{}\r\nTZNAME:{}\r\nTZOFFSETFROM:{}\r\nTZOFFSETTO:{}\r\nEND"
    assert rule.format("DAYLIGHT", "20300331T020000", "CEST", "+0100", "+0200") in data
    assert rule.format("STANDARD", "20301027T030000", "CET", "+0200", "+0100") in data


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Europe/Vienna", datetime(2030, 3, 31, 1, tzinfo=UTC)),
        ("Europe/Vienna", datetime(2030, 10, 27, 1, tzinfo=UTC)),
        ("America/New_York", datetime(2030, 3, 10, 7, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2030, 10, 5, 15, 30, tzinfo=UTC)),
        ("Europe/Dublin", datetime(2030, 10, 27, 1, tzinfo=UTC)),
    ],
)
def test_an_event_across_a_change_of_the_clocks_has_both_its_times_right(zone: str, change: datetime) -> None:
    start, end = change - 2 * HOUR, change + 2 * HOUR
    data = calendar_entry(ticket(timezone=zone, starts_at=start, ends_at=end), NOW)
    found = entry(data)
    assert (found["dtstart"].dt.astimezone(UTC), found["dtend"].dt.astimezone(UTC)) == (start, end)
    for minutes in range(-60, 121, 15):
        at = change + timedelta(minutes=minutes)
        assert offset_by_the_file(data, at) == at.astimezone(ZoneInfo(zone)).utcoffset(), at


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        ("Europe/Vienna", "2027-10-31T01:30Z", "2027-10-31T04:00Z"),  # 02:30, the second one
        ("Europe/Vienna", "2027-10-31T00:30Z", "2027-10-31T04:00Z"),  # 02:30, the first one
        ("Europe/Vienna", "2027-10-31T00:45Z", "2027-10-31T01:15Z"),  # from 02:45 to 02:15
        ("Europe/Vienna", "2027-10-30T20:00Z", "2027-10-31T01:59Z"),  # only its end is ambiguous
        ("Australia/Lord_Howe", "2027-04-03T15:10Z", "2027-04-03T18:00Z"),  # clocks change by half an hour there
        ("America/New_York", "2027-11-07T06:30Z", "2027-11-07T09:00Z"),
    ],
)
def test_a_time_that_the_clocks_show_twice_is_in_utc(zone: str, start: str, end: str) -> None:
    starts_at, ends_at = datetime.fromisoformat(start), datetime.fromisoformat(end)
    data = calendar_entry(ticket(timezone=zone, starts_at=starts_at, ends_at=ends_at), NOW)
    assert f"DTSTART:{starts_at:%Y%m%dT%H%M%SZ}\r\n".encode() in data
    assert f"DTEND:{ends_at:%Y%m%dT%H%M%SZ}\r\n".encode() in data
    assert b"VTIMEZONE" not in data


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2027-10-30T22:00Z", "2027-10-31T00:00Z"),  # 02:00 is ambiguous, as above; 01:59:59 is not
        ("2027-10-31T02:00Z", "2027-10-31T03:00Z"),  # 03:00 CET, the first time that there is once only
        ("2027-03-28T00:59Z", "2027-03-28T01:00Z"),  # 01:59 and 03:00: no hour is shown twice in spring
    ],
)
def test_the_neighbours_of_the_change_keep_their_zone(start: str, end: str) -> None:
    starts_at, ends_at = datetime.fromisoformat(start), datetime.fromisoformat(end) - timedelta(seconds=1)
    data = calendar_entry(ticket(timezone="Europe/Vienna", starts_at=starts_at, ends_at=ends_at), NOW)
    assert b"VTIMEZONE" in data
    assert (entry(data)["dtstart"].dt.astimezone(UTC), entry(data)["dtend"].dt.astimezone(UTC)) == (starts_at, ends_at)


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(
        ["Europe/Vienna", "Africa/Casablanca", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia", "Asia/Tokyo"]
    ),
    start=st.integers(0, 198 * 365 * 24).map(lambda hours: datetime(2001, 6, 1, tzinfo=UTC) + hours * HOUR),
    hours=st.integers(0, 24 * 300),
)
def test_the_files_rules_are_the_zones_for_as_long_as_the_event_lasts(zone: str, start: datetime, hours: int) -> None:
    end = start + timedelta(hours=hours)
    data = calendar_entry(ticket(timezone=zone, starts_at=start, ends_at=end), NOW)
    if any(is_ambiguous(at.astimezone(ZoneInfo(zone))) for at in (start, end)):
        assert (entry(data)["dtstart"].dt, entry(data)["dtend"].dt) == (start, end)
        return
    for at in (start, start + (end - start) / 3, end):
        assert offset_by_the_file(data, at) == at.astimezone(ZoneInfo(zone)).utcoffset(), at
