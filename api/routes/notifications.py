"""The inbox: list, count, read, delete."""

from __future__ import annotations

from sanic import HTTPResponse

from api.http import cursors
from api.http.problem import Problem, not_found
from api.http.routing import Call, json
from api.shapes.reservations import NotificationsQuery, ReadAllOut, UnreadOut, notification_out
from connectors import clock
from schemas.ids import Position


async def notifications(call: Call) -> HTTPResponse:
    """200 with a page, the latest first."""
    query = call.query(NotificationsQuery)
    value, identity = cursors.decode(query.cursor, "notifications")
    rows = await call.deps.database.rows(
        "notifications_of_user", call.user_id, query.unread, value, identity, query.limit + 1
    )
    page = cursors.page(
        rows,
        query.limit,
        notification_out,
        lambda row: ("notifications", row["outbound_offset"], str(int(row["partition"] >= 0))),
    )
    return json(page)


async def unread_count(call: Call) -> HTTPResponse:
    """200 with the number of unread notifications."""
    row = await call.deps.database.row("notifications_unread", call.user_id)
    assert row is not None
    return json(UnreadOut(row["unread"]))


async def read(call: Call, notification: str) -> HTTPResponse:
    """200 with the notification, marked as read."""
    call.no_body()
    partition, offset = _position(notification)
    row = await call.deps.database.write("notification_read", call.user_id, partition, offset, _now())
    if row is None:
        raise not_found("notification", notification)
    return json(notification_out(row))


async def read_all(call: Call) -> HTTPResponse:
    """200 with the number of marked notifications."""
    call.no_body()
    row = await call.deps.database.write("notifications_read_all", call.user_id, _now())
    assert row is not None
    return json(ReadAllOut(row["marked"]))


async def delete(call: Call, notification: str) -> HTTPResponse:
    """204."""
    partition, offset = _position(notification)
    if await call.deps.database.write("notification_delete", call.user_id, partition, offset, _now()) is None:
        raise not_found("notification", notification)
    return HTTPResponse(status=204)


def _position(text: str) -> tuple[int, int]:
    """The partition and offset that are a notification's id. Raises Problem not-found."""
    try:
        if not text.isascii() or len(text) > 30:
            raise ValueError(text)
        position = Position.parse(text)
        if position.partition >= 2**31 or position.offset >= 2**63:
            raise ValueError(text)
    except ValueError:
        raise Problem("not-found", "notification: not an id (partition-offset)", field="notification") from None
    return position.partition, position.offset


def _now() -> int:
    return clock.now_us()
