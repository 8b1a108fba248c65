"""Compares derived data with the log: a folded state with the rows and with Redis. Pure.

The worker's own code makes a state from rows (`pipelines.reservations.snapshot`), and the guard's code makes the texts
in Redis. So nothing here defines these formats a second time. PostgreSQL's text cannot hold U+0000, so rows have U+FFFD
instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from pipelines.reservations.core.claims import live_claims
from pipelines.reservations.core.counters import availability_of
from pipelines.reservations.core.digest import canonical
from pipelines.reservations.core.state import EventState
from schemas.ids import TicketId, UserId
from schemas.statuses import ClaimStatus, ReservationStatus
from schemas.ticket_type_terms import TICKET_TYPE_TERMS

SHOWN_MAX = 20  # differences of one event that are named; further ones are counted


def rows_differ(folded: EventState, rows: EventState) -> list[str]:
    """The differences between the rows and the folded facts; empty if every decision on both would be the same."""
    if canonical(folded) == canonical(rows):
        return []
    return _bounded(_differences(folded, rows))


def tickets_differ(folded: EventState, valid: Mapping[TicketId, tuple[UserId, int]]) -> list[str]:
    """Compare the valid tickets in Postgres (holder and code version) with those of the confirmed reservations."""
    wanted = {}
    for one in folded.reservations.values():
        if one.status == ReservationStatus.CONFIRMED:
            for ticket in one.tickets():
                known = folded.tickets.get(ticket)
                wanted[ticket] = (one.user_id, 1) if known is None else (known.user_id, known.version)
    texts = [f"ticket {ticket} is valid by the log, not in Postgres" for ticket in sorted(wanted.keys() - valid.keys())]
    texts += [f"ticket {ticket} is valid in Postgres only" for ticket in sorted(valid.keys() - wanted.keys())]
    texts += [
        f"ticket {ticket} is {wanted[ticket]} by the log, {valid[ticket]} in Postgres (who has it, its version)"
        for ticket in sorted(wanted.keys() & valid.keys())
        if wanted[ticket] != valid[ticket]
    ]
    return _bounded(iter(texts))


def claims_differ(folded: EventState, claims: Mapping[str, str], availability: Mapping[str, str]) -> list[str]:
    """Compare Redis' claims and counters with the folded facts. A claim's epoch is not compared."""
    wanted: dict[str, tuple[str, str, str, str]] = {}
    for place, claim in live_claims(folded).items():
        assert claim is not None
        if claim[0] is ClaimStatus.BLOCKED:
            block = folded.blocks[claim[1]]
            wanted[place] = ("b", block.id, str(block.until_at), str(block.offset))
            continue
        one = folded.reservations[claim[1]]
        wanted[place] = ("h" if claim[0] is ClaimStatus.HELD else "s", one.id, str(one.expires_at), str(one.offset))
    shown = {}
    for place, text in claims.items():
        parts = text.split("|")
        shown[place] = (*parts[:3], parts[4]) if len(parts) == 5 else tuple(parts)
    differences = [
        f"claim {place}: Redis has {shown.get(place)}, the log {wanted.get(place)}"
        for place in sorted(wanted.keys() | shown.keys())
        if wanted.get(place) != shown.get(place)
    ]
    for ticket_type_id, text in availability_of(folded).items():
        counters = msgspec.json.decode(text)
        found = availability.get(ticket_type_id)
        have = msgspec.json.decode(found) if found else None
        if have is None or any(have.get(name) != value for name, value in counters.items()):
            differences.append(f"counters of {ticket_type_id}: Redis has {have}, the log {counters}")
    return _bounded(iter(differences))


def _differences(folded: EventState, rows: EventState) -> Iterator[str]:
    here, there = _stored(folded.details), _stored(rows.details)
    if here != there:
        yield f"details: {_fields(here, there)}"
    if folded.status != rows.status:
        yield f"status: {folded.status} by the log, {rows.status} in Postgres"
    yield from _sections(folded, rows)
    for what, one, other in (
        ("reservation", folded.reservations, rows.reservations),
        ("code", folded.codes, rows.codes),
        ("block", folded.blocks, rows.blocks),
        ("pool", folded.pools, rows.pools),
        ("place in the waiting list", folded.waitlist, rows.waitlist),
        ("ticket", folded.tickets, rows.tickets),
        ("chore", folded.chores, rows.chores),
        ("offer of ticket", folded.transfers, rows.transfers),
        ("invitation of", folded.invitations, rows.invitations),
    ):
        yield from _entries(what, one, other)
    if folded.tickets_of != rows.tickets_of:
        yield "tickets per user differ"
    if folded.uses != rows.uses or folded.places_used != rows.places_used:
        yield "uses of codes differ"
    if folded.locked_places != rows.locked_places:
        yield f"locked places differ: {sorted(folded.locked_places ^ rows.locked_places)}"
    if folded.freed_blocks != rows.freed_blocks:
        yield f"freed blocks differ: {sorted(folded.freed_blocks.keys() ^ rows.freed_blocks.keys())}"
    if folded.releases != rows.releases:
        yield f"requests that freed places differ: {sorted(folded.releases.keys() ^ rows.releases.keys())}"
    if folded.staff != rows.staff:
        yield f"staff differ: {sorted(folded.staff.keys() ^ rows.staff.keys())}"
    if _stored(folded.schedule) != rows.schedule:
        yield "the programme differs"
    if folded.reminded_for != rows.reminded_for:
        yield f"reminded for {folded.reminded_for} by the log, {rows.reminded_for} in Postgres"


def _entries(what: str, folded: Mapping[Any, Any], rows: Mapping[Any, Any]) -> Iterator[str]:
    """The differences in the entries of one of the state's tables."""
    here = {_stored(key): _stored(value) for key, value in folded.items()}
    there = {key: _stored(value) for key, value in rows.items()}
    for key in sorted(here.keys() | there.keys()):
        a, b = here.get(key), there.get(key)
        if a is None or b is None:
            yield f"{what} {key}: only {'in Postgres' if a is None else 'on the log'}"
        elif a != b:
            yield f"{what} {key}: {_fields(a, b)}"


def _sections(folded: EventState, rows: EventState) -> Iterator[str]:
    for key in sorted(folded.sections.keys() | rows.sections.keys()):
        one, other = folded.sections.get(key), rows.sections.get(key)
        if one is None or other is None:
            yield f"ticket type {key}: only {'in Postgres' if one is None else 'on the log'}"
            continue
        terms = (name for name in TICKET_TYPE_TERMS if name != "pool_id")  # the pool itself is compared
        for name in ("ordinal", *terms, "held", "sold", "blocked", "waiters", "available"):
            a, b = _stored(getattr(one, name)), _stored(getattr(other, name))
            if a != b:
                yield f"ticket type {key}: {name} is {a!r} by the log, {b!r} in Postgres"
        pools = [section.pool.pool_id if section.pool is not None else "" for section in (one, other)]
        if pools[0] != pools[1]:
            yield f"ticket type {key}: pool_id is {pools[0]!r} by the log, {pools[1]!r} in Postgres"
        if (
            one.seating is not None
            and other.seating is not None
            and one.seating.free_rows() != other.seating.free_rows()
        ):
            yield f"ticket type {key}: other seats are free by the log than in Postgres"


def _fields(here: Any, there: Any) -> str:
    if here is None or there is None:
        return f"only {'in Postgres' if here is None else 'on the log'}"
    if not isinstance(here, dict):
        return f"{here!r} by the log, {there!r} in Postgres"
    differences = [
        f"{name} is {here[name]!r} by the log, {there[name]!r} in Postgres"
        for name in here
        if here[name] != there[name]
    ]
    return "; ".join(differences)


def _stored(value: Any) -> Any:
    """The value as PostgreSQL stores it."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, list):
        return [_stored(one) for one in value]
    if isinstance(value, msgspec.Struct):
        return {name: _stored(field) for name, field in msgspec.structs.asdict(value).items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _stored(getattr(value, field.name)) for field in fields(value)}
    return value


def _bounded(differences: Iterator[str]) -> list[str]:
    kept: list[str] = []
    more = 0
    for text in differences:
        if len(kept) < SHOWN_MAX:
            kept.append(text)
        else:
            more += 1
    return [*kept, f"and {more} more differences"] if more else kept
