"""Finds records of a topic by key, position, time, type and fields. Reads within bounds, and writes nothing.

Guarantee: memory does not grow with the topic. A search that ends at a bound says so, and names the offsets at which
to go on: it never passes for a whole one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from confluent_kafka import Message

from connectors.clock import CLOCKS_APART_MS
from connectors.errors import CircleError
from connectors.log_reader import chosen, key_of, log_place, offset_of, stamp_of
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.topic_reader import TopicReader
from pipelines.redrives.fact_positions import command_offset, first_fact_at
from pipelines.watch.topic_record import TopicRecord, topic_record
from schemas.ids import US_PER_MS, Position, is_of_whole_command
from schemas.placement import partition_of
from schemas.topics import COMMANDS, DEAD_LETTER_SUFFIX, FACTS

MATCHES_MAX = 10_000  # in memory; a search that writes to a file has no such limit
RECORDS_MAX = 5_000_000  # read by one search
SECONDS_MAX = 300.0


class NoSuchRecord(CircleError):
    """The topic has no record at this place."""


class Condition(msgspec.Struct, frozen=True):
    """A field's name and its value as text. A list has the value when one of its items is it.

    `reservation_id` is looked up in `reservation_ids`, too: requests in turn have a list of each field.
    """

    name: str
    value: str

    def holds(self, fields: Mapping[str, Any]) -> bool:
        """Whether the fields of a record have the value."""
        return any(self._is(fields.get(name)) for name in (self.name, self.name + "s"))

    def _is(self, found: Any) -> bool:
        if isinstance(found, list):
            return self.value in map(str, found)
        return found is not None and str(found) == self.value


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """What a record must be. Times are microseconds since the epoch: `since` is included, `until` is not.

    `position` is a command's, or a fact's if `index` counts (`whole_command` false).
    """

    key: str | None = None
    record: str | None = None
    conditions: tuple[Condition, ...] = ()
    position: Position | None = None
    whole_command: bool = False
    since: int | None = None
    until: int | None = None

    @classmethod
    def at(cls, position: str) -> Criteria:
        """A command's position (3-1200), with all its facts, or a fact's (3-1200-0). Raises ValueError."""
        return cls(position=Position.parse(position), whole_command=is_of_whole_command(position))

    def fit(self, message: Message) -> bool:
        """What is known without decoding: the key and the timestamp."""
        if self.key is not None and (key_of(message) or b"") != self.key.encode():
            return False
        stamp = stamp_of(message) * US_PER_MS
        return (self.since is None or stamp >= self.since) and (self.until is None or stamp < self.until)

    def fit_decoded(self, record: TopicRecord) -> bool:
        """The rest: the type, the fields, the position."""
        if self.record is not None and record.record != self.record:
            return False
        if self.position is not None and not self._at(record.position):
            return False
        return all(condition.holds(record.fields) for condition in self.conditions)

    def _at(self, position: str) -> bool:
        if not position:
            return False
        found = Position.parse(position)
        wanted = self.position
        assert wanted is not None
        if self.whole_command or is_of_whole_command(position):
            return (found.partition, found.offset) == (wanted.partition, wanted.offset)
        return found == wanted


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingBounds:
    """How much one search may read and find."""

    matches_max: int | None = MATCHES_MAX
    records_max: int = RECORDS_MAX
    seconds_max: float = SECONDS_MAX


@dataclass(slots=True)
class Progress:
    """How far a search is. `stopped` names the bound that ended it, "" for none; `next_offsets` is where to go on."""

    read: int = 0
    matches: int = 0
    stopped: str = ""
    next_offsets: dict[int, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for has been read."""
        return not self.stopped


class Search:
    """One search in one topic. `progress` is right at any time."""

    def __init__(
        self,
        settings: Settings,
        topic: str,
        criteria: Criteria,
        *,
        partitions: Sequence[int] | None = None,
        starts: Mapping[int, int] | None = None,
        ends: Mapping[int, int] | None = None,
        bounds: ReadingBounds = ReadingBounds(),
    ) -> None:
        """Without `partitions`, those that can have the records. `starts` skips what is before these offsets, `ends`
        what is at them and after.

        Raises NoSuchPartition, CircleError without such a topic, ServiceUnreachable.
        """
        self._settings, self._topic, self._criteria, self._bounds = settings, topic, criteria, bounds
        every = chosen(settings, topic, None)
        for number in partitions or ():
            chosen(settings, topic, number)
        self._partitions = list(partitions) if partitions is not None else _homes(topic, criteria, len(every))
        self._starts, self._ends, self._codec = starts or {}, ends or {}, codec_of(settings)
        self.progress = Progress()

    def matches(self) -> Iterator[TopicRecord]:
        """The matching records, the oldest first. Raises ServiceUnreachable, KafkaException."""
        progress, bounds, deadline = self.progress, self._bounds, time.monotonic() + self._bounds.seconds_max
        with TopicReader(self._settings, self._topic) as reader:
            for message in self._within(reader, self._offsets(reader)):
                if progress.read >= bounds.records_max:
                    progress.stopped = f"{bounds.records_max:,} records were read"
                elif time.monotonic() > deadline:
                    progress.stopped = f"{bounds.seconds_max:g} s have passed"
                elif bounds.matches_max is not None and progress.matches >= bounds.matches_max:
                    progress.stopped = f"{bounds.matches_max:,} records were found"
                if progress.stopped:
                    return
                progress.read += 1
                if self._is_behind_end(message):
                    continue
                partition, offset = log_place(message)
                progress.next_offsets[partition] = offset + 1
                if self._criteria.fit(message):
                    record = topic_record(message, self._codec)
                    if self._criteria.fit_decoded(record):
                        progress.matches += 1
                        yield record

    def follow(self) -> Iterator[TopicRecord | None]:
        """The matching records that come from now on, and None at each pause. Without an end."""
        with TopicReader(self._settings, self._topic) as reader:
            bounds = reader.bounds(self._partitions)
            starts = self.progress.next_offsets
            for messages in reader.follow({number: starts.get(number, bounds[number][1]) for number in bounds}):
                for message in messages:
                    if self._criteria.fit(message):
                        record = topic_record(message, self._codec)
                        if self._criteria.fit_decoded(record):
                            yield record
                yield None

    def window(self, records: int) -> tuple[dict[int, int], bool]:
        """The offsets before the last `records` of each partition, and whether this is all there is."""
        with TopicReader(self._settings, self._topic) as reader:
            bounds = reader.bounds(self._partitions)
        ends = {number: min(high, self._ends.get(number, high)) for number, (_low, high) in bounds.items()}
        starts = {number: max(low, ends[number] - records) for number, (low, _high) in bounds.items()}
        return starts, all(start == bounds[number][0] for number, start in starts.items())

    def _is_behind_end(self, message: Message) -> bool:
        partition, offset = log_place(message)
        return offset >= self._ends.get(partition, offset + 1)

    def _offsets(self, reader: TopicReader) -> dict[int, int]:
        """Where reading begins: at the given offsets, at a time, at a position, else at the beginning."""
        criteria, bounds = self._criteria, reader.bounds(self._partitions)
        offsets = {number: low for number, (low, _high) in bounds.items()}
        if criteria.since is not None:
            offsets = reader.offsets_at(criteria.since // US_PER_MS, bounds)
        at = criteria.position
        if at is not None and self._topic == COMMANDS and at.partition in offsets:
            offsets[at.partition] = max(at.offset, offsets[at.partition])
        if at is not None and self._topic == FACTS and at.partition in offsets:
            first = first_fact_at(reader, self._codec, at.partition, at.offset)
            offsets[at.partition] = max(first, offsets[at.partition])
        offsets = {number: max(start, self._starts.get(number, 0)) for number, start in offsets.items()}
        self.progress.next_offsets = dict(offsets)
        return offsets

    def _within(self, reader: TopicReader, offsets: Mapping[int, int]) -> Iterator[Message]:
        """The records up to the end of what was asked for."""
        criteria, at = self._criteria, self._criteria.position
        ending_ms = None if criteria.until is None else criteria.until // US_PER_MS + CLOCKS_APART_MS
        ended = {number for number, end in self._ends.items() if offsets.get(number, end) >= end}
        offsets = {number: start for number, start in offsets.items() if number not in ended}
        for message in reader.from_offsets(offsets):
            if self._is_behind_end(message):
                ended.add(log_place(message)[0])
                if offsets.keys() <= ended:
                    return
            if ending_ms is not None and stamp_of(message) > ending_ms:
                return  # records come in the order of their timestamps
            if at is not None and self._topic == COMMANDS and offset_of(message) > at.offset:
                return
            if at is not None and self._topic == FACTS:
                found = command_offset(self._codec, message)
                if found is not None and found > at.offset:
                    return
            yield message


def latest(
    settings: Settings,
    topic: str,
    criteria: Criteria,
    *,
    partitions: Sequence[int] | None = None,
    ends: Mapping[int, int] | None = None,
    count: int,
) -> tuple[list[TopicRecord], Search]:
    """The last `count` matching records among the last records of each partition, the oldest first.

    With `ends`, those before these offsets. Reads backwards in windows that grow, within the bounds of a search. The
    search goes on with `follow`.
    """
    window = max(count, 100)
    while True:
        search = Search(settings, topic, criteria, partitions=partitions, ends=ends)
        starts, whole = search.window(window)
        search = Search(
            settings,
            topic,
            criteria,
            partitions=partitions,
            starts=starts,
            ends=ends,
            bounds=ReadingBounds(matches_max=None),
        )
        found = deque(search.matches(), maxlen=count)
        if len(found) == count or whole or search.progress.stopped or window >= RECORDS_MAX:
            return list(found), search
        window *= 10


def record_at(settings: Settings, topic: str, partition: int, offset: int) -> tuple[TopicRecord, dict[str, Any] | None]:
    """The record at an offset of a topic, and its writer's schema. Raises NoSuchRecord, NoSuchPartition."""
    chosen(settings, topic, partition)
    codec = codec_of(settings)
    with TopicReader(settings, topic) as reader:
        for message in reader.from_offsets({partition: offset}):
            if offset_of(message) == offset:
                schema = codec.schema_of(message.value())
                return topic_record(message, codec), None if schema is None else schema[1]
            break
    raise NoSuchRecord(f"{topic}[{partition}] has no record at offset {offset}")


def _homes(topic: str, criteria: Criteria, partitions: int) -> list[int]:
    """The partitions that can have the records: a key and a position are on one."""
    at = criteria.position
    if at is not None and topic in (COMMANDS, FACTS):
        return [at.partition] if at.partition < partitions else []
    if criteria.key is not None and not topic.endswith(DEAD_LETTER_SUFFIX):
        return [partition_of(criteria.key, partitions)]
    return list(range(partitions))
