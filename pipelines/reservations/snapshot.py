"""Makes an event's state from its rows. It equals the fold of the event's facts up to the rows' position. Pure."""

from __future__ import annotations

from pipelines.reservations.core import entities as e
from pipelines.reservations.core.entities import Details, Pool, Section
from pipelines.reservations.core.seats import Seating
from pipelines.reservations.core.state import EventState
from pipelines.reservations.snapshot_rows import EventRow, EventSnapshot, TicketTypeRow
from schemas.event_terms import EventTerms
from schemas.ids import PoolId
from schemas.reasons import Reason
from schemas.statuses import (
    LayoutKind,
)
from schemas.terms import terms_of
from schemas.ticket_type_terms import TicketTypeTerms


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
                id=block.id,
                ticket_type_id=block.ticket_type_id,
                seats=block.seats,
                quantity=block.quantity,
                until_at=block.until_at,
                label=block.label,
                offset=block.offset,
            ),
            block.id,
        )
    for one in snapshot.reservations:
        if one.reason != Reason.EVENT_NOT_FOUND:
            state.put(one)
    _what_follows(state, snapshot)
    return state


def _what_follows(state: EventState, snapshot: EventSnapshot) -> None:
    """Add the rows that refer to ticket types and reservations."""
    for code in snapshot.codes:
        state.codes[code.code] = e.Code(
            id=code.id,
            code=code.code,
            kind=code.kind,
            value=code.value,
            uses_max=code.uses_max,
            ticket_type_ids=code.ticket_type_ids,
            valid_from_at=code.valid_from_at,
            valid_until_at=code.valid_until_at,
            disabled=int(code.disabled),
            places_max=code.places_max,
        )
    for ticket in snapshot.tickets:
        state.tickets[ticket.id] = e.Ticket(
            id=ticket.id,
            reservation_id=ticket.reservation_id,
            place=ticket.place,
            user_id=ticket.user_id,
            version=ticket.version,
            checked_in_at=ticket.checked_in_at,
            gate=ticket.gate,
            scanner=ticket.scanner,
            by_user_id=ticket.checked_in_by,
            undone=ticket.undone,
        )
    for refund in snapshot.refunds:
        made = e.Refund(
            key=refund.key,
            payment_id=refund.payment_id,
            refund_id=refund.refund_id,
            amount_minor=refund.amount_minor,
            status=refund.status,
            origin=refund.origin,
        )
        refunds = (*state.refunds.get(refund.reservation_id, ()), made)
        state.refunds[refund.reservation_id] = tuple(sorted(refunds, key=lambda one: one.key))
    for row in snapshot.disputes:
        dispute = e.Dispute(
            id=row.id,
            payment_id=row.payment_id,
            status=row.status,
            amount_minor=row.amount_minor,
            charged_minor=row.charged_minor,
        )
        disputes = (*state.disputes.get(row.reservation_id, ()), dispute)
        state.disputes[row.reservation_id] = tuple(sorted(disputes, key=lambda one: one.id))
    for entry in snapshot.waitlist:
        state.put_entry(
            e.WaitlistEntry(
                id=entry.id,
                user_id=entry.user_id,
                ticket_type_id=entry.ticket_type_id,
                quantity=entry.quantity,
                status=entry.status,
                offset=entry.offset,
                mailbox=entry.mailbox,
            )
        )
    for one in snapshot.transfers:
        state.transfers[one.ticket_id] = e.Transfer(
            id=one.id,
            reservation_id=one.reservation_id,
            ticket_id=one.ticket_id,
            ticket_type_id=one.ticket_type_id,
            seat=one.seat,
            user_id=one.user_id,
            to_user_id=one.to_user_id,
            expires_at=one.expires_at,
        )
    state.invitations = {one.member_id: one.expires_at for one in snapshot.invitations}
    for chore in snapshot.chores:
        state.chores[chore.kind] = e.Chore(
            kind=chore.kind,
            cause=chore.cause,
            changed=chore.changed,
            told_offset=chore.told_offset,
            told_id=chore.told_id,
        )


def _details(event: EventRow) -> Details:
    return Details(organizer_id=event.organizer_id, **terms_of(EventTerms, event))


def _section(row: TicketTypeRow, pools: dict[PoolId, Pool]) -> Section:
    return Section(
        ticket_type_id=row.id,
        ordinal=row.ordinal,
        seating=Seating(row.rows, row.seats_per_row) if row.kind == LayoutKind.SEATED else None,
        pool=pools[row.pool_id] if row.pool_id else None,
        **terms_of(TicketTypeTerms, row),
    )
