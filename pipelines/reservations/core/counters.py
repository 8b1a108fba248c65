"""The free places of ticket types as buyers see them. Pure."""

from __future__ import annotations

import msgspec

from pipelines.reservations.core.entities import Section
from pipelines.reservations.core.state import EventState
from schemas.ids import TicketTypeId


class Availability(msgspec.Struct, frozen=True):
    """The free places of a ticket type, as buyers see them."""

    total: int
    available: int
    held: int
    sold: int
    blocked: int
    waiting: int


def availability_of(state: EventState) -> dict[TicketTypeId, str]:
    """The counters of an event's ticket types, as JSON."""
    return {
        section.ticket_type_id: msgspec.json.encode(counters_of(section)).decode()
        for section in state.sections.values()
    }


def counters_of(section: Section) -> Availability:
    """The free places of one ticket type."""
    return Availability(
        total=section.total,
        available=section.available,
        held=section.held,
        sold=section.sold,
        blocked=section.blocked,
        waiting=section.waiters,
    )
