"""An event's staff, who work at its door. The organizer invites them; no mail address enters the log."""

from __future__ import annotations

import asyncpg
import msgspec
from sanic import HTTPResponse

from api.http import cursors, validation
from api.http.reasons import for_reason
from api.http.routing import Call, json
from api.log.writes import own_writes, pending, replayed, write
from api.reads.events import event_out, is_admin, owned, visible
from api.reads.receivers import receiver_named
from api.shapes.base import PageQuery
from api.shapes.door import InvitationOut, StaffIn, StaffOut, StaffStatus, about_event
from connectors import clock
from schemas.commands import AddStaff, AnswerInvitation, RemoveStaff
from schemas.facts import Reason
from schemas.ids import EventId, UserId
from schemas.statuses import InvitationStatus, OfferAnswer
from schemas.times import utc

_add = msgspec.json.Decoder(StaffIn)


async def add(call: Call, event_id: EventId) -> HTTPResponse:
    """201 with the invitation. The invited person works at the door after they accept. The answer does not reveal
    whether they have an account."""
    body = call.body(_add)
    await owned(call, event_id)
    member_id = await receiver_named(call, body.user, field="user")
    outcome = await write(call, AddStaff(event_id, call.user_id, call.deps.log_writer.next_id(), member_id))
    location = f"/v1/events/{event_id}/staff"
    row = await call.deps.database.row("staff_member", event_id, member_id) if outcome.reply is not None else None
    if row is None:
        return pending(member_id, location, outcome)
    return json(_out(row), 201, {"location": location} | replayed(outcome))


async def remove(call: Call, event_id: EventId, user_id: UserId) -> HTTPResponse:
    """204: the person is no longer staff, and no longer invited; also if they never were."""
    call.no_body()
    await owned(call, event_id)
    outcome = await write(call, RemoveStaff(event_id, call.user_id, call.deps.log_writer.next_id(), user_id))
    if outcome.reply is None:
        return pending(user_id, f"/v1/events/{event_id}/staff", outcome)
    return HTTPResponse(status=204, headers=replayed(outcome))


async def staff(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with a page of the staff and the invited people, the latest first."""
    query = call.query(PageQuery)
    value, identity = cursors.decode(query.cursor, "staff")
    if is_admin(call):
        await visible(call, event_id)
    else:
        await owned(call, event_id)
    rows = await call.deps.database.rows("staff_of_event", event_id, value, identity, query.limit + 1)
    page = cursors.page(
        rows,
        query.limit,
        _out,
        lambda row: ("staff", row["added_at"], row["member_id"]),
    )
    return json(page)


async def doors(call: Call) -> HTTPResponse:
    """200 with a page of the events at whose doors the caller works, the next one first."""
    query = call.query(PageQuery)
    value, identity = cursors.decode(query.cursor, "doors")
    await own_writes(call)
    rows = await call.deps.database.rows("events_of_staff", call.user_id, value, identity, query.limit + 1)
    return json(cursors.page(rows, query.limit, event_out, lambda row: ("doors", row["starts_at"], row["id"])))


async def invitations(call: Call) -> HTTPResponse:
    """200 with a page of the caller's invitations, the latest first."""
    query = call.query(PageQuery)
    value, identity = cursors.decode(query.cursor, "invitations")
    await own_writes(call)
    rows = await call.deps.database.rows("invitations_of_user", call.user_id, value, identity, query.limit + 1)
    page = cursors.page(rows, query.limit, _invitation, lambda row: ("invitations", row["invited_at"], row["event_id"]))
    return json(page)


async def accept(call: Call, event_id: EventId) -> HTTPResponse:
    """200 after the caller has become staff; 409 if the invitation has expired."""
    return await _answer(call, event_id, OfferAnswer.ACCEPT, InvitationStatus.ACCEPTED)


async def decline(call: Call, event_id: EventId) -> HTTPResponse:
    """200 after the invitation is declined."""
    return await _answer(call, event_id, OfferAnswer.DECLINE, InvitationStatus.DECLINED)


async def _answer(
    call: Call, event_id: EventId, answer: OfferAnswer, status: InvitationStatus | StaffStatus
) -> HTTPResponse:
    call.no_body()
    await own_writes(call)
    row = await call.deps.database.row("invitation", event_id, call.user_id)
    if row is None:
        raise for_reason(Reason.INVITATION_NOT_FOUND, "you have no such invitation", field="event_id")
    if row["status"] == status:
        return json(_invitation(row), headers={"idempotency-replayed": "true"})
    command = AnswerInvitation(event_id, call.user_id, call.deps.log_writer.next_id(), answer)
    outcome = await write(call, command)
    row = await call.deps.database.row("invitation", event_id, call.user_id)
    if row is None or outcome.reply is None:
        return pending(event_id, "/v1/invitations", outcome)
    return json(_invitation(row), headers=replayed(outcome))


def _out(row: asyncpg.Record) -> StaffOut:
    invited = row["status"] == InvitationStatus.INVITED
    status = StaffStatus.EXPIRED if invited and row["expires_at"] <= clock.now_us() else row["status"]
    until = utc(row["expires_at"]) if invited else None
    return StaffOut(row["member_id"], utc(row["added_at"]), status, until)


def _invitation(row: asyncpg.Record) -> InvitationOut:
    open_still = row["status"] == InvitationStatus.INVITED and row["expires_at"] > clock.now_us()
    return InvitationOut(
        event_id=row["event_id"],
        status=InvitationStatus.EXPIRED
        if row["status"] == InvitationStatus.INVITED and not open_still
        else row["status"],
        event=about_event(row),
        invited_at=utc(row["invited_at"]),
        expires_at=utc(row["expires_at"]),
        ended_at=validation.moment_or_none(row["ended_at"]),
    )
