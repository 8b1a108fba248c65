"""Rules for reservations: who may reserve, how many places, which places, and at which price. Pure."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.reservations.core import limits
from pipelines.reservations.core.entities import Details, Section
from pipelines.reservations.core.rules.answers import Flaw, Refusal, duplicate, named, refused
from pipelines.reservations.core.shares import EXACT, Shares
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import US_PER_S, LogTime, UserId
from schemas.statuses import CodeKind, EventStage

# Names of this module are read faster than members, and some of this runs for each command.
DRAFT, PUBLISHED, SOLD_OUT = EventStage.DRAFT, EventStage.PUBLISHED, Reason.SOLD_OUT
Asking = c.ReserveTickets | c.JoinWaitlist
WhyNot = Callable[[EventState, Section | None, c.ReserveTickets, LogTime], Refusal | None]


def reserve(state: EventState, command: c.ReserveTickets, now: LogTime) -> list[f.Fact]:
    """A hold, or a refusal with its reason. The same request again is the same hold. Strangers get none of a draft."""
    if state.status == DRAFT and unseen(state, command):
        return [_rejected(command, no_event(command))]
    return reserve_by(_why_not, state, command, now, budget=True)


def reserve_by(
    why_not: WhyNot,
    state: EventState,
    command: c.ReserveTickets,
    now: LogTime,
    *,
    shares: Shares = EXACT,
    budget: bool = False,
) -> list[f.Fact]:
    """A hold, or a refusal: for the reason that `why_not` gives, or because too few places are left.

    With `budget`, a buyer who let too many holds run out has to wait.
    """
    known = state.known(command.reservation_id, now)
    if known is not None:
        if known.fingerprint != command.fingerprint or known.user_id != command.user_id:
            detail = "the same Idempotency-Key came with another body"
            return refused(command, Reason.IDEMPOTENCY_KEY_REUSED, detail, command.reservation_id)
        return duplicate(command, command.reservation_id)
    section = state.sections.get(command.ticket_type_id)
    turned_down = why_not(state, section, command, now)
    if turned_down is not None:
        return [_rejected(command, turned_down)]
    assert section is not None
    assert state.details is not None
    seats: list[str] = []
    if command.quantity > section.available:
        return [_rejected(command, _left(section, command.quantity))]
    if state.waiting_of and section.waiting.first_that_fits(section.available, state.is_waiting) is not None:
        return [_rejected(command, Refusal(SOLD_OUT, "what is free is being offered to those who wait"))]
    if section.seating is not None:
        chosen = command.seats or section.seating.best_available(command.quantity)
        if chosen is None:
            return [_rejected(command, _left(section, command.quantity))]
        seats = chosen
    exhausted = holds_exhausted(state, command, now) if budget else None
    if exhausted is not None:
        return [_rejected(command, exhausted)]
    price = section.price_minor * command.quantity
    discount = _discount(state, command, price, section.currency, shares) if command.promo_code else None
    return [
        f.TicketsHeld(
            reservation_id=command.reservation_id,
            user_id=command.user_id,
            ticket_type_id=command.ticket_type_id,
            quantity=command.quantity,
            seats=seats,
            amount_minor=price - (discount or 0),
            currency=section.currency,
            expires_at=now + state.details.hold_ttl_s * US_PER_S,
            fingerprint=command.fingerprint,
            promo_code=command.promo_code or None,
            access_code=command.access_code or None,
            discount_minor=discount,
            mailbox=command.mailbox or None,
        )
    ]


def on_sale(details: Details, section: Section, now: LogTime) -> Refusal | None:
    """Why a ticket type is not sold at this time; None when it is."""
    opens = section.sales_open_at or details.sales_open_at
    closes = section.sales_close_at or details.sales_close_at
    if now < opens:
        return Refusal(Reason.SALES_NOT_OPEN, f"sales open at {opens}", at=opens)
    if closes and now >= closes:
        return Refusal(Reason.SALES_CLOSED, f"sales closed at {closes}", at=closes)
    return None


def unseen(state: EventState, command: Asking) -> bool:
    """Whether the event is a draft of another user. For the caller it does not exist."""
    return state.status == DRAFT and (state.details is None or state.details.organizer_id != command.user_id)


def no_event(command: Asking) -> Refusal:
    """The refusal for an event that does not exist, or that the caller may not see."""
    return Refusal(Reason.EVENT_NOT_FOUND, f"there is no event {command.event_id}")


def no_type(command: Asking) -> Refusal:
    """The refusal for a ticket type that does not exist, or that the caller may not see."""
    return Refusal(Reason.TICKET_TYPE_NOT_FOUND, f"the event has no ticket type {command.ticket_type_id}")


def not_selling(state: EventState, command: Asking) -> Refusal | None:
    """Why the event as a whole sells nothing; None when it does."""
    if state.status == PUBLISHED and state.details is not None:
        return None
    return no_event(command) if unseen(state, command) else not_on_offer(state, command)


def not_on_offer(state: EventState, command: Asking) -> Refusal | None:
    """The same for a caller who may see the event."""
    if state.details is None or state.status == EventStage.DELETED:
        return no_event(command)
    if state.status == PUBLISHED:
        return None
    if state.status == EventStage.CANCELLED:
        return Refusal(Reason.EVENT_CANCELLED, "the event is cancelled")
    if state.status == EventStage.ENDED:
        return Refusal(Reason.EVENT_ENDED, "the event is over")
    return Refusal(Reason.SALES_NOT_OPEN, "the event is not published")


def over_limit(state: EventState, section: Section, user_id: UserId, quantity: int) -> Refusal | None:
    """Why a user may not have `quantity` more places; None when they may."""
    details = state.details
    assert details is not None
    owned = state.tickets_of.get(user_id, 0)
    if owned + quantity > details.max_tickets_per_user:
        allowed = details.max_tickets_per_user
        detail = f"{owned} held or bought, {quantity} more asked, {allowed} allowed"
        return Refusal(Reason.LIMIT_EXCEEDED, detail, amount=allowed)
    if section.max_per_user:
        owned = state.tickets_of_type(section, user_id)
        if owned + quantity > section.max_per_user:
            allowed = section.max_per_user
            detail = f"{owned} of this ticket type held or bought, {quantity} more asked, {allowed} allowed"
            return Refusal(Reason.LIMIT_EXCEEDED, detail, amount=allowed)
    return None


def holds_exhausted(state: EventState, command: c.ReserveTickets, now: LogTime) -> Refusal | None:
    """Why a buyer may not hold places for a while; None when they may. Counts holds that ran out unpaid.

    All accounts of one mailbox count together.
    """
    user_id, mailbox, unpaid_of = command.user_id, command.mailbox or 0, state.unpaid_of
    if not unpaid_of:
        return None
    if len(unpaid_of.get(user_id, ())) + len(unpaid_of.get(mailbox, ())) < limits.HOLDS_UNPAID_MAX:
        return None
    window_us = limits.UNPAID_WINDOW_S * US_PER_S
    ends, _ = state.unpaid(user_id, mailbox, LogTime(now - window_us))
    if len(ends) < limits.HOLDS_UNPAID_MAX:
        return None
    again_at = ends[-limits.HOLDS_UNPAID_MAX] + window_us
    detail = f"{len(ends)} holds ran out unpaid; the next is possible at {again_at}"
    return Refusal(Reason.HOLDS_EXHAUSTED, detail, at=again_at, amount=len(ends))


def quantity_out_of(quantity: int, most: int) -> Refusal:
    """The refusal of a quantity that is not sold at once."""
    detail = f"quantity is {quantity}; 1 to {most} are sold at once"
    return Refusal(Reason.INVALID_QUANTITY, detail, field="quantity", amount=most)


def per_order(details: Details, section: Section) -> int:
    """How many places one order may have."""
    return min(
        limits.SEATS_PER_ORDER_MAX,
        details.max_tickets_per_order or limits.SEATS_PER_ORDER_MAX,
        section.max_per_order or limits.SEATS_PER_ORDER_MAX,
    )


def _why_not(state: EventState, section: Section | None, command: c.ReserveTickets, now: LogTime) -> Refusal | None:
    """The first rule that forbids the reservation; None when no rule does. Free places are not checked here."""
    why = not_selling(state, command)
    if why is not None:
        return why
    if section is None or not _sees(state, section, command):
        return no_type(command)
    return against(state, section, command, now)


def _sees(state: EventState, section: Section, command: c.ReserveTickets) -> bool:
    """Whether a buyer may see this ticket type. A code that unlocks it is enough, even if it does not work now."""
    assert state.details is not None
    if not section.hidden or state.details.organizer_id == command.user_id:
        return True
    code = state.codes.get(command.access_code or "")
    if code is None or code.disabled or code.kind != CodeKind.ACCESS:
        return False
    return not code.ticket_type_ids or section.ticket_type_id in code.ticket_type_ids


def against(state: EventState, section: Section, command: c.ReserveTickets, now: LogTime) -> Refusal | None:
    """The first rule that forbids a reservation of a ticket type that the buyer may see."""
    details, quantity = state.details, command.quantity
    assert details is not None
    why = on_sale(details, section, now)
    if why is not None:
        return why
    if not 1 <= quantity <= limits.SEATS_PER_ORDER_MAX:
        return quantity_out_of(quantity, limits.SEATS_PER_ORDER_MAX)
    if command.seats:
        why = _seats_problem(section, command)
        if why is not None:
            return why
    why = over_limit(state, section, command.user_id, quantity)
    if why is not None:
        return why
    most = per_order(details, section)
    if quantity > most:
        return Refusal(Reason.LIMIT_EXCEEDED, f"{quantity} asked, {most} are sold in one order", amount=most)
    if section.hidden or command.access_code or command.promo_code:
        return _codes_problem(state, section, command, now)
    return None


def _seats_problem(section: Section, command: c.ReserveTickets) -> Refusal | None:
    """Why the named seats cannot be held. A buyer gets all of them or none."""
    seats, seating = command.seats, section.seating
    if seating is None:
        return Refusal(Reason.INVALID_SEATS, "general admission has no numbered seats", field="seats")
    if len(set(seats)) != len(seats) or len(seats) != command.quantity:
        return Refusal(Reason.INVALID_SEATS, "a seat is named twice, or quantity is not their number", field="seats")
    unknown = [seat for seat in seats if seat not in seating]
    if unknown:
        return Refusal(Reason.SEAT_UNKNOWN, named("no such seat", unknown), field="seats")
    locked = [seat for seat in seats if seating.is_locked(seat)]
    if locked:
        return Refusal(Reason.SEAT_TAKEN, named("locked by another seller", locked), field="seats")
    taken = [seat for seat in seats if not seating.is_free(seat)]
    if taken:
        return Refusal(Reason.SEAT_TAKEN, named("taken", taken), field="seats")
    return None


def _codes_problem(state: EventState, section: Section, command: c.ReserveTickets, now: LogTime) -> Refusal | None:
    """Why a code does not work, or one is missing."""
    if section.hidden and not command.access_code:
        return Refusal(Reason.ACCESS_CODE_REQUIRED, "this ticket type is sold with an access code", field="access_code")
    for text, is_access in ((command.access_code, True), (command.promo_code, False)):
        if not text:
            continue
        name, code = "access_code" if is_access else "promo_code", state.codes.get(text)
        if (
            code is None
            or code.disabled
            or (code.kind == CodeKind.ACCESS) is not is_access
            or (code.ticket_type_ids and section.ticket_type_id not in code.ticket_type_ids)
            or now < code.valid_from_at
            or (code.valid_until_at and now >= code.valid_until_at)
        ):
            return Flaw(name, "does not work for this order").why(Reason.CODE_INVALID)
        used_up = state.used_up(code, command.quantity)
        if used_up:
            return Flaw(name, used_up).why(Reason.CODE_USED_UP)
    return None


def _discount(state: EventState, command: c.ReserveTickets, price_minor: int, currency: str, shares: Shares) -> int:
    """What a promo code takes off, never more than the price."""
    code = state.codes[command.promo_code or ""]
    if code.kind == CodeKind.PERCENT:
        return shares.of_percent(price_minor, code.value, currency)
    return shares.at_most(code.value, price_minor, currency)


def _rejected(command: c.ReserveTickets, why: Refusal) -> f.ReservationRejected:
    return f.ReservationRejected(
        reservation_id=command.reservation_id,
        user_id=command.user_id,
        ticket_type_id=command.ticket_type_id,
        quantity=command.quantity,
        fingerprint=command.fingerprint,
        reason=why.reason,
        detail=why.detail,
        field=why.field,
        at=why.at,
        amount=why.amount,
    )


def _left(section: Section, quantity: int) -> Refusal:
    """Too few places are left."""
    left = section.available
    detail = f"{quantity} asked; {left} available, {section.held} held, {section.sold} sold"
    return Refusal(SOLD_OUT, detail, amount=left)
