"""A fact of the log: its envelope, the base of every fact, and the two together."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from schemas.field_types import Int32
from schemas.ids import EventId


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """Where a fact was decided: its position, how many facts its command yielded, log time, rules version."""

    event_id: EventId
    partition: Int32
    offset: int
    index: Int32
    count: Int32
    log_time: int
    rules_version: Int32


def envelopes(
    count: int, *, event_id: EventId, partition: int, offset: int, log_time: int, rules_version: int
) -> list[Envelope]:
    """The envelopes of a command's `count` facts, in order: numbered from 0, each with the count."""
    return [
        Envelope(
            event_id=event_id,
            partition=partition,
            offset=offset,
            index=index,
            count=count,
            log_time=log_time,
            rules_version=rules_version,
        )
        for index in range(count)
    ]


class Fact(msgspec.Struct, frozen=True, gc=False):
    """Base of all facts. `DEFINITION` says what a record means that was written before a field existed."""

    DEFINITION: ClassVar[type[msgspec.Struct] | None] = None


class RecordedFact(msgspec.Struct, frozen=True, gc=False):
    """A fact with its envelope, as it stands on the log."""

    envelope: Envelope
    fact: Fact
