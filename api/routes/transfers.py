"""Transfers of tickets: a ticket is offered, and its receiver accepts. The receiver is looked up here: no mail address
enters the log, and the sender learns nothing about the receiver.
"""

from __future__ import annotations

import asyncpg
import msgspec
from sanic import HTTPResponse

from api.http import cursors, validation
from api.http.problem import not_found
from api.http.reasons import for_reason
from api.http.routing import Call, json
from api.log.writes import own_writes, pending, replayed, write
from api.reads.receivers import receiver_named
from api.shapes.door import TransferIn, TransferOut, TransfersQuery, TransferView, about_event
from connectors import clock
from schemas.commands import AnswerTransfer, TransferTicket
from schemas.facts import Reason
from schemas.ids import TicketId, TransferId, UserId
from schemas.statuses import OfferAnswer, TransferStatus
from schemas.times import utc

_transfer = msgspec.json.Decoder(TransferIn)


async def transfer(call: Call, ticket_id: TicketId) -> HTTPResponse:
    """200: the ticket is offered, and the receiver's after they accept. 202 while it is not decided."""
    body = call.body(_transfer)
    row = await _handed_on(call, ticket_id)
    to_user_id = await receiver_named(call, body.to, field="to")
    if row["user_id"] not in (call.user_id, to_user_id):
        raise _not_yours(ticket_id)
    command = TransferTicket(
        event_id=row["event_id"],
        user_id=call.user_id,
        command_id=call.deps.log_writer.next_id(),
        reservation_id=row["reservation_id"],
        ticket_id=ticket_id,
        to_user_id=to_user_id,
    )
    outcome = await write(call, command)
    offer = await call.deps.database.row("transfer_open", row["event_id"], ticket_id, call.user_id)
    if outcome.reply is None or offer is None:
        return pending(ticket_id, f"/v1/tickets/{ticket_id}", outcome)
    answer = TransferOut(
        ticket_id=ticket_id,
        event_id=row["event_id"],
        status=_status(offer),
        transfer_id=offer["id"],
        expires_at=utc(offer["expires_at"]),
    )
    return json(answer, headers=replayed(outcome))


async def transfers(call: Call) -> HTTPResponse:
    """200 with a page of the offers to and from the caller, the latest first."""
    query = call.query(TransfersQuery)
    value, identity = cursors.decode(query.cursor, "transfers")
    await own_writes(call)
    direction = query.direction.value if query.direction else None
    rows = await call.deps.database.rows("transfers_of_user", call.user_id, direction, value, identity, query.limit + 1)
    page = cursors.page(
        rows,
        query.limit,
        lambda row: _view(row, call.user_id),
        lambda row: ("transfers", row["offered_at"], row["id"]),
    )
    return json(page)


async def one(call: Call, transfer_id: TransferId) -> HTTPResponse:
    """200 with an offer to or from the caller."""
    await own_writes(call)
    return json(_view(await _own(call, transfer_id), call.user_id))


async def accept(call: Call, transfer_id: TransferId) -> HTTPResponse:
    """200 after the ticket is the caller's; 409 if the offer has expired, or its ticket cannot be transferred."""
    return await _answer(call, transfer_id, OfferAnswer.ACCEPT, TransferStatus.ACCEPTED)


async def decline(call: Call, transfer_id: TransferId) -> HTTPResponse:
    """200 after the offer is declined."""
    return await _answer(call, transfer_id, OfferAnswer.DECLINE, TransferStatus.DECLINED)


async def withdraw(call: Call, transfer_id: TransferId) -> HTTPResponse:
    """200 after the caller's offer is withdrawn."""
    return await _answer(call, transfer_id, OfferAnswer.WITHDRAW, TransferStatus.WITHDRAWN)


async def _answer(call: Call, transfer_id: TransferId, answer: OfferAnswer, status: TransferStatus) -> HTTPResponse:
    call.no_body()
    await own_writes(call)
    row = await _own(call, transfer_id)
    if row["user_id" if answer == OfferAnswer.WITHDRAW else "to_user_id"] != call.user_id:
        raise _no_offer(transfer_id)
    if row["status"] == status:
        return json(_view(row, call.user_id), headers={"idempotency-replayed": "true"})
    command = AnswerTransfer(
        event_id=row["event_id"],
        user_id=call.user_id,
        command_id=call.deps.log_writer.next_id(),
        reservation_id=row["reservation_id"],
        ticket_id=row["ticket_id"],
        transfer_id=transfer_id,
        answer=answer,
    )
    outcome = await write(call, command)
    if outcome.reply is None:
        return pending(transfer_id, f"/v1/transfers/{transfer_id}", outcome)
    return json(_view(await _own(call, transfer_id), call.user_id), headers=replayed(outcome))


async def _own(call: Call, transfer_id: TransferId) -> asyncpg.Record:
    row = await call.deps.database.row("transfer_by_id", transfer_id)
    if row is None or call.user_id not in (row["user_id"], row["to_user_id"]):
        raise _no_offer(transfer_id)
    return row


def _status(row: asyncpg.Record) -> str:
    """The offer's current status. An offer past its time is expired, even before the log says so."""
    if row["status"] == TransferStatus.OFFERED and row["expires_at"] <= clock.now_us():
        return TransferStatus.EXPIRED
    return str(row["status"])


def _view(row: asyncpg.Record, user_id: UserId) -> TransferView:
    return TransferView(
        id=row["id"],
        direction="out" if row["user_id"] == user_id else "in",
        status=_status(row),
        ticket_id=row["ticket_id"],
        event_id=row["event_id"],
        event=about_event(row),
        ticket_type_id=row["ticket_type_id"],
        seat=row["seat"] or None,
        offered_at=utc(row["offered_at"]),
        expires_at=utc(row["expires_at"]),
        ended_at=validation.moment_or_none(row["ended_at"]),
    )


async def _handed_on(call: Call, ticket_id: TicketId) -> asyncpg.Record:
    """The caller's ticket, or one that they bought and transferred (a retry). Raises Problem not-found."""
    await own_writes(call)
    row = await call.deps.database.row("ticket_by_id", ticket_id)
    if row is not None and row["user_id"] != call.user_id:
        bought = await call.deps.database.row("reservation_of_event", row["event_id"], row["reservation_id"])
        row = row if bought is not None and bought["user_id"] == call.user_id else None
    if row is None:
        raise _not_yours(ticket_id)
    return row


def _not_yours(ticket_id: TicketId) -> Exception:
    return not_found("ticket", f"{ticket_id} of yours", field="ticket_id")


def _no_offer(transfer_id: TransferId) -> Exception:
    detail = f"there is no offer {transfer_id} of a ticket to you or from you"
    return for_reason(Reason.TRANSFER_NOT_FOUND, detail, field="transfer_id")
