"""The meaning of an event's state as stable bytes. Pure; for comparing a live state with folded or rebuilt ones.

Guarantee: two states have equal bytes if every decision on them and every view of them would be the same. Order of
arrival, heaps and caches do not matter. Derived values (free seats, counters, tickets per user) are included, so wrong
ones show. Log time belongs to the partition and is not included.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import msgspec

from pipelines.reservations.core.state import EventState
from schemas.ticket_type_terms import TICKET_TYPE_TERMS

_encoder = msgspec.msgpack.Encoder()
_terms = attrgetter(*TICKET_TYPE_TERMS)


def canonical(state: EventState) -> bytes:
    """MessagePack of everything that `state` means, in a fixed order."""
    sections = [
        (
            section.ticket_type_id,
            section.ordinal,
            _terms(section),
            section.held,
            section.sold,
            section.available,
            section.blocked,
            section.waiters,
            section.pool.pool_id if section.pool is not None else "",
            # a row's bitmap may be wider than 64 bits
            [row.to_bytes(63, "big") for row in section.seating.free_rows()] if section.seating is not None else None,
        )
        for section in sorted(state.sections.values(), key=lambda section: (section.ordinal, section.ticket_type_id))
    ]
    return _encoder.encode(
        (
            state.event_id,
            state.details,
            state.status,
            sections,
            [state.reservations[key] for key in sorted(state.reservations)],
            sorted(state.tickets_of.items()),
            sorted(state.locked_places),
            [(pool.pool_id, pool.name, pool.capacity, pool.used) for _, pool in sorted(state.pools.items())],
            sorted(state.uses.items()),
            sorted(state.places_used.items()),
            *([table[key] for key in sorted(table)] for table in _tables(state)),
            sorted(state.freed_blocks),
            sorted(state.releases),
            sorted(state.staff),
            sorted(state.invitations.items()),
            state.schedule,
            state.reminded_for,
            sorted(state.refunds.items()),
            sorted(state.disputes.items()),
        )
    )


def _tables(state: EventState) -> tuple[Mapping[Any, Any], ...]:
    return state.codes, state.blocks, state.waitlist, state.tickets, state.chores, state.transfers


def digest(state: EventState) -> str:
    """16 bytes of BLAKE2b over `canonical`, in hexadecimal: short enough to print and compare by eye."""
    return blake2b(canonical(state), digest_size=16).hexdigest()
