"""Tickets with signed codes, and the check of a code."""

from __future__ import annotations

import asyncpg
import msgspec
from sanic import HTTPResponse

from api.deps import ApiDeps
from api.http import cursors, validation
from api.http.problem import not_found
from api.http.reasons import for_reason
from api.http.routing import Call, json
from api.log.door import seen
from api.log.writes import own_writes
from api.reads.events import is_admin
from api.shapes.events import EventStatus
from api.shapes.reservations import CodeProblem, TicketOut, TicketsQuery, ValidateIn, ValidationOut
from api.ticket_codes import ForgedCode, SignedTicket
from schemas.facts import Reason
from schemas.ids import TicketId
from schemas.statuses import TicketStatus
from schemas.times import utc

_validate = msgspec.json.Decoder(ValidateIn)


async def tickets(call: Call) -> HTTPResponse:
    """200 with a page of the caller's tickets, the latest first."""
    query = call.query(TicketsQuery)
    value, identity = cursors.decode(query.cursor, "tickets")
    await own_writes(call)
    event_id = query.event_id.lower() if query.event_id else None
    rows = await call.deps.database.rows("tickets_of_user", call.user_id, event_id, value, identity, query.limit + 1)
    page = cursors.page(
        rows,
        query.limit,
        lambda row: _out(call.deps, row),
        lambda row: ("tickets", row["issued_at"], row["id"]),
    )
    return json(page)


async def ticket(call: Call, ticket_id: TicketId) -> HTTPResponse:
    """200 with the caller's ticket."""
    await own_writes(call)
    row = await call.deps.database.row("ticket_by_id", ticket_id)
    if row is None or row["user_id"] != call.user_id:
        raise not_found("ticket", f"{ticket_id} of yours", field="ticket_id")
    return json(_out(call.deps, row))


async def validate(call: Call) -> HTTPResponse:
    """200 with whether the code is valid at the door now, without a check-in. For the event's organizer and staff."""
    body = call.body(_validate)
    try:
        signed = call.deps.codes.read(body.code)
    except ForgedCode:
        return json(ValidationOut(valid=False, reason=CodeProblem.FORGED))
    except ValueError:
        return json(ValidationOut(valid=False, reason=CodeProblem.MALFORMED))
    event = await call.deps.database.row("door_of_event", signed.event_id, call.user_id)
    owner = event is not None and event["organizer_id"] == call.user_id
    if not owner and not (event is not None and event["staff"]) and not is_admin(call):
        raise for_reason(Reason.NOT_OWNER, "this is a ticket of another organizer's event", field="code")
    row = await call.deps.database.row("ticket_by_id", signed.ticket_id)
    reason = _reason(signed, row, event)
    if row is not None and reason in (None, Reason.ALREADY_CHECKED_IN):
        reason = Reason.PAYMENT_DISPUTED if row["disputed"] else reason
    inside = row is not None and row["checked_in_at"] and reason not in (CodeProblem.UNKNOWN, CodeProblem.SUPERSEDED)
    return json(
        ValidationOut(
            valid=reason is None,
            reason=reason,
            ticket_id=signed.ticket_id,
            event_id=signed.event_id,
            ticket_type_id=row["ticket_type_id"] if row is not None else None,
            seat=signed.seat or None,
            checked_in=seen(row["checked_in_at"], row["gate"], row["scanner"]) if row is not None and inside else None,
        )
    )


def _reason(signed: SignedTicket, row: asyncpg.Record | None, event: asyncpg.Record | None) -> str | None:
    """Why the code is not valid at the door; None if it is."""
    if row is None or event is None or row["event_id"] != signed.event_id or row["seat"] != signed.seat:
        return CodeProblem.UNKNOWN
    if event["status"] == EventStatus.CANCELLED:
        return Reason.EVENT_CANCELLED
    if row["status"] != TicketStatus.VALID:
        return CodeProblem.VOID
    if row["version"] != signed.version:
        return CodeProblem.SUPERSEDED
    return Reason.ALREADY_CHECKED_IN if row["checked_in_at"] else None


def _out(deps: ApiDeps, row: asyncpg.Record) -> TicketOut:
    code = None
    if row["status"] == TicketStatus.VALID:
        code = deps.codes.sign(row["id"], row["event_id"], row["seat"], row["version"])
    return TicketOut(
        id=row["id"],
        event_id=row["event_id"],
        reservation_id=row["reservation_id"],
        ticket_type_id=row["ticket_type_id"],
        seat=row["seat"] or None,
        ordinal=row["ordinal"],
        status=row["status"],
        issued_at=utc(row["issued_at"]),
        code=code,
        checked_in_at=validation.moment_or_none(row["checked_in_at"]),
        disputed=row["disputed"],
    )
