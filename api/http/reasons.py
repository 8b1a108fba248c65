"""Each reason of the log as an HTTP problem: the one place that turns a refusal into a problem document.

Every `Reason` is a problem type under its own name. A new reason has a status (409) and a title at once.
"""

from __future__ import annotations

from typing import Any

from api.http.problem import KINDS, FieldError, Problem
from schemas import former_details, refusal_details
from schemas.facts import Reason
from schemas.ids import EventId
from schemas.reasons import http_status_of
from schemas.replies import Reply
from schemas.statuses import PaymentStatus

# The answers for these name the field.
ABOUT_A_FIELD = frozenset((Reason.INVALID_SCHEDULE, Reason.INVALID_TICKET_TYPE, Reason.PAYMENT_TOKEN_REQUIRED))
DETAILS: dict[str, str] = {
    Reason.SOLD_OUT: "not enough places are left for this quantity",
    Reason.SEAT_TAKEN: "at least one of the seats is not free",
    Reason.SEAT_UNKNOWN: "the layout has no such seat",
    Reason.LIMIT_EXCEEDED: "this is more than one buyer may have for this event",
    Reason.HOLDS_EXHAUSTED: "too many of your holds expired without payment; try again later",
    Reason.PAYMENTS_EXHAUSTED: "too many of your cards were declined; try again later",
    Reason.SALES_NOT_OPEN: "sales have not begun",
    Reason.SALES_CLOSED: "sales are over",
    Reason.EVENT_CANCELLED: "the event is cancelled",
    Reason.EVENT_NOT_FOUND: "there is no such event",
    Reason.EVENT_NOT_PUBLISHED: "the event is not published",
    Reason.NOT_OWNER: "only the owner may do this",
    Reason.TICKET_TYPE_NOT_FOUND: "the event has no such ticket type",
    Reason.RESERVATION_NOT_FOUND: "there is no such reservation",
    Reason.IDEMPOTENCY_KEY_REUSED: "this Idempotency-Key was used with another request",
    Reason.HOLD_EXPIRED: "the hold has expired",
    Reason.NOT_HELD: "the reservation is not held",
    Reason.PAYMENT_IN_PROGRESS: "a payment for this reservation is under way",
    Reason.PAYMENT_DECLINED: "the payment was declined",
    Reason.BUYER_CANCELLED: "the buyer has cancelled",
    Reason.STAFF_ONLY: "only the event's organizer and staff may do this",
    Reason.TICKET_NOT_FOUND: "there is no such ticket",
    Reason.TICKET_VOID: "the ticket was cancelled",
    Reason.TICKET_SUPERSEDED: "the ticket was transferred: only the new holder's code is valid",
    Reason.ALREADY_CHECKED_IN: "the ticket is already checked in",
    Reason.NOT_CHECKED_IN: "the ticket is not checked in",
    Reason.CHECK_IN_UNDONE: "this scan checked the ticket in and was undone; scan the ticket again",
    Reason.COMMAND_FAILED: "the platform could not decide this; nothing has changed, and its operators are informed",
    Reason.TRANSFER_NOT_ALLOWED: "the ticket cannot be transferred",
    Reason.PAYMENT_DISPUTED: "the payment is disputed: its tickets are not valid until the bank has decided",
    Reason.REFUNDED_AT_PROVIDER: "the payment was refunded at the payment provider",
    Reason.CHARGED_BACK: "the bank returned the payment",
}

REFUNDS: dict[str, str] = {
    PaymentStatus.REFUND_REQUESTED: "the payment is being refunded",
    PaymentStatus.REFUNDED: "the payment has been refunded",
}


def refusal(reply: Reply, **extensions: Any) -> Problem:
    """The problem document for a refused command, with the reservation and the command's position on the log.

    A refusal as sold out says `as_of` which position too few places were free: that of its first decision.
    """
    reason, detail, at, view = reply.reason, reply.detail, reply.at, reply.reservation
    position = {"partition": reply.partition, "offset": reply.offset}
    if view is not None:
        reason = reason or view.reason
        if not detail:
            detail, at = view.detail, view.detail_at
        extensions["reservation_id"] = view.id
        if view.payment:
            extensions["payment"] = view.payment
        if view.payment in REFUNDS:
            detail = f"{detail or DETAILS.get(reason, reason)}; {REFUNDS[view.payment]}"
        if reply.duplicate:
            position = {"partition": view.partition, "offset": view.offset}
    if reason == Reason.SOLD_OUT:
        extensions["as_of"] = position
    return for_reason(reason, detail, named=reply.field, at=at, **extensions, position=position)


def for_reason(reason: str, detail: str = "", *, named: str = "", at: int = 0, **extensions: Any) -> Problem:
    """The problem document for a reason. An empty `detail` becomes the reason's own text.

    `named` is the field of the request and `at` the moment (microseconds) that the detail names. The document has the
    moment as a date. Details of facts that were written before they had these fields have it in words.
    """
    if reason not in KINDS:
        KINDS[reason] = (http_status_of(reason), _title(reason))
    if reason in ABOUT_A_FIELD and "field" not in extensions:
        field = named or former_details.field_of(detail)
        if field:
            extensions |= {"field": field, "errors": (FieldError(field, refusal_details.text_about(field, detail)),)}
    text = refusal_details.dated(detail, at or former_details.moment_in(detail))
    text = text or DETAILS.get(reason) or KINDS[reason][1]
    return Problem(reason, text, **extensions)


def no_event(event_id: EventId, **extensions: Any) -> Problem:
    """404 for an event that does not exist or that the caller may not see. The text is the same for both."""
    return for_reason(Reason.EVENT_NOT_FOUND, f"there is no event {event_id}", **extensions)


def _title(reason: str) -> str:
    return reason.replace("-", " ").capitalize()


for _reason in Reason:
    KINDS.setdefault(_reason.value, (http_status_of(_reason), _title(_reason.value)))
