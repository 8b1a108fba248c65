"""Handing a ticket on. Who gets it is looked up here: no mail address enters the log."""

from __future__ import annotations

import asyncpg
import msgspec
from sanic import HTTPResponse

from api.outcomes import accepted, submit
from api.problem import not_found
from api.routes.events import own_writes, pending, replayed
from api.routes.staff import account_named
from api.routing import Call, json
from api.shapes.door import TransferIn, TransferOut
from schemas.commands import TransferTicket

_transfer = msgspec.json.Decoder(TransferIn)


async def transfer(call: Call, ticket_id: str) -> HTTPResponse:
    """200: the ticket is theirs, its former code is dead, and both are told. 202 while it is not decided."""
    body = call.body(_transfer)
    row = await _handed_on(call, ticket_id)
    to_user_id = await account_named(call, body.to, field="to")
    if row["user_id"] not in (call.user_id, to_user_id):
        raise _not_yours(ticket_id)
    command = TransferTicket(
        row["event_id"], call.user_id, call.deps.log_writer.next_id(), row["reservation_id"], ticket_id, to_user_id
    )
    outcome = await submit(call.deps, command, call.wait_s(), traceparent=call.traceparent)
    if accepted(outcome) is None:
        return pending(ticket_id, f"/v1/tickets/{ticket_id}", outcome)
    return json(TransferOut(ticket_id=ticket_id, event_id=row["event_id"]), headers=replayed(outcome))


async def _handed_on(call: Call, ticket_id: str) -> asyncpg.Record:
    """The ticket: the caller's own, or one they have bought and handed on (a retry). Raises Problem not-found."""
    await own_writes(call)
    row = await call.deps.database.row("ticket_by_id", ticket_id)
    if row is not None and row["user_id"] != call.user_id:
        bought = await call.deps.database.row("reservation_of_event", row["event_id"], row["reservation_id"])
        row = row if bought is not None and bought["user_id"] == call.user_id else None
    if row is None:
        raise _not_yours(ticket_id)
    return row


def _not_yours(ticket_id: str) -> Exception:
    return not_found("ticket", f"{ticket_id} of yours", field="ticket_id")
