"""The wall clock in the forms that records and rows have."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time_ns

from schemas.ids import MS_PER_S
from schemas.times import rfc3339_of

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
CLOCKS_APART_MS = 10 * 60 * MS_PER_S
"""Writers stamp records with their own clocks, and the log's time comes from the broker's or the API's. They differ by
less."""


def now_us() -> int:
    """Microseconds since the Unix epoch."""
    return time_ns() // NS_PER_US


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time_ns() // NS_PER_MS


def now_rfc3339() -> str:
    """The time as text in UTC, to the millisecond."""
    return rfc3339_of(datetime.now(UTC))
