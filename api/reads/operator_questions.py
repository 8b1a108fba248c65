"""Questions of operators about topics, groups, one request and dead letters. A process of low priority answers them.

Each reads within bounds: at most MATCHES_MAX records are in an answer, and the rest of the bounds are the worker's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from api.http import cursors
from api.http.problem import invalid
from api.log.event_log import Bounds
from connectors.settings import Settings
from connectors.topic_reader import TopicReader
from connectors.topics import describe_topics
from pipelines.watch import dead_letters as letters
from pipelines.watch import journey
from pipelines.watch.consumer_groups import GroupView, groups
from pipelines.watch.record_search import Criteria, NoSuchRecord, ReadingBounds, Search, latest, record_at
from pipelines.watch.topic_record import TopicRecord
from schemas.ids import Position, ReservationId

MATCHES_MAX = 200  # in one answer: a screen of records
LETTERS_MAX = 200
_KINDS = {False: "records-before", True: "records-from"}  # of cursors


class TopicView(msgspec.Struct, frozen=True, kw_only=True):
    """A topic: its partitions, and the records between their first and last offsets. Marks of transactions count."""

    name: str
    partitions: int
    records: int


class FoundRecords(msgspec.Struct, frozen=True, kw_only=True):
    """The records that match, the oldest first. `stopped` names the bound that ended the search early, "" for none.

    `next_cursor` is for the next page: of earlier records where the latest ones were asked for, else of later ones.
    """

    items: list[TopicRecord]
    read: int
    stopped: str
    next_cursor: str | None


class WholeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record with the schema of its writer; null for bytes that are no record of ours."""

    record: TopicRecord
    writer_schema: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class TopicsAsked:
    """Asks for the topics that exist."""

    def answer(self, settings: Settings, _bounds: Bounds) -> list[TopicView]:
        """Raises ServiceUnreachable, KafkaException."""
        return [
            TopicView(name=one.name, partitions=one.partitions, records=_records(settings, one.name, one.partitions))
            for one in describe_topics(settings)
            if one.partitions
        ]


@dataclass(frozen=True, slots=True)
class RecordsAsked:
    """Asks for records of a topic: the last ones that match, or with `oldest_first` the first ones.

    `places` has the offset by partition where the page before ended: records before these, or with `oldest_first` from
    these on. `partition` None means all.
    """

    topic: str
    criteria: Criteria
    count: int
    oldest_first: bool
    partition: int | None = None
    places: Mapping[int, int] | None = None

    def answer(self, settings: Settings, bounds: Bounds) -> FoundRecords:
        """Raises NoSuchPartition, CircleError without such a topic, ServiceUnreachable, KafkaException."""
        partitions = None if self.partition is None else [self.partition]
        if self.oldest_first:
            within = ReadingBounds(
                matches_max=self.count, records_max=bounds.records_max, seconds_max=bounds.seconds_max
            )
            search = Search(
                settings, self.topic, self.criteria, partitions=partitions, starts=self.places, bounds=within
            )
            items = list(search.matches())
            on = dict(search.progress.next_offsets) if search.progress.stopped else {}
        else:
            items, search = latest(
                settings, self.topic, self.criteria, partitions=partitions, ends=self.places, count=self.count
            )
            on = _before(items, {**search.progress.next_offsets, **(self.places or {})}, full=len(items) == self.count)
        return FoundRecords(
            items=items,
            read=search.progress.read,
            stopped="" if len(items) == self.count else search.progress.stopped,
            next_cursor=cursor_of(on, oldest_first=self.oldest_first) if on else None,
        )


@dataclass(frozen=True, slots=True)
class RecordAsked:
    """Asks for one record by its offset."""

    topic: str
    partition: int
    offset: int

    def answer(self, settings: Settings, _bounds: Bounds) -> WholeRecord:
        """Raises NoSuchRecord, NoSuchPartition, ServiceUnreachable."""
        record, schema = record_at(settings, self.topic, self.partition, self.offset)
        return WholeRecord(record=record, writer_schema=schema)


@dataclass(frozen=True, slots=True)
class GroupsAsked:
    """Asks for the flows and the other groups."""

    def answer(self, settings: Settings, _bounds: Bounds) -> list[GroupView]:
        """Raises ServiceUnreachable."""
        return groups(settings)


@dataclass(frozen=True, slots=True)
class JourneyAsked:
    """Asks for the way of one request, by its reservation or by its command's position."""

    request: ReservationId | Position

    def answer(self, settings: Settings, _bounds: Bounds) -> journey.Journey:
        """Raises NotFollowed, ServiceUnreachable."""
        if isinstance(self.request, Position):
            return journey.follow_command(settings, self.request)
        return journey.follow(settings, self.request)


@dataclass(frozen=True, slots=True)
class LettersAsked:
    """Asks for the latest dead letters of all topics."""

    def answer(self, settings: Settings, _bounds: Bounds) -> list[letters.Letter]:
        """Raises ServiceUnreachable."""
        found = sorted(letters.letters(settings), key=lambda one: one.letter.put_aside_at)[-LETTERS_MAX:][::-1]
        return [one.letter for one in letters.with_outcomes(settings, found)]


@dataclass(frozen=True, slots=True)
class LetterAsked:
    """Asks for one dead letter with its content."""

    origin: str
    offset: int

    def answer(self, settings: Settings, _bounds: Bounds) -> letters.Opened:
        """Raises NoSuchRecord, ServiceUnreachable."""
        (read,) = letters.with_outcomes(settings, [_letter(settings, self.origin, self.offset)])
        return letters.opened(settings, read)


@dataclass(frozen=True, slots=True)
class LetterRedriven:
    """Sends a dead letter back, with `edited` as its whole record if given. Answers the names of changed fields.

    `by` asks for it: a user's id, or OPERATOR.
    """

    origin: str
    offset: int
    edited: dict[str, Any] | None
    by: str

    def answer(self, settings: Settings, _bounds: Bounds) -> list[str]:
        """Raises NoSuchRecord, NoSuchLetter, ServiceUnreachable."""
        read = _letter(settings, self.origin, self.offset)
        chosen = letters.choose([read], [self.offset], limit=1)
        if not chosen:
            raise letters.NoSuchLetter(f"the letter at {self.offset} has been sent back already")
        fixes = {}
        if self.edited is not None:
            fixes[self.offset] = letters.mend(settings, read, changes={}, edited=self.edited)
        letters.redrive(settings, chosen, fixes, by=self.by, writes_facts=False)
        return [name for fix in fixes.values() for name in fix.changed]


OperatorQuestion = (
    TopicsAsked | RecordsAsked | RecordAsked | GroupsAsked | JourneyAsked | LettersAsked | LetterAsked | LetterRedriven
)


def cursor_of(places: Mapping[int, int], *, oldest_first: bool) -> str:
    """The cursor of a page that begins, or ends, at these offsets by partition."""
    return cursors.encode(_KINDS[oldest_first], 0, ".".join(f"{one}-{places[one]}" for one in sorted(places)))


def places_of(cursor: str | None, *, oldest_first: bool) -> dict[int, int] | None:
    """The offsets by partition in a cursor, None for the first page. Raises Problem invalid-request (422)."""
    _value, text = cursors.decode(cursor, _KINDS[oldest_first])
    if text is None:
        return None
    if re.fullmatch(r"\d{1,9}-\d{1,18}(?:\.\d{1,9}-\d{1,18})*", text) is None:
        raise invalid("cursor", "is not a cursor of this list")
    return {int(one): int(offset) for one, _, offset in (place.partition("-") for place in text.split("."))}


def _before(items: Sequence[TopicRecord], read_to: Mapping[int, int], *, full: bool) -> dict[int, int]:
    """Where the page of earlier records ends: before the found ones; where none was found, at the end of the reading.

    Empty when there is no such page.
    """
    if not full:
        return {}
    first: dict[int, int] = {}
    for one in items:
        first.setdefault(one.partition, one.offset)
    return {**read_to, **first}


def _letter(settings: Settings, origin: str, offset: int) -> letters.ReadLetter:
    for one in letters.letters(settings, [origin]):
        if one.letter.offset == offset:
            return one
    raise NoSuchRecord(f"{origin} has no dead letter at offset {offset}")


def _records(settings: Settings, topic: str, partitions: int) -> int:
    with TopicReader(settings, topic) as reader:
        return sum(high - low for low, high in reader.bounds(range(partitions)).values())
