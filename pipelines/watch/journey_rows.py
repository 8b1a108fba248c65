"""The rows of a followed request, with their times: its reservation, tickets, payments, messages, mails and webhooks.

A row has the time of the commit of its present version only. So the time of an earlier fact is a bound: the read side
has read it at or before the first commit of a later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from connectors.postgres import Connection
from connectors.sql_files import queries
from pipelines.watch.journey_steps import JourneyStep, Stage, command_of
from pipelines.watch.topic_record import TopicRecord
from schemas.ids import EventId, ReservationId, position_text
from schemas.times import rfc3339, rfc3339_of

READ_BY = "read at or before this time, by which a row has a later version"
SQL = queries(Path(__file__).parent / "sql" / "journey.sql")

_Place = tuple[int, int, int]  # partition, offset, index


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps of the rows. `traces` has the ids of traces by the positions of commands."""

    traces: Mapping[str, str]
    steps: list[JourneyStep] = field(default_factory=list)

    def add(self, stage: Stage, time: str, what: str, at: _Place, outcome: str, detail: str) -> None:
        position = position_text(*at)
        trace = self.traces.get(command_of(position), "")
        self.steps.append(
            JourneyStep(
                stage=stage, time=time, what=what, position=position, outcome=outcome, detail=detail, trace=trace
            )
        )


async def row_steps(
    connection: Connection,
    event_id: EventId,
    reservation_id: ReservationId,
    users: set[str],
    facts: Sequence[TopicRecord],
    row: Mapping[str, Any] | None,
    traces: Mapping[str, str],
) -> list[JourneyStep]:
    """What the rows say: the reservation, its tickets and payments, and what was sent to whom about these facts."""
    steps = _Steps(traces)
    if row is not None:
        await _of_projections(connection, event_id, reservation_id, row, facts, steps)
    await _of_messages(connection, event_id, users, facts, steps)
    return steps.steps


async def _of_projections(
    connection: Connection,
    event_id: EventId,
    reservation_id: ReservationId,
    row: Mapping[str, Any],
    facts: Sequence[TopicRecord],
    steps: _Steps,
) -> None:
    commits: dict[_Place, list[datetime]] = {}

    def add(table: str, one: Mapping[str, Any], detail: str) -> None:
        at = one["partition"], one["updated_offset"], one["updated_index"]
        commits.setdefault(at, []).extend(filter(None, [one["persisted_at"]]))
        steps.add(Stage.ROW, _kept(one["persisted_at"]), table, at, one["status"], detail)

    add("reservations", row, f"row of {rfc3339(row['updated_at'])} of log time")
    for one in await connection.fetch(SQL["tickets"], event_id, reservation_id):
        add("tickets", dict(one), f"ticket {one['id']}")
    for one in await connection.fetch(SQL["payments"], event_id, reservation_id):
        add("payments", dict(one), f"attempt {one['attempt_id']} {one['reason']}".rstrip())
    for at, moment in read_by(map(_place_of, facts), commits):
        steps.add(Stage.ROW, _time(moment), "projections", at, "", READ_BY)


async def _of_messages(
    connection: Connection, event_id: EventId, users: set[str], facts: Sequence[TopicRecord], steps: _Steps
) -> None:
    organizer = await connection.fetchval(SQL["organizer"], event_id)
    known = set(map(_place_of, facts))
    places = sorted({(partition, offset) for partition, offset, _ in known})
    partitions, offsets = [one[0] for one in places], [one[1] for one in places]
    to = sorted(users | ({organizer} if organizer else set()))

    async def found(query: str, whose: list[str] | str) -> list[tuple[_Place, dict[str, Any]]]:
        rows = await connection.fetch(SQL[query], whose, partitions, offsets)
        placed = [((one["partition"], one["offset"], one["index"]), dict(one)) for one in rows]
        return [(at, one) for at, one in placed if at in known]

    for at, one in await found("messages", to):
        read = f"read {rfc3339(one['read_at'])}" if one["read_at"] else "not read"
        time = _kept(one["persisted_at"]) or rfc3339(one["created_at"])
        steps.add(Stage.MESSAGE, time, one["kind"], at, one["channel"], f"to {one['user_id']}, {read}")
    for at, one in await found("mails", to):
        tries = f"to {one['user_id']}, {_attempts(one['attempts'])}; {one['error']}".rstrip("; ")
        steps.add(Stage.MAIL, _time(one["changed_at"]), one["kind"], at, one["status"], tries)
    for at, one in await found("webhooks", organizer or ""):
        answered = "none" if one["answer"] is None else one["answer"]
        tries = f"{one['id']}, {_attempts(one['attempts'])}, answer {answered}; {one['error']}".rstrip("; ")
        time = _time(one["attempted_at"] or one["created_at"])
        steps.add(Stage.WEBHOOK, time, one["type"], at, one["status"], tries)


def read_by(
    places: Iterable[_Place], commits: Mapping[_Place, Sequence[datetime]]
) -> Iterable[tuple[_Place, datetime]]:
    """The facts of which no row is the present version, each with the first commit of a later version.

    `commits` are those of rows by the fact of their present version. The projections read the facts of a partition in
    order, so they had read an earlier fact by then.
    """
    for place in places:
        later = [moment for at, moments in commits.items() if at > place for moment in moments]
        if place not in commits and later:
            yield place, min(later)


def _place_of(fact: TopicRecord) -> _Place:
    return fact.fields["partition"], fact.fields["offset"], fact.fields["index"]


def _kept(moment: datetime | None) -> str:
    return "" if moment is None else _time(moment)


def _attempts(number: int) -> str:
    return "1 attempt" if number == 1 else f"{number} attempts"


def _time(moment: datetime) -> str:
    return rfc3339_of(moment)
