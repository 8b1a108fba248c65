"""`circle topics tail|get|search`: the records of a topic, decoded."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TextIO

import msgspec
import typer

from connectors import clock
from connectors.errors import CircleError
from ops.output import AsJson, emit_json
from ops.run.discovery import operator_settings
from pipelines.watch.record_search import (
    MATCHES_MAX,
    Condition,
    Criteria,
    NoSuchRecord,
    Progress,
    ReadingBounds,
    Search,
    latest,
    record_at,
)
from pipelines.watch.topic_record import TopicRecord
from schemas.ids import US_PER_S, Position
from schemas.times import micros_of
from schemas.topics import FACTS, all_topics

LAST_DEFAULT = 10
FOUND_DEFAULT = 100
TAIL_MAX = 1_000
UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGO = re.compile(r"(\d+)([smhd])")
TOPICS = ", ".join(spec.name for spec in all_topics(1))

Topic = Annotated[str, typer.Argument(help=f"The topic: {TOPICS}.")]
Partition = Annotated[int | None, typer.Option("--partition", help="This partition alone.", min=0)]
Key = Annotated[str | None, typer.Option("--key", help="Records with this key, on the key's own partition.")]
Type = Annotated[str | None, typer.Option("--type", help="Records of this type, such as TicketsHeld.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="name=value: records whose field has this value. May be repeated; all must hold."),
]


class BadCriteria(CircleError):
    """Wrong usage: a time, a position or a condition that cannot be read."""

    exit_code = 2


def add_to(topics: typer.Typer) -> None:
    """Add the commands about records to `circle topics`."""
    topics.command("tail")(tail)
    topics.command("get")(get)
    topics.command("search")(search)


def tail(
    topic: Topic,
    partition: Partition = None,
    key: Key = None,
    record: Type = None,
    where: Where = None,
    last: Annotated[int, typer.Option("--last", help="How many, latest last.", min=1, max=TAIL_MAX)] = LAST_DEFAULT,
    follow: Annotated[bool, typer.Option("--follow", help="Continue with new records until Ctrl-C.")] = False,
    json: AsJson = False,
) -> int:
    """Show a topic's latest records, decoded. With --follow and --json, each record is one line of JSON."""
    settings, criteria = operator_settings(), _criteria(key=key, record=record, where=where)
    found, searching = latest(settings, _known(topic), criteria, partitions=_only(partition), count=last)
    if not follow:
        _show(found, json=json)
        return 0
    _stream(found, json=json)
    for one in searching.follow():
        if one is not None:
            _stream([one], json=json)
        sys.stdout.flush()
    return 0


def get(
    topic: Topic,
    place: Annotated[
        str, typer.Argument(help="The record's PARTITION-OFFSET on this topic, or a fact's position (3-1200-0).")
    ],
    json: AsJson = False,
) -> int:
    """Show one record whole: its fields, its headers, and the schema that it was written with."""
    settings, at = operator_settings(), _position(place)
    partition, offset = at.partition, at.offset
    if _known(topic) == FACTS and place.count("-") == 2:
        one = next(Search(settings, topic, Criteria(position=at)).matches(), None)
        if one is None:
            raise NoSuchRecord(f"{topic} has no fact at position {place}")
        partition, offset = one.partition, one.offset
    found, schema = record_at(settings, topic, partition, offset)
    if json:
        emit_json({"record": found, "schema": schema})
        return 0
    _stream([found], json=False)
    for name, value in found.headers.items():
        print(f"  header {name}: {value}")
    if schema is not None:
        print(f"  schema {found.schema_id}: {schema['namespace']}.{schema['name']}, {schema.get('doc', '')}")
    return 0


def search(
    topic: Topic,
    partition: Partition = None,
    key: Key = None,
    record: Type = None,
    where: Where = None,
    position: Annotated[
        str | None, typer.Option("--position", help="A command's position (3-1200), or a fact's (3-1200-0).")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="A time (RFC 3339), or 15m, 2h, 1d: that long ago.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Likewise. Records at this time are left out.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", help="How many, oldest first.", min=1, max=MATCHES_MAX)
    ] = FOUND_DEFAULT,
    to: Annotated[
        Path | None, typer.Option("--to", help="Write all matches to this file, a line of JSON each. No limit.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Find records by key, type, field, position and time, the oldest first.

    A search ends after some minutes or millions of records, and says so. Then ask for a shorter time.
    """
    criteria = _criteria(key=key, record=record, where=where, position=position, since=since, until=until)
    bounds = ReadingBounds(matches_max=None if to is not None else limit)
    settings = operator_settings()
    searching = Search(settings, _known(topic), criteria, partitions=_only(partition), bounds=bounds)
    if to is not None:
        with _opened(to) as file:
            for one in searching.matches():
                file.write(_line(one))
        if json:
            emit_json({"file": str(to), "search": _report(searching.progress)})
        else:
            print(f"{searching.progress.matches} records in {to}")
            _note(searching.progress)
        return 0
    found = list(searching.matches())
    if json:
        emit_json({"records": found, "search": _report(searching.progress)})
        return 0
    _show(found, json=False)
    _note(searching.progress)
    return 0


def _criteria(
    *,
    key: str | None,
    record: str | None,
    where: list[str] | None,
    position: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Criteria:
    conditions = []
    for one in where or ():
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise BadCriteria(f"--where {one}: say name=value, such as reservation_id=…")
        conditions.append(Condition(name, value))
    return Criteria(
        key=key,
        record=record,
        conditions=tuple(conditions),
        position=None if position is None else _position(position),
        whole_command=position is not None and position.count("-") == 1,
        since=_time("--since", since),
        until=_time("--until", until),
    )


def _time(option: str, text: str | None) -> int | None:
    """A time as microseconds since the epoch. Raises BadCriteria."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return clock.now_us() - int(ago[1]) * UNITS_S[ago[2]] * US_PER_S
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadCriteria(f"{option} {text}: neither a time with its offset (2026-05-01T20:00:00Z) nor 15m, 2h or 1d")
    return micros_of(moment)


def _position(text: str) -> Position:
    try:
        return Position.parse(text)
    except ValueError as error:
        raise BadCriteria(str(error)) from None


def _known(topic: str) -> str:
    if topic not in {spec.name for spec in all_topics(1)}:
        raise BadCriteria(f"{topic} is no topic of the platform: {TOPICS}")
    return topic


def _only(partition: int | None) -> list[int] | None:
    return None if partition is None else [partition]


def _opened(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise BadCriteria(f"--to {path}: {error.strerror}") from None


def _show(records: Iterable[TopicRecord], *, json: bool) -> None:
    if json:
        emit_json({"records": list(records)})
        return
    _stream(records, json=False)


def _stream(records: Iterable[TopicRecord], *, json: bool) -> None:
    """Each record as it comes: a line of JSON, or a line of text with its fields."""
    for one in records:
        sys.stdout.write(_line(one) if json else _text(one))


def _line(record: TopicRecord) -> str:
    return msgspec.json.encode(record).decode() + "\n"


def _text(one: TopicRecord) -> str:
    fields = " ".join(f"{name}={value}" for name, value in one.fields.items())
    where = f"{one.topic}[{one.partition}] {one.offset}"
    what = one.record or f"not decodable: {one.undecodable}"
    at = f" at {one.position}" if one.position else ""
    return f"{one.time}  {where}  {what}{at}  {fields}\n"


def _report(progress: Progress) -> dict[str, object]:
    return {
        "complete": progress.complete,
        "stopped": progress.stopped,
        "read": progress.read,
        "matches": progress.matches,
        "next_offsets": {str(partition): offset for partition, offset in sorted(progress.next_offsets.items())},
    }


def _note(progress: Progress) -> None:
    if progress.stopped:
        print(f"the search stopped: {progress.stopped}; there may be more", file=sys.stderr)
    elif not progress.matches:
        print(f"no record matches; {progress.read:,} were read", file=sys.stderr)
