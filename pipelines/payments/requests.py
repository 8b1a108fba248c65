"""Turns facts into requests for the payment provider, and the provider's answers into commands for the log. Pure.

Guarantee: the same fact makes a request with the same idempotency key, and the same answer makes the same command. So
two requests charge once, and two commands change the state once.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas import commands as c
from schemas import facts as f
from schemas.facts import RecordedFact
from schemas.ids import NO_REFUND, NOBODY, AttemptId, CommandId, EventId, PaymentId, RefundId, ReservationId
from schemas.payment_facts import key_of_refund
from schemas.statuses import ChargeOutcome

FLOW = "payments"  # on its dead letters, and on requests to ask for a payment again
WHY_CHARS_MAX = 200  # of a refusal's reason: it is shown to an organizer


@dataclass(frozen=True, slots=True)
class ChargeJob:
    """Charge `amount_minor` to the card or account behind `token`. `attempt_id` is the idempotency key."""

    event_id: EventId
    reservation_id: ReservationId
    command_id: CommandId
    attempt_id: AttemptId
    token: str
    amount_minor: int
    currency: str
    asked_at: int  # log time; a provider forgets a key after some time

    @property
    def key(self) -> str:
        return self.attempt_id


@dataclass(frozen=True, slots=True)
class RefundJob:
    """Give `amount_minor` of a payment back. `refund_key` distinguishes several refunds of one payment."""

    event_id: EventId
    reservation_id: ReservationId
    payment_id: PaymentId
    amount_minor: int
    currency: str
    asked_at: int
    refund_key: str | None = None

    @property
    def key(self) -> str:
        return key_of_refund(self.payment_id, self.refund_key)


@dataclass(frozen=True, slots=True)
class ChargeResult:
    """The provider's answer to a charge: `payment_id` if captured, `reason` if declined."""

    outcome: ChargeOutcome
    payment_id: PaymentId
    reason: str
    amount_minor: int
    currency: str | None = None  # None: the charge's


@dataclass(frozen=True, slots=True)
class RefundResult:
    """The provider has refunded."""

    refund_id: RefundId
    amount_minor: int


Request = ChargeJob | RefundJob
REQUESTING = (f.PaymentRequested, f.RefundRequested)
"""The facts that ask for something. All others are skipped by their schema id, without decoding."""


def request_in(recorded: RecordedFact) -> Request | None:
    """The request that the fact asks for; None for most facts."""
    fact, event_id = recorded.fact, recorded.envelope.event_id
    if isinstance(fact, f.PaymentRequested):
        return ChargeJob(
            event_id=event_id,
            reservation_id=fact.reservation_id,
            command_id=fact.command_id,
            attempt_id=fact.attempt_id,
            token=fact.payment_token,
            amount_minor=fact.amount_minor,
            currency=fact.currency,
            asked_at=recorded.envelope.log_time,
        )
    if isinstance(fact, f.RefundRequested):
        return RefundJob(
            event_id=event_id,
            reservation_id=fact.reservation_id,
            payment_id=fact.payment_id,
            amount_minor=fact.amount_minor,
            currency=fact.currency,
            asked_at=recorded.envelope.log_time,
            refund_key=fact.refund_key,
        )
    return None


def charged(charge: ChargeJob, result: ChargeResult) -> c.RecordPayment:
    """The command for the log. It keeps the id of the request that waits for it."""
    return c.RecordPayment(
        event_id=charge.event_id,
        user_id=NOBODY,
        command_id=charge.command_id,
        reservation_id=charge.reservation_id,
        attempt_id=charge.attempt_id,
        payment_id=result.payment_id,
        outcome=result.outcome,
        reason=result.reason,
        amount_minor=result.amount_minor,
        currency=result.currency,
    )


def refunded(refund: RefundJob, result: RefundResult) -> c.RecordRefund:
    """The command for the log."""
    return c.RecordRefund(
        event_id=refund.event_id,
        user_id=NOBODY,
        command_id=CommandId(refund.key),
        reservation_id=refund.reservation_id,
        payment_id=refund.payment_id,
        refund_id=result.refund_id,
        amount_minor=result.amount_minor,
        refund_key=refund.refund_key,
        currency=refund.currency,
    )


def refused(refund: RefundJob, why: str) -> c.RecordRefundFailure:
    """The command for the log: the provider refuses this refund for good."""
    return c.RecordRefundFailure(
        event_id=refund.event_id,
        user_id=NOBODY,
        command_id=CommandId(refund.key),
        reservation_id=refund.reservation_id,
        payment_id=refund.payment_id,
        refund_id=NO_REFUND,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        reason=why[:WHY_CHARS_MAX],
        refund_key=refund.key,
    )
