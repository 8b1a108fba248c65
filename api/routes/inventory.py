"""Pools, codes and blocks: the inventory besides ticket types. For the event's owner only."""

from __future__ import annotations

from typing import TypeVar

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType
from sanic import HTTPResponse

from api.http import validation
from api.http.problem import invalid
from api.http.reasons import for_reason
from api.http.routing import Call, json
from api.log.writes import new_id, pending, replayed, write
from api.reads.events import owned
from api.shapes.base import Page
from api.shapes.inventory import BlockIn, BlockOut, CodeIn, CodeOut, PoolIn, PoolOut, UnblockIn
from connectors import clock
from schemas.commands import AddCode, BlockSeats, Command, DisableCode, SetPool, UnblockSeats
from schemas.facts import Reason
from schemas.ids import BlockId, CodeId, EventId, PoolId, ReleaseId, TicketTypeId
from schemas.statuses import CodeKind

_ALL = 100  # percent
_pool = msgspec.json.Decoder(PoolIn)
_code = msgspec.json.Decoder(CodeIn)
_block = msgspec.json.Decoder(BlockIn)
_unblock = msgspec.json.Decoder(UnblockIn)


T = TypeVar("T")


async def pools(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with all of them."""
    await owned(call, event_id)
    return json(Page([_pool_out(row) for row in await call.deps.database.rows("pools_of_event", event_id)]))


async def add_pool(call: Call, event_id: EventId) -> HTTPResponse:
    """201 with the pool. The same Idempotency-Key gives the same pool."""
    body = call.body(_pool)
    await owned(call, event_id)
    return await _set_pool(call, event_id, new_id(call, f"pool/{event_id}", PoolId), body, 201)


async def change_pool(call: Call, event_id: EventId, pool_id: PoolId) -> HTTPResponse:
    """200 with the changed pool; 409 if its capacity would be less than the places in use."""
    body = call.body(_pool)
    await owned(call, event_id)
    if pool_id not in {row["id"] for row in await call.deps.database.rows("pools_of_event", event_id)}:
        raise for_reason(Reason.POOL_NOT_FOUND, f"the event has no pool {pool_id}", field="pool_id")
    return await _set_pool(call, event_id, pool_id, body, 200)


async def _set_pool(call: Call, event_id: EventId, pool_id: PoolId, body: PoolIn, status: int) -> HTTPResponse:
    command = SetPool(
        event_id=event_id,
        user_id=call.user_id,
        command_id=call.deps.log_writer.next_id(),
        pool_id=pool_id,
        name=body.name.strip(),
        capacity=body.capacity,
    )
    return await _answer(call, command, pool_id, "pools", status)


async def codes(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with all of them, the oldest first."""
    await owned(call, event_id)
    return json(Page([_code_out(row) for row in await call.deps.database.rows("codes_of_event", event_id)]))


async def add_code(call: Call, event_id: EventId) -> HTTPResponse:
    """201 with the code. The same Idempotency-Key gives the same code."""
    body = call.body(_code)
    if (body.kind is CodeKind.ACCESS) is (body.value > 0):
        what = "has no value" if body.kind is CodeKind.ACCESS else "needs a value of 1 or more"
        raise invalid("value", f"a code of kind {body.kind.value} {what}")
    opens = validation.micros(body.valid_from, field="valid_from") if body.valid_from else 0
    closes = validation.micros(body.valid_until, field="valid_until") if body.valid_until else 0
    await owned(call, event_id)
    code_id = new_id(call, f"code/{event_id}", CodeId)
    if closes and closes <= max(opens, clock.now_us()):
        known = await call.deps.database.rows("codes_of_event", event_id)
        if code_id not in {row["id"] for row in known}:  # a repeated request is answered at any time
            raise invalid("valid_until", "has to be in the future, and after valid_from")
    command = AddCode(
        event_id=event_id,
        user_id=call.user_id,
        command_id=call.deps.log_writer.next_id(),
        code_id=code_id,
        code=body.code.upper(),
        kind=body.kind.value,
        value=body.value,
        uses_max=body.uses_max,
        ticket_type_ids=[TicketTypeId(one.lower()) for one in body.ticket_type_ids],
        valid_from_at=opens,
        valid_until_at=closes,
        places_max=_places_max(body),
    )
    return await _answer(call, command, command.code_id, "codes", 201)


def _places_max(body: CodeIn) -> int:
    """The given maximum; without one, a code that makes everything free gets as many places as orders."""
    if body.places_max is not UNSET:
        return body.places_max
    return body.uses_max if body.kind is CodeKind.PERCENT and body.value == _ALL else 0


async def disable_code(call: Call, event_id: EventId, code_id: CodeId) -> HTTPResponse:
    """200 with the disabled code; orders that have used it keep their price."""
    call.no_body()
    await owned(call, event_id)
    command = DisableCode(event_id, call.user_id, call.deps.log_writer.next_id(), code_id)
    return await _answer(call, command, code_id, "codes", 200)


async def blocks(call: Call, event_id: EventId) -> HTTPResponse:
    """200 with all blocks that still hold places."""
    await owned(call, event_id)
    rows = await call.deps.database.rows("blocks_of_event", event_id)
    return json(Page([_block_out(row) for row in rows if row["quantity"]]))


async def add_block(call: Call, event_id: EventId) -> HTTPResponse:
    """201 with the block of all named places; 409 and no block if one of them is not free."""
    body = call.body(_block)
    seats, quantity = _either(body.seats, body.quantity)
    if not seats and not quantity:
        raise invalid("quantity", "is required unless seats are given")
    until_at = validation.micros(body.until, field="until") if body.until else 0
    await owned(call, event_id)
    command = BlockSeats(
        event_id=event_id,
        user_id=call.user_id,
        command_id=call.deps.log_writer.next_id(),
        block_id=new_id(call, f"block/{event_id}", BlockId),
        ticket_type_id=TicketTypeId(body.ticket_type_id.lower()),
        seats=seats,
        quantity=quantity,
        until_at=until_at,
        label=body.label.strip(),
    )
    return await _answer(call, command, command.block_id, "blocks", 201)


async def unblock(call: Call, event_id: EventId, block_id: BlockId) -> HTTPResponse:
    """200 with the remaining block. The same Idempotency-Key frees nothing more."""
    body = call.body(_unblock)
    seats, quantity = _either(body.seats, body.quantity)
    await owned(call, event_id)
    keyed = call.optional_idempotency_key() is not None
    release_id = new_id(call, f"release/{event_id}/{block_id}", ReleaseId) if keyed else None
    command = UnblockSeats(
        event_id=event_id,
        user_id=call.user_id,
        command_id=call.deps.log_writer.next_id(),
        block_id=block_id,
        seats=seats,
        quantity=quantity,
        release_id=release_id,
    )
    return await _answer(call, command, block_id, "blocks", 200)


def _either(seats: list[str] | UnsetType, quantity: int | UnsetType) -> tuple[list[str], int]:
    """Named seats, or a quantity, or neither. Raises Problem for both."""
    if seats is not UNSET and quantity is not UNSET:
        raise invalid("quantity", "is not allowed together with seats")
    return ([] if seats is UNSET else seats), (0 if quantity is UNSET else quantity)


async def _answer(call: Call, command: Command, identity: str, what: str, status: int) -> HTTPResponse:
    """The item that a command has made or changed, after its row is there."""
    location = f"/v1/events/{command.event_id}/{what}"
    outcome = await write(call, command)
    if outcome.reply is not None:
        for row in await call.deps.database.rows(f"{what}_of_event", command.event_id):
            if row["id"] == identity:
                return json(_OUT[what](row), status, {"location": location} | replayed(outcome))
    return pending(identity, location, outcome)


def _pool_out(row: asyncpg.Record) -> PoolOut:
    return PoolOut(row["id"], row["name"], row["capacity"], row["used"])


def _code_out(row: asyncpg.Record) -> CodeOut:
    return CodeOut(
        id=row["id"],
        code=row["code"],
        kind=CodeKind(row["kind"]),
        value=row["value"],
        uses_max=row["uses_max"],
        places_max=row["places_max"],
        places_used=row["places_used"],
        used=row["used"],
        ticket_type_ids=row["ticket_type_ids"],
        valid_from=validation.moment_or_none(row["valid_from_at"]),
        valid_until=validation.moment_or_none(row["valid_until_at"]),
        disabled=row["disabled"],
    )


def _block_out(row: asyncpg.Record) -> BlockOut:
    return BlockOut(
        id=row["id"],
        ticket_type_id=row["ticket_type_id"],
        seats=row["seats"],
        quantity=row["quantity"],
        until=validation.moment_or_none(row["until_at"]),
        label=row["label"],
    )


_OUT = {"pools": _pool_out, "codes": _code_out, "blocks": _block_out}
