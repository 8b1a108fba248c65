"""Facts about money: payments, refunds, disputes. Amounts are in minor units. `schemas.facts` lists all facts."""

from __future__ import annotations

from schemas.ids import AttemptId, CommandId, DisputeId, PaymentId, RefundId, ReservationId, UserId
from schemas.recorded_facts import Fact


class PaymentRequested(Fact, frozen=True, gc=False):
    """The payments dataflow shall charge `payment_token`; `command_id` is the request that waits for it."""

    reservation_id: ReservationId
    user_id: UserId
    attempt_id: AttemptId
    payment_token: str
    amount_minor: int
    currency: str
    command_id: CommandId


class PaymentDeclined(Fact, frozen=True, gc=False):
    """The provider declined, or has captured something else than was asked for (a RefundRequested beside this gives
    that back); the hold stands until its deadline, and may be paid for by another attempt."""

    reservation_id: ReservationId
    user_id: UserId
    attempt_id: AttemptId
    reason: str


class ConfirmationRefused(Fact, frozen=True, gc=False):
    """Nothing was charged, or what was charged, `refund_minor`, is being refunded (by the RefundRequested beside)."""

    reservation_id: ReservationId
    user_id: UserId
    attempt_id: AttemptId
    reason: str
    refund_minor: int | None = None


class RefundRequested(Fact, frozen=True, gc=False):
    """The payments dataflow shall refund this much of a payment; `refund_key` (None: "refund-PAYMENT") is the
    provider's idempotency key. `from_owed_minor` of it was owed before: a refund had failed, or a dispute stood in the
    way. `origin` "stray": a payment beside the reservation's own one, which stays as it is. Of an
    amount that the organizer gave back, `from_tickets_minor` is what the tickets are worth less, and `from_kept_minor`
    what is kept less."""

    reservation_id: ReservationId
    user_id: UserId
    attempt_id: AttemptId
    payment_id: PaymentId
    amount_minor: int
    currency: str
    reason: str
    refund_key: str | None = None
    from_owed_minor: int | None = None
    origin: str | None = None
    from_tickets_minor: int | None = None
    from_kept_minor: int | None = None


class PaymentRefunded(Fact, frozen=True, gc=False):
    """The provider has refunded the payment, in whole or in part.

    `origin` "provider": nobody asked for it here, and `refund_key` is the provider's `refund_id`. What it came out of:
    `from_tickets_minor` of what the reservation's tickets are worth, `from_kept_minor` of what the organizer had kept,
    `from_owed_minor` of what was owed anyway. `payment` is how the reservation's payment stands from here on.
    """

    reservation_id: ReservationId
    user_id: UserId
    payment_id: PaymentId
    refund_id: RefundId
    amount_minor: int
    refund_key: str | None = None
    origin: str | None = None
    currency: str | None = None
    reason: str | None = None
    from_tickets_minor: int | None = None
    from_kept_minor: int | None = None
    from_owed_minor: int | None = None
    payment: str | None = None
    organizer_id: UserId | None = None


class RefundFailed(Fact, frozen=True, gc=False):
    """A refund came to nothing, the money is still here: `to_tickets_minor` is the tickets' worth again,
    `to_owed_minor` is owed to the buyer. One that was told of only when it had failed changes neither."""

    reservation_id: ReservationId
    user_id: UserId
    organizer_id: UserId
    payment_id: PaymentId
    refund_id: RefundId
    refund_key: str
    origin: str
    amount_minor: int
    currency: str
    reason: str
    to_tickets_minor: int
    to_owed_minor: int
    payment: str


class DisputeOpened(Fact, frozen=True, gc=False):
    """A payment is disputed: while `status` is "open" its tickets open no door and nothing of it is refunded. "inquiry"
    is a bank's question: no money has moved, and the tickets stay as they are."""

    reservation_id: ReservationId
    user_id: UserId
    organizer_id: UserId
    payment_id: PaymentId
    dispute_id: DisputeId
    status: str
    amount_minor: int
    currency: str
    reason: str


class DisputeClosed(Fact, frozen=True, gc=False):
    """A dispute is over: `status` is "won", "lost" or "closed". Of what was lost, `from_tickets_minor` came out of what
    the reservation's tickets are worth, the rest out of what was kept and owed; negative is what came back."""

    reservation_id: ReservationId
    user_id: UserId
    organizer_id: UserId
    payment_id: PaymentId
    dispute_id: DisputeId
    status: str
    amount_minor: int
    currency: str
    reason: str
    from_tickets_minor: int
    from_kept_minor: int
    from_owed_minor: int
    payment: str


def key_of_refund(payment_id: PaymentId, refund_key: str | None) -> str:
    """The provider's idempotency key of a refund. A payment's only refund may have no recorded key."""
    return refund_key or f"refund-{payment_id}"
