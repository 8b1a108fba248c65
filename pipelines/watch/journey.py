"""Follows one request: HTTP, command, decision with its reason, facts, rows, messages, mail and webhooks, with times.

Each step says where it can be looked up. The log is read from the request's own position on, within bounds; the rows
say how far. A journey that a bound has cut off says so. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec

from connectors.errors import CircleError
from connectors.log_reader import chosen
from connectors.postgres import Connection, Database
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.topic_reader import TopicReader
from pipelines.notifications.kinds import CallStatus, MailStatus
from pipelines.redrives.fact_positions import first_fact_at
from pipelines.watch.command_routes import route_of
from pipelines.watch.http_answers import HttpAnswer, answer_to
from pipelines.watch.journey_rows import SQL, row_steps
from pipelines.watch.journey_steps import JourneyStep, Stage, command_of
from pipelines.watch.record_search import Condition, Criteria, NoSuchRecord, ReadingBounds, Search, record_at
from pipelines.watch.topic_record import TopicRecord
from schemas import cloudevents
from schemas.ids import NOBODY, EventId, Position, ReservationId, UserId, position_text
from schemas.times import rfc3339
from schemas.topics import COMMANDS, FACTS

READ_MAX = ReadingBounds(matches_max=None, records_max=1_000_000, seconds_max=60.0)
TRACE = "traceparent"
STILL_DUE = (MailStatus.PENDING, CallStatus.PENDING)


class NotFollowed(CircleError):
    """Neither the rows nor the log know the request."""


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """One request's steps in the order of their causes: by position, and within one by stage.

    `reservation_id` is "" for a command that is about none. `waits_for` names what has not happened yet. `stopped`
    names the bound that cut the reading off, "" for none.
    """

    reservation_id: ReservationId
    event_id: EventId
    user_id: UserId
    status: str
    steps: list[JourneyStep]
    waits_for: list[str]
    traces: list[str]
    stopped: str


def follow(
    settings: Settings, reservation_id: ReservationId, event_id: EventId | None = None, also: Position | None = None
) -> Journey:
    """A reservation's journey. With its event no search is needed where the rows do not know the reservation.

    A command that has changed no row is in it if its position is given as `also`, or if it is later than the rows.
    Raises NotFollowed, ServiceUnreachable.
    """
    with closing(Database(settings.postgres_url)) as database:

        async def look(connection: Connection) -> tuple[Mapping[str, Any] | None, int]:
            row = await connection.fetchrow(SQL["reservation"], reservation_id)
            if row is None:
                return None, 0
            return dict(row), (await _applied(connection, row["partition"])).get("projections", 0)

        # One moment of both: the rows know of nothing later about the reservation up to where they are.
        row, applied = database.run(look, isolation="repeatable_read", readonly=True)
        facts, stopped = _facts(settings, reservation_id, event_id, row, applied)
        facts = _with_command(settings, facts, reservation_id, also)
        commands = _commands(settings, facts)
        if not facts:
            commands = _undecided(settings, reservation_id, event_id)
        if not facts and not commands:
            raise NotFollowed(f"no row, fact or waiting command is about a reservation {reservation_id}")
        return _journey(database, reservation_id, commands, facts, row, stopped)


def follow_command(settings: Settings, position: Position) -> Journey:
    """The journey of the command at a position: of its reservation, if it is about one. Raises NotFollowed."""
    try:
        command, _schema = record_at(settings, COMMANDS, position.partition, position.offset)
    except NoSuchRecord as error:
        raise NotFollowed(str(error)) from None
    reservation_id = command.fields.get("reservation_id")
    if reservation_id:
        return follow(settings, ReservationId(reservation_id), EventId(command.fields["event_id"]), position)
    criteria = Criteria(position=position, whole_command=True)
    search = Search(settings, FACTS, criteria, bounds=READ_MAX)
    facts = list(search.matches())
    with closing(Database(settings.postgres_url)) as database:
        return _journey(database, ReservationId(""), [command], facts, None, search.progress.stopped)


def _facts(
    settings: Settings,
    reservation_id: ReservationId,
    event_id: EventId | None,
    row: Mapping[str, Any] | None,
    applied: int,
) -> tuple[list[TopicRecord], str]:
    """The facts about a reservation, and the bound that cut the reading off. The rows have what is before `applied`."""
    partitions = len(chosen(settings, FACTS, None))
    if row is None:
        key = None if event_id is None else str(event_id)
        search = Search(settings, FACTS, Criteria(key=key), bounds=READ_MAX)
        return [one for one in search.matches() if _about(one, reservation_id)], search.progress.stopped
    event, home = row["event_id"], row["partition"]
    if home >= partitions:
        raise NotFollowed(f"the rows of reservation {reservation_id} name partition {home}, which {FACTS} lacks")
    with TopicReader(settings, FACTS) as reader:
        begin = first_fact_at(reader, codec_of(settings), home, row["offset"])
    early = Search(settings, FACTS, Criteria(key=event), partitions=[home], starts={home: begin}, bounds=READ_MAX)
    facts: list[TopicRecord] = []
    for one in early.matches():
        if one.fields.get("offset", -1) > row["updated_offset"]:
            break  # the rows know of nothing later up to their own position
        if _about(one, reservation_id):
            facts.append(one)
    late = Search(settings, FACTS, Criteria(key=event), partitions=[home], starts={home: applied}, bounds=READ_MAX)
    known = {one.position for one in facts}
    facts += [one for one in late.matches() if _about(one, reservation_id) and one.position not in known]
    return facts, early.progress.stopped or late.progress.stopped


def _with_command(
    settings: Settings, facts: list[TopicRecord], reservation_id: ReservationId, also: Position | None
) -> list[TopicRecord]:
    """The facts with those of the command at `also`, in their order on the log."""
    if also is None or any(command_of(one.position) == position_text(also.partition, also.offset) for one in facts):
        return facts
    search = Search(settings, FACTS, Criteria(position=also, whole_command=True), bounds=READ_MAX)
    found = [one for one in search.matches() if _about(one, reservation_id)]
    return sorted([*facts, *found], key=lambda one: (one.partition, one.offset))


def _commands(settings: Settings, facts: Sequence[TopicRecord]) -> list[TopicRecord]:
    """The commands that the facts answer. A tick is none of the request's own, and is left out."""
    found: list[TopicRecord] = []
    for partition, offset in sorted({(one.fields["partition"], one.fields["offset"]) for one in facts}):
        try:
            command, _schema = record_at(settings, COMMANDS, partition, offset)
        except NoSuchRecord:
            continue  # the facts say it all the same
        found.append(command)
    return found


def _undecided(settings: Settings, reservation_id: ReservationId, event_id: EventId | None) -> list[TopicRecord]:
    """Commands about the reservation that no fact answers yet. They are at the end of the log."""
    key = None if event_id is None else str(event_id)
    criteria = Criteria(key=key, conditions=(Condition("reservation_id", reservation_id),))
    return list(Search(settings, COMMANDS, criteria, bounds=READ_MAX).matches())


def _about(record: TopicRecord, reservation_id: ReservationId) -> bool:
    return reservation_id in (record.fields.get("reservation_id"), record.fields.get("subject_id"))


async def _applied(connection: Connection, partition: int) -> dict[str, int]:
    """By branch of the read side: the offset of the first fact that it has not read."""
    return {name: max(0, at) for name, at in await connection.fetch(SQL["applied"], partition)}


def _journey(
    database: Database,
    reservation_id: ReservationId,
    commands: Sequence[TopicRecord],
    facts: Sequence[TopicRecord],
    row: Mapping[str, Any] | None,
    stopped: str,
) -> Journey:
    first = (commands or facts)[0]
    event_id, home = EventId(first.fields.get("event_id", "")), first.partition
    traces = _traces(commands, facts)
    steps = [*_command_steps(commands, facts, traces, whole=not stopped), *_decision_steps(facts, traces)]
    users = {str(one.fields[name]) for one in [*commands, *facts] for name in ("user_id", "to_user_id")
             if one.fields.get(name)}  # fmt: skip

    async def look(connection: Connection) -> tuple[dict[str, int], list[JourneyStep]]:
        applied = await _applied(connection, home)
        return applied, await row_steps(connection, event_id, reservation_id, users, facts, row, traces)

    applied, from_rows = database.run(look, readonly=True)
    order = list(Stage)
    steps = sorted([*steps, *from_rows], key=lambda one: (_place(one.position), order.index(one.stage)))
    return Journey(
        reservation_id=reservation_id,
        event_id=event_id,
        user_id=_user_of(reservation_id, commands, facts),
        status="" if row is None else str(row["status"]),
        steps=steps,
        waits_for=_waits_for(commands, facts, applied, steps),
        traces=sorted(set(traces.values())),
        stopped=stopped,
    )


def _user_of(reservation_id: ReservationId, commands: Iterable[TopicRecord], facts: Iterable[TopicRecord]) -> UserId:
    """Who sent the request: among requests in turn, the user at the reservation's place. "" for the platform."""
    for one in commands:
        requests = one.fields.get("reservation_ids", [])
        if reservation_id in requests:
            return UserId(one.fields["user_ids"][requests.index(reservation_id)])
        return UserId(one.fields.get("user_id", ""))
    return next((UserId(one.fields.get("user_id", "")) for one in facts), NOBODY)


def _traces(commands: Iterable[TopicRecord], facts: Iterable[TopicRecord]) -> dict[str, str]:
    """By the position of a command: the id of its trace."""
    found: dict[str, str] = {}
    for one in [*commands, *facts]:
        parts = one.headers.get(TRACE, "").split("-")
        if len(parts) == 4 and one.position:
            found.setdefault(command_of(one.position), parts[1])
    return found


def _command_steps(
    commands: Iterable[TopicRecord], facts: Sequence[TopicRecord], traces: Mapping[str, str], *, whole: bool
) -> Iterable[JourneyStep]:
    """Each command, after the HTTP request that wrote it. `whole`: no fact is missing, so that the answer follows."""
    for one in commands:
        trace, by_api = traces.get(one.position, ""), one.headers.get("ce_source") == cloudevents.API
        route = route_of(one.record, one.fields) if by_api else ""
        if route:
            sent = one.headers.get("ce_time", "")
            answer = answer_to(one, facts) if whole else HttpAnswer("", "not all facts were read")
            yield JourneyStep(
                stage=Stage.HTTP,
                time=sent,
                what=route,
                position=one.position,
                outcome=answer.status,
                detail=f"answer {answer.status}: {answer.why}" if answer.status else f"answer unknown: {answer.why}",
                trace=trace,
            )
        yield JourneyStep(
            stage=Stage.COMMAND,
            time=one.time,
            what=one.record or "not decodable",
            position=one.position,
            detail=f"{COMMANDS}[{one.partition}] {one.offset}, from {one.headers.get('ce_source', 'unknown')}",
            trace=trace,
        )


def _decision_steps(facts: Iterable[TopicRecord], traces: Mapping[str, str]) -> Iterable[JourneyStep]:
    for one in facts:
        where = f"{FACTS}[{one.partition}] {one.offset}, log time {rfc3339(one.fields['log_time'])}"
        yield JourneyStep(
            stage=Stage.DECISION,
            time=one.time,
            what=one.record,
            position=one.position,
            outcome=str(one.fields.get("reason") or ""),
            detail="; ".join(filter(None, (str(one.fields.get("detail") or ""), where))),
            trace=traces.get(command_of(one.position), ""),
        )


def _waits_for(
    commands: Sequence[TopicRecord],
    facts: Sequence[TopicRecord],
    applied: Mapping[str, int],
    steps: Iterable[JourneyStep],
) -> list[str]:
    """What has not happened yet."""
    waiting: list[str] = []
    decided = {command_of(one.position) for one in facts}
    waiting += [f"the decision of {one.record} at {one.position}" for one in commands if one.position not in decided]
    for name in ("projections", "notifications"):
        late = [one.position for one in facts if one.offset >= applied.get(name, 0)]
        if late:
            waiting.append(f"{name}, to read {late[0]}")
    waiting += [f"{one.stage} {one.what} of {one.position}" for one in steps if one.outcome in STILL_DUE]
    return waiting


def _place(position: str) -> tuple[int, ...]:
    return tuple(map(int, position.split("-"))) if position else ()
