"""An event's rows to its state: the same state that folding its facts up to the rows' position gives. Pure."""

from __future__ import annotations

from pipelines.projections.snapshot import EventSnapshot
from pipelines.reservations import state as s
from pipelines.reservations.seating import Seating
from pipelines.reservations.state import Details, EventState, Reservation, Section


def state_from(snapshot: EventSnapshot) -> EventState:
    """The event's state at the snapshot's position."""
    state = EventState(snapshot.event_id)
    event = snapshot.event
    if event is None:
        return state
    state.status = event.status
    state.details = Details(
        event.organizer_id,
        event.title,
        event.description,
        event.category_id,
        event.venue,
        event.starts_at,
        event.ends_at,
        event.timezone,
        event.sales_open_at,
        event.sales_close_at,
        event.hold_ttl_s,
        event.max_tickets_per_user,
    )
    for row in snapshot.ticket_types:
        state.sections[row.id] = Section(
            row.id,
            row.ordinal,
            row.name,
            row.price_minor,
            row.currency,
            row.kind,
            row.rows,
            row.seats_per_row,
            row.capacity,
            row.sales_open_at,
            row.sales_close_at,
            Seating(row.rows, row.seats_per_row) if row.kind == s.SEATED else None,
        )
    for place in snapshot.locked_places:
        state.lock_place(place)
    for one in snapshot.reservations:
        if one.reason != "event-not-found":
            state.put(
                Reservation(
                    one.id,
                    one.user_id,
                    one.ticket_type_id,
                    one.status,
                    one.quantity,
                    one.seats,
                    one.amount_minor,
                    one.currency,
                    one.expires_at,
                    one.fingerprint,
                    one.partition,
                    one.offset,
                    one.created_at,
                    one.reason,
                    one.detail,
                    one.attempt_id,
                    one.payment_token,
                    one.payment,
                    one.payment_id,
                )
            )
    return state
