"""Waiting lists: places in line for sold-out ticket types, and the offers to them."""

from __future__ import annotations

from uuid import UUID, uuid5

import asyncpg
import msgspec
from sanic import HTTPResponse

from api.http import cursors, validation
from api.http.problem import Problem
from api.http.reasons import for_reason, no_event
from api.http.routing import Call, json
from api.log.writes import own_writes, pending, replayed, write
from api.reads.events import owned
from api.shapes.base import PageQuery
from api.shapes.inventory import EntryOut, WaitIn, WaitlistQuery
from schemas.commands import JoinWaitlist, LeaveWaitlist
from schemas.facts import Reason
from schemas.ids import EntryId, EventId, TicketTypeId
from schemas.statuses import ReservationStatus, WaitlistStatus
from schemas.times import utc

# By the status of the offered reservation. A refused card changes nothing: the hold stays until its deadline.
BECAME: dict[str, str] = {
    ReservationStatus.HELD: WaitlistStatus.OFFERED,
    ReservationStatus.CONFIRMED: "bought",
    ReservationStatus.RELEASED: ReservationStatus.RELEASED,
    ReservationStatus.EXPIRED: ReservationStatus.EXPIRED,
    ReservationStatus.CANCELLED: ReservationStatus.CANCELLED,
}

_wait = msgspec.json.Decoder(WaitIn)


async def join(call: Call, event_id: EventId) -> HTTPResponse:
    """201 with the place in line; 409 not-sold-out if enough places are free to reserve."""
    key = call.idempotency_key()
    body = call.body(_wait)
    identity = EntryId(str(uuid5(UUID(call.user_id), f"wait/{event_id}/{key}")))
    if await call.deps.events.is_absent(event_id, call.sees_drafts_of):
        raise no_event(event_id)
    command = JoinWaitlist(
        event_id=event_id,
        user_id=call.user_id,
        command_id=call.deps.log_writer.next_id(),
        entry_id=identity,
        ticket_type_id=TicketTypeId(body.ticket_type_id.lower()),
        quantity=body.quantity,
        mailbox=call.mailbox,
    )
    try:
        outcome = await write(call, command)
    except Problem as refused:
        if refused.slug == Reason.EVENT_NOT_FOUND:  # a draft that the caller may not see looks like no event
            raise no_event(event_id) from None
        raise
    location = f"/v1/waitlist/{identity}"
    row = await call.deps.database.row("entry_by_id", identity) if outcome.reply is not None else None
    if row is None:
        return pending(identity, location, outcome)
    return json(_out(row), 201, {"location": location} | replayed(outcome))


async def own(call: Call) -> HTTPResponse:
    """200 with a page of the caller's places in line, the latest first."""
    query = call.query(WaitlistQuery)
    value, identity = cursors.decode(query.cursor, "waitlist")
    await own_writes(call)
    event_id = query.event_id.lower() if query.event_id else None
    rows = await call.deps.database.rows("entries_of_user", call.user_id, event_id, value, identity, query.limit + 1)
    return json(cursors.page(rows, query.limit, _out, lambda row: ("waitlist", row["created_at"], row["id"])))


async def of_event(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with a page of the event's waiting list, the oldest first, with the ids of its users."""
    query = call.query(PageQuery)
    value, identity = cursors.decode(query.cursor, "waiting")
    await owned(call, event_id)
    rows = await call.deps.database.rows("entries_of_event", event_id, value, identity, query.limit + 1)
    return json(cursors.page(rows, query.limit, _out, lambda row: ("waiting", row["offset"], row["id"])))


async def one(call: Call, entry_id: EntryId) -> HTTPResponse:
    """200 with the caller's place in line."""
    await own_writes(call)
    return json(_out(await _own(call, entry_id)))


async def leave(call: Call, entry_id: EntryId) -> HTTPResponse:
    """200 with the entry, which no longer waits. An offered hold is released as a reservation."""
    call.no_body()
    await own_writes(call)
    entry = await _own(call, entry_id)
    command = LeaveWaitlist(entry["event_id"], call.user_id, call.deps.log_writer.next_id(), entry_id)
    outcome = await write(call, command)
    if outcome.reply is None:
        return pending(entry_id, f"/v1/waitlist/{entry_id}", outcome)
    return json(_out(await _own(call, entry_id)), headers=replayed(outcome))


async def _own(call: Call, entry_id: EntryId) -> asyncpg.Record:
    row = await call.deps.database.row("entry_by_id", entry_id)
    if row is None or row["user_id"] != call.user_id:
        raise for_reason(Reason.ENTRY_NOT_FOUND, "you have no such place on a waiting list", field="entry_id")
    return row


def status_of(entry: str, offer: str | None) -> str:
    """The status of an entry. After an offer it is the status of the offered reservation."""
    return entry if entry != WaitlistStatus.OFFERED or offer is None else BECAME.get(offer, WaitlistStatus.OFFERED)


def _out(row: asyncpg.Record) -> EntryOut:
    return EntryOut(
        id=row["id"],
        event_id=row["event_id"],
        ticket_type_id=row["ticket_type_id"],
        quantity=row["quantity"],
        status=status_of(row["status"], row["offer_status"]),
        ahead=row["ahead"] if row["status"] == WaitlistStatus.WAITING else None,
        reservation_id=row["reservation_id"] or None,
        expires_at=validation.moment_or_none(row["offer_until"] or row["expires_at"]),
        reason=row["reason"] or None,
        created_at=utc(row["created_at"]),
    )
