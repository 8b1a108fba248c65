"""`decide(state, command, now)`: the rules. Pure: no clock, no I/O, no randomness; the same log gives the same facts.

`step` is what a partition does with each command: first the holds that are due by log time end, then the command is
decided on what that leaves, each fact folded at once. A refusal is a fact; every command yields at least one. The
rules are numbered by `schemas.facts.RULES_VERSION`; whoever changes an answer raises it and keeps the old answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pipelines.reservations import limits
from pipelines.reservations import state as s
from pipelines.reservations.evolve import evolve
from pipelines.reservations.state import At, Details, EventState, Reservation, Section
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import US_PER_S, LogTime, ReservationId, ticket_id


def step(state: EventState, command: c.Command, at: At) -> list[f.Fact]:
    """End what is due, decide the command, fold both into `state`. Returns the facts in order, at least one."""
    facts: list[f.Fact] = [expired(hold) for hold in state.due(at.log_time, limits.EXPIRIES_PER_COMMAND_MAX)]
    for fact in facts:
        evolve(state, fact, at)
    decided = decide(state, command, at.log_time)
    for fact in decided:
        evolve(state, fact, at)
    return facts + decided if facts else decided


def decide(state: EventState, command: c.Command, now: LogTime) -> list[f.Fact]:
    """What becomes of `command` for an event in `state` at log time `now`. At least one fact; changes nothing."""
    rule = _RULES.get(type(command))
    if rule is None:
        return [_refused(command, Reason.NOT_HELD, "this build does not decide such commands yet")]
    return rule(state, command, now)


def expired(hold: Reservation) -> f.HoldExpired:
    """The end of a hold whose deadline is reached."""
    return f.HoldExpired(hold.id, hold.user_id, hold.ticket_type_id, hold.quantity, hold.seats)


# --- the organizer's commands -------------------------------------------------------------------------------------


def _create_event(state: EventState, command: c.CreateEvent, _now: LogTime) -> list[f.Fact]:
    if state.details is not None:
        if state.details.organizer_id == command.user_id:
            return [_duplicate(command, command.event_id)]
        return [_refused(command, Reason.EVENT_EXISTS, "another organizer has an event with this id")]
    details = Details(
        command.user_id,
        command.title,
        command.description,
        command.category_id,
        command.venue,
        command.starts_at,
        command.ends_at,
        command.timezone,
        command.sales_open_at,
        command.sales_close_at,
        command.hold_ttl_s,
        command.max_tickets_per_user,
    )
    problem = _problem_of(details)
    if problem:
        return [_refused(command, Reason.INVALID_SCHEDULE, problem)]
    return [f.EventCreated(*_fields_of(details))]


def _update_event(state: EventState, command: c.UpdateEvent, _now: LogTime) -> list[f.Fact]:
    refusal = _not_owner(state, command)
    if refusal is not None:
        return [refusal]
    assert state.details is not None
    names = [name for name in c.UpdateEvent.__struct_fields__[3:] if getattr(command, name) is not None]
    changes = {name: getattr(command, name) for name in names}
    details = msgspec.structs.replace(state.details, **changes)
    if details == state.details:
        return [_duplicate(command, command.event_id)]
    problem = _problem_of(details)
    if problem:
        return [_refused(command, Reason.INVALID_SCHEDULE, problem)]
    return [f.EventUpdated(*_fields_of(details))]


def _publish_event(state: EventState, command: c.PublishEvent, _now: LogTime) -> list[f.Fact]:
    refusal = _not_owner(state, command)
    if refusal is not None:
        return [refusal]
    if state.status == s.PUBLISHED:
        return [_duplicate(command, command.event_id)]
    if state.status != s.DRAFT:
        return [_refused(command, Reason.NOT_DRAFT, f"the event is {state.status}")]
    return [f.EventPublished(command.user_id)]


def _add_ticket_type(state: EventState, command: c.AddTicketType, _now: LogTime) -> list[f.Fact]:
    refusal = _not_owner(state, command)
    if refusal is not None:
        return [refusal]
    if command.ticket_type_id in state.sections:
        return [_duplicate(command, command.ticket_type_id)]
    problem = _problem_of_type(state, command)
    if problem:
        return [_refused(command, Reason.INVALID_TICKET_TYPE, problem)]
    return [
        f.TicketTypeAdded(
            command.user_id,
            command.ticket_type_id,
            len(state.sections),
            command.name,
            command.price_minor,
            command.currency,
            command.kind,
            command.rows,
            command.seats_per_row,
            command.capacity,
            command.sales_open_at,
            command.sales_close_at,
        )
    ]


# --- the buyer's commands -----------------------------------------------------------------------------------------


def _reserve(state: EventState, command: c.ReserveTickets, now: LogTime) -> list[f.Fact]:
    known = state.known(command.reservation_id, now)
    if known is not None:
        if known.fingerprint != command.fingerprint or known.user_id != command.user_id:
            detail = "the same Idempotency-Key came with another body"
            return [_refused(command, Reason.IDEMPOTENCY_KEY_REUSED, detail, command.reservation_id)]
        return [_duplicate(command, command.reservation_id)]
    section = state.sections.get(command.ticket_type_id)
    turned_down = _why_not(state, section, command, now)
    if turned_down is not None:
        return [_rejected(command, *turned_down)]
    assert section is not None
    assert state.details is not None
    seats: list[str] = []
    if section.seating is not None:
        chosen = command.seats or section.seating.best_available(command.quantity)
        if chosen is None:
            return [_rejected(command, Reason.SOLD_OUT, _left(section, command.quantity))]
        seats = chosen
    elif command.quantity > section.available:
        return [_rejected(command, Reason.SOLD_OUT, _left(section, command.quantity))]
    return [
        f.TicketsHeld(
            command.reservation_id,
            command.user_id,
            command.ticket_type_id,
            command.quantity,
            seats,
            section.price_minor * command.quantity,
            section.currency,
            now + state.details.hold_ttl_s * US_PER_S,
            command.fingerprint,
        )
    ]


def _why_not(
    state: EventState, section: Section | None, command: c.ReserveTickets, now: LogTime
) -> tuple[Reason, str] | None:
    """The first rule that stands against a reservation, except that nothing is left; None when none does."""
    details, quantity = state.details, command.quantity
    if details is None:
        return Reason.EVENT_NOT_FOUND, f"there is no event {command.event_id}"
    if state.status == s.CANCELLED_EVENT:
        return Reason.EVENT_CANCELLED, "the event is cancelled"
    if state.status != s.PUBLISHED:
        return Reason.SALES_NOT_OPEN, "the event is not published"
    if section is None:
        return Reason.TICKET_TYPE_NOT_FOUND, f"the event has no ticket type {command.ticket_type_id}"
    opens = section.sales_open_at or details.sales_open_at
    closes = section.sales_close_at or details.sales_close_at
    if now < opens:
        return Reason.SALES_NOT_OPEN, f"sales open at {opens}"
    if closes and now >= closes:
        return Reason.SALES_CLOSED, f"sales closed at {closes}"
    if not 1 <= quantity <= limits.SEATS_PER_ORDER_MAX:
        return Reason.INVALID_QUANTITY, f"quantity is {quantity}; 1 to {limits.SEATS_PER_ORDER_MAX} are sold at once"
    if command.seats:
        problem = _seats_problem(section, command)
        if problem is not None:
            return problem
    owned = state.tickets_of.get(command.user_id, 0)
    if owned + quantity > details.max_tickets_per_user:
        return (
            Reason.LIMIT_EXCEEDED,
            f"{owned} held or bought, {quantity} more asked, {details.max_tickets_per_user} allowed",
        )
    return None


def _seats_problem(section: Section, command: c.ReserveTickets) -> tuple[Reason, str] | None:
    """Named seats are had all or not at all."""
    seats, seating = command.seats, section.seating
    if seating is None:
        return Reason.INVALID_SEATS, "general admission has no numbered seats"
    if len(set(seats)) != len(seats) or len(seats) != command.quantity:
        return Reason.INVALID_SEATS, "a seat is named twice, or quantity is not their number"
    unknown = [seat for seat in seats if seat not in seating]
    if unknown:
        return Reason.SEAT_UNKNOWN, _named("no such seat", unknown)
    locked = [seat for seat in seats if seating.is_locked(seat)]
    if locked:
        return Reason.SEAT_TAKEN, _named("locked by another seller", locked)
    taken = [seat for seat in seats if not seating.is_free(seat)]
    if taken:
        return Reason.SEAT_TAKEN, _named("taken", taken)
    return None


def _named(what: str, seats: list[str]) -> str:
    return f"{what}: {', '.join(seats)}"[: limits.DETAIL_CHARS_MAX]


def _confirm(state: EventState, command: c.ConfirmReservation, now: LogTime) -> list[f.Fact]:
    hold = state.reservations.get(command.reservation_id)
    if hold is None or hold.user_id != command.user_id:
        return [_refused(command, Reason.RESERVATION_NOT_FOUND, "no such reservation of yours", command.reservation_id)]
    if hold.attempt_id == command.attempt_id:
        if hold.payment_token != command.payment_token:
            detail = "the same Idempotency-Key came with another payment_token"
            return [_refused(command, Reason.IDEMPOTENCY_KEY_REUSED, detail, hold.id)]
        return [_duplicate(command, hold.id)]
    if hold.status == s.CONFIRMED:
        return [_duplicate(command, hold.id)]
    if hold.payment == s.REQUESTED:
        return [_refused(command, Reason.PAYMENT_IN_PROGRESS, "another payment of it is under way", hold.id)]
    if hold.status != s.HELD or now >= hold.expires_at:
        reason = Reason.HOLD_EXPIRED if hold.status in (s.EXPIRED, s.HELD) else Reason.NOT_HELD
        return [f.ConfirmationRefused(hold.id, hold.user_id, command.attempt_id, reason)]
    if hold.amount_minor == 0:
        return [_confirmed(hold, command.attempt_id, "")]
    return [
        f.PaymentRequested(
            hold.id,
            hold.user_id,
            command.attempt_id,
            command.payment_token,
            hold.amount_minor,
            hold.currency,
            command.command_id,
        )
    ]


def _record_payment(state: EventState, command: c.RecordPayment, now: LogTime) -> list[f.Fact]:
    hold = state.reservations.get(command.reservation_id)
    if hold is None:
        return [_refused(command, Reason.RESERVATION_NOT_FOUND, "a payment for no reservation", command.reservation_id)]
    if hold.payment != s.REQUESTED or hold.attempt_id != command.attempt_id:
        return [_duplicate(command, hold.id)]
    if command.outcome != s.CAPTURED:
        return [f.PaymentDeclined(hold.id, hold.user_id, command.attempt_id, command.reason)]
    if hold.status == s.HELD and now < hold.expires_at:
        return [_confirmed(hold, command.attempt_id, command.payment_id)]
    reason = Reason.HOLD_EXPIRED if hold.status in (s.EXPIRED, s.HELD) else Reason.NOT_HELD
    return [
        f.ConfirmationRefused(hold.id, hold.user_id, command.attempt_id, reason),
        _refund(hold, command.attempt_id, command.payment_id, command.amount_minor, reason),
    ]


def _record_refund(state: EventState, command: c.RecordRefund, _now: LogTime) -> list[f.Fact]:
    reservation = state.reservations.get(command.reservation_id)
    if reservation is None:
        return [_refused(command, Reason.RESERVATION_NOT_FOUND, "a refund for no reservation", command.reservation_id)]
    if reservation.payment != s.REFUND_REQUESTED or reservation.payment_id != command.payment_id:
        return [_duplicate(command, reservation.id)]
    return [
        f.PaymentRefunded(
            reservation.id, reservation.user_id, command.payment_id, command.refund_id, command.amount_minor
        )
    ]


def _release(state: EventState, command: c.ReleaseReservation, now: LogTime) -> list[f.Fact]:
    found = state.reservations.get(command.reservation_id)
    if found is None or found.user_id != command.user_id:
        return [_refused(command, Reason.RESERVATION_NOT_FOUND, "no such reservation of yours", command.reservation_id)]
    if found.status == s.HELD and now >= found.expires_at:
        return [expired(found), _refused(command, Reason.HOLD_EXPIRED, "its deadline has passed", found.id)]
    if found.status == s.HELD:
        return [f.HoldReleased(found.id, found.user_id, found.ticket_type_id, found.quantity, found.seats)]
    if found.status in (s.RELEASED, s.CANCELLED):
        return [_duplicate(command, found.id)]
    if found.status != s.CONFIRMED:
        reason = Reason.HOLD_EXPIRED if found.status == s.EXPIRED else Reason.NOT_HELD
        return [_refused(command, reason, f"the reservation is {found.status}", found.id)]
    facts: list[f.Fact] = [
        f.ReservationCancelled(
            found.id, found.user_id, found.ticket_type_id, found.quantity, found.seats, Reason.BUYER_CANCELLED
        )
    ]
    if found.payment_id:
        facts.append(_refund(found, found.attempt_id, found.payment_id, found.amount_minor, Reason.BUYER_CANCELLED))
    return facts


def _tick(_state: EventState, _command: c.Tick, _now: LogTime) -> list[f.Fact]:
    return [f.TickObserved()]


# --- facts with their fields filled in ----------------------------------------------------------------------------


def _rejected(command: c.ReserveTickets, reason: Reason, detail: str) -> f.ReservationRejected:
    return f.ReservationRejected(
        command.reservation_id,
        command.user_id,
        command.ticket_type_id,
        command.quantity,
        command.fingerprint,
        reason,
        detail,
    )


def _confirmed(hold: Reservation, attempt: str, payment: str) -> f.ReservationConfirmed:
    places = hold.seats or [str(ordinal) for ordinal in range(1, hold.quantity + 1)]
    tickets: list[str] = [ticket_id(ReservationId(hold.id), place) for place in places]
    return f.ReservationConfirmed(
        hold.id,
        hold.user_id,
        hold.ticket_type_id,
        hold.quantity,
        hold.seats,
        tickets,
        attempt,
        payment,
        hold.amount_minor,
        hold.currency,
    )


def _refund(of: Reservation, attempt: str, payment: str, amount_minor: int, reason: str) -> f.RefundRequested:
    return f.RefundRequested(of.id, of.user_id, attempt, payment, amount_minor, of.currency, reason)


def _duplicate(command: c.Command, subject: str) -> f.CommandDuplicated:
    return f.CommandDuplicated(type(command).__name__, subject, command.user_id)


def _refused(command: c.Command, reason: Reason, detail: str, subject: str = "") -> f.CommandRefused:
    return f.CommandRefused(type(command).__name__, subject or command.event_id, command.user_id, reason, detail)


def _not_owner(state: EventState, command: c.Command) -> f.CommandRefused | None:
    if state.details is None:
        return _refused(command, Reason.EVENT_NOT_FOUND, f"there is no event {command.event_id}")
    if state.details.organizer_id != command.user_id:
        return _refused(command, Reason.NOT_OWNER, "only the event's organizer may do this")
    return None


def _left(section: Section, quantity: int) -> str:
    return f"{quantity} asked; {section.available} available, {section.held} held, {section.sold} sold"


def _fields_of(details: Details) -> tuple[Any, ...]:
    return msgspec.structs.astuple(details)


def _problem_of(details: Details) -> str:
    """What contradicts itself in an event's description, by field; "" when nothing does."""
    if details.ends_at <= details.starts_at:
        return "ends_at must be after starts_at"
    if details.sales_close_at and details.sales_close_at <= details.sales_open_at:
        return "sales_close_at must be after sales_open_at"
    if not limits.HOLD_TTL_S_MIN <= details.hold_ttl_s <= limits.HOLD_TTL_S_MAX:
        return f"hold_ttl_s must be {limits.HOLD_TTL_S_MIN} to {limits.HOLD_TTL_S_MAX}"
    if not 1 <= details.max_tickets_per_user <= limits.TICKETS_PER_USER_MAX:
        return f"max_tickets_per_user must be 1 to {limits.TICKETS_PER_USER_MAX}"
    return ""


def _problem_of_type(state: EventState, command: c.AddTicketType) -> str:
    """What is wrong with a ticket type, by field; "" when nothing is."""
    if len(state.sections) >= limits.TICKET_TYPES_PER_EVENT_MAX:
        return f"an event has at most {limits.TICKET_TYPES_PER_EVENT_MAX} ticket types"
    if command.kind not in (s.SEATED, s.GENERAL):
        return f"layout.kind must be {s.SEATED} or {s.GENERAL}"
    if not 0 <= command.price_minor <= limits.PRICE_MINOR_MAX:
        return f"price.amount must be 0 to {limits.PRICE_MINOR_MAX}"
    if command.sales_close_at and command.sales_close_at <= command.sales_open_at:
        return "sales_close_at must be after sales_open_at"
    if command.kind == s.GENERAL:
        within = 1 <= command.capacity <= limits.CAPACITY_MAX
        return "" if within else f"layout.capacity must be 1 to {limits.CAPACITY_MAX}"
    if not 1 <= command.rows <= limits.ROWS_MAX or not 1 <= command.seats_per_row <= limits.SEATS_PER_ROW_MAX:
        return f"layout.rows must be 1 to {limits.ROWS_MAX}, layout.seats_per_row 1 to {limits.SEATS_PER_ROW_MAX}"
    if command.rows * command.seats_per_row > limits.SEATS_PER_SECTION_MAX:
        return f"layout has more than {limits.SEATS_PER_SECTION_MAX} seats; make it several ticket types"
    return ""


_RULES: dict[type[c.Command], Callable[[EventState, Any, LogTime], list[f.Fact]]] = {
    c.CreateEvent: _create_event,
    c.UpdateEvent: _update_event,
    c.PublishEvent: _publish_event,
    c.AddTicketType: _add_ticket_type,
    c.ReserveTickets: _reserve,
    c.ConfirmReservation: _confirm,
    c.ReleaseReservation: _release,
    c.RecordPayment: _record_payment,
    c.RecordRefund: _record_refund,
    c.Tick: _tick,
}
