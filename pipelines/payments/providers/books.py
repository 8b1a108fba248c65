"""The books of a payment provider, for a comparison with the log: payments, refunds, disputes, page by page.

Guarantee: an entry uses the log's terms (minor units, upper-case currencies, our keys). Entries come in the provider's
order. One page is in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from schemas.ids import AttemptId, DisputeId, EventId, PaymentId, RefundId, ReservationId
from schemas.statuses import RefundStatus

Place = tuple[EventId, ReservationId]
"""The event and the reservation of a payment."""
PAGE = 100  # entries: what Stripe gives at once, and one statement of ours asks for


@dataclass(frozen=True, slots=True)
class BookedPayment:
    """A captured payment. `event_id` is "" for a payment that is not ours."""

    payment_id: PaymentId
    event_id: EventId
    reservation_id: ReservationId
    attempt_id: AttemptId
    amount_minor: int
    currency: str
    created_at: int  # seconds


@dataclass(frozen=True, slots=True)
class BookedRefund:
    """A refund. `status` is refunded, failed, or requested (undecided). `key` is ours, "" if the provider began it."""

    refund_id: RefundId
    payment_id: PaymentId
    key: str
    amount_minor: int
    currency: str
    status: RefundStatus
    reason: str
    created_at: int


@dataclass(frozen=True, slots=True)
class BookedDispute:
    """A dispute: `status` is inquiry, open, won, lost or closed."""

    dispute_id: DisputeId
    payment_id: PaymentId
    amount_minor: int
    currency: str
    status: str
    reason: str
    created_at: int


class Books(Protocol):
    """A provider's records from second `since` until before second `until`. Every call may raise OutcomeUnknown."""

    def payments(self, since: int, until: int) -> AsyncIterator[BookedPayment]:
        """The captured payments."""

    def refunds(self, since: int, until: int) -> AsyncIterator[BookedRefund]:
        """The refunds, also failed ones."""

    def disputes(self, since: int, until: int) -> AsyncIterator[BookedDispute]:
        """The disputes."""

    async def payment(self, payment_id: PaymentId) -> BookedPayment | None:
        """One payment; None when it was never captured."""

    async def refund(self, refund_id: RefundId) -> BookedRefund | None:
        """One refund."""

    async def dispute(self, dispute_id: DisputeId) -> BookedDispute | None:
        """One dispute."""

    async def close(self) -> None:
        """Close the connections."""
