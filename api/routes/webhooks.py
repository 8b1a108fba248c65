"""Webhooks of organizers: endpoints, their delivery log, repeated calls, test calls."""

from __future__ import annotations

import base64
import secrets
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
from msgspec import UNSET
from sanic import HTTPResponse

from api.fairness.limits import WEBHOOK_OVERLAP_S, WEBHOOK_RESOLVE_S, WEBHOOKS_MAX
from api.http import cursors
from api.http.problem import Problem, invalid, not_found
from api.http.routing import Call, json
from api.reads.events import owned
from api.shapes.base import PageQuery
from api.shapes.channels import DeliveriesQuery, DeliveryOut, WebhookIn, WebhookOut, WebhookPatch
from connectors import clock
from connectors.outbound_http import NotOutside, checked_url, resolved_outside
from pipelines.notifications.calls import TEST, TYPE_NAMES, TYPES, body
from pipelines.notifications.kinds import CallStatus
from schemas.ids import DeliveryId, EventId, WebhookId

SECRET_BYTES = 32  # Standard Webhooks asks for 24 to 64
SECRET_PREFIX = "whsec_"  # noqa: S105 - how such secrets begin

_create = msgspec.json.Decoder(WebhookIn)
_patch = msgspec.json.Decoder(WebhookPatch)


async def webhooks(call: Call) -> HTTPResponse:
    """200 with a page of the caller's endpoints, the latest first."""
    query = call.query(PageQuery)
    value, identity = cursors.decode(query.cursor, "webhooks")
    rows = await call.deps.database.rows("webhooks", call.user_id, value, identity, query.limit + 1)
    return json(cursors.page(rows, query.limit, _out, lambda row: ("webhooks", row["made_us"], row["id"])))


async def create(call: Call) -> HTTPResponse:
    """201 with the endpoint and its secret, which is shown only here."""
    wanted = call.body(_create)
    await _check(call, wanted.url)
    if wanted.event_id is not None:
        await owned(call, EventId(wanted.event_id.lower()))
    secret = _new_secret()
    event_id = (wanted.event_id or "").lower()
    fields = (str(uuid4()), call.user_id, wanted.url, event_id, _types(wanted.types), secret, WEBHOOKS_MAX)
    row = await call.deps.database.write("webhook_add", *fields)
    if row is None and await call.deps.database.row("user", call.user_id) is None:
        raise not_found("account", call.user_id)
    if row is None:
        raise Problem("too-many", f"an organizer has at most {WEBHOOKS_MAX} webhooks")
    made = msgspec.structs.replace(_out(row), secret=secret)
    return json(made, 201, {"location": f"/v1/webhooks/{made.id}", "cache-control": "no-store"})


async def webhook(call: Call, webhook_id: WebhookId) -> HTTPResponse:
    """200 with the caller's endpoint."""
    return json(_out(await _own(call, webhook_id)))


async def update(call: Call, webhook_id: WebhookId) -> HTTPResponse:
    """200 with the changed endpoint. Waiting calls go to the new address."""
    changes = call.body(_patch)
    await _own(call, webhook_id)
    if changes.url is not UNSET:
        await _check(call, changes.url)
    values = (
        None if changes.url is UNSET else changes.url,
        None if changes.types is UNSET else _types(changes.types),
        None if changes.enabled is UNSET else changes.enabled,
    )
    row = await call.deps.database.write("webhook_update", webhook_id, call.user_id, *values)
    if row is None:
        raise not_found("webhook", webhook_id, field="webhook_id")
    return json(_out(row))


async def rotate(call: Call, webhook_id: WebhookId) -> HTTPResponse:
    """200 with the endpoint and its new secret, which is shown only here. For WEBHOOK_OVERLAP_S calls also have a
    signature by the former secret."""
    call.no_body()
    await _own(call, webhook_id)
    secret = _new_secret()
    row = await call.deps.database.write("webhook_rotate", webhook_id, call.user_id, secret, float(WEBHOOK_OVERLAP_S))
    if row is None:
        raise not_found("webhook", webhook_id, field="webhook_id")
    return json(msgspec.structs.replace(_out(row), secret=secret), 200, {"cache-control": "no-store"})


async def delete(call: Call, webhook_id: WebhookId) -> HTTPResponse:
    """204. The endpoint's delivery log is deleted too."""
    if await call.deps.database.write("webhook_delete", webhook_id, call.user_id) is None:
        raise not_found("webhook", webhook_id, field="webhook_id")
    return HTTPResponse(status=204)


async def test(call: Call, webhook_id: WebhookId) -> HTTPResponse:
    """202 with a call of type webhook.test. It is sent at once, to endpoints of any types."""
    call.no_body()
    await _own(call, webhook_id)
    now_us = clock.now_us()
    text = body(TEST, now_us, {"webhook_id": webhook_id})
    row = await call.deps.database.write("webhook_test", f"msg_test_{uuid4().hex}", webhook_id, now_us, TEST, text)
    assert row is not None
    return json(_delivery(row), 202)


async def deliveries(call: Call, webhook_id: WebhookId) -> HTTPResponse:
    """200 with a page of the endpoint's delivery log, the latest first."""
    query = call.query(DeliveriesQuery)
    await _own(call, webhook_id)
    value, _ = cursors.decode(query.cursor, "deliveries")
    rows = await call.deps.database.rows("webhook_deliveries", webhook_id, query.status, value, query.limit + 1)
    return json(cursors.page(rows, query.limit, _delivery, lambda row: ("deliveries", row["number"], row["id"])))


async def redeliver(call: Call, webhook_id: WebhookId, delivery: DeliveryId) -> HTTPResponse:
    """202 with the call, which is sent again with the same webhook-id, for any earlier result."""
    call.no_body()
    await _own(call, webhook_id)
    row = None
    if delivery.isascii() and delivery.isprintable():
        row = await call.deps.database.write("webhook_redeliver", delivery, webhook_id)
    if row is None:
        raise not_found("delivery", delivery[:100], field="delivery")
    return json(_delivery(row), 202)


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


async def _own(call: Call, webhook_id: WebhookId) -> asyncpg.Record:
    row = await call.deps.database.row("webhook", webhook_id, call.user_id)
    if row is None:
        raise not_found("webhook", webhook_id, field="webhook_id")
    return row


async def _check(call: Call, url: str) -> None:
    """Refuse an address that would never be called. A name without an address may get one: each call resolves it."""
    development = not call.deps.settings.production
    try:
        checked_url(url, development=development)
        await resolved_outside(url, loopback=development, within_s=WEBHOOK_RESOLVE_S)
    except NotOutside as error:
        raise invalid("url", str(error)) from None


def _types(wanted: list[str]) -> list[str]:
    for place, name in enumerate(wanted):
        if name not in TYPE_NAMES:
            raise invalid(f"types[{place}]", f"has to be one of {', '.join(TYPES.values())}")
    return sorted(set(wanted))


def _out(row: asyncpg.Record) -> WebhookOut:
    return WebhookOut(
        id=row["id"],
        url=row["url"],
        event_id=row["event_id"] or None,
        types=row["types"],
        enabled=row["enabled"],
        disabled_why=row["disabled_why"] or None,
        created_at=row["created_at"],
    )


def _delivery(row: asyncpg.Record) -> DeliveryOut:
    fields: dict[str, Any] = {
        name: row[name] for name in ("id", "type", "status", "attempts", "answer", "created_at", "attempted_at")
    }
    return DeliveryOut(
        **fields,
        event_id=row["event_id"] or None,
        error=row["error"] or None,
        next_attempt_at=row["due_at"] if row["status"] == CallStatus.PENDING else None,
        payload=msgspec.Raw(row["payload"].encode()),
    )
