"""The caller's account, and its public profile."""

from __future__ import annotations

from time import time
from typing import TypeVar

import msgspec
from sanic import HTTPResponse

from api.auth.checks import NO_STORE, check_password
from api.auth.tokens import RANK, Role
from api.http.problem import Problem, invalid, not_found
from api.http.routing import Call, json
from api.log.writes import own_writes
from api.shapes.accounts import EraseIn, OrganizerOut, PublicUserOut, UserPatch
from connectors import clock
from schemas.ids import UserId

T = TypeVar("T")

_patch = msgspec.json.Decoder(UserPatch)
_erase = msgspec.json.Decoder(EraseIn)


async def me(call: Call) -> HTTPResponse:
    """200 with the account."""
    return json(await call.deps.accounts.own(call.user_id))


async def update_me(call: Call) -> HTTPResponse:
    """200 with the changed account. A new password needs the current one, and ends all other sessions."""
    assert call.caller is not None
    body = call.body(_patch)
    name, password = _given(body.name), _given(body.password)
    description, links = _given(body.description), _given(body.links)
    if name is None and password is None and description is None and links is None:
        raise invalid("body", "has no field to change; name, password, description and links are possible")
    if password is not None:
        if isinstance(body.current_password, msgspec.UnsetType):
            raise invalid("current_password", "is required to set a new password")
        await check_password(call, body.current_password)
        await call.deps.accounts.change_password(call.caller, password, call.origin)
    name = None if name is None else name.strip()
    return json(await call.deps.accounts.update(call.caller, name, description, links))


async def erase_me(call: Call) -> HTTPResponse:
    """204; all personal data is deleted. 409 while the caller has a published event that has not ended."""
    body = call.body(_erase)
    await check_password(call, body.password, field="password")
    await own_writes(call)
    now_us = clock.now_us()
    rows = await call.deps.database.rows("events_open_of_organizer", call.user_id, now_us)
    if rows:
        detail = "you have published events that have not ended: cancel them, or wait for their end"
        raise Problem("organizer-has-events", detail, event_ids=[row["id"] for row in rows])
    assert call.caller is not None
    await call.deps.accounts.erase(call.caller)
    return HTTPResponse(status=204)


async def become_organizer(call: Call) -> HTTPResponse:
    """200 with the account, and an access token with the new role, so that the caller can use the role at once."""
    call.no_body()
    assert call.caller is not None
    user, token = await call.deps.accounts.become_organizer(call.caller, call.origin)
    members = msgspec.structs.asdict(user)
    left_s = max(1, call.caller.expires_at - int(time()))
    return json(OrganizerOut(**members, access_token=token, expires_in=left_s), headers=NO_STORE)


async def user(call: Call, user_id: UserId) -> HTTPResponse:
    """200 with an organizer's public profile. A buyer's is visible only to themselves and to administrators."""
    row = await call.deps.database.row("user", user_id)
    if row is None or (RANK[Role(row["role"])] < RANK[Role.ORGANIZER] and not _may_see_buyer(call, user_id)):
        raise not_found("organizer", user_id, field="user_id")
    return json(
        PublicUserOut(
            id=row["id"], name=row["name"], role=Role(row["role"]), description=row["description"], links=row["links"]
        )
    )


def _may_see_buyer(call: Call, user_id: UserId) -> bool:
    return call.caller is not None and (call.caller.user_id == user_id or call.caller.role is Role.ADMIN)


def _given(value: T | msgspec.UnsetType) -> T | None:
    return None if isinstance(value, msgspec.UnsetType) else value
