"""A fact of the log: its envelope, the base of every fact, and the two together."""

from __future__ import annotations

import msgspec


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """Where a fact was decided: its position, how many facts its command yielded, log time, rules version."""

    event_id: str
    partition: int
    offset: int
    index: int
    count: int
    log_time: int
    rules_version: int


class Fact(msgspec.Struct, frozen=True, gc=False):
    """Base of all facts."""


class RecordedFact(msgspec.Struct, frozen=True, gc=False):
    """A fact with its envelope, as it stands on the log."""

    envelope: Envelope
    fact: Fact
