"""A time of a record comes back to the microsecond, whichever zone or fineness it was written with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from schemas.times import micros_of, rfc3339, rfc3339_micros, rfc3339_of, utc

T = 1_800_000_000_000_000  # 2027-01-15T08:00:00Z
LAST = 253_402_300_799_999_999  # the last microsecond of the year 9999


@pytest.mark.parametrize("time_us", [0, 1, T - 1, T, T + 1, LAST - 1, LAST])
def test_a_time_comes_back_to_the_microsecond(time_us: int) -> None:
    assert micros_of(utc(time_us)) == time_us


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    assert micros_of(datetime(2027, 1, 15, 10, tzinfo=timezone(timedelta(hours=2)))) == T


@pytest.mark.parametrize(
    ("time_us", "text"),
    [
        (T, "2027-01-15T08:00:00.000Z"),
        (T + 999, "2027-01-15T08:00:00.000Z"),
        (T + 1_000, "2027-01-15T08:00:00.001Z"),
        (T - 1, "2027-01-15T07:59:59.999Z"),
    ],
)
def test_a_log_time_is_cut_to_the_millisecond(time_us: int, text: str) -> None:
    assert rfc3339(time_us) == text


def test_a_time_to_the_microsecond_is_the_text_0_where_no_calendar_has_it() -> None:
    assert rfc3339_micros(T + 1) == "2027-01-15T08:00:00.000001Z"
    assert rfc3339_micros(LAST) == "9999-12-31T23:59:59.999999Z"
    assert [rfc3339_micros(time_us) for time_us in (LAST + 1, 1 << 62, -(1 << 62))] == ["0", "0", "0"]


def test_a_datetime_is_written_as_finely_as_asked() -> None:
    moment = datetime(2027, 1, 15, 8, 0, 0, 120_000, tzinfo=UTC)
    assert rfc3339_of(moment) == "2027-01-15T08:00:00.120Z"
    assert rfc3339_of(moment, "seconds") == "2027-01-15T08:00:00Z"
    assert rfc3339_of(moment, "auto") == "2027-01-15T08:00:00.120000Z"
