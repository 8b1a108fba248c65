"""An event's rows to its state: the same state that folding its facts up to the rows' position gives. Pure."""

from __future__ import annotations

from pipelines.projections.snapshot import EventRow, EventSnapshot, TicketTypeRow
from pipelines.reservations.core import entities as e
from pipelines.reservations.core.entities import Details, Pool, Section
from pipelines.reservations.core.seating import Seating
from pipelines.reservations.core.state import EventState
from schemas.ids import TicketId


def state_from(snapshot: EventSnapshot) -> EventState:
    """The event's state at the snapshot's position."""
    state = EventState(snapshot.event_id)
    event = snapshot.event
    if event is None:
        return state
    state.status, state.details, state.reminded_for = event.status, _details(event), event.reminded_for
    state.schedule = snapshot.schedule
    state.staff = dict.fromkeys(snapshot.staff, True)
    state.pools = {row.id: Pool(row.id, row.name, row.capacity) for row in snapshot.pools}
    for row in snapshot.ticket_types:
        state.sections[row.id] = _section(row, state.pools)
    for place in snapshot.locked_places:
        state.lock_place(place)
    for block in snapshot.seat_blocks:
        state.releases |= dict.fromkeys(block.releases, True)
        if not block.quantity:
            state.freed_blocks[block.id] = True
            continue
        state.put_block(
            e.Block(
                block.id, block.ticket_type_id, block.seats, block.quantity, block.until_at, block.label, block.offset
            ),
            block.id,
        )
    for one in snapshot.reservations:
        if one.reason != "event-not-found":
            state.put(one)
    _what_follows(state, snapshot)
    return state


def _what_follows(state: EventState, snapshot: EventSnapshot) -> None:
    """What is about types and reservations that are there."""
    for code in snapshot.codes:
        state.codes[code.code] = e.Code(
            code.id,
            code.code,
            code.kind,
            code.value,
            code.uses_max,
            code.ticket_type_ids,
            code.valid_from_at,
            code.valid_until_at,
            int(code.disabled),
            code.places_max,
        )
    for ticket in snapshot.tickets:
        state.tickets[ticket.id] = e.Ticket(
            TicketId(ticket.id),
            ticket.reservation_id,
            ticket.place,
            ticket.user_id,
            ticket.version,
            ticket.checked_in_at,
            ticket.gate,
            ticket.scanner,
            ticket.checked_in_by,
            ticket.undone,
        )
    for refund in snapshot.refunds:
        made = e.Refund(
            refund.key, refund.payment_id, refund.refund_id, refund.amount_minor, refund.status, refund.origin
        )
        refunds = (*state.refunds.get(refund.reservation_id, ()), made)
        state.refunds[refund.reservation_id] = tuple(sorted(refunds, key=lambda one: one.key))
    for row in snapshot.disputes:
        dispute = e.Dispute(row.id, row.payment_id, row.status, row.amount_minor, row.charged_minor)
        disputes = (*state.disputes.get(row.reservation_id, ()), dispute)
        state.disputes[row.reservation_id] = tuple(sorted(disputes, key=lambda one: one.id))
    for entry in snapshot.waitlist:
        state.put_entry(
            e.WaitlistEntry(
                entry.id,
                entry.user_id,
                entry.ticket_type_id,
                entry.quantity,
                entry.status,
                entry.offset,
                entry.mailbox,
            )
        )
    for one in snapshot.transfers:
        state.transfers[one.ticket_id] = e.Transfer(
            one.id,
            one.reservation_id,
            one.ticket_id,
            one.ticket_type_id,
            one.seat,
            one.user_id,
            one.to_user_id,
            one.expires_at,
        )
    state.invitations = {one.member_id: one.expires_at for one in snapshot.invitations}
    for chore in snapshot.chores:
        state.chores[chore.kind] = e.Chore(chore.kind, chore.cause, chore.changed, chore.told_offset, chore.told_id)


def _details(event: EventRow) -> Details:
    return Details(
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
        event.refund_until_at,
        event.refund_percent,
        event.hold_extension_s,
        event.offer_ttl_s,
        event.max_tickets_per_order,
        event.reminder_at,
    )


def _section(row: TicketTypeRow, pools: dict[str, Pool]) -> Section:
    return Section(
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
        Seating(row.rows, row.seats_per_row) if row.kind == e.SEATED else None,
        max_per_order=row.max_per_order,
        max_per_user=row.max_per_user,
        hidden=int(row.hidden),
        pool=pools[row.pool_id] if row.pool_id else None,
    )
