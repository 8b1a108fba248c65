"""An event's ticket types, and their availability."""

from __future__ import annotations

import asyncpg
import msgspec
from msgspec import UNSET
from msgspec.structs import asdict
from sanic import HTTPResponse

from api.http.problem import invalid
from api.http.reasons import for_reason
from api.http.routing import Call, json
from api.log.writes import new_id, own_writes, pending, replayed, write
from api.reads.availability import availability_seen
from api.reads.events import owned, visible
from api.reads.visibility import sight
from api.shapes.base import Page
from api.shapes.events import (
    AccessCodeQuery,
    General,
    Price,
    Seated,
    TicketTypeIn,
    TicketTypeOut,
    TicketTypePatch,
)
from api.shapes.terms import answer_of, terms_in
from pipelines.payments.providers.stripe.money import problem_of_price
from pipelines.platform_settings import PaymentsBy
from pipelines.reservations.core.limits import SEATS_PER_SECTION_MAX
from schemas.commands import AddTicketType, UpdateTicketType
from schemas.facts import Reason
from schemas.ids import EventId, TicketTypeId
from schemas.money import formatted, problem_of
from schemas.statuses import LayoutKind
from schemas.ticket_type_terms import TicketTypeTerms

_create = msgspec.json.Decoder(TicketTypeIn)
_patch = msgspec.json.Decoder(TicketTypePatch)


async def ticket_types(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with all ticket types that the caller may see, the oldest first."""
    code = call.query(AccessCodeQuery).access_code
    await own_writes(call)
    event = await visible(call, event_id)
    eyes = await sight(call, event, code)
    rows = await call.deps.database.rows("ticket_types_of_event", event_id)
    return json(Page([_out(row) for row in rows if eyes.sees(row["id"], row["hidden"])]))


async def update(call: Call, event_id: EventId, ticket_type_id: TicketTypeId) -> HTTPResponse:
    """200 with the changed ticket type. The event's owner only."""
    body = call.body(_patch)
    terms = terms_in(TicketTypeTerms, body)
    if not terms and body.price is UNSET and body.layout is UNSET:
        raise invalid("body", "has no field to change")
    await owned(call, event_id)
    row = await _row(call, event_id, ticket_type_id)
    if row is None:
        raise for_reason(
            Reason.TICKET_TYPE_NOT_FOUND, f"the event has no ticket type {ticket_type_id}", field="ticket_type_id"
        )
    if body.price is not UNSET:
        if body.price.currency != row["currency"]:
            raise invalid("price.currency", f"stays {row['currency']}")
        _check_amount(call, body.price)
        terms["price_minor"] = body.price.amount
    if body.layout is not UNSET:
        if isinstance(body.layout, Seated) is not (row["kind"] == LayoutKind.SEATED):
            raise invalid("layout.kind", f"stays {row['kind']}")
        terms |= asdict(body.layout)
    command = UpdateTicketType(event_id, call.user_id, call.deps.log_writer.next_id(), ticket_type_id, **terms)
    outcome = await write(call, command)
    row = await _row(call, event_id, ticket_type_id) if outcome.reply is not None else None
    if row is None:
        return pending(ticket_type_id, f"/v1/events/{event_id}/ticket-types", outcome)
    return json(_out(row), 200, replayed(outcome))


async def _row(call: Call, event_id: EventId, ticket_type_id: TicketTypeId) -> asyncpg.Record | None:
    rows = await call.deps.database.rows("ticket_types_of_event", event_id)
    return next((row for row in rows if row["id"] == ticket_type_id), None)


async def create(call: Call, event_id: EventId) -> HTTPResponse:
    """201 with the ticket type. The event's owner only; the same Idempotency-Key gives the same ticket type."""
    body = call.body(_create)
    terms = terms_in(TicketTypeTerms, body)
    if terms["sales_close_at"] and terms["sales_close_at"] <= terms["sales_open_at"]:
        raise invalid("sales_close_at", "has to be after sales_open_at")
    layout = body.layout
    if isinstance(layout, Seated) and layout.rows * layout.seats_per_row > SEATS_PER_SECTION_MAX:
        raise invalid("layout", f"has more than {SEATS_PER_SECTION_MAX} seats; split it into several ticket types")
    _check(call, body.price)
    await owned(call, event_id)
    terms |= {
        "name": body.name.strip(),
        "price_minor": body.price.amount,
        "currency": body.price.currency,
        "kind": LayoutKind.SEATED if isinstance(layout, Seated) else LayoutKind.GENERAL,
        "pool_id": body.pool_id.lower() if body.pool_id else "",
    }
    command = AddTicketType(
        event_id=event_id,
        user_id=call.user_id,
        command_id=call.deps.log_writer.next_id(),
        ticket_type_id=new_id(call, f"ticket-type/{event_id}", TicketTypeId),
        **{"rows": 0, "seats_per_row": 0, "capacity": 0} | asdict(layout) | terms,
    )
    outcome = await write(call, command)
    location = f"/v1/events/{event_id}/ticket-types"
    row = await _row(call, event_id, command.ticket_type_id) if outcome.reply is not None else None
    if row is None:
        return pending(command.ticket_type_id, location, outcome)
    return json(_out(row), 201, {"location": location} | replayed(outcome))


def _check(call: Call, price: Price) -> None:
    """Raises Problem for an unknown currency, and for a price that the payment provider cannot charge."""
    problem = problem_of(price.currency)
    if problem:
        raise invalid("price.currency", problem)
    _check_amount(call, price)


def _check_amount(call: Call, price: Price) -> None:
    if call.deps.settings.payments is PaymentsBy.STRIPE:
        problem = problem_of_price(price.amount, price.currency)
        if problem:
            raise invalid("price.amount", problem)


async def availability(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with total, available, held and sold of each ticket type."""
    code = call.query(AccessCodeQuery).access_code
    eyes = await sight(call, await visible(call, event_id), code)
    return json(await availability_seen(call.deps, event_id, eyes), tagged=True)


def _out(row: asyncpg.Record) -> TicketTypeOut:
    return answer_of(
        TicketTypeOut,
        TicketTypeTerms,
        row,
        price=Price(row["price_minor"], row["currency"]),
        price_text=formatted(row["price_minor"], row["currency"]),
        layout=Seated(row["rows"], row["seats_per_row"])
        if row["kind"] == LayoutKind.SEATED
        else General(row["capacity"]),
    )
