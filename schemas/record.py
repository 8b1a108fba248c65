"""A record of the log, independent of the client that read it."""

from __future__ import annotations

from typing import NamedTuple


class LogRecord(NamedTuple):
    """A record of tickets.commands or tickets.facts, with the fields that readers need."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
