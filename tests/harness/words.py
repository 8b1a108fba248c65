"""Commands and facts with defaults, so that a test names only the fields that matter to it, and
`given(…).when(…).then(…)`.

Times are log time in microseconds; `T` is the time at which every test begins. Sales are open from the start, a hold
lasts 60 s.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from pipelines.reservations.core.decide import decide, step
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import At, EventState
from schemas import commands as c
from schemas import facts as f
from schemas import requests_in_turn
from schemas.event_terms import EventTerms
from schemas.ids import US_PER_S, CommandId, EventId, LogTime, ReservationId, ticket_id
from schemas.terms import defaults
from schemas.ticket_type_terms import TicketTypeTerms

T = 1_800_000_000 * US_PER_S
TTL_S = 60
DEADLINE = T + TTL_S * US_PER_S
EVENT = "11111111-1111-4111-8111-111111111111"
ORGANIZER = "22222222-2222-4222-8222-222222222222"
ALICE, BOB = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
STALLS, FLOOR = "stalls", "floor"
R1, R2, R3 = (str(uuid.uuid5(uuid.UUID(ALICE), key)) for key in "123")
TRY1, TRY2 = "attempt-1", "attempt-2"

DETAILS: dict[str, Any] = {
    "title": "Night of the Circle",
    "description": "",
    "category_id": "music",
    "venue": "Hall",
    "starts_at": T + 10**12,
    "ends_at": T + 2 * 10**12,
    "timezone": "Europe/Vienna",
    "sales_open_at": 0,
    "sales_close_at": 0,
    "hold_ttl_s": TTL_S,
    "max_tickets_per_user": 8,
}
TERMS = defaults(EventTerms)
LAYOUT: dict[str, Any] = {
    "name": "Stalls",
    "price_minor": 2_500,
    "currency": "EUR",
    "kind": "seated",
    "rows": 3,
    "seats_per_row": 6,
    "capacity": 0,
    "sales_open_at": 0,
    "sales_close_at": 0,
}
TYPE_TERMS = defaults(TicketTypeTerms)


# --- commands -----------------------------------------------------------------------------------------------------


def create(by: str = ORGANIZER, **changes: Any) -> c.CreateEvent:
    return c.CreateEvent(EVENT, by, "cmd", **DETAILS | changes)


def update(by: str = ORGANIZER, **changes: Any) -> c.UpdateEvent:
    return c.UpdateEvent(EVENT, by, "cmd", **changes)


def publish(by: str = ORGANIZER) -> c.PublishEvent:
    return c.PublishEvent(EVENT, by, "cmd")


def add_type(type_id: str = STALLS, by: str = ORGANIZER, **changes: Any) -> c.AddTicketType:
    return c.AddTicketType(EVENT, by, "cmd", type_id, **LAYOUT | changes)


def reserve(
    quantity: int = 1,
    seats: list[str] | None = None,
    *,
    by: str = ALICE,
    rid: str = R1,
    of: str = STALLS,
    fingerprint: int = 1,
    mailbox: int | None = None,
) -> c.ReserveTickets:
    named = seats or []
    return c.ReserveTickets(
        event_id=EVENT,
        user_id=by,
        command_id="cmd",
        reservation_id=rid,
        ticket_type_id=of,
        quantity=len(named) or quantity,
        seats=named,
        fingerprint=fingerprint,
        mailbox=mailbox,
    )


def in_turn(*requests: c.ReserveTickets) -> c.ReserveInTurn:
    """These requests in one record."""
    return requests_in_turn.in_turn(EventId(EVENT), CommandId("turn"), requests)


def confirm(rid: str = R1, *, by: str = ALICE, attempt: str = TRY1, token: str = "tok_ok") -> c.ConfirmReservation:
    return c.ConfirmReservation(
        event_id=EVENT, user_id=by, command_id="cmd", reservation_id=rid, attempt_id=attempt, payment_token=token
    )


def paid(rid: str = R1, *, attempt: str = TRY1, payment: str = "pay-1", amount: int = 2_500) -> c.RecordPayment:
    return c.RecordPayment(
        event_id=EVENT,
        user_id="",
        command_id="cmd",
        reservation_id=rid,
        attempt_id=attempt,
        payment_id=payment,
        outcome="captured",
        reason="",
        amount_minor=amount,
    )


def declined(rid: str = R1, *, attempt: str = TRY1, reason: str = "card declined") -> c.RecordPayment:
    return c.RecordPayment(
        event_id=EVENT,
        user_id="",
        command_id="cmd",
        reservation_id=rid,
        attempt_id=attempt,
        payment_id="",
        outcome="declined",
        reason=reason,
        amount_minor=0,
    )


def refunded(
    rid: str = R1, *, payment: str = "pay-1", refund: str = "ref-1", amount: int = 2_500, key: str | None = None
) -> c.RecordRefund:
    return c.RecordRefund(
        event_id=EVENT,
        user_id="",
        command_id="cmd",
        reservation_id=rid,
        payment_id=payment,
        refund_id=refund,
        amount_minor=amount,
        refund_key=key,
    )


def given_back(
    amount: int = 2_500, *, rid: str = R1, payment: str = "pay-1", refund: str = "re-9", currency: str = "EUR"
) -> c.RecordProviderRefund:
    """The provider reports a refund of its own."""
    return c.RecordProviderRefund(
        event_id=EVENT,
        user_id="",
        command_id="cmd",
        reservation_id=rid,
        payment_id=payment,
        refund_id=refund,
        amount_minor=amount,
        currency=currency,
        reason="requested_by_customer",
    )


def came_back(
    amount: int = 2_500, *, rid: str = R1, payment: str = "pay-1", refund: str = "re-9", key: str | None = None
) -> c.RecordRefundFailure:
    """The provider reports a failed refund."""
    return c.RecordRefundFailure(
        event_id=EVENT,
        user_id="",
        command_id="cmd",
        reservation_id=rid,
        payment_id=payment,
        refund_id=refund,
        amount_minor=amount,
        currency="EUR",
        reason="card closed",
        refund_key=key,
    )


def dispute(
    status: str = "open", amount: int = 2_500, *, rid: str = R1, payment: str = "pay-1", currency: str = "EUR"
) -> c.RecordDispute:
    """The provider reports the state of a dispute."""
    return c.RecordDispute(
        event_id=EVENT,
        user_id="",
        command_id="cmd",
        reservation_id=rid,
        payment_id=payment,
        dispute_id="dp-1",
        status=status,
        amount_minor=amount,
        currency=currency,
        reason="fraudulent",
    )


def release(rid: str = R1, *, by: str = ALICE) -> c.ReleaseReservation:
    return c.ReleaseReservation(EVENT, by, "cmd", rid)


def tick() -> c.Tick:
    return c.Tick(EVENT, "", "cmd")


# --- facts --------------------------------------------------------------------------------------------------------


def created(by: str = ORGANIZER, **changes: Any) -> f.EventCreated:
    return f.EventCreated(by, **DETAILS | TERMS | changes)


def updated(by: str = ORGANIZER, **changes: Any) -> f.EventUpdated:
    return f.EventUpdated(by, **DETAILS | TERMS | changes)


def published(by: str = ORGANIZER) -> f.EventPublished:
    return f.EventPublished(by)


def type_added(type_id: str = STALLS, ordinal: int = 0, **changes: Any) -> f.TicketTypeAdded:
    return f.TicketTypeAdded(ORGANIZER, type_id, ordinal, **LAYOUT | TYPE_TERMS | changes)


def on_sale(
    *, details: dict[str, Any] | None = None, layout: dict[str, Any] | None = None
) -> tuple[f.Fact, f.Fact, f.Fact]:
    """A published event with one ticket type, stalls: rows A to C of six seats."""
    return created(**details or {}), type_added(**layout or {}), published()


def general(capacity: int) -> tuple[f.Fact, f.Fact, f.Fact]:
    """A published event whose one ticket type is general admission."""
    return on_sale(layout={"kind": "general", "capacity": capacity, "rows": 0, "seats_per_row": 0})


def held(
    seats: list[str] | None = None,
    *,
    rid: str = R1,
    by: str = ALICE,
    of: str = STALLS,
    quantity: int = 0,
    price_minor: int = 2_500,
    until: int = DEADLINE,
    fingerprint: int = 1,
    mailbox: int | None = None,
) -> f.TicketsHeld:
    named = seats or []
    count = quantity or len(named)
    return f.TicketsHeld(
        reservation_id=rid,
        user_id=by,
        ticket_type_id=of,
        quantity=count,
        seats=named,
        amount_minor=price_minor * count,
        currency="EUR",
        expires_at=until,
        fingerprint=fingerprint,
        mailbox=mailbox,
    )


def rejected(
    reason: f.Reason,
    detail: str,
    *,
    rid: str = R1,
    by: str = ALICE,
    of: str = STALLS,
    quantity: int = 1,
    fp: int = 1,
    field: str | None = None,
    at: int | None = None,
    amount: int | None = None,
) -> f.ReservationRejected:
    return f.ReservationRejected(
        reservation_id=rid,
        user_id=by,
        ticket_type_id=of,
        quantity=quantity,
        fingerprint=fp,
        reason=reason,
        detail=detail,
        field=field,
        at=at,
        amount=amount,
    )


def payment_requested(
    rid: str = R1, *, by: str = ALICE, attempt: str = TRY1, token: str = "tok_ok", amount: int = 2_500
) -> f.PaymentRequested:
    return f.PaymentRequested(
        reservation_id=rid,
        user_id=by,
        attempt_id=attempt,
        payment_token=token,
        amount_minor=amount,
        currency="EUR",
        command_id="cmd",
    )


def payment_declined(rid: str = R1, *, attempt: str = TRY1, reason: str = "card declined") -> f.PaymentDeclined:
    return f.PaymentDeclined(rid, ALICE, attempt, reason)


def confirmed(
    seats: list[str] | None = None,
    *,
    rid: str = R1,
    by: str = ALICE,
    attempt: str = TRY1,
    payment: str = "pay-1",
    quantity: int = 0,
    price_minor: int = 2_500,
) -> f.ReservationConfirmed:
    named = seats or []
    count = quantity or len(named)
    places = named or [str(ordinal) for ordinal in range(1, count + 1)]
    tickets: list[str] = [ticket_id(ReservationId(rid), place) for place in places]
    return f.ReservationConfirmed(
        reservation_id=rid,
        user_id=by,
        ticket_type_id=STALLS,
        quantity=count,
        seats=named,
        ticket_ids=tickets,
        attempt_id=attempt,
        payment_id=payment,
        amount_minor=price_minor * count,
        currency="EUR",
    )


def confirmation_refused(
    reason: f.Reason, *, rid: str = R1, attempt: str = TRY1, refund: int | None = None
) -> f.ConfirmationRefused:
    return f.ConfirmationRefused(
        reservation_id=rid, user_id=ALICE, attempt_id=attempt, reason=reason, refund_minor=refund
    )


def refund_requested(
    reason: f.Reason,
    *,
    rid: str = R1,
    attempt: str = TRY1,
    payment: str = "pay-1",
    amount: int = 2_500,
    key: str | None = None,
) -> f.RefundRequested:
    return f.RefundRequested(
        reservation_id=rid,
        user_id=ALICE,
        attempt_id=attempt,
        payment_id=payment,
        amount_minor=amount,
        currency="EUR",
        reason=reason,
        refund_key=key,
    )


def payment_refunded(
    rid: str = R1, *, payment: str = "pay-1", amount: int = 2_500, key: str | None = None
) -> f.PaymentRefunded:
    return f.PaymentRefunded(
        reservation_id=rid, user_id=ALICE, payment_id=payment, refund_id="ref-1", amount_minor=amount, refund_key=key
    )


def refunded_at_provider(
    tickets: int = 2_500, kept: int = 0, owed: int = 0, *, payment: str = "captured", refund: str = "re-9"
) -> f.PaymentRefunded:
    return f.PaymentRefunded(
        reservation_id=R1,
        user_id=ALICE,
        payment_id="pay-1",
        refund_id=refund,
        amount_minor=tickets + kept + owed,
        refund_key=refund,
        origin="provider",
        currency="EUR",
        reason="requested_by_customer",
        from_tickets_minor=tickets,
        from_kept_minor=kept,
        from_owed_minor=owed,
        payment=payment,
        organizer_id=ORGANIZER,
    )


def refund_failed(
    amount: int = 2_500, *, key: str = "refund-pay-1", refund: str = "re-9", origin: str = "ours", to_tickets: int = 0,
    to_owed: int | None = None, payment: str = "refund-failed",
) -> f.RefundFailed:  # fmt: skip
    owed = amount - to_tickets if to_owed is None else to_owed
    return f.RefundFailed(
        reservation_id=R1,
        user_id=ALICE,
        organizer_id=ORGANIZER,
        payment_id="pay-1",
        refund_id=refund,
        refund_key=key,
        origin=origin,
        amount_minor=amount,
        currency="EUR",
        reason="card closed",
        to_tickets_minor=to_tickets,
        to_owed_minor=owed,
        payment=payment,
    )


def dispute_opened(status: str = "open", amount: int = 2_500) -> f.DisputeOpened:
    return f.DisputeOpened(
        reservation_id=R1,
        user_id=ALICE,
        organizer_id=ORGANIZER,
        payment_id="pay-1",
        dispute_id="dp-1",
        status=status,
        amount_minor=amount,
        currency="EUR",
        reason="fraudulent",
    )


def dispute_closed(
    status: str, tickets: int = 0, kept: int = 0, owed: int = 0, *, amount: int = 2_500, payment: str = "captured"
) -> f.DisputeClosed:
    return f.DisputeClosed(
        reservation_id=R1,
        user_id=ALICE,
        organizer_id=ORGANIZER,
        payment_id="pay-1",
        dispute_id="dp-1",
        status=status,
        amount_minor=amount,
        currency="EUR",
        reason="fraudulent",
        from_tickets_minor=tickets,
        from_kept_minor=kept,
        from_owed_minor=owed,
        payment=payment,
    )


def hold_expired(seats: list[str], *, rid: str = R1, by: str = ALICE) -> f.HoldExpired:
    return f.HoldExpired(reservation_id=rid, user_id=by, ticket_type_id=STALLS, quantity=len(seats), seats=seats)


def reacquired(seats: list[str], *, rid: str = R1, by: str = ALICE) -> f.HoldReacquired:
    return f.HoldReacquired(reservation_id=rid, user_id=by, ticket_type_id=STALLS, quantity=len(seats), seats=seats)


def hold_released(seats: list[str], *, rid: str = R1, by: str = ALICE) -> f.HoldReleased:
    return f.HoldReleased(reservation_id=rid, user_id=by, ticket_type_id=STALLS, quantity=len(seats), seats=seats)


def cancelled(
    seats: list[str], *, rid: str = R1, reason: f.Reason = f.Reason.BUYER_CANCELLED, refund: int | None = None
) -> f.ReservationCancelled:
    return f.ReservationCancelled(
        reservation_id=rid,
        user_id=ALICE,
        ticket_type_id=STALLS,
        quantity=len(seats),
        seats=seats,
        reason=reason,
        refund_minor=refund,
    )


def duplicate(command: c.Command, subject: str = R1) -> f.CommandDuplicated:
    return f.CommandDuplicated(type(command).__name__, subject, command.user_id)


def refused(
    command: c.Command,
    reason: f.Reason,
    detail: str,
    subject: str = EVENT,
    *,
    field: str | None = None,
    at: int | None = None,
    amount: int | None = None,
) -> f.CommandRefused:
    return f.CommandRefused(
        command_type=type(command).__name__,
        subject_id=subject,
        user_id=command.user_id,
        reason=reason,
        detail=detail,
        field=field,
        at=at,
        amount=amount,
    )


def locks(locked: list[str] | None = None, freed: list[str] | None = None) -> f.SeatLocksObserved:
    return f.SeatLocksObserved(locked or [], freed or [])


# --- given, when, then --------------------------------------------------------------------------------------------


def folded(*facts: f.Fact, at: int = T) -> EventState:
    """The state after these facts."""
    state = EventState(EVENT)
    for offset, fact in enumerate(facts):
        evolve(state, fact, At(0, offset, LogTime(at)))
    return state


@dataclass
class Given:
    """The facts so far, and then the log time at which the command is read."""

    state: EventState
    now: int = T
    facts: tuple[f.Fact, ...] = ()

    def at(self, now: int) -> Given:
        self.now = now
        return self

    def when(self, command: c.Command) -> Given:
        """Decide and fold one command, as a partition does: what is due ends first."""
        self.facts = tuple(step(self.state, command, At(0, 1_000, LogTime(self.now))))
        return self

    def when_decided(self, command: c.Command) -> Given:
        """Only decide, without ending anything that is due."""
        self.facts = tuple(decide(self.state, command, LogTime(self.now)))
        return self

    def then(self, *expected: f.Fact) -> None:
        assert self.facts == expected


def given(*facts: f.Fact) -> Given:
    """The facts so far, all of them at log time T."""
    return Given(folded(*facts))
