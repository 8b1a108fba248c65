"""The kinds of messages, their channels, and the defaults for users without preferences. Pure.

Guarantee: every kind can go to the inbox, to the live stream and by mail. For each kind and channel, the user chooses.
A mail that would come too late to be useful is `outdated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

INBOX, STREAM, MAIL = "inbox", "stream", "mail"
CHANNELS = (INBOX, STREAM, MAIL)

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


class MessageKind(msgspec.Struct, frozen=True):
    """The title of a kind, and whether it is mailed by default."""

    about: str
    mail: bool


# By default, important news that a user may miss is mailed. An answer to the buyer's own action is not: the buyer sees
# it at once, and a sold-out drop refuses thousands.
KINDS: Mapping[str, MessageKind] = {
    REGISTERED: MessageKind("Your account was made", mail=True),
    TICKET_HELD: MessageKind("Tickets are held for you", mail=False),
    HOLD_EXPIRING: MessageKind("Your hold is about to end, and is not paid for", mail=True),
    HOLD_EXTENDED: MessageKind("Your hold was extended", mail=False),
    HOLD_EXPIRED: MessageKind("Your hold has ended without payment", mail=False),
    HOLD_RELEASED: MessageKind("Your hold was released", mail=False),
    RESERVATION_CONFIRMED: MessageKind("Your tickets are paid for", mail=True),
    RESERVATION_REFUSED: MessageKind("A reservation was refused", mail=False),
    RESERVATION_CANCELLED: MessageKind("A reservation was cancelled", mail=True),
    TICKETS_CANCELLED: MessageKind("Some of your tickets were cancelled", mail=True),
    CONFIRMATION_REFUSED: MessageKind("A payment could not be accepted", mail=True),
    PAYMENT_DECLINED: MessageKind("A payment was declined", mail=False),
    PAYMENT_REFUNDED: MessageKind("A payment was refunded", mail=True),
    PAYMENT_DISPUTED: MessageKind("A payment of yours is disputed, and its tickets wait", mail=True),
    DISPUTE_CLOSED: MessageKind("The dispute of a payment of yours is over", mail=True),
    REFUND_FAILED: MessageKind("A refund did not reach you", mail=True),
    ORDER_REFUNDED: MessageKind("A payment for your event was refunded at the payment provider", mail=True),
    ORDER_DISPUTED: MessageKind("A payment for your event is disputed", mail=True),
    ORDER_DISPUTE_CLOSED: MessageKind("The dispute of a payment for your event is over", mail=True),
    ORDER_REFUND_FAILED: MessageKind("A refund for your event failed", mail=True),
    TICKET_TRANSFERRED: MessageKind("You have given a ticket to somebody", mail=True),
    TICKET_RECEIVED: MessageKind("Somebody has given you a ticket", mail=True),
    TRANSFER_OFFERED: MessageKind("Somebody offers you a ticket", mail=True),
    TRANSFER_ENDED: MessageKind("An offer of a ticket came to nothing", mail=True),
    WAITLIST_OFFERED: MessageKind("Places are free for you, from the waiting list", mail=True),
    EVENT_CHANGED: MessageKind("An event you have tickets for has changed", mail=True),
    EVENT_CANCELLED: MessageKind("An event you have tickets for is cancelled", mail=True),
    EVENT_REMINDER: MessageKind("An event you have tickets for is near", mail=True),
    CHECKED_IN: MessageKind("A ticket of yours was checked in", mail=False),
    STAFF_INVITED: MessageKind("You are invited to work at an event's door", mail=True),
    STAFF_ADDED: MessageKind("You work at an event's door from now on", mail=True),
}

# The time in a message's data after which its mail is useless.
_USEFUL_UNTIL = {
    TICKET_HELD: "expires_at",
    HOLD_EXPIRING: "expires_at",
    HOLD_EXTENDED: "expires_at",
    WAITLIST_OFFERED: "expires_at",
    TRANSFER_OFFERED: "expires_at",
    STAFF_INVITED: "expires_at",
    EVENT_REMINDER: "starts_at",
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
