"""The closed sets of words: what a status, a kind, an outcome or an origin may be, in records, rows and code.

Guarantee: each word is written once, here; the reasons of refusals are `schemas.facts.Reason`. A member is its word: it
is stored, sent and compared as the plain string. Records have plain strings; a reader that keeps one makes a member
of it.
"""

from __future__ import annotations

from enum import StrEnum


class EventStage(StrEnum):
    """The stage of an event's life. A deleted draft keeps its row, because state is made of rows."""

    DRAFT = "draft"
    PUBLISHED = "published"
    CANCELLED = "cancelled"
    ENDED = "ended"
    DELETED = "deleted"


class ReservationStatus(StrEnum):
    """A reservation's status. Held and confirmed ones have places."""

    HELD = "held"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    RELEASED = "released"
    CANCELLED = "cancelled"


class PaymentStatus(StrEnum):
    """The status of a reservation's payment. `REFUSED` is only in rows of payments: nothing was charged."""

    NONE = ""
    REQUESTED = "requested"
    DECLINED = "declined"
    CAPTURED = "captured"
    REFUSED = "refused"
    REFUND_REQUESTED = "refund-requested"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund-failed"
    CHARGED_BACK = "charged-back"


class ChargeOutcome(StrEnum):
    """The payment provider's answer to an attempt: `RecordPayment.outcome`."""

    CAPTURED = "captured"
    DECLINED = "declined"


class RefundStatus(StrEnum):
    """A refund's status."""

    REQUESTED = "requested"
    REFUNDED = "refunded"
    FAILED = "failed"


class RefundOrigin(StrEnum):
    """Where a refund began: here, at the provider, or here for a payment that is not the reservation's own (stray)."""

    OURS = "ours"
    PROVIDER = "provider"
    STRAY = "stray"


class DisputeStatus(StrEnum):
    """A dispute's status. An inquiry moves no money; while a dispute is open, the tickets are not valid."""

    INQUIRY = "inquiry"
    OPEN = "open"
    WON = "won"
    LOST = "lost"
    CLOSED = "closed"


class LayoutKind(StrEnum):
    """A ticket type's layout: numbered seats, or general admission."""

    SEATED = "seated"
    GENERAL = "general"


class CodeKind(StrEnum):
    """A discount in percent or in minor units, or an access code, which unlocks hidden ticket types."""

    PERCENT = "percent"
    AMOUNT = "amount"
    ACCESS = "access"


class ClaimStatus(StrEnum):
    """A claim on a place, as Redis shows it: a hold, a ticket, or an organizer's block."""

    HELD = "held"
    CONFIRMED = "confirmed"
    BLOCKED = "blocked"


class SeatClaimStatus(StrEnum):
    """The status of a row of seat_claims. Held and sold ones are live."""

    HELD = "held"
    SOLD = "sold"
    ENDED = "ended"


class TicketStatus(StrEnum):
    """A ticket's status in its row."""

    VALID = "valid"
    VOID = "void"


class WaitlistStatus(StrEnum):
    """The status of a place in a waiting list."""

    WAITING = "waiting"
    OFFERED = "offered"
    ENDED = "ended"


class TransferStatus(StrEnum):
    """The status of a ticket's offer, and the outcome of one that has ended."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class InvitationStatus(StrEnum):
    """The status of an invitation to the door, and the outcome of one that has ended."""

    INVITED = "invited"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class OfferAnswer(StrEnum):
    """The answer to an offer of a ticket or to an invitation."""

    ACCEPT = "accept"
    DECLINE = "decline"
    WITHDRAW = "withdraw"


class CheckInKind(StrEnum):
    """The outcome of a scan, or an undone check-in: the kind of a row of check_ins."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    REVERSED = "reversed"


class ChoreKind(StrEnum):
    """The occasion of a message to all ticket holders."""

    REMINDER = "reminder"
    EVENT_CHANGED = "event-changed"
    EVENT_CANCELLED = "event-cancelled"


class ReplyOutcome(StrEnum):
    """The outcome of a command, as the waiting request learns it. Pending: a payment is under way."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    PENDING = "pending"
