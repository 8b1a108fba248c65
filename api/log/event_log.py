"""One event's part of the log: streams its facts in order, and reads the command of a fact. Writes nothing.

Guarantee: with `Bounds`, reading raises BoundExceeded when it needs more records or more time. Records of other events
are not decoded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from confluent_kafka import Message

from connectors.clock import CLOCKS_APART_MS
from connectors.errors import CircleError
from connectors.log_reader import LogReader, key_of, offset_of
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from pipelines.command_places import CommandPlaces
from pipelines.history.rules_by_version import command_of
from schemas.codec import Codec
from schemas.commands import Command
from schemas.facts import EventCreated, RecordedFact
from schemas.ids import EventId
from schemas.topics import COMMANDS, FACTS

REPORTED_EVERY = 5_000


class BoundExceeded(CircleError):
    """The answer would need more of the log than its bound allows. The message names the bound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How much of the log one answer may read."""

    records_max: int
    seconds_max: float


class _Meter:
    """Counts the records that were read against the bounds."""

    def __init__(self, bounds: Bounds | None) -> None:
        self._bounds = bounds
        self._deadline = time.monotonic() + bounds.seconds_max if bounds is not None else 0.0
        self._read = 0

    def took(self, records: int) -> None:
        """Raises BoundExceeded."""
        if self._bounds is None:
            return
        self._read += records
        if self._read > self._bounds.records_max:
            raise BoundExceeded(f"the answer needs more than {self._bounds.records_max:,} records of the log")
        if time.monotonic() > self._deadline:
            raise BoundExceeded(f"reading the log took more than {self._bounds.seconds_max:g} s")


def facts_of(
    settings: Settings,
    event_id: EventId,
    partition: int,
    *,
    since_ms: int | None = None,
    bounds: Bounds | None = None,
    began: Callable[[int], None] = lambda _high: None,
    told: Callable[[int], None] = lambda _offset: None,
) -> Iterator[tuple[int, RecordedFact]]:
    """Every fact of an event with its offset on the facts topic.

    `since_ms` is the time at which the event was created: reading skips earlier records if the broker finds offsets by
    time. If the event began earlier, all is read. Raises LogTruncated, BoundExceeded, ServiceUnreachable.
    """
    meter = _Meter(bounds)
    if since_ms is not None:
        facts = _facts(settings, event_id, partition, since_ms - CLOCKS_APART_MS, meter, began, told)
        first = next(facts, None)
        if first is not None and isinstance(first[1].fact, EventCreated):
            yield first
            yield from facts
            return
    yield from _facts(settings, event_id, partition, None, meter, began, told)


def _facts(
    settings: Settings,
    event_id: EventId,
    partition: int,
    since_ms: int | None,
    meter: _Meter,
    began: Callable[[int], None],
    told: Callable[[int], None],
) -> Iterator[tuple[int, RecordedFact]]:
    codec, key, places = codec_of(settings), event_id.encode(), CommandPlaces(settings)
    with LogReader(settings, FACTS, partition, since_ms=since_ms) as reader:
        reader.from_the_start()
        began(reader.high)
        offset = -1
        for message in _metered(reader, meter):
            offset = offset_of(message)
            if offset % REPORTED_EVERY == 0:
                told(offset)
            if key_of(message) == key:
                recorded = places.in_place(partition, codec.decode(message.value()))
                if isinstance(recorded, RecordedFact):
                    yield offset, recorded
        told(offset + 1)


def _metered(reader: LogReader, meter: _Meter) -> Iterator[Message]:
    while chunk := reader.chunk():
        meter.took(len(chunk))
        yield from chunk


def command_at(settings: Settings, partition: int, offset: int, codec: Codec) -> Command | None:
    """The command at a position; None if it is not there or cannot be decoded."""
    with LogReader(settings, COMMANDS, partition, start=offset) as reader:
        for message in reader.messages(offset + 1):
            if offset_of(message) == offset:
                command = command_of(codec, message.value())
                return command if isinstance(command, Command) else None
    return None
