"""Facts about reservations: a hold, its deadline, its confirmation, its end. `schemas.facts` lists all facts."""

from __future__ import annotations

from schemas.field_types import Int32
from schemas.ids import AttemptId, PaymentId, ReservationId, TicketId, TicketTypeId, UserId
from schemas.recorded_facts import Fact


class TicketsHeld(Fact, frozen=True, gc=False):
    """A hold: these seats (none for general admission) are this buyer's until `expires_at`.

    `mailbox` is the number that the accounts of the buyer's mailbox share, above 0; None where it is not known.
    """

    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: Int32
    seats: list[str]
    amount_minor: int
    currency: str
    expires_at: int
    fingerprint: int
    promo_code: str | None = None
    access_code: str | None = None
    discount_minor: int | None = None
    mailbox: int | None = None


class ReservationRejected(Fact, frozen=True, gc=False):
    """A reservation was turned down; `detail` says what stood in the way, in words.

    What the words name: `field` of the request, the moment `at` in microseconds, the `amount` that was left or allowed.
    """

    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: Int32
    fingerprint: int
    reason: str
    detail: str
    field: str | None = None
    at: int | None = None
    amount: int | None = None


class HoldWarned(Fact, frozen=True, gc=False):
    """A hold's buyer is warned: its deadline is near, and it is not paid for."""

    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    expires_at: int


class HoldExtended(Fact, frozen=True, gc=False):
    """A hold's deadline is now `expires_at`."""

    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    expires_at: int


class HoldReacquired(Fact, frozen=True, gc=False):
    """A payment came after the deadline and the same places were still free: they are the buyer's again."""

    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: Int32
    seats: list[str]


class SeatLocksObserved(Fact, frozen=True, gc=False):
    """Foreign owners' seat locks changed in Redis: places "ticket_type_id/seat" now `locked` or `freed` again."""

    locked: list[str]
    freed: list[str]


class ReservationConfirmed(Fact, frozen=True, gc=False):
    """Paid for. One ticket for each place, in the order of `seats` (general admission: of ordinals from 1)."""

    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: Int32
    seats: list[str]
    ticket_ids: list[TicketId]
    attempt_id: AttemptId
    payment_id: PaymentId
    amount_minor: int
    currency: str


class HoldExpired(Fact, frozen=True, gc=False):
    """The deadline passed; the places are free again."""

    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: Int32
    seats: list[str]


class HoldReleased(Fact, frozen=True, gc=False):
    """The buyer gave the hold back; the places are free again."""

    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: Int32
    seats: list[str]


class ReservationCancelled(Fact, frozen=True, gc=False):
    """A confirmed reservation was cancelled: its tickets are void, its places free.

    Of its price the organizer keeps `kept_minor`; `refund_minor` goes back, by the RefundRequested beside this.
    `withheld_minor` is owed and not refunded yet, because the payment is disputed.
    """

    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: Int32
    seats: list[str]
    reason: str
    kept_minor: int | None = None
    withheld_minor: int | None = None
    refund_minor: int | None = None


class TicketsCancelled(Fact, frozen=True, gc=False):
    """Some tickets of a reservation are void and their places free; `amount_minor` of it was paid for them.

    A RefundRequested beside this gives back what the terms say; the organizer keeps `kept_minor`.
    """

    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: Int32
    seats: list[str]
    ticket_ids: list[TicketId]
    amount_minor: int
    kept_minor: int
    reason: str
