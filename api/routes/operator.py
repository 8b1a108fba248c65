"""Topics, groups, the way of one request, and dead letters, for operators.

Guarantee: a process of low priority reads the log, so an answer takes only the processor time that the sale leaves. No
payment token is in an answer. A redrive has its entry in the audit log before it happens, or in the same transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from sanic import HTTPResponse

from api.auth.audit import Actor, AuditKind, record
from api.fairness.rate_limits import HISTORY_COST
from api.http.problem import invalid, not_found
from api.http.routing import Call, json
from api.reads.database import Connection
from api.reads.operator_questions import (
    GroupsAsked,
    JourneyAsked,
    LetterAsked,
    LetterRedriven,
    LettersAsked,
    OperatorQuestion,
    RecordAsked,
    RecordsAsked,
    TopicsAsked,
    places_of,
)
from api.shapes.base import Page
from api.shapes.operator import JourneyQuery, RecordsQuery, RedriveIn, RedrivenOut, RowRedrivenOut
from pipelines.history.receipts import BadReceipt, read
from pipelines.watch import set_aside_rows as rows
from pipelines.watch.dead_letters import OPERATOR
from pipelines.watch.record_search import Condition, Criteria
from schemas.ids import Position, ReservationId, reservation_id
from schemas.times import micros_of
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS, all_topics

NO_STORE = {"cache-control": "no-store"}
LETTERED = (COMMANDS, FACTS, NOTIFICATIONS)
ROWS_MAX = 200  # a screen
ROW_CHARS_MAX = 100
_redrive = msgspec.json.Decoder(RedriveIn)


async def topics(call: Call) -> HTTPResponse:
    """200 with the topics, their partitions and their number of records."""
    return json(Page(cast("list[object]", await _answer(call, TopicsAsked()))), headers=NO_STORE)


async def records(call: Call, topic: str) -> HTTPResponse:
    """200 with the records of a topic that match, decoded."""
    query = call.query(RecordsQuery)
    oldest_first = any((query.since, query.until, query.position))
    asked = RecordsAsked(
        topic=_known(topic),
        criteria=_criteria(query),
        count=query.limit,
        oldest_first=oldest_first,
        partition=query.partition,
        places=places_of(query.cursor, oldest_first=oldest_first),
    )
    return json(await _answer(call, asked), headers=NO_STORE)


async def record_of(call: Call, topic: str, place: str) -> HTTPResponse:
    """200 with one record: fields, headers and its writer's schema. `place` is its partition and offset: 3-1200."""
    partition, dash, offset = place.partition("-")
    if not (dash and partition.isdecimal() and offset.isdecimal() and len(place) <= 30 and place.isascii()):
        raise invalid("place", "has to be the record's partition and offset, such as 3-1200")
    return json(await _answer(call, RecordAsked(_known(topic), int(partition), int(offset))), headers=NO_STORE)


async def groups(call: Call) -> HTTPResponse:
    """200 with the flows and other groups: state, members, and the lag of each partition."""
    return json(Page(cast("list[object]", await _answer(call, GroupsAsked()))), headers=NO_STORE)


async def journey(call: Call) -> HTTPResponse:
    """200 with the way of one request: HTTP, command, decision with its reason, rows, messages, mails, with times."""
    return json(await _answer(call, JourneyAsked(_named(call, call.query(JourneyQuery)))), headers=NO_STORE)


async def dead_letters(call: Call) -> HTTPResponse:
    """200 with the latest dead letters, the latest first."""
    return json(Page(cast("list[object]", await _answer(call, LettersAsked()))), headers=NO_STORE)


async def dead_letter(call: Call, topic: str, offset: str) -> HTTPResponse:
    """200 with a dead letter: its origin, why it was set aside, and its content."""
    return json(await _answer(call, LetterAsked(*_letter(topic, offset))), headers=NO_STORE)


async def redrive(call: Call, topic: str, offset: str) -> HTTPResponse:
    """200 after the letter went back to its topic, mended if asked. The audit log notes it first.

    A fact stays on its topic: its branch of the read side is asked to apply it, and the letter says what came of it.
    """
    body = call.body(_redrive)
    origin, number = _letter(topic, offset)
    by = call.caller.user_id if call.caller is not None else None
    detail = {"topic": origin, "offset": number, "mended": body.edited is not None, "by": by}

    async def note(connection: Connection) -> None:
        await record(connection, AuditKind.LETTER_REDRIVEN, None, call.origin, actor=Actor.OPERATOR, detail=detail)

    await call.deps.database.within(note)
    changed = cast("list[str]", await _answer(call, LetterRedriven(origin, number, body.edited, by or OPERATOR)))
    return json(RedrivenOut(origin, number, changed), headers=NO_STORE)


async def set_aside_rows(call: Call) -> HTTPResponse:
    """200 with the calls, messages and account mails that were set aside, the latest first."""
    found = await call.deps.database.within(lambda connection: rows.listed(connection, ROWS_MAX))
    return json(Page(found[::-1]), headers=NO_STORE)


async def redrive_row(call: Call, row: str) -> HTTPResponse:
    """200 after the row became due again. Its entry in the audit log is in the same transaction."""
    detail = {"row": row, "by": call.caller.user_id if call.caller is not None else None}

    async def due(connection: Connection) -> list[str]:
        done = await rows.made_due(connection, [row])
        if done:
            await record(connection, AuditKind.LETTER_REDRIVEN, None, call.origin, actor=Actor.OPERATOR, detail=detail)
        return done

    if not (row.isascii() and row.isprintable() and len(row) <= ROW_CHARS_MAX) or not await call.deps.database.within(
        due
    ):
        raise not_found("row that is set aside", repr(row[:ROW_CHARS_MAX]))
    return json(RowRedrivenOut(row), headers=NO_STORE)


async def _answer(call: Call, question: OperatorQuestion) -> object:
    call.costs(HISTORY_COST)
    return await call.deps.history.of_operators(question)


def _known(topic: str) -> str:
    if topic not in {spec.name for spec in all_topics(1)}:
        raise not_found("topic", repr(topic[:100]), field="topic")
    return topic


def _letter(topic: str, offset: str) -> tuple[str, int]:
    if topic not in LETTERED:
        raise not_found("topic with dead letters", repr(topic[:100]), field="topic")
    if not (offset.isascii() and offset.isdecimal() and len(offset) <= 18):
        raise invalid("offset", "has to be the letter's offset")
    return topic, int(offset)


def _named(call: Call, query: JourneyQuery) -> ReservationId | Position:
    """A reservation, a position, or the position in a receipt that our keys have signed. Raises Problem 422."""
    if query.key is not None and query.user is not None and query.request is None:
        return reservation_id(query.user, query.key)
    if query.request is None or query.key is not None or query.user is not None:
        raise invalid("request", "names the request alone; without it, key and user name it together")
    request = query.request
    try:
        return ReservationId(str(UUID(request)))
    except ValueError:
        pass
    try:
        return Position.parse(request)
    except ValueError:
        pass
    try:
        receipt = read(request, {key.kid: key.public for key in call.deps.keys.by_kid.values()})
    except BadReceipt as error:
        raise invalid("request", f"is neither a reservation, nor a position, nor a receipt: {error}") from None
    return Position(receipt.partition, receipt.offset)


def _criteria(query: RecordsQuery) -> Criteria:
    if (query.field is None) != (query.value is None):
        raise invalid("value", "goes together with field")
    conditions = () if query.field is None or query.value is None else (Condition(query.field, query.value),)
    position = None
    if query.position is not None:
        try:
            position = Position.parse(query.position)
        except ValueError as error:
            raise invalid("position", str(error)) from None
    return Criteria(
        key=query.key,
        record=query.record,
        conditions=conditions,
        position=position,
        whole_command=query.position is not None and query.position.count("-") == 1,
        since=_micros("since", query.since),
        until=_micros("until", query.until),
    )


def _micros(field: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise invalid(field, "has to be a time (RFC 3339)") from None
    if moment.tzinfo is None:
        raise invalid(field, "needs its offset, such as Z")
    return micros_of(moment)
