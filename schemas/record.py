"""A record of the log as everybody reads it, whatever client brought it."""

from __future__ import annotations

from typing import NamedTuple


class LogRecord(NamedTuple):
    """A record of either topic, as far as it matters here."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
