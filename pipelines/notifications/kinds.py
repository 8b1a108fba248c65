"""The kinds of messages, their channels, and the defaults for users without preferences. Pure.

Guarantee: every kind can go to the inbox, to the live stream and by mail. For each kind and channel, the user chooses.
A mail that would come too late to be useful is `outdated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class Channel(StrEnum):
    """The ways to reach a user. The live stream shows what is in the inbox."""

    INBOX = "inbox"
    STREAM = "stream"
    MAIL = "mail"


class NotificationKind(StrEnum):
    """The kinds of messages; also the names of their templates."""

    REGISTERED = "registered"
    TICKET_HELD = "ticket.held"
    HOLD_EXPIRING = "hold.expiring"
    HOLD_EXTENDED = "hold.extended"
    HOLD_EXPIRED = "hold.expired"
    HOLD_RELEASED = "hold.released"
    RESERVATION_CONFIRMED = "reservation.confirmed"
    RESERVATION_REFUSED = "reservation.refused"
    RESERVATION_CANCELLED = "reservation.cancelled"
    TICKETS_CANCELLED = "tickets.cancelled"
    CONFIRMATION_REFUSED = "confirmation.refused"
    PAYMENT_DECLINED = "payment.declined"
    PAYMENT_REFUNDED = "payment.refunded"
    PAYMENT_DISPUTED = "payment.disputed"
    DISPUTE_CLOSED = "payment.dispute-closed"
    REFUND_FAILED = "payment.refund-failed"
    ORDER_REFUNDED = "order.refunded"  # the four to the event's organizer
    ORDER_DISPUTED = "order.disputed"
    ORDER_DISPUTE_CLOSED = "order.dispute-closed"
    ORDER_REFUND_FAILED = "order.refund-failed"
    TICKET_TRANSFERRED = "ticket.transferred"  # to the former holder
    TICKET_RECEIVED = "ticket.received"  # to the new holder
    TRANSFER_OFFERED = "transfer.offered"  # to the user who may accept it
    TRANSFER_ENDED = "transfer.ended"  # to the user who offered, or the one who lost the offer
    WAITLIST_OFFERED = "waitlist.offered"
    EVENT_CHANGED = "event.changed"
    EVENT_CANCELLED = "event.cancelled"
    EVENT_REMINDER = "event.reminder"
    CHECKED_IN = "ticket.checked-in"
    STAFF_INVITED = "staff.invited"
    STAFF_ADDED = "staff.added"


class MailStatus(StrEnum):
    """The status of a due mail's row. A held one waits until its address is proven."""

    PENDING = "pending"
    HELD = "held"
    SENT = "sent"
    OUTDATED = "outdated"
    ERASED = "erased"
    FAILED = "failed"


class CallStatus(StrEnum):
    """The status of a webhook call's row."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class KindDefaults(msgspec.Struct, frozen=True):
    """The title of a kind, and whether it is mailed by default."""

    about: str
    mail: bool


# By default, important news that a user may miss is mailed. An answer to the buyer's own action is not: the buyer sees
# it at once, and a sold-out drop refuses thousands.
KINDS: Mapping[str, KindDefaults] = {
    NotificationKind.REGISTERED: KindDefaults("Your account was made", mail=True),
    NotificationKind.TICKET_HELD: KindDefaults("Tickets are held for you", mail=False),
    NotificationKind.HOLD_EXPIRING: KindDefaults("Your hold is about to end, and is not paid for", mail=True),
    NotificationKind.HOLD_EXTENDED: KindDefaults("Your hold was extended", mail=False),
    NotificationKind.HOLD_EXPIRED: KindDefaults("Your hold has ended without payment", mail=False),
    NotificationKind.HOLD_RELEASED: KindDefaults("Your hold was released", mail=False),
    NotificationKind.RESERVATION_CONFIRMED: KindDefaults("Your tickets are paid for", mail=True),
    NotificationKind.RESERVATION_REFUSED: KindDefaults("A reservation was refused", mail=False),
    NotificationKind.RESERVATION_CANCELLED: KindDefaults("A reservation was cancelled", mail=True),
    NotificationKind.TICKETS_CANCELLED: KindDefaults("Some of your tickets were cancelled", mail=True),
    NotificationKind.CONFIRMATION_REFUSED: KindDefaults("A payment could not be accepted", mail=True),
    NotificationKind.PAYMENT_DECLINED: KindDefaults("A payment was declined", mail=False),
    NotificationKind.PAYMENT_REFUNDED: KindDefaults("A payment was refunded", mail=True),
    NotificationKind.PAYMENT_DISPUTED: KindDefaults("A payment of yours is disputed, and its tickets wait", mail=True),
    NotificationKind.DISPUTE_CLOSED: KindDefaults("The dispute of a payment of yours is over", mail=True),
    NotificationKind.REFUND_FAILED: KindDefaults("A refund did not reach you", mail=True),
    NotificationKind.ORDER_REFUNDED: KindDefaults(
        "A payment for your event was refunded at the payment provider", mail=True
    ),
    NotificationKind.ORDER_DISPUTED: KindDefaults("A payment for your event is disputed", mail=True),
    NotificationKind.ORDER_DISPUTE_CLOSED: KindDefaults("The dispute of a payment for your event is over", mail=True),
    NotificationKind.ORDER_REFUND_FAILED: KindDefaults("A refund for your event failed", mail=True),
    NotificationKind.TICKET_TRANSFERRED: KindDefaults("You have given a ticket to another user", mail=True),
    NotificationKind.TICKET_RECEIVED: KindDefaults("Another user has given you a ticket", mail=True),
    NotificationKind.TRANSFER_OFFERED: KindDefaults("Another user offers you a ticket", mail=True),
    NotificationKind.TRANSFER_ENDED: KindDefaults("An offer of a ticket came to nothing", mail=True),
    NotificationKind.WAITLIST_OFFERED: KindDefaults("Places are free for you, from the waiting list", mail=True),
    NotificationKind.EVENT_CHANGED: KindDefaults("An event you have tickets for has changed", mail=True),
    NotificationKind.EVENT_CANCELLED: KindDefaults("An event you have tickets for is cancelled", mail=True),
    NotificationKind.EVENT_REMINDER: KindDefaults("An event you have tickets for is near", mail=True),
    NotificationKind.CHECKED_IN: KindDefaults("A ticket of yours was checked in", mail=False),
    NotificationKind.STAFF_INVITED: KindDefaults("You are invited to work at an event's door", mail=True),
    NotificationKind.STAFF_ADDED: KindDefaults("You work at an event's door from now on", mail=True),
}

# The time in a message's data after which its mail is useless.
_USEFUL_UNTIL: dict[str, str] = {
    NotificationKind.TICKET_HELD: "expires_at",
    NotificationKind.HOLD_EXPIRING: "expires_at",
    NotificationKind.HOLD_EXTENDED: "expires_at",
    NotificationKind.WAITLIST_OFFERED: "expires_at",
    NotificationKind.TRANSFER_OFFERED: "expires_at",
    NotificationKind.STAFF_INVITED: "expires_at",
    NotificationKind.EVENT_REMINDER: "starts_at",
}


def outdated(kind: str, data: Mapping[str, Any], now: datetime) -> bool:
    """Whether a mail of this kind has become useless: its deadline has passed, the event has begun."""
    until = data.get(_USEFUL_UNTIL.get(kind, ""))
    if not isinstance(until, str):
        return False
    try:
        return datetime.fromisoformat(until) < now
    except (ValueError, TypeError):  # a time outside the calendar, or one without an offset
        return False
