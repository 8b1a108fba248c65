"""What each reason of the log means in HTTP: the one place where a refusal becomes a status.

Every `Reason` is a problem type under its own word; a new reason has a status from the first moment (409) and a title.
"""

from __future__ import annotations

import re
from typing import Any

from api.http.problem import KINDS, FieldError, Problem
from api.http.validation import moment
from schemas.facts import Reason
from schemas.replies import Reply

STATUS_DEFAULT = 409
STATUSES: dict[Reason, int] = {
    Reason.EVENT_NOT_FOUND: 404,
    Reason.TICKET_TYPE_NOT_FOUND: 404,
    Reason.RESERVATION_NOT_FOUND: 404,
    Reason.POOL_NOT_FOUND: 404,
    Reason.CODE_NOT_FOUND: 404,
    Reason.BLOCK_NOT_FOUND: 404,
    Reason.TICKET_NOT_FOUND: 404,
    Reason.ENTRY_NOT_FOUND: 404,
    Reason.TRANSFER_NOT_FOUND: 404,
    Reason.INVITATION_NOT_FOUND: 404,
    Reason.NOT_OWNER: 403,
    Reason.STAFF_ONLY: 403,
    Reason.IDEMPOTENCY_KEY_REUSED: 422,
    Reason.PAYMENT_DECLINED: 402,
    Reason.PAYMENT_TOKEN_REQUIRED: 422,
    Reason.COMMAND_FAILED: 500,
}
# What these say begins with the field: "ends_at must be after starts_at", "layout has more than … seats".
ABOUT_A_FIELD = frozenset((Reason.INVALID_SCHEDULE, Reason.INVALID_TICKET_TYPE, Reason.PAYMENT_TOKEN_REQUIRED))
_FIELD = re.compile(r"(?P<field>[a-z_.]+) (?:must|has|is) ")
_MICROS = re.compile(r"\b\d{15,16}\b")
DETAILS: dict[str, str] = {
    Reason.SOLD_OUT: "not enough places are left for this quantity",
    Reason.SEAT_TAKEN: "at least one of the seats is not free",
    Reason.SEAT_UNKNOWN: "the layout has no such seat",
    Reason.LIMIT_EXCEEDED: "this would be more than one buyer may have of this event",
    Reason.HOLDS_EXHAUSTED: "too many holds of yours ran out unpaid; wait a while",
    Reason.PAYMENTS_EXHAUSTED: "too many cards of yours were declined; wait a while",
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
    Reason.BUYER_CANCELLED: "the buyer has cancelled it",
    Reason.STAFF_ONLY: "only the event's organizer and staff work at its door",
    Reason.TICKET_NOT_FOUND: "there is no such ticket",
    Reason.TICKET_VOID: "the ticket was cancelled",
    Reason.TICKET_SUPERSEDED: "the ticket was handed on: only its new holder's code counts",
    Reason.ALREADY_CHECKED_IN: "the ticket is checked in already",
    Reason.NOT_CHECKED_IN: "the ticket is not checked in",
    Reason.CHECK_IN_UNDONE: "this scan let in once and was taken back; scan the ticket again",
    Reason.COMMAND_FAILED: "the platform could not decide this; nothing was changed, and its operators are told",
    Reason.TRANSFER_NOT_ALLOWED: "the ticket cannot be handed on",
    Reason.PAYMENT_DISPUTED: "the payment is disputed: until the bank has decided its tickets open no door",
    Reason.REFUNDED_AT_PROVIDER: "what was paid was refunded at the payment provider",
    Reason.CHARGED_BACK: "the bank gave the payment back",
}

REFUNDS = {
    "refund-requested": "what was charged is being refunded",
    "refunded": "what was charged has been refunded",
}


def refusal(reply: Reply, **extensions: Any) -> Problem:
    """The problem document for a refused command, with the reservation and the position it was asked at."""
    reason, detail, view = reply.reason, reply.detail, reply.reservation
    position = {"partition": reply.partition, "offset": reply.offset}
    if view is not None:
        reason, detail = reason or view.reason, detail or view.detail
        extensions["reservation_id"] = view.id
        if view.payment:
            extensions["payment"] = view.payment
        if view.payment in REFUNDS:
            detail = f"{detail or DETAILS.get(reason, reason)}; {REFUNDS[view.payment]}"
        if reply.duplicate:
            position = {"partition": view.partition, "offset": view.offset}
    return for_reason(reason, detail, **extensions, position=position)


def for_reason(reason: str, detail: str = "", **extensions: Any) -> Problem:
    """The problem document for a reason, with the words that go with it."""
    if reason not in KINDS:
        KINDS[reason] = (STATUS_DEFAULT, _title(reason))
    named = _FIELD.match(detail) if reason in ABOUT_A_FIELD else None
    if named is not None and "field" not in extensions:
        field = named["field"]
        extensions |= {"field": field, "errors": (FieldError(field, detail.removeprefix(f"{field} ")),)}
    text = _MICROS.sub(_readable, detail) or DETAILS.get(reason) or KINDS[reason][1]
    return Problem(reason, text, **extensions)


def no_event(event_id: str, **extensions: str) -> Problem:
    """That there is no such event, or none that the caller may know of: the same words for both."""
    return for_reason(Reason.EVENT_NOT_FOUND, f"there is no event {event_id}", **extensions)


def _title(reason: str) -> str:
    return reason.replace("-", " ").capitalize()


def _readable(found: re.Match[str]) -> str:
    """The log counts microseconds; people read dates."""
    return moment(int(found[0])).isoformat(timespec="seconds").replace("+00:00", "Z")


for _reason in Reason:
    KINDS.setdefault(_reason.value, (STATUSES.get(_reason, STATUS_DEFAULT), _title(_reason.value)))
