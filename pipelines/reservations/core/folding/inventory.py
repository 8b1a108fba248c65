"""What the facts about the things on sale change: ticket types, pools, codes, blocks, locks."""

from __future__ import annotations

from typing import Any

import msgspec

from pipelines.reservations.core import entities as e
from pipelines.reservations.core.entities import Placed, Pool, Section
from pipelines.reservations.core.folding.change import Change
from pipelines.reservations.core.seats import Seating
from pipelines.reservations.core.state import EventState
from schemas import facts as f
from schemas.statuses import CodeKind, LayoutKind
from schemas.terms import terms_of
from schemas.ticket_type_terms import TICKET_TYPE_CHANGES, TicketTypeTerms

_replace = msgspec.structs.replace


def _ticket_type(state: EventState, fact: f.TicketTypeAdded, _at: Placed) -> None:
    section = Section(
        ticket_type_id=fact.ticket_type_id,
        ordinal=fact.ordinal,
        seating=Seating(fact.rows, fact.seats_per_row) if fact.kind == LayoutKind.SEATED else None,
        pool=state.pools[fact.pool_id] if fact.pool_id else None,
        **terms_of(TicketTypeTerms, fact),
    )
    state.sections[fact.ticket_type_id] = section
    _lock_places(state, section)


def _type_updated(state: EventState, fact: f.TicketTypeUpdated, _at: Placed) -> None:
    section = state.sections[fact.ticket_type_id]
    changed = terms_of(TicketTypeTerms, fact, TICKET_TYPE_CHANGES)
    if section.seating is not None and (fact.rows, fact.seats_per_row) != (section.rows, section.seats_per_row):
        changed["seating"] = section.seating.resized(fact.rows, fact.seats_per_row)
    former = {name: getattr(section, name) for name in changed}
    state.remember(lambda: _assign(section, former))
    _assign(section, changed)
    _lock_places(state, section)


def _assign(section: Section, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(section, name, value)


def _lock_places(state: EventState, section: Section) -> None:
    for place in sorted(state.locked_places):
        if place.startswith(section.ticket_type_id + "/"):
            state.lock_place(place)


def _pool(state: EventState, fact: f.PoolChanged, _at: Placed) -> None:
    pool = state.pools.get(fact.pool_id)
    if pool is None:
        state.change(state.pools, fact.pool_id, Pool(fact.pool_id, fact.name, fact.capacity))
        return
    name, capacity = pool.name, pool.capacity
    state.remember(lambda: _set_pool(pool, name, capacity))
    _set_pool(pool, fact.name, fact.capacity)


def _set_pool(pool: Pool, name: str, capacity: int) -> None:
    pool.name, pool.capacity = name, capacity


def _code_added(state: EventState, fact: f.CodeAdded, _at: Placed) -> None:
    code = e.Code(
        id=fact.code_id,
        code=fact.code,
        kind=CodeKind(fact.kind),
        value=fact.value,
        uses_max=fact.uses_max,
        ticket_type_ids=fact.ticket_type_ids,
        valid_from_at=fact.valid_from_at,
        valid_until_at=fact.valid_until_at,
        places_max=fact.places_max or 0,
    )
    state.change(state.codes, fact.code, code)


def _code_disabled(state: EventState, fact: f.CodeDisabled, _at: Placed) -> None:
    disabled = next(code for code in state.codes.values() if code.id == fact.code_id)
    state.change(state.codes, disabled.code, _replace(disabled, disabled=1))


def _blocked(state: EventState, fact: f.SeatsBlocked, at: Placed) -> None:
    block = e.Block(
        id=fact.block_id,
        ticket_type_id=fact.ticket_type_id,
        seats=fact.seats,
        quantity=fact.quantity,
        until_at=fact.until_at,
        label=fact.label,
        offset=at.offset,
    )
    state.put_block(block, fact.block_id)


def _unblocked(state: EventState, fact: f.SeatsUnblocked, _at: Placed) -> None:
    block = state.blocks[fact.block_id]
    seats = [seat for seat in block.seats if seat not in set(fact.seats)]
    left = block.quantity - fact.quantity
    state.put_block(_replace(block, seats=seats, quantity=left) if left else None, fact.block_id)
    if not left:
        state.change(state.freed_blocks, fact.block_id, True)
    if fact.release_id:
        state.change(state.releases, fact.release_id, True)


def _locks(state: EventState, fact: f.SeatLocksObserved, _at: Placed) -> None:
    for place in fact.freed:
        state.unlock_place(place)
    for place in fact.locked:
        state.lock_place(place)


CHANGES: dict[type[f.Fact], Change] = {
    f.TicketTypeAdded: _ticket_type,
    f.TicketTypeUpdated: _type_updated,
    f.PoolChanged: _pool,
    f.CodeAdded: _code_added,
    f.CodeDisabled: _code_disabled,
    f.SeatsBlocked: _blocked,
    f.SeatsUnblocked: _unblocked,
    f.SeatLocksObserved: _locks,
}
