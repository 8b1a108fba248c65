"""Rules for the organizer's commands about ticket types, pools, codes and blocks. Pure."""

from __future__ import annotations

from typing import Any

from pipelines.reservations.core import entities as e
from pipelines.reservations.core import limits
from pipelines.reservations.core.entities import Section
from pipelines.reservations.core.rules.answers import Flaw, Refusal, duplicate, named, not_open, refused, refused_for
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import LogTime, ReleaseId, UserId
from schemas.statuses import CodeKind, LayoutKind
from schemas.terms import terms_of
from schemas.ticket_type_terms import TICKET_TYPE_CHANGES, TicketTypeTerms

_PERCENT_MAX = 100


def add_ticket_type(
    state: EventState, command: c.AddTicketType, _now: LogTime, *, bounded: bool = True
) -> list[f.Fact]:
    """Add a ticket type. With `bounded`, the event's number of seats is limited."""
    refusal = not_open(state, command)
    if refusal is not None:
        return refusal
    if command.ticket_type_id in state.sections:
        return duplicate(command, command.ticket_type_id)
    if len(state.sections) >= limits.TICKET_TYPES_PER_EVENT_MAX:
        detail = f"an event has at most {limits.TICKET_TYPES_PER_EVENT_MAX} ticket types"
        return refused(command, Reason.INVALID_TICKET_TYPE, detail)
    if command.kind not in (LayoutKind.SEATED, LayoutKind.GENERAL):
        flaw = Flaw("layout.kind", f"must be {LayoutKind.SEATED} or {LayoutKind.GENERAL}")
        return refused_for(command, flaw.why(Reason.INVALID_TICKET_TYPE))
    if command.pool_id and command.pool_id not in state.pools:
        return refused(command, Reason.POOL_NOT_FOUND, f"the event has no pool {command.pool_id}")
    problem = _problem_of_type(command, command.kind)
    if problem is None and bounded and command.kind == LayoutKind.SEATED:
        problem = _too_many_seats(state, command.rows * command.seats_per_row, None)
    if problem is not None:
        return refused_for(command, problem.why(Reason.INVALID_TICKET_TYPE))
    terms = terms_of(TicketTypeTerms, command) | {"hidden": 1 if command.hidden else 0}
    ordinal = len(state.sections)
    return [f.TicketTypeAdded(user_id=command.user_id, ticket_type_id=command.ticket_type_id, ordinal=ordinal, **terms)]


def update_ticket_type(
    state: EventState, command: c.UpdateTicketType, _now: LogTime, *, bounded: bool = True
) -> list[f.Fact]:
    """Change a ticket type. Existing holds and tickets keep their price."""
    refusal = not_open(state, command)
    if refusal is not None:
        return refusal
    section = state.sections.get(command.ticket_type_id)
    if section is None:
        detail = f"the event has no ticket type {command.ticket_type_id}"
        return refused(command, Reason.TICKET_TYPE_NOT_FOUND, detail, command.ticket_type_id)
    given = {name: value for name in TICKET_TYPE_CHANGES if (value := getattr(command, name)) is not None}
    wanted = terms_of(TicketTypeTerms, section, TICKET_TYPE_CHANGES) | given
    wanted["hidden"] = 1 if wanted["hidden"] else 0
    fact = f.TicketTypeUpdated(command.user_id, command.ticket_type_id, **wanted)
    if all(wanted[name] == getattr(section, name) for name in TICKET_TYPE_CHANGES):
        return duplicate(command, command.ticket_type_id)
    problem = _problem_of_type(fact, section.kind)
    seats = fact.rows * fact.seats_per_row
    if problem is None and bounded and section.kind == LayoutKind.SEATED and seats > section.total:
        problem = _too_many_seats(state, seats, section)
    if problem is not None:
        return refused_for(command, problem.why(Reason.INVALID_TICKET_TYPE), command.ticket_type_id)
    lost = _lost(section, fact)
    if lost is not None:
        return refused_for(command, lost, command.ticket_type_id)
    return [fact]


def _too_many_seats(state: EventState, seats: int, instead_of: Section | None) -> Flaw | None:
    """Why an event cannot have so many more seats, or have them instead of a section's; None if it can."""
    others = sum(
        one.total for one in state.sections.values() if one.kind == LayoutKind.SEATED and one is not instead_of
    )
    most = limits.SEATS_PER_EVENT_MAX
    if others + seats <= most:
        return None
    return Flaw("layout", f"has {seats} seats, the event {others} others, and no event more than {most}")


def _lost(section: Section, wanted: f.TicketTypeUpdated) -> Refusal | None:
    """Why a smaller layout cannot be: it would lose used places. None if it loses none."""
    if section.seating is None:
        used = section.held + section.sold + section.blocked
        if wanted.capacity >= used:
            return None
        return _less_than_used(Reason.LAYOUT_IN_USE, wanted.capacity, used)
    if wanted.rows >= section.rows and wanted.seats_per_row >= section.seats_per_row:
        return None
    kept = section.seating.resized(wanted.rows, wanted.seats_per_row)
    lost = [seat for seat in section.seating.used() if seat not in kept]
    return (
        Refusal(Reason.LAYOUT_IN_USE, named("in use, and not in the new layout", lost), field="layout")
        if lost
        else None
    )


def _less_than_used(reason: Reason, capacity: int, used: int) -> Refusal:
    return Refusal(reason, f"capacity {capacity} is less than the {used} in use", field="capacity", amount=used)


def _problem_of_type(wanted: c.AddTicketType | f.TicketTypeUpdated, kind: str) -> Flaw | None:
    """What is wrong with a ticket type; None when nothing is."""
    if not 0 <= wanted.price_minor <= limits.PRICE_MINOR_MAX:
        return Flaw("price.amount", f"must be 0 to {limits.PRICE_MINOR_MAX}")
    if wanted.sales_close_at and wanted.sales_close_at <= wanted.sales_open_at:
        return Flaw("sales_close_at", "must be after sales_open_at")
    if not 0 <= (wanted.max_per_order or 0) <= limits.SEATS_PER_ORDER_MAX:
        return Flaw("max_per_order", f"must be 0 to {limits.SEATS_PER_ORDER_MAX}")
    if not 0 <= (wanted.max_per_user or 0) <= limits.TICKETS_PER_USER_MAX:
        return Flaw("max_per_user", f"must be 0 to {limits.TICKETS_PER_USER_MAX}")
    if kind == LayoutKind.GENERAL:
        within = 1 <= wanted.capacity <= limits.CAPACITY_MAX
        return None if within else Flaw("layout.capacity", f"must be 1 to {limits.CAPACITY_MAX}")
    if not 1 <= wanted.rows <= limits.ROWS_MAX or not 1 <= wanted.seats_per_row <= limits.SEATS_PER_ROW_MAX:
        text = f"must be 1 to {limits.ROWS_MAX}, layout.seats_per_row 1 to {limits.SEATS_PER_ROW_MAX}"
        return Flaw("layout.rows", text)
    if wanted.rows * wanted.seats_per_row > limits.SEATS_PER_SECTION_MAX:
        return Flaw("layout", f"has more than {limits.SEATS_PER_SECTION_MAX} seats; make it several ticket types")
    return None


def set_pool(state: EventState, command: c.SetPool, _now: LogTime) -> list[f.Fact]:
    """Set a capacity that ticket types share. It is never less than the places claimed of it."""
    refusal = not_open(state, command)
    if refusal is not None:
        return refusal
    pool = state.pools.get(command.pool_id)
    if pool is not None and (pool.name, pool.capacity) == (command.name, command.capacity):
        return duplicate(command, command.pool_id)
    why: Refusal | None = None
    if pool is None and len(state.pools) >= limits.POOLS_PER_EVENT_MAX:
        why = Refusal(Reason.INVALID_POOL, f"an event has at most {limits.POOLS_PER_EVENT_MAX} pools")
    elif not 1 <= command.capacity <= limits.CAPACITY_MAX:
        why = Flaw("capacity", f"must be 1 to {limits.CAPACITY_MAX}").why(Reason.INVALID_POOL)
    elif pool is not None and command.capacity < pool.used:
        why = _less_than_used(Reason.INVALID_POOL, command.capacity, pool.used)
    if why is not None:
        return refused_for(command, why, command.pool_id)
    return [f.PoolChanged(command.user_id, command.pool_id, command.name, command.capacity)]


def add_code(state: EventState, command: c.AddCode, now: LogTime) -> list[f.Fact]:
    """Add a promo or access code, unique in its event."""
    refusal = not_open(state, command)
    if refusal is not None:
        return refusal
    known = state.codes.get(command.code)
    if known is not None:
        if known.id == command.code_id:
            return duplicate(command, command.code_id)
        return refused(command, Reason.CODE_EXISTS, "the event has this code already", command.code_id)
    problem = _problem_of_code(state, command, now)
    if problem is not None:
        return refused_for(command, problem, command.code_id)
    return [
        f.CodeAdded(
            user_id=command.user_id,
            code_id=command.code_id,
            code=command.code,
            kind=command.kind,
            value=command.value,
            uses_max=command.uses_max,
            ticket_type_ids=command.ticket_type_ids,
            valid_from_at=command.valid_from_at,
            valid_until_at=command.valid_until_at,
            places_max=command.places_max or None,
        )
    ]


def _problem_of_code(state: EventState, command: c.AddCode, now: LogTime) -> Refusal | None:
    """What is wrong with a code; None when nothing is."""
    unknown = [one for one in command.ticket_type_ids if one not in state.sections]
    if len(state.codes) >= limits.CODES_PER_EVENT_MAX:
        return Refusal(Reason.INVALID_CODE, f"an event has at most {limits.CODES_PER_EVENT_MAX} codes")
    checks = (
        (any(code.id == command.code_id for code in state.codes.values()), "code_id", "is another code's"),
        (not 1 <= len(command.code) <= limits.CODE_CHARS_MAX, "code", f"has 1 to {limits.CODE_CHARS_MAX} characters"),
        (command.code != command.code.strip().upper(), "code", "must be in upper case, without spaces around it"),
        (
            command.kind not in (CodeKind.PERCENT, CodeKind.AMOUNT, CodeKind.ACCESS),
            "kind",
            f"must be {CodeKind.PERCENT}, {CodeKind.AMOUNT} or {CodeKind.ACCESS}",
        ),
        (
            command.kind == CodeKind.PERCENT and not 1 <= command.value <= _PERCENT_MAX,
            "value",
            f"must be 1 to {_PERCENT_MAX}",
        ),
        (
            command.kind == CodeKind.AMOUNT and not 1 <= command.value <= limits.PRICE_MINOR_MAX,
            "value",
            f"must be 1 to {limits.PRICE_MINOR_MAX}",
        ),
        (not 0 <= command.uses_max <= limits.CODE_USES_MAX, "uses_max", f"must be 0 to {limits.CODE_USES_MAX}"),
        (
            not 0 <= (command.places_max or 0) <= limits.CODE_PLACES_MAX,
            "places_max",
            f"must be 0 to {limits.CODE_PLACES_MAX}",
        ),
        (bool(unknown), "ticket_type_ids", f"has one that the event has not: {', '.join(unknown[:1])}"),
        (
            bool(command.valid_until_at) and command.valid_until_at <= command.valid_from_at,
            "valid_until",
            "must be after valid_from",
        ),
        (bool(command.valid_until_at) and command.valid_until_at <= now, "valid_until", "must not be in the past"),
    )
    flaw = next((Flaw(field, text) for broken, field, text in checks if broken), None)
    return None if flaw is None else flaw.why(Reason.INVALID_CODE)


def disable_code(state: EventState, command: c.DisableCode, _now: LogTime) -> list[f.Fact]:
    """Disable a code."""
    refusal = not_open(state, command)
    if refusal is not None:
        return refusal
    found = next((code for code in state.codes.values() if code.id == command.code_id), None)
    if found is None:
        return refused(command, Reason.CODE_NOT_FOUND, f"the event has no code {command.code_id}", command.code_id)
    if found.disabled:
        return duplicate(command, command.code_id)
    return [f.CodeDisabled(command.user_id, command.code_id)]


def block_seats(state: EventState, command: c.BlockSeats, now: LogTime) -> list[f.Fact]:
    """Hold free places back from sale: all of the named ones, or none."""
    refusal = not_open(state, command)
    if refusal is not None:
        return refusal
    if command.block_id in state.blocks or command.block_id in state.freed_blocks:
        return duplicate(command, command.block_id)
    section = state.sections.get(command.ticket_type_id)
    if section is None:
        return refused(command, Reason.TICKET_TYPE_NOT_FOUND, f"the event has no ticket type {command.ticket_type_id}")
    if len(state.blocks) >= limits.BLOCKS_PER_EVENT_MAX:
        return refused(command, Reason.TOO_MANY, f"an event has at most {limits.BLOCKS_PER_EVENT_MAX} blocks")
    if len(state.blocks) + len(state.freed_blocks) >= limits.BLOCKS_EVER_PER_EVENT_MAX:
        detail = f"an event has at most {limits.BLOCKS_EVER_PER_EVENT_MAX} blocks in its life"
        return refused(command, Reason.TOO_MANY, detail)
    if command.until_at and command.until_at <= now:
        flaw = Flaw("until", "must not be in the past")
        return refused_for(command, flaw.why(Reason.INVALID_BLOCK), command.block_id)
    problem = _problem_of_block(section, command)
    if problem is not None:
        return refused_for(command, problem, command.block_id)
    quantity = len(command.seats) or command.quantity
    return [
        f.SeatsBlocked(
            user_id=command.user_id,
            block_id=command.block_id,
            ticket_type_id=command.ticket_type_id,
            seats=command.seats,
            quantity=quantity,
            until_at=command.until_at,
            label=command.label,
        )
    ]


def _problem_of_block(section: Section, command: c.BlockSeats) -> Refusal | None:
    seating, seats = section.seating, command.seats
    if seating is None:
        if seats:
            return Refusal(Reason.INVALID_SEATS, "general admission has no numbered seats", field="seats")
        free = section.own_available
        if not 1 <= command.quantity <= free:
            detail = f"quantity must be 1 to the {free} that are free"
            return Refusal(Reason.INVALID_BLOCK, detail, field="quantity", amount=free)
        return None
    if not 1 <= len(seats) <= limits.BLOCK_SEATS_MAX or len(set(seats)) != len(seats):
        return Flaw("seats", f"must name 1 to {limits.BLOCK_SEATS_MAX} seats, each once").why(Reason.INVALID_SEATS)
    unknown = [seat for seat in seats if seat not in seating]
    if unknown:
        return Refusal(Reason.SEAT_UNKNOWN, named("no such seat", unknown), field="seats")
    taken = [seat for seat in seats if not seating.is_free(seat)]
    return Refusal(Reason.SEAT_TAKEN, named("not free", taken), field="seats") if taken else None


def unblock_seats(state: EventState, command: c.UnblockSeats, _now: LogTime) -> list[f.Fact]:
    """Put places of a block on sale again: the named ones, a number, or all."""
    refusal = not_open(state, command)
    if refusal is not None:
        return refusal
    if command.release_id and command.release_id in state.releases:
        return duplicate(command, command.block_id)
    block = state.blocks.get(command.block_id)
    if block is None and command.block_id in state.freed_blocks and not command.seats and not command.quantity:
        return duplicate(command, command.block_id)  # all of it is on sale already
    if block is None:
        return refused(command, Reason.BLOCK_NOT_FOUND, f"the event has no block {command.block_id}", command.block_id)
    strangers = [seat for seat in command.seats if seat not in set(block.seats)]
    if strangers or len(set(command.seats)) != len(command.seats):
        why = Refusal(Reason.INVALID_SEATS, named("not in this block, once", strangers), field="seats")
        return refused_for(command, why, command.block_id)
    if not 0 <= command.quantity <= block.quantity:
        detail = f"quantity must be 1 to {block.quantity}"
        why = Refusal(Reason.INVALID_QUANTITY, detail, field="quantity", amount=block.quantity)
        return refused_for(command, why, command.block_id)
    if command.release_id and ("," in command.release_id or len(state.releases) >= limits.RELEASES_PER_EVENT_MAX):
        flaw = Flaw("release_id", f"must have no comma, and an event at most {limits.RELEASES_PER_EVENT_MAX} of them")
        return refused_for(command, flaw.why(Reason.INVALID_BLOCK), command.block_id)
    seats: list[Any] = command.seats or (block.seats[: command.quantity] if command.quantity else block.seats)
    quantity = len(seats) or command.quantity or block.quantity
    return [unblocked(block, seats, quantity, command.user_id, command.release_id or None)]


def unblocked(
    block: e.Block, seats: list[str], quantity: int, by: UserId, release_id: ReleaseId | None = None
) -> f.SeatsUnblocked:
    """The fact that places of a block go back on sale. `by` is "" when the block's time is over."""
    return f.SeatsUnblocked(
        user_id=by,
        block_id=block.id,
        ticket_type_id=block.ticket_type_id,
        seats=seats,
        quantity=quantity,
        release_id=release_id,
    )
