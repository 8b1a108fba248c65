"""All data about the caller, as one file (GDPR, articles 15 and 20)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import msgspec
from sanic import HTTPResponse

from api.fairness.limits import EXPORT_ROWS_AT_ONCE
from api.fairness.rate_limits import PERSONAL_EXPORTS
from api.http.routing import Call
from api.http.streaming import stream
from api.log.writes import own_writes

SECTIONS = (
    "account", "sessions", "known_networks", "security_events", "preferences", "reservations", "payments",
    "refunds", "disputes", "tickets", "waiting", "transfers_out", "transfers_in", "invitations", "staff", "check_ins",
    "inbox", "mails", "events", "webhooks",
)  # fmt: skip
"""The members of the document. Each is a list, from a query of api/sql/exports.sql."""


async def export(call: Call) -> HTTPResponse | None:
    """200 with one JSON document, which is written while the client reads it."""
    call.deps.limiter.take(PERSONAL_EXPORTS, call.user_id)
    await own_writes(call)
    async with call.deps.exports.of():
        await stream(call, _document(call), "application/json", f"general-circle-{call.user_id}.json")
    return None


async def _document(call: Call) -> AsyncGenerator[str, None]:
    """The document in pieces, a page of rows at a time."""
    now = msgspec.json.encode(datetime.now(UTC)).decode()
    await call.deps.database.rows(f"export_{SECTIONS[0]}", call.user_id, None, None, 1)  # fails early
    yield f'{{"user_id":"{call.user_id}","exported_at":{now}'
    for section in SECTIONS:
        value: int | None = None
        identity: str | None = None
        yield f',"{section}":['
        begun = False
        while True:
            rows = await call.deps.database.rows(
                f"export_{section}", call.user_id, value, identity, EXPORT_ROWS_AT_ONCE
            )
            if rows:
                yield ("," if begun else "") + ",".join(row["item"] for row in rows)
                begun = True
            if len(rows) < EXPORT_ROWS_AT_ONCE:
                break
            value, identity = rows[-1]["sort"], rows[-1]["id"]
        yield "]"
    yield "}"
