"""An event's staff: who works at its door. Invited by the organizer; no mail address enters the log."""

from __future__ import annotations

import re

import msgspec
from sanic import HTTPResponse

from api import cursors, validation
from api.auth.mail import normalised
from api.problem import invalid, not_found
from api.rate_limits import LOOKUPS
from api.routes.door import is_admin
from api.routes.events import event_out, own_writes, owned, pending, replayed, visible, write
from api.routing import Call, json
from api.shapes.base import PageQuery
from api.shapes.door import StaffIn, StaffOut
from api.validation import UUID_PATTERN
from schemas.commands import AddStaff, RemoveStaff

_add = msgspec.json.Decoder(StaffIn)


async def add(call: Call, event_id: str) -> HTTPResponse:
    """201 with who works at the door from now on."""
    body = call.body(_add)
    await owned(call, event_id)
    member_id = await account_named(call, body.user, field="user")
    outcome = await write(call, AddStaff(event_id, call.user_id, call.deps.log_writer.next_id(), member_id))
    location = f"/v1/events/{event_id}/staff"
    row = await call.deps.database.row("staff_member", event_id, member_id) if outcome.reply is not None else None
    if row is None:
        return pending(member_id, location, outcome)
    return json(
        StaffOut(member_id, validation.moment(row["added_at"])), 201, {"location": location} | replayed(outcome)
    )


async def remove(call: Call, event_id: str, user_id: str) -> HTTPResponse:
    """204: they work there no longer; also when they never did."""
    call.no_body()
    await owned(call, event_id)
    outcome = await write(call, RemoveStaff(event_id, call.user_id, call.deps.log_writer.next_id(), user_id))
    if outcome.reply is None:
        return pending(user_id, f"/v1/events/{event_id}/staff", outcome)
    return HTTPResponse(status=204, headers=replayed(outcome))


async def staff(call: Call, event_id: str) -> HTTPResponse:
    """200 with a page of those who work at the door, the latest first."""
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
        lambda row: StaffOut(row["member_id"], validation.moment(row["added_at"])),
        lambda row: ("staff", row["added_at"], row["member_id"]),
    )
    return json(page)


async def doors(call: Call) -> HTTPResponse:
    """200 with a page of the events at whose door the caller works, the next one first."""
    query = call.query(PageQuery)
    value, identity = cursors.decode(query.cursor, "doors")
    await own_writes(call)
    rows = await call.deps.database.rows("events_of_staff", call.user_id, value, identity, query.limit + 1)
    return json(cursors.page(rows, query.limit, event_out, lambda row: ("doors", row["starts_at"], row["id"])))


async def account_named(call: Call, text: str, *, field: str) -> str:
    """The id of the account with this mail address or id. Raises Problem invalid-request, not-found, rate-limited."""
    call.deps.limiter.take(LOOKUPS, call.user_id)
    if "@" in text:
        row = await call.deps.database.row("user_by_email", normalised(text, field=field))
    elif re.fullmatch(UUID_PATTERN, text):
        row = await call.deps.database.row("user", text.lower())
    else:
        raise invalid(field, "has to be a mail address or a user's id")
    if row is None:
        raise not_found("account", text, field=field)
    return str(row["id"])
