"""A seat map from a state: one letter for each seat. It does not show who has a seat. Pure."""

from __future__ import annotations

import msgspec

from pipelines.reservations.core.seating import row_label
from pipelines.reservations.core.state import LIVE, EventState, Section
from schemas.facts import RecordedFact
from schemas.ids import EventId, TicketTypeId, position_text
from schemas.statuses import ReservationStatus

FREE, HELD, SOLD, LOCKED = ".", "h", "s", "x"
LEGEND = "  ".join((f"{FREE} free", f"{HELD} held", f"{SOLD} sold", f"{LOCKED} another seller's"))


class RowMap(msgspec.Struct, frozen=True):
    """One row, front row first in its section; the nth letter is seat n."""

    row: str
    seats: str


class SectionMap(msgspec.Struct, frozen=True, kw_only=True):
    """One ticket type. General admission has no rows."""

    ticket_type_id: TicketTypeId
    name: str
    kind: str
    total: int
    available: int
    held: int
    sold: int
    rows: list[RowMap]


class SeatMap(msgspec.Struct, frozen=True, kw_only=True):
    """An event's seats after the fact at `position` ("" when there was none yet), at log time `log_time`."""

    event_id: EventId
    exists: bool
    title: str
    status: str
    position: str
    log_time: int
    sections: list[SectionMap]


def seat_map(state: EventState, last: RecordedFact | None) -> SeatMap:
    """The map of `state`; `last` is the last folded fact."""
    at = last.envelope if last is not None else None
    letters: dict[TicketTypeId, dict[tuple[str, int], str]] = {key: {} for key in state.sections}
    for one in state.reservations.values():
        if one.status in LIVE:
            for seat in one.seats:
                letters[one.ticket_type_id][_place(seat)] = SOLD if one.status == ReservationStatus.CONFIRMED else HELD
    for locked in state.locked_places:
        type_text, _, seat = locked.partition("/")
        ticket_type_id = TicketTypeId(type_text)
        section = state.sections.get(ticket_type_id)
        if section is not None and section.seating is not None and seat in section.seating:
            letters[ticket_type_id].setdefault(_place(seat), LOCKED)
    return SeatMap(
        event_id=state.event_id,
        exists=state.details is not None,
        title=state.details.title if state.details is not None else "",
        status=state.status if state.details is not None else "",
        position="" if at is None else position_text(at.partition, at.offset, at.index),
        log_time=0 if at is None else at.log_time,
        sections=[
            _section(section, letters[section.ticket_type_id])
            for section in sorted(state.sections.values(), key=lambda one: one.ordinal)
        ],
    )


def picture(section: SectionMap) -> str:
    """The rows as text."""
    width = max((len(row.row) for row in section.rows), default=0)
    return "\n".join(f"{row.row:>{width}}  {row.seats}" for row in section.rows)


def _section(section: Section, letters: dict[tuple[str, int], str]) -> SectionMap:
    rows = []
    if section.seating is not None:
        for number in range(section.rows):
            label = row_label(number)
            seats = "".join(letters.get((label, seat), FREE) for seat in range(1, section.seats_per_row + 1))
            rows.append(RowMap(label, seats))
    return SectionMap(
        ticket_type_id=section.ticket_type_id,
        name=section.name,
        kind=section.kind,
        total=section.total,
        available=section.available,
        held=section.held,
        sold=section.sold,
        rows=rows,
    )


def _place(label: str) -> tuple[str, int]:
    row, _, seat = label.rpartition("-")
    return row, int(seat)
