"""The books of a payment provider, as they are compared with the log: payments, refunds, disputes, page by page.

Guarantee: an entry is in the log's own words (minor units, upper-case currencies, our keys), the latest first or the
oldest first as the provider has it. Memory is a page's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

PAGE = 100  # entries: what Stripe gives at once, and one statement of ours asks for


@dataclass(frozen=True, slots=True)
class BookedPayment:
    """A payment that was captured. `event_id` is "" for what is not ours."""

    payment_id: str
    event_id: str
    reservation_id: str
    attempt_id: str
    amount_minor: int
    currency: str
    created_at: int  # seconds


@dataclass(frozen=True, slots=True)
class BookedRefund:
    """A refund: `status` is refunded, failed, or requested while nothing is decided. `key` is ours, "" for its own."""

    refund_id: str
    payment_id: str
    key: str
    amount_minor: int
    currency: str
    status: str
    reason: str
    created_at: int


@dataclass(frozen=True, slots=True)
class BookedDispute:
    """A dispute: `status` is inquiry, open, won, lost or closed."""

    dispute_id: str
    payment_id: str
    amount_minor: int
    currency: str
    status: str
    reason: str
    created_at: int


class Books(Protocol):
    """What a provider has on record from one second on, before another. Every call may raise OutcomeUnknown."""

    def payments(self, since: int, until: int) -> AsyncIterator[BookedPayment]:
        """What was captured."""

    def refunds(self, since: int, until: int) -> AsyncIterator[BookedRefund]:
        """What was refunded, and what failed."""

    def disputes(self, since: int, until: int) -> AsyncIterator[BookedDispute]:
        """What was disputed."""

    async def payment(self, payment_id: str) -> BookedPayment | None:
        """One payment; None when it was never captured."""

    async def refund(self, refund_id: str) -> BookedRefund | None:
        """One refund."""

    async def dispute(self, dispute_id: str) -> BookedDispute | None:
        """One dispute."""

    async def close(self) -> None:
        """Let go of connections."""
