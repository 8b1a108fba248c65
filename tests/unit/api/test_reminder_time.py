"""A reminder goes out the day before, at the same time of day, in the event's own time zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from api.routes.events import reminder_at
from schemas.times import utc


@pytest.mark.parametrize(
    ("starts_at", "timezone", "reminded_at"),
    [
        ("2031-05-01T20:00:00+02:00", "Europe/Vienna", "2031-04-30T20:00:00+02:00"),
        ("2031-05-01T18:00:00+00:00", "Europe/Vienna", "2031-04-30T20:00:00+02:00"),
        # The clocks go forward in the night between: 23 hours before, and still eight in the evening.
        ("2031-03-30T20:00:00+02:00", "Europe/Vienna", "2031-03-29T20:00:00+01:00"),
        # … and back: 25 hours before.
        ("2031-10-26T20:00:00+01:00", "Europe/Vienna", "2031-10-25T20:00:00+02:00"),
        # If the day before has no such time of day, the offset before the clock change counts.
        ("2031-03-31T02:30:00+02:00", "Europe/Vienna", "2031-03-30T03:30:00+02:00"),
        ("2031-05-01T08:00:00+12:00", "Pacific/Auckland", "2031-04-30T08:00:00+12:00"),
        ("2031-05-01T20:00:00+02:00", "Nowhere/Land", "2031-04-30T18:00:00+00:00"),
    ],
)
def test_it_is_the_same_time_of_day_whatever_the_clocks_do(starts_at: str, timezone: str, reminded_at: str) -> None:
    found = utc(reminder_at(datetime.fromisoformat(starts_at), timezone))
    assert found == datetime.fromisoformat(reminded_at).astimezone(UTC)
