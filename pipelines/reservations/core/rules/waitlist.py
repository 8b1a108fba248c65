"""Rules for the waiting list: join, leave, and offers of freed places before they go back on sale. Pure.

Guarantee: the earliest request gets the first offer, among the entries for which enough places are free. If the free
places fit no entry, they are on sale to all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipelines.reservations.core import limits
from pipelines.reservations.core.entities import Section, WaitlistEntry
from pipelines.reservations.core.rules.answers import Refusal, duplicate, refused, refused_for
from pipelines.reservations.core.rules.reserving import (
    no_type,
    not_selling,
    on_sale,
    over_limit,
    per_order,
    quantity_out_of,
)
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import US_PER_S, LogTime, offer_id
from schemas.statuses import EventStage, ReservationStatus, WaitlistStatus


def join(state: EventState, command: c.JoinWaitlist, now: LogTime) -> list[f.Fact]:
    """Join the waiting list of a ticket type that has too few free places."""
    return join_by(not_selling, state, command, now)


def join_by(
    not_selling: Callable[[EventState, c.JoinWaitlist], Refusal | None],
    state: EventState,
    command: c.JoinWaitlist,
    now: LogTime,
) -> list[f.Fact]:
    """The same, with the given `not_selling` rule for the event."""
    known = state.waitlist.get(command.entry_id)
    if known is not None:
        same = (known.user_id, known.ticket_type_id, known.quantity)
        if same != (command.user_id, command.ticket_type_id, command.quantity):
            detail = "the same Idempotency-Key came with another body"
            return refused(command, Reason.IDEMPOTENCY_KEY_REUSED, detail, command.entry_id)
        return duplicate(command, command.entry_id)
    why = not_selling(state, command)
    if why is not None:
        return refused_for(command, why, command.entry_id)
    section = state.sections.get(command.ticket_type_id)
    if section is None or section.hidden:
        return refused_for(command, no_type(command), command.entry_id)
    assert state.details is not None
    why = on_sale(state.details, section, now)
    most = per_order(state.details, section)
    if why is None and not 1 <= command.quantity <= most:
        why = quantity_out_of(command.quantity, most)
    if why is None:
        why = over_limit(state, section, command.user_id, command.quantity)
    if why is None and command.quantity <= section.available:
        free = section.available
        why = Refusal(Reason.NOT_SOLD_OUT, f"{free} are available: reserve them", amount=free)
    if why is None and (section.ticket_type_id, command.user_id) in state.waiting_of:
        why = Refusal(Reason.TOO_MANY, "you wait for this ticket type already")
    if why is None and len(state.waiting_of) >= limits.WAITING_PER_EVENT_MAX:
        most = limits.WAITING_PER_EVENT_MAX
        why = Refusal(Reason.TOO_MANY, f"at most {most} wait for one event", amount=most)
    if why is not None:
        return refused_for(command, why, command.entry_id)
    joined = f.WaitlistJoined(
        entry_id=command.entry_id,
        user_id=command.user_id,
        ticket_type_id=command.ticket_type_id,
        quantity=command.quantity,
        mailbox=command.mailbox or None,
    )
    return [joined]


def leave(state: EventState, command: c.LeaveWaitlist, _now: LogTime) -> list[f.Fact]:
    """Leave the waiting list. A user with an open offer must release that reservation instead. A finished offer stays
    as it is."""
    entry = state.waitlist.get(command.entry_id)
    offer = (
        state.reservations.get(offer_id(entry.id))
        if entry is not None and entry.status == WaitlistStatus.OFFERED
        else None
    )
    if (
        entry is not None
        and entry.user_id == command.user_id
        and offer is not None
        and offer.status != ReservationStatus.HELD
    ):
        return duplicate(command, command.entry_id)
    return leave_waiting(state, command)


def leave_waiting(state: EventState, command: c.LeaveWaitlist) -> list[f.Fact]:
    """The same, without a look at finished offers."""
    entry = state.waitlist.get(command.entry_id)
    if entry is None or entry.user_id != command.user_id:
        return refused(command, Reason.ENTRY_NOT_FOUND, "you have no such place in a waiting list", command.entry_id)
    if entry.status == WaitlistStatus.OFFERED:
        detail = f"it was offered reservation {offer_id(entry.id)}, which can be released"
        return refused(command, Reason.ENTRY_NOT_FOUND, detail, command.entry_id)
    if entry.status == WaitlistStatus.ENDED:
        return duplicate(command, command.entry_id)
    return [ended(entry, Reason.BUYER_LEFT)]


def ended(entry: WaitlistEntry, reason: Reason) -> f.WaitlistEnded:
    """A waiting entry ends."""
    return f.WaitlistEnded(entry.id, entry.user_id, entry.ticket_type_id, reason)


def offers(state: EventState, now: LogTime) -> Iterator[list[f.Fact]]:
    """The offers that are possible now. The caller folds each one before it asks for the next."""
    details = state.details
    if details is None or state.status != EventStage.PUBLISHED:
        return
    for section in state.sections.values():
        if on_sale(details, section, now) is not None:
            continue
        while True:
            entry_id = section.waiting.first_that_fits(section.available, state.is_waiting)
            if entry_id is None:
                break
            yield _offer(state, section, state.waitlist[entry_id], now)


def _offer(state: EventState, section: Section, entry: WaitlistEntry, now: LogTime) -> list[f.Fact]:
    details = state.details
    assert details is not None
    too_many = entry.quantity > per_order(details, section)  # the limit may be lower now
    if too_many or over_limit(state, section, entry.user_id, entry.quantity) is not None:
        return [ended(entry, Reason.LIMIT_EXCEEDED)]
    reservation = offer_id(entry.id)
    if state.known(reservation, now) is not None:  # a command used the offer's id for a reservation
        return [ended(entry, Reason.IDEMPOTENCY_KEY_REUSED)]
    seats: list[str] = []
    if section.seating is not None:
        found = section.seating.best_available(entry.quantity)
        assert found is not None, "as many seats are free as are available"
        seats = found
    expires_at = now + (details.offer_ttl_s or details.hold_ttl_s) * US_PER_S
    return [
        f.WaitlistOffered(
            entry_id=entry.id,
            user_id=entry.user_id,
            ticket_type_id=section.ticket_type_id,
            quantity=entry.quantity,
            reservation_id=reservation,
            expires_at=expires_at,
        ),
        f.TicketsHeld(
            reservation_id=reservation,
            user_id=entry.user_id,
            ticket_type_id=section.ticket_type_id,
            quantity=entry.quantity,
            seats=seats,
            amount_minor=section.price_minor * entry.quantity,
            currency=section.currency,
            expires_at=expires_at,
            fingerprint=0,
            mailbox=entry.mailbox or None,
        ),
    ]
