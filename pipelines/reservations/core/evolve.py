"""`evolve(state, fact, at)`: what a fact changes. Pure: no clock, no I/O, no choice; every choice is in the rules.

The state is changed in place and returned. Facts that change nothing (refusals of commands, duplicates, ticks) are
folded like the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pipelines.reservations.core import entities as e
from pipelines.reservations.core.entities import Details, Placed, Pool, Reservation, Section
from pipelines.reservations.core.seating import Seating
from pipelines.reservations.core.state import EventState
from schemas import facts as f
from schemas.event_terms import EventTerms
from schemas.ids import TicketId
from schemas.statuses import (
    ChoreKind,
    CodeKind,
    DisputeStatus,
    EventStage,
    LayoutKind,
    PaymentStatus,
    RefundOrigin,
    RefundStatus,
    ReservationStatus,
    WaitlistStatus,
)
from schemas.terms import terms_of
from schemas.ticket_type_terms import TICKET_TYPE_CHANGES, TicketTypeTerms

# Errors that the same state gives on every machine. Errors of memory, of the stack and of signals are not among them.
DEFECTS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)

_replace = msgspec.structs.replace


def evolve(state: EventState, fact: f.Fact, at: Placed) -> EventState:
    """Fold one fact. Raises KeyError if the fact is about something that no earlier fact made: a broken log."""
    change = _CHANGES.get(type(fact))
    if change is not None:
        change(state, fact, at)
    return state


def fold(state: EventState, fact: f.Fact, at: Placed) -> bool:
    """Fold one fact of the log. False if it cannot be folded: `state.unfolded` names it, and later ones are skipped."""
    if state.unfolded:
        return False
    try:
        evolve(state, fact, at)
    except DEFECTS as error:
        state.unfolded = not_folded(fact, at, error)
        return False
    return True


def not_folded(fact: f.Fact | None, at: Placed, error: BaseException) -> str:
    """The text for `EventState.unfolded`: the fact, its place and the error's class. Buyers may read it."""
    return f"{type(fact).__name__} at {at.partition}-{at.offset} ({type(error).__name__})"


def refund_key(fact: f.RefundRequested | f.PaymentRefunded) -> str:
    """The provider's idempotency key of a refund."""
    return fact.refund_key or f"refund-{fact.payment_id}"


# --- the event ----------------------------------------------------------------------------------------------------


def _details(state: EventState, fact: f.EventCreated | f.EventUpdated, _at: Placed) -> None:
    organizer = fact.user_id if state.details is None else state.details.organizer_id
    state.details = Details(organizer_id=organizer, **terms_of(EventTerms, fact))


def _status(status: EventStage) -> Callable[[EventState, Any, Placed], None]:
    def change(state: EventState, _fact: f.Fact, _at: Placed) -> None:
        state.status = status

    return change


def _schedule(state: EventState, fact: f.ScheduleChanged, _at: Placed) -> None:
    state.schedule = fact.activities


def _staff_added(state: EventState, fact: f.StaffAdded, _at: Placed) -> None:
    state.change(state.staff, fact.member_id, True)
    if fact.member_id in state.invitations:
        state.change(state.invitations, fact.member_id, None)


def _invited(state: EventState, fact: f.StaffInvited, _at: Placed) -> None:
    state.change(state.invitations, fact.member_id, fact.expires_at)


def _not_invited(state: EventState, fact: f.StaffInvitationEnded, _at: Placed) -> None:
    state.change(state.invitations, fact.member_id, None)


def _staff_removed(state: EventState, fact: f.StaffRemoved, _at: Placed) -> None:
    state.change(state.staff, fact.member_id, None)


# --- what is sold -------------------------------------------------------------------------------------------------


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
    found = next(code for code in state.codes.values() if code.id == fact.code_id)
    state.change(state.codes, found.code, _replace(found, disabled=1))


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


# --- reservations -------------------------------------------------------------------------------------------------


def _held(state: EventState, fact: f.TicketsHeld, at: Placed) -> None:
    state.put(
        Reservation(
            id=fact.reservation_id,
            user_id=fact.user_id,
            ticket_type_id=fact.ticket_type_id,
            status=ReservationStatus.HELD,
            quantity=fact.quantity,
            seats=fact.seats,
            amount_minor=fact.amount_minor,
            currency=fact.currency,
            expires_at=fact.expires_at,
            fingerprint=fact.fingerprint,
            partition=at.partition,
            offset=at.offset,
            asked_at=at.log_time,
            reason="",
            detail="",
            attempt_id="",
            payment_token="",
            payment=PaymentStatus.NONE,
            payment_id="",
            promo_code=fact.promo_code or "",
            access_code=fact.access_code or "",
            mailbox=fact.mailbox or 0,
        )
    )


def _rejected(state: EventState, fact: f.ReservationRejected, at: Placed) -> None:
    if state.details is None or (state.status == EventStage.DRAFT and fact.reason == f.Reason.EVENT_NOT_FOUND):
        return  # an event that does not exist keeps no state: made-up ids must not fill the memory
    state.put(
        Reservation(
            id=fact.reservation_id,
            user_id=fact.user_id,
            ticket_type_id=fact.ticket_type_id,
            status=ReservationStatus.REJECTED,
            quantity=fact.quantity,
            seats=[],
            amount_minor=0,
            currency="",
            expires_at=0,
            fingerprint=fact.fingerprint,
            partition=at.partition,
            offset=at.offset,
            asked_at=at.log_time,
            reason=fact.reason,
            detail=fact.detail,
        )
    )


def _warned(state: EventState, fact: f.HoldWarned, _at: Placed) -> None:
    state.put(_replace(state.reservations[fact.reservation_id], warned=1))
    state.drop_deadlines(fact.reservation_id)


def _extended(state: EventState, fact: f.HoldExtended, _at: Placed) -> None:
    state.put(_replace(state.reservations[fact.reservation_id], expires_at=fact.expires_at, extended=1))
    state.drop_deadlines(fact.reservation_id)


def _reacquired(state: EventState, fact: f.HoldReacquired, _at: Placed) -> None:
    state.put(_replace(state.reservations[fact.reservation_id], status=ReservationStatus.HELD))


def _payment_requested(state: EventState, fact: f.PaymentRequested, _at: Placed) -> None:
    old = state.reservations[fact.reservation_id]
    new = _replace(
        old, payment=PaymentStatus.REQUESTED, attempt_id=fact.attempt_id, payment_token=fact.payment_token, reason=""
    )
    state.put(_not_declined(new, fact.attempt_id))


def _payment_declined(state: EventState, fact: f.PaymentDeclined, _at: Placed) -> None:
    old = state.reservations[fact.reservation_id]
    declined = tuple(sorted({*old.declined, fact.attempt_id}))
    state.put(_replace(old, payment=PaymentStatus.DECLINED, reason=fact.reason, declined=declined))


def _not_declined(of: Reservation, attempt_id: str) -> Reservation:
    """The attempt is made again, or its money came after all. It no longer counts as declined."""
    if attempt_id not in of.declined:
        return of
    return _replace(of, declined=tuple([one for one in of.declined if one != attempt_id]))


def _confirmed(state: EventState, fact: f.ReservationConfirmed, _at: Placed) -> None:
    old = _not_declined(state.reservations[fact.reservation_id], fact.attempt_id)
    state.put(
        _replace(
            old,
            status=ReservationStatus.CONFIRMED,
            payment=PaymentStatus.CAPTURED,
            attempt_id=fact.attempt_id,
            payment_id=fact.payment_id,
            reason="",
        )
    )
    state.drop_deadlines(fact.reservation_id)


def _refund_requested(state: EventState, fact: f.RefundRequested, _at: Placed) -> None:
    origin, key = RefundOrigin(fact.origin or RefundOrigin.OURS), refund_key(fact)
    _note_refund(
        state,
        fact,
        e.Refund(
            key=key,
            payment_id=fact.payment_id,
            refund_id="",
            amount_minor=fact.amount_minor,
            status=RefundStatus.REQUESTED,
            origin=origin,
        ),
    )
    known = state.reservations.get(fact.reservation_id)
    if origin == RefundOrigin.STRAY:
        if known is not None and fact.attempt_id in known.declined:
            state.put(_not_declined(known, fact.attempt_id))
        return
    old = _not_declined(state.reservations[fact.reservation_id], fact.attempt_id)
    payment = old.payment if old.status == ReservationStatus.CONFIRMED else PaymentStatus.REFUND_REQUESTED
    owed = old.owed_minor - (fact.from_owed_minor or 0)
    keys = (*old.refunds_open, key)
    state.put(
        _replace(
            old,
            payment=payment,
            payment_id=fact.payment_id,
            refunds_open=keys,
            amount_minor=old.amount_minor - (fact.from_tickets_minor or 0),
            kept_minor=old.kept_minor - (fact.from_kept_minor or 0),
            owed_minor=owed,
        )
    )


def _refunded(state: EventState, fact: f.PaymentRefunded, _at: Placed) -> None:
    origin, key = RefundOrigin(fact.origin or RefundOrigin.OURS), refund_key(fact)
    made = e.Refund(
        key=key,
        payment_id=fact.payment_id,
        refund_id=fact.refund_id,
        amount_minor=fact.amount_minor,
        status=RefundStatus.REFUNDED,
        origin=origin,
    )
    _note_refund(state, fact, made)
    if origin == RefundOrigin.STRAY:
        return
    old = state.reservations[fact.reservation_id]
    keys = tuple(one for one in old.refunds_open if one != key)
    owed = old.owed_minor - (fact.from_owed_minor or 0)
    if fact.payment is not None:
        payment = PaymentStatus(fact.payment)
    else:
        last = old.payment == PaymentStatus.REFUND_REQUESTED and not keys
        payment = (PaymentStatus.REFUND_FAILED if owed > 0 else PaymentStatus.REFUNDED) if last else old.payment
    state.put(
        _replace(
            old,
            payment=payment,
            refunds_open=keys,
            amount_minor=old.amount_minor - (fact.from_tickets_minor or 0),
            kept_minor=old.kept_minor - (fact.from_kept_minor or 0),
            owed_minor=owed,
        )
    )


def _refund_failed(state: EventState, fact: f.RefundFailed, _at: Placed) -> None:
    failed = e.Refund(
        key=fact.refund_key,
        payment_id=fact.payment_id,
        refund_id=fact.refund_id,
        amount_minor=fact.amount_minor,
        status=RefundStatus.FAILED,
        origin=RefundOrigin(fact.origin),
    )
    _note_refund(state, fact, failed)
    if fact.origin == RefundOrigin.STRAY:
        return
    old = state.reservations[fact.reservation_id]
    state.put(
        _replace(
            old,
            payment=PaymentStatus(fact.payment),
            refunds_open=tuple(one for one in old.refunds_open if one != fact.refund_key),
            amount_minor=old.amount_minor + fact.to_tickets_minor,
            owed_minor=old.owed_minor + fact.to_owed_minor,
        )
    )


def _note_refund(
    state: EventState, fact: f.RefundRequested | f.PaymentRefunded | f.RefundFailed, refund: e.Refund
) -> None:
    others = (one for one in state.refunds.get(fact.reservation_id, ()) if one.key != refund.key)
    refunds = tuple(sorted((*others, refund), key=lambda one: one.key))
    state.change(state.refunds, fact.reservation_id, refunds)


def _dispute_opened(state: EventState, fact: f.DisputeOpened, _at: Placed) -> None:
    dispute = e.Dispute(
        id=fact.dispute_id,
        payment_id=fact.payment_id,
        status=DisputeStatus(fact.status),
        amount_minor=fact.amount_minor,
        charged_minor=0,
    )
    _note_dispute(state, fact.reservation_id, dispute)


def _dispute_closed(state: EventState, fact: f.DisputeClosed, _at: Placed) -> None:
    taken = fact.from_tickets_minor + fact.from_kept_minor + fact.from_owed_minor
    charged = sum(one.charged_minor for one in state.disputes.get(fact.reservation_id, ()) if one.id == fact.dispute_id)
    dispute = e.Dispute(
        id=fact.dispute_id,
        payment_id=fact.payment_id,
        status=DisputeStatus(fact.status),
        amount_minor=fact.amount_minor,
        charged_minor=charged + taken,
    )
    _note_dispute(state, fact.reservation_id, dispute)
    old = state.reservations[fact.reservation_id]
    state.put(
        _replace(
            old,
            payment=PaymentStatus(fact.payment),
            amount_minor=old.amount_minor - fact.from_tickets_minor,
            kept_minor=old.kept_minor - fact.from_kept_minor,
            owed_minor=old.owed_minor - fact.from_owed_minor,
        )
    )


def _note_dispute(state: EventState, reservation_id: str, dispute: e.Dispute) -> None:
    others = (one for one in state.disputes.get(reservation_id, ()) if one.id != dispute.id)
    disputes = tuple(sorted((*others, dispute), key=lambda one: one.id))
    state.change(state.disputes, reservation_id, disputes)


def _ended(status: ReservationStatus) -> Callable[[EventState, Any, Placed], None]:
    def change(state: EventState, fact: f.HoldExpired | f.HoldReleased, _at: Placed) -> None:
        state.put(_replace(state.reservations[fact.reservation_id], status=status))
        state.drop_deadlines(fact.reservation_id)

    return change


def _cancelled(state: EventState, fact: f.ReservationCancelled, _at: Placed) -> None:
    old = state.reservations[fact.reservation_id]
    if state.tickets:
        _forget_tickets(state, list(old.tickets()))
    kept, owed = old.kept_minor + (fact.kept_minor or 0), old.owed_minor + (fact.withheld_minor or 0)
    state.put(_replace(old, status=ReservationStatus.CANCELLED, kept_minor=kept, owed_minor=owed))


# --- tickets ------------------------------------------------------------------------------------------------------


def _tickets_cancelled(state: EventState, fact: f.TicketsCancelled, _at: Placed) -> None:
    old = state.reservations[fact.reservation_id]
    gone, places = set(fact.ticket_ids), old.tickets()
    _forget_tickets(state, fact.ticket_ids)
    state.put(
        _replace(
            old,
            quantity=old.quantity - fact.quantity,
            seats=[seat for seat in old.seats if seat not in fact.seats],
            amount_minor=old.amount_minor - fact.amount_minor,
            void_places=(*old.void_places, *(place for ticket, place in places.items() if ticket in gone)),
            kept_minor=old.kept_minor + fact.kept_minor,
        )
    )


def _forget_tickets(state: EventState, tickets: list[str]) -> None:
    for ticket in tickets:
        if ticket in state.tickets:
            state.change(state.tickets, ticket, None)


def _transferred(state: EventState, fact: f.TicketTransferred, _at: Placed) -> None:
    known = _ticket(state, fact.reservation_id, fact.ticket_id)
    state.change(state.tickets, fact.ticket_id, _replace(known, user_id=fact.to_user_id, version=fact.version))
    if fact.ticket_id in state.transfers:
        state.put_offer(fact.ticket_id, None)


def _ticket_offered(state: EventState, fact: f.TransferOffered, _at: Placed) -> None:
    offered = e.Transfer(
        id=fact.transfer_id,
        reservation_id=fact.reservation_id,
        ticket_id=fact.ticket_id,
        ticket_type_id=fact.ticket_type_id,
        seat=fact.seat,
        user_id=fact.user_id,
        to_user_id=fact.to_user_id,
        expires_at=fact.expires_at,
    )
    state.put_offer(fact.ticket_id, offered)


def _offer_ended(state: EventState, fact: f.TransferEnded, _at: Placed) -> None:
    state.put_offer(fact.ticket_id, None)


def _checked_in(state: EventState, fact: f.CheckInAccepted, _at: Placed) -> None:
    known = _ticket(state, fact.reservation_id, fact.ticket_id)
    inside = _replace(
        known, checked_in_at=fact.scanned_at, gate=fact.gate, scanner=fact.scanner, by_user_id=fact.by_user_id
    )
    state.change(state.tickets, fact.ticket_id, inside)


def _check_in_reversed(state: EventState, fact: f.CheckInReversed, _at: Placed) -> None:
    known = state.tickets[fact.ticket_id]
    undone = [*known.undone, e.scan_name(known.checked_in_at, known.gate, known.scanner, known.by_user_id)]
    outside = _replace(known, checked_in_at=0, gate="", scanner="", by_user_id="", undone=undone)
    state.change(state.tickets, fact.ticket_id, outside)


def _ticket(state: EventState, reservation_id: str, ticket_id: str) -> e.Ticket:
    """A ticket as it is now; an unchanged one as it was issued."""
    known = state.tickets.get(ticket_id)
    if known is not None:
        return known
    reservation = state.reservations[reservation_id]
    place = reservation.tickets()[ticket_id]
    return e.Ticket(
        id=TicketId(ticket_id), reservation_id=reservation_id, place=place, user_id=reservation.user_id, version=1
    )


# --- the waiting list, and messages to all holders ----------------------------------------------------------------


def _joined(state: EventState, fact: f.WaitlistJoined, at: Placed) -> None:
    what = (fact.entry_id, fact.user_id, fact.ticket_type_id, fact.quantity)
    state.put_entry(e.WaitlistEntry(*what, WaitlistStatus.WAITING, at.offset, fact.mailbox or 0))


def _entry(status: WaitlistStatus) -> Callable[[EventState, Any, Placed], None]:
    def change(state: EventState, fact: f.WaitlistOffered | f.WaitlistEnded, _at: Placed) -> None:
        state.put_entry(_replace(state.waitlist[fact.entry_id], status=status))

    return change


def _chore_started(state: EventState, fact: f.ChoreStarted, _at: Placed) -> None:
    state.change(state.chores, fact.kind, e.Chore(ChoreKind(fact.kind), fact.cause, fact.changed))
    if fact.kind == ChoreKind.REMINDER:
        state.reminded_for = fact.cause


def _told(state: EventState, fact: f.HolderNotified, _at: Placed) -> None:
    chore = state.chores.get(fact.kind)
    if chore is not None:
        last = state.reservations[fact.reservation_id]
        state.change(state.chores, fact.kind, _replace(chore, told_offset=last.offset, told_id=last.id))


def _chore_finished(state: EventState, fact: f.ChoreFinished, _at: Placed) -> None:
    state.change(state.chores, fact.kind, None)
    if fact.kind == ChoreKind.REMINDER:
        state.reminded_for = fact.cause


_CHANGES: dict[type[f.Fact], Callable[[EventState, Any, Placed], None]] = {
    f.EventCreated: _details,
    f.EventUpdated: _details,
    f.EventPublished: _status(EventStage.PUBLISHED),
    f.EventDeleted: _status(EventStage.DELETED),
    f.EventCancelled: _status(EventStage.CANCELLED),
    f.EventEnded: _status(EventStage.ENDED),
    f.ScheduleChanged: _schedule,
    f.StaffAdded: _staff_added,
    f.StaffRemoved: _staff_removed,
    f.StaffInvited: _invited,
    f.StaffInvitationEnded: _not_invited,
    f.TicketTypeAdded: _ticket_type,
    f.TicketTypeUpdated: _type_updated,
    f.PoolChanged: _pool,
    f.CodeAdded: _code_added,
    f.CodeDisabled: _code_disabled,
    f.SeatsBlocked: _blocked,
    f.SeatsUnblocked: _unblocked,
    f.SeatLocksObserved: _locks,
    f.TicketsHeld: _held,
    f.ReservationRejected: _rejected,
    f.HoldWarned: _warned,
    f.HoldExtended: _extended,
    f.HoldReacquired: _reacquired,
    f.HoldExpired: _ended(ReservationStatus.EXPIRED),
    f.HoldReleased: _ended(ReservationStatus.RELEASED),
    f.PaymentRequested: _payment_requested,
    f.PaymentDeclined: _payment_declined,
    f.ReservationConfirmed: _confirmed,
    f.RefundRequested: _refund_requested,
    f.PaymentRefunded: _refunded,
    f.RefundFailed: _refund_failed,
    f.DisputeOpened: _dispute_opened,
    f.DisputeClosed: _dispute_closed,
    f.ReservationCancelled: _cancelled,
    f.TicketsCancelled: _tickets_cancelled,
    f.TicketTransferred: _transferred,
    f.TransferOffered: _ticket_offered,
    f.TransferEnded: _offer_ended,
    f.CheckInAccepted: _checked_in,
    f.CheckInReversed: _check_in_reversed,
    f.WaitlistJoined: _joined,
    f.WaitlistOffered: _entry(WaitlistStatus.OFFERED),
    f.WaitlistEnded: _entry(WaitlistStatus.ENDED),
    f.ChoreStarted: _chore_started,
    f.HolderNotified: _told,
    f.ChoreFinished: _chore_finished,
}
