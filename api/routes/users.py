"""One's own account, and what others may see of it."""

from __future__ import annotations

import msgspec
from msgspec import UNSET
from sanic import HTTPResponse

from api.auth.accounts import user_out
from api.auth.tokens import Role
from api.problem import Problem, invalid, not_found
from api.routes.auth import NO_STORE
from api.routing import Call, json
from api.shapes.accounts import OrganizerOut, PublicUserOut, UserOut, UserPatch

_patch = msgspec.json.Decoder(UserPatch)


async def me(call: Call) -> HTTPResponse:
    """200 with the account."""
    return json(await _own(call))


async def update_me(call: Call) -> HTTPResponse:
    """200 with the account as it is now. A new password needs the current one."""
    body = call.body(_patch)
    if body.name is UNSET and body.password is UNSET:
        raise invalid("body", "says nothing to change; name and password can be")
    hashed = None
    if body.password is not UNSET:
        hashed = await _new_password(call, body.password, body.current_password)
    name = None if body.name is UNSET else body.name
    row = await call.deps.database.write("user_update", call.user_id, name, hashed)
    if row is None:
        raise not_found("account", call.user_id)
    return json(user_out(row))


async def become_organizer(call: Call) -> HTTPResponse:
    """200 with the account and tokens that carry the new role, so that the caller can go on at once."""
    call.no_body()
    row = await call.deps.database.write("user_become_organizer", call.user_id)
    if row is None:
        raise not_found("account", call.user_id)
    user = user_out(row)
    tokens = await call.deps.accounts.new_family(user.id, user.role)
    members = msgspec.structs.asdict(user) | msgspec.structs.asdict(tokens)
    return json(OrganizerOut(**members), headers=NO_STORE)


async def user(call: Call, user_id: str) -> HTTPResponse:
    """200 with what everybody may see."""
    row = await call.deps.database.row("user", user_id)
    if row is None:
        raise not_found("user", user_id, field="user_id")
    return json(PublicUserOut(row["id"], row["name"], Role(row["role"])))


async def _own(call: Call) -> UserOut:
    row = await call.deps.database.row("user", call.user_id)
    if row is None:
        raise not_found("account", call.user_id)
    return user_out(row)


async def _new_password(call: Call, password: str, current: str | msgspec.UnsetType) -> str:
    if current is UNSET:
        raise invalid("current_password", "is required to set a new password")
    own = await _own(call)
    row = await call.deps.database.row("user_credentials", own.email)
    if row is None or not await call.deps.passwords.verify(row["password_hash"], current):
        raise Problem("invalid-credentials", "current_password is wrong", field="current_password")
    return await call.deps.passwords.hash(password)
