"""The door over HTTP: check-ins, single or from an offline device; undoing one; the list of scans; counts."""

from __future__ import annotations

import asyncpg
import msgspec
from sanic import HTTPResponse

from api.http import cursors
from api.http.problem import not_found
from api.http.reasons import for_reason
from api.http.routing import Call, json
from api.http.validation import Time
from api.log.door import Scan, check_in, checked_in_text, event_at_door, first_of, scanned, seen
from api.log.outcomes import accepted, submit
from api.log.writes import pending
from api.reads.door_counts import counts_of
from api.shapes.base import PositionOut
from api.shapes.door import (
    GATE_CHARS_MAX,
    BatchIn,
    BatchOut,
    CheckInIn,
    CheckInOut,
    CheckInsQuery,
    DoorTicketOut,
    OfflineScan,
    ScanOut,
)
from connectors import clock
from schemas.commands import UndoCheckIn
from schemas.facts import Reason
from schemas.ids import EventId, TicketId
from schemas.statuses import ReplyOutcome
from schemas.times import utc

_check_in = msgspec.json.Decoder(CheckInIn)
_batch = msgspec.json.Decoder(BatchIn)


async def create(call: Call, event_id: EventId) -> HTTPResponse:
    """201 with an accepted scan; a problem with the reason of a refused one; 202 while it is not decided."""
    body = call.body(_check_in)
    event = await event_at_door(call, event_id)
    at, implausible = (clock.now_us(), None) if body.scanned_at is None else scanned(body.scanned_at)
    (result,) = await check_in(
        call, event, [Scan(code=body.code, scanned_at=at, gate=body.gate or "", clock=implausible)]
    )
    if result.outcome == ReplyOutcome.REFUSED:
        raise _refusal(result)
    location = f"/v1/events/{event_id}/check-ins/{result.ticket_id}"
    return json(result, 202 if result.outcome == ReplyOutcome.PENDING else 201, {"location": location})


async def merge(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with the outcome of each scan that a device made offline."""
    body = call.body(_batch)
    event = await event_at_door(call, event_id)
    results = await check_in(call, event, [_offline(body.scanner, scan) for scan in body.scans])
    outcomes = [result.outcome for result in results]
    counted = {
        outcome: outcomes.count(outcome)
        for outcome in (ReplyOutcome.ACCEPTED, ReplyOutcome.REFUSED, ReplyOutcome.PENDING)
    }
    return json(BatchOut(**counted, results=results))


async def undo(call: Call, event_id: EventId, ticket_id: TicketId) -> HTTPResponse:
    """200 with the ticket, whose holder is outside again; 409 if they were not inside."""
    call.no_body()
    await event_at_door(call, event_id)
    row = await _ticket(call, event_id, ticket_id)
    command = UndoCheckIn(
        event_id=event_id,
        user_id=call.user_id,
        command_id=call.deps.log_writer.next_id(),
        reservation_id=row["reservation_id"],
        ticket_id=ticket_id,
    )
    outcome = await submit(call.deps, command, call.wait_s(), traceparent=call.traceparent)
    if accepted(outcome) is None:
        return pending(ticket_id, f"/v1/events/{event_id}/check-ins/{ticket_id}", outcome)
    return json(_door_ticket(row, checked_in=False))


async def check_ins(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with a page of the scans at the door, the latest on the log first."""
    query = call.query(CheckInsQuery)
    offset, _ = cursors.decode(query.cursor, "check-ins")
    await event_at_door(call, event_id, to_read=True)
    ticket_id = query.ticket_id.lower() if query.ticket_id else None
    kind = query.kind.value if query.kind else None
    rows = await call.deps.database.rows("scans_of_event", event_id, kind, ticket_id, offset, query.limit + 1)
    return json(cursors.page(rows, query.limit, _check_in_out, lambda row: ("check-ins", row["offset"], "")))


async def ticket(call: Call, event_id: EventId, ticket_id: TicketId) -> HTTPResponse:
    """200 with a ticket and its check-in."""
    await event_at_door(call, event_id, to_read=True)
    row = await _ticket(call, event_id, ticket_id)
    return json(_door_ticket(row, checked_in=bool(row["checked_in_at"])))


async def counts(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with the number of people inside."""
    await event_at_door(call, event_id, to_read=True)
    return json(await counts_of(call.deps, event_id))


def _offline(scanner: str, scan: OfflineScan) -> Scan:
    """One scan of a batch. A bad value does not refuse the batch: a device cannot correct a scan of days ago."""
    try:
        claimed = msgspec.convert(scan.scanned_at, Time)
    except msgspec.ValidationError:
        claimed = None
    at, clock = scanned(claimed)
    gate = "".join(one for one in scan.gate or "" if one.isprintable()).strip()[:GATE_CHARS_MAX]
    return Scan(code=scan.code, scanned_at=at, gate=gate, scanner=scanner, clock=clock)


def _refusal(result: ScanOut) -> Exception:
    """The problem document of a refused scan: its reason is the problem's type."""
    reason = result.reason or ReplyOutcome.REFUSED
    detail = checked_in_text(result.first) if reason == Reason.ALREADY_CHECKED_IN else ""
    extensions = {
        name: value
        for name, value in msgspec.to_builtins(result).items()
        if value is not None and name not in ("outcome", "reason")
    }
    return for_reason(reason, detail, field="code", **extensions)


async def _ticket(call: Call, event_id: EventId, ticket_id: TicketId) -> asyncpg.Record:
    row = await call.deps.database.row("ticket_by_id", ticket_id)
    if row is None or row["event_id"] != event_id:
        raise not_found("ticket", f"{ticket_id} of this event", field="ticket_id")
    return row


def _door_ticket(row: asyncpg.Record, *, checked_in: bool) -> DoorTicketOut:
    return DoorTicketOut(
        ticket_id=row["id"],
        event_id=row["event_id"],
        ticket_type_id=row["ticket_type_id"],
        seat=row["seat"] or None,
        ordinal=row["ordinal"],
        status=row["status"],
        checked_in=seen(row["checked_in_at"], row["gate"], row["scanner"]) if checked_in else None,
    )


def _check_in_out(row: asyncpg.Record) -> CheckInOut:
    return CheckInOut(
        kind=row["kind"],
        ticket_id=row["ticket_id"],
        ticket_type_id=row["ticket_type_id"],
        seat=row["seat"] or None,
        ordinal=row["ordinal"],
        reason=row["reason"] or None,
        by_user_id=row["by_user_id"] or None,
        scanned=seen(row["scanned_at"], row["gate"], row["scanner"]) if row["scanned_at"] else None,
        first=first_of(row),
        inside=bool(row["inside"]),
        decided_at=utc(row["decided_at"]),
        position=PositionOut(row["partition"], row["offset"]),
    )
