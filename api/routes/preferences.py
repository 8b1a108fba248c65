"""A user's channels for each kind of message. They apply at a message's delivery, and stay with the message."""

from __future__ import annotations

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType
from sanic import HTTPResponse

from api.http.problem import invalid, not_found
from api.http.routing import Call, json
from api.shapes.channels import PreferenceOut, PreferencesIn, PreferencesOut
from pipelines.notifications.kinds import KINDS

_body = msgspec.json.Decoder(PreferencesIn)


async def preferences(call: Call) -> HTTPResponse:
    """200 with the caller's channels for every kind."""
    return json(await _of_caller(call))


async def update(call: Call) -> HTTPResponse:
    """200 with the channels for every kind, after the change."""
    items = call.body(_body).items
    for place, item in enumerate(items):
        if item.kind not in KINDS:
            raise invalid(f"items[{place}].kind", f"has to be one of {', '.join(KINDS)}")
    if len({item.kind for item in items}) < len(items):
        raise invalid("items", "a kind is named more than once")
    try:
        await call.deps.database.write(
            "preferences_put",
            call.user_id,
            [item.kind for item in items],
            *([_or_null(getattr(item, channel)) for item in items] for channel in ("inbox", "stream", "mail")),
        )
    except asyncpg.ForeignKeyViolationError:
        raise not_found("account", call.user_id) from None
    return json(await _of_caller(call))


async def _of_caller(call: Call) -> PreferencesOut:
    chosen = {row["kind"]: row for row in await call.deps.database.rows("preferences_of_user", call.user_id)}
    return PreferencesOut([_preference(kind, chosen.get(kind)) for kind in KINDS])


def _preference(kind: str, row: asyncpg.Record | None) -> PreferenceOut:
    by_default = {"inbox": True, "stream": True, "mail": KINDS[kind].mail}
    chosen = {name: row[name] for name in by_default if row is not None and row[name] is not None}
    return PreferenceOut(kind=kind, about=KINDS[kind].about, **by_default | chosen)


def _or_null(value: bool | UnsetType) -> bool | None:
    return None if value is UNSET else bool(value)
