"""What an event sells, how much of it is left, and the seat map."""

from __future__ import annotations

from collections.abc import Mapping
from time import time_ns

import asyncpg
import msgspec
from redis.exceptions import RedisError
from sanic import HTTPResponse

from api import validation
from api.deps import Deps
from api.problem import invalid
from api.routes.events import new_id, own_writes, owned, pending, replayed, visible, write
from api.routes.history import seats_at
from api.routing import Call, json
from api.shapes.base import Page
from api.shapes.events import (
    AvailabilityOut,
    EventAvailabilityOut,
    General,
    Price,
    Seated,
    SeatOut,
    SeatsOut,
    SeatsQuery,
    SeatStatus,
    SectionOut,
    TicketTypeIn,
    TicketTypeOut,
)
from connectors import logs
from pipelines.reservations.limits import SEATS_PER_SECTION_MAX
from pipelines.reservations.seating import row_label
from schemas.commands import AddTicketType

_create = msgspec.json.Decoder(TicketTypeIn)


class _Counts(msgspec.Struct):
    total: int
    available: int
    held: int
    sold: int


_counts = msgspec.json.Decoder(_Counts)

log = logs.get("api.availability")


async def ticket_types(call: Call, event_id: str) -> HTTPResponse:
    """200 with all of them, in the order in which they were added."""
    await own_writes(call)
    await visible(call, event_id)
    rows = await call.deps.database.rows("ticket_types_of_event", event_id)
    return json(Page([_out(row) for row in rows]))


async def create(call: Call, event_id: str) -> HTTPResponse:
    """201 with the ticket type. The event's owner only; the same Idempotency-Key names the same one."""
    body = call.body(_create)
    opens = validation.micros(body.sales_open_at, field="sales_open_at") if body.sales_open_at else 0
    closes = validation.micros(body.sales_close_at, field="sales_close_at") if body.sales_close_at else 0
    if closes and closes <= opens:
        raise invalid("sales_close_at", "has to be after sales_open_at")
    layout = body.layout
    if isinstance(layout, Seated) and layout.rows * layout.seats_per_row > SEATS_PER_SECTION_MAX:
        raise invalid("layout", f"has more than {SEATS_PER_SECTION_MAX} seats; make it several ticket types")
    await owned(call, event_id)
    seated = isinstance(layout, Seated)
    command = AddTicketType(
        event_id, call.user_id, call.deps.log_writer.next_id(), new_id(call, f"ticket-type/{event_id}"),
        body.name.strip(), body.price.amount, body.price.currency, "seated" if seated else "general",
        layout.rows if isinstance(layout, Seated) else 0, layout.seats_per_row if isinstance(layout, Seated) else 0,
        layout.capacity if isinstance(layout, General) else 0, opens, closes,
    )  # fmt: skip
    outcome = await write(call, command)
    location = f"/v1/events/{event_id}/ticket-types"
    if outcome.reply is not None:
        for row in await call.deps.database.rows("ticket_types_of_event", event_id):
            if row["id"] == command.ticket_type_id:
                return json(_out(row), 201, {"location": location} | replayed(outcome))
    return pending(command.ticket_type_id, location, outcome)


async def availability(call: Call, event_id: str) -> HTTPResponse:
    """200 with total, available, held and sold of each ticket type."""
    await visible(call, event_id)
    return json(await availability_of(call.deps, event_id), headers={"cache-control": "no-store"})


async def seats(call: Call, event_id: str) -> HTTPResponse:
    """200 with the state of every numbered seat, now or as it was."""
    at = call.query(SeatsQuery).at
    event = await visible(call, event_id)
    if at is not None:
        return await seats_at(call, event, at)
    rows = await call.deps.database.rows("ticket_types_of_event", event_id)
    states, source = await _seat_states(call.deps, event_id)
    items = [_section(row, states) for row in rows if row["kind"] == "seated"]
    return json(SeatsOut(event_id, items, source), headers={"cache-control": "no-store"})


async def availability_of(deps: Deps, event_id: str) -> EventAvailabilityOut:
    """From Redis, where the reservations worker keeps it; from Postgres when Redis has nothing or is away."""
    (found,) = await _hashes(deps, f"circle:{{{event_id}}}:availability")
    if found:
        counts = {ticket_type_id: _counts.decode(text) for ticket_type_id, text in found.items()}
        items = [AvailabilityOut(key, c.total, c.available, c.held, c.sold) for key, c in counts.items()]
        return EventAvailabilityOut(event_id, items, "redis")
    items = [
        AvailabilityOut(
            row["id"],
            row["total"],
            row["total"] - row["held"] - row["sold"] - row["locked"],
            row["held"],
            row["sold"],
        )
        for row in await deps.database.rows("availability_from_rows", event_id)
    ]
    return EventAvailabilityOut(event_id, items, "postgres")


async def _seat_states(deps: Deps, event_id: str) -> tuple[dict[str, SeatStatus], str]:
    """The state of every place that is not free, and where it comes from."""
    keys = (f"circle:{{{event_id}}}:{part}" for part in ("meta", "claims", "foreign"))
    meta, claims, foreign = await _hashes(deps, *keys)
    if "epoch" not in meta:  # never installed, or Redis was flushed
        rows = await deps.database.rows("seats_from_rows", event_id)
        return {row["place"]: SeatStatus(row["status"]) for row in rows}, "postgres"
    now_us = time_ns() // 1000
    states = {
        place: SeatStatus.LOCKED
        for place, lock in foreign.items()
        if int(lock.rpartition(b"|")[2] or 0) > now_us  # an ended lock is removed by the next claim
    }
    for place, claim in claims.items():
        states[place] = SeatStatus.SOLD if claim.startswith(b"s|") else SeatStatus.HELD
    return states, "redis"


async def _hashes(deps: Deps, *keys: str) -> list[dict[str, bytes]]:
    """Redis hashes of one moment, in one round trip; empty when Redis is away."""
    try:
        pipeline = deps.redis.pipeline(transaction=True)
        for key in keys:
            pipeline.hgetall(key)
        found: list[dict[bytes, bytes]] = await pipeline.execute()
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("redis.away", error=f"{type(error).__name__}: {error}")
        return [{} for _ in keys]
    return [{name.decode(): value for name, value in one.items()} for one in found]


def _section(row: asyncpg.Record, states: Mapping[str, SeatStatus]) -> SectionOut:
    prefix, width = row["id"] + "/", row["seats_per_row"]
    seats = []
    for index in range(row["rows"]):
        label = row_label(index)
        for number in range(1, width + 1):
            seat = f"{label}-{number}"
            seats.append(SeatOut(seat, states.get(prefix + seat, SeatStatus.AVAILABLE)))
    return SectionOut(row["id"], row["name"], row["rows"], width, seats)


def _out(row: asyncpg.Record) -> TicketTypeOut:
    return TicketTypeOut(
        id=row["id"],
        event_id=row["event_id"],
        name=row["name"],
        price=Price(row["price_minor"], row["currency"]),
        layout=Seated(row["rows"], row["seats_per_row"]) if row["kind"] == "seated" else General(row["capacity"]),
        sales_open_at=validation.moment_or_none(row["sales_open_at"]),
        sales_close_at=validation.moment_or_none(row["sales_close_at"]),
    )
