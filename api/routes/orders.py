"""An event's orders: list, filter, CSV, and one with its history. For the event's organizer and admins.

An organizer sees a buyer's name and mail address, as of a customer. They see nothing else of the account, and nothing
after it is deleted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import asyncpg
from sanic import HTTPResponse

from api.fairness.limits import EXPORT_ROWS_AT_ONCE
from api.fairness.rate_limits import HISTORY_COST
from api.http import cursors, validation
from api.http.problem import Problem
from api.http.reasons import for_reason
from api.http.routing import Call, json
from api.http.streaming import stream
from api.reads.events import organized
from api.reads.exports import CSV, csv_line
from api.reads.history_worker import ReadingPlace
from api.shapes.base import PositionOut
from api.shapes.orders import (
    BuyerOut,
    HappenedOut,
    OrderHistoryOut,
    OrderOut,
    OrderRefundOut,
    OrdersQuery,
    OrderTicketOut,
)
from pipelines.history.explain import Explanation
from schemas.facts import Reason
from schemas.ids import EventId, ReservationId, UserId, position_text
from schemas.money import plain
from schemas.times import rfc3339_of, utc

COLUMNS = (
    "reservation_id", "created_at", "status", "payment", "ticket_type", "ticket_type_id", "quantity", "seats", "amount",
    "refunded", "currency", "amount_minor", "refunded_minor", "promo_code", "buyer_name", "buyer_email", "buyer_id",
    "position",
)  # fmt: skip


async def orders(call: Call, event_id: EventId) -> HTTPResponse | None:
    """200 with a page, the latest first; with `Accept: text/csv` all of them as a file."""
    query = call.query(OrdersQuery)
    if _wants_csv(call.request.headers.get("accept", "")):
        return await as_csv(call, event_id)
    value, identity = cursors.decode(query.cursor, "orders")
    await organized(call, event_id)
    rows = await _rows(call, event_id, query, value, identity, query.limit + 1)
    return json(cursors.page(rows, query.limit, order_out, lambda row: ("orders", row["created_at"], row["id"])))


async def as_csv(call: Call, event_id: EventId) -> HTTPResponse | None:
    """200 with all orders that match the filter, as a file that is written while the client reads it."""
    query = call.query(OrdersQuery)
    await organized(call, event_id)
    async with call.deps.exports.of():
        await stream(call, _lines(call, event_id, query), CSV, f"orders-{event_id}.csv")
    return None


async def order(call: Call, event_id: EventId, reservation_id: ReservationId) -> HTTPResponse:
    """200 with the order, its tickets, its refunds and its history."""
    event = await organized(call, event_id)
    database = call.deps.database
    row = await database.row("order_of_event", event_id, reservation_id)
    if row is None:
        raise for_reason(Reason.RESERVATION_NOT_FOUND, "the event has no such reservation", field="reservation_id")
    tickets = await database.rows("tickets_of_order", event_id, reservation_id)
    refunds = await database.rows("refunds_of_order", event_id, reservation_id)
    through = row["updated_offset"], row["updated_index"]
    history: list[HappenedOut] | None
    try:
        place = ReadingPlace(event_id, event["partition"], event["created_at"])
        call.costs(HISTORY_COST)
        history = _happened(await call.deps.history.explanation(place, reservation_id, through))
    except Problem:  # the log cannot be read now: answer from the rows alone
        history = None
    return json(
        OrderHistoryOut(
            order=order_out(row),
            tickets=[_ticket(one, row["user_id"]) for one in tickets],
            refunds=[_refund(one) for one in refunds],
            history=history,
        )
    )


async def _rows(
    call: Call, event_id: EventId, query: OrdersQuery, value: int | None, identity: str | None, limit: int
) -> list[asyncpg.Record]:
    status = query.status.value if query.status else None
    ticket_type_id = query.ticket_type_id.lower() if query.ticket_type_id else None
    return await call.deps.database.rows(
        "orders_of_event", event_id, status, ticket_type_id, query.q, value, identity, limit
    )


async def _lines(call: Call, event_id: EventId, query: OrdersQuery) -> AsyncGenerator[str, None]:
    """The header and each order, EXPORT_ROWS_AT_ONCE at a time."""
    value: int | None = None
    identity: str | None = None
    rows = await _rows(call, event_id, query, value, identity, EXPORT_ROWS_AT_ONCE)
    yield csv_line(COLUMNS)
    while rows:
        yield "".join(csv_line(_cells(row)) for row in rows)
        if len(rows) < EXPORT_ROWS_AT_ONCE:
            return
        value, identity = rows[-1]["created_at"], rows[-1]["id"]
        rows = await _rows(call, event_id, query, value, identity, EXPORT_ROWS_AT_ONCE)


def _cells(row: asyncpg.Record) -> tuple[object, ...]:
    currency = row["currency"]
    return (
        row["id"], rfc3339_of(utc(row["created_at"]), "auto"), row["status"],
        row["payment"], row["ticket_type"], row["ticket_type_id"], row["quantity"], " ".join(row["seats"]),
        plain(row["amount_minor"], currency), plain(row["refunded"], currency), currency, row["amount_minor"],
        row["refunded"], row["promo_code"], row["buyer_name"], row["buyer_email"], row["user_id"],
        position_text(row["partition"], row["offset"]),
    )  # fmt: skip


def order_out(row: asyncpg.Record) -> OrderOut:
    """A row as the organizer sees it."""
    return OrderOut(
        id=row["id"],
        status=row["status"],
        buyer=BuyerOut(row["user_id"], row["buyer_name"], row["buyer_email"]),
        ticket_type_id=row["ticket_type_id"],
        ticket_type=row["ticket_type"],
        quantity=row["quantity"],
        seats=row["seats"],
        amount=row["amount_minor"],
        currency=row["currency"] or None,
        refunded=row["refunded"],
        refunding=row["refunding"],
        payment=row["payment"] or None,
        promo_code=row["promo_code"] or None,
        reason=row["reason"] or None,
        created_at=utc(row["created_at"]),
        updated_at=utc(row["updated_at"]),
        expires_at=validation.moment_or_none(row["expires_at"]),
        position=PositionOut(row["partition"], row["offset"]),
    )


def _ticket(row: asyncpg.Record, buyer_id: UserId) -> OrderTicketOut:
    return OrderTicketOut(
        id=row["id"],
        seat=row["seat"] or None,
        ordinal=row["ordinal"],
        status=row["status"],
        handed_on=row["user_id"] != buyer_id,
        checked_in_at=validation.moment_or_none(row["checked_in_at"]),
    )


def _refund(row: asyncpg.Record) -> OrderRefundOut:
    return OrderRefundOut(
        id=row["refund_key"],
        status=row["status"],
        amount=row["amount_minor"],
        currency=row["currency"],
        reason=row["reason"],
        requested_at=utc(row["requested_at"]),
        refunded_at=validation.moment_or_none(row["refunded_at"]),
    )


def _happened(explanation: Explanation) -> list[HappenedOut]:
    """The decisions and later facts, in the order of the log."""
    decided = [
        HappenedOut(position=one.position, time=one.time, what=one.outcome, reason=one.reason or None, why=one.rule)
        for one in explanation.decisions
    ]
    later = [
        HappenedOut(position=one.position, time=one.time, what=one.what, reason=one.reason or None, why=one.rule)
        for one in explanation.later
    ]
    return sorted(decided + later, key=lambda one: tuple(int(part) for part in one.position.split("-")))


def _wants_csv(accept: str) -> bool:
    """Whether Accept asks for CSV and not for JSON."""
    kinds = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    return "text/csv" in kinds and "application/json" not in kinds
