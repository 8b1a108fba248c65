"""Times as records have them, microseconds since the Unix epoch, as datetimes and as text. Pure: no clock is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schemas.ids import MS_PER_S, US_PER_MS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def utc(time_us: int) -> datetime:
    """The time in UTC, exact. Raises OverflowError for a time that no calendar has."""
    return EPOCH + timedelta(microseconds=time_us)


def micros_of(moment: datetime) -> int:
    """Microseconds since the epoch of a time with a zone, exact."""
    return (moment - EPOCH) // MICROSECOND


def rfc3339(time_us: int) -> str:
    """The time as text in UTC, to the millisecond; the rest is cut off."""
    return datetime.fromtimestamp(time_us // US_PER_MS / MS_PER_S, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def rfc3339_micros(time_us: int) -> str:
    """The time as text in UTC, to the microsecond. A time that no calendar has becomes the text "0"."""
    try:
        return rfc3339_of(utc(time_us), "microseconds")
    except OverflowError:
        return "0"


def rfc3339_of(moment: datetime, timespec: str = "milliseconds") -> str:
    """A time in UTC as text. `timespec` as `datetime.isoformat` takes it."""
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")
