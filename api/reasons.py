"""What each reason of the log means in HTTP: the one place where a refusal becomes a status.

Every `Reason` is a problem type under its own word; a new reason has a status from the first moment (409) and a title.
"""

from __future__ import annotations

from typing import Any

from api.problem import KINDS, Problem
from schemas.facts import Reason
from schemas.replies import Reply

STATUS_DEFAULT = 409
STATUSES: dict[Reason, int] = {
    Reason.EVENT_NOT_FOUND: 404,
    Reason.TICKET_TYPE_NOT_FOUND: 404,
    Reason.RESERVATION_NOT_FOUND: 404,
    Reason.NOT_OWNER: 403,
    Reason.IDEMPOTENCY_KEY_REUSED: 422,
    Reason.PAYMENT_DECLINED: 402,
}
DETAILS: dict[Reason, str] = {
    Reason.SOLD_OUT: "not enough places are left for this quantity",
    Reason.SEAT_TAKEN: "at least one of the seats is not free",
    Reason.SEAT_UNKNOWN: "the layout has no such seat",
    Reason.LIMIT_EXCEEDED: "this would be more than one buyer may have of this event",
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
}

for _reason in Reason:
    KINDS.setdefault(
        _reason.value,
        (STATUSES.get(_reason, STATUS_DEFAULT), _reason.value.replace("-", " ").capitalize()),
    )


def status(reason: str) -> int:
    """The HTTP status of a reason; one that this version does not know is a conflict."""
    kind = KINDS.get(reason)
    return STATUS_DEFAULT if kind is None else kind[0]


def refusal(reply: Reply) -> Problem:
    """The problem document for a refused command, with the reservation and the position it was asked at."""
    reason, detail = reply.reason, reply.detail
    extensions: dict[str, Any] = {}
    view = reply.reservation
    position = (reply.partition, reply.offset)
    if view is not None:
        reason, detail = reason or view.reason, detail or view.detail
        extensions["reservation_id"] = view.id
        if reply.duplicate:
            position = (view.partition, view.offset)
    extensions["position"] = {"partition": position[0], "offset": position[1]}
    return for_reason(reason, detail, **extensions)


def for_reason(reason: str, detail: str = "", **extensions: Any) -> Problem:
    """The problem document for a reason, with the words that go with it."""
    if reason not in KINDS:
        KINDS[reason] = (STATUS_DEFAULT, reason.replace("-", " ").capitalize())
    text = DETAILS.get(Reason(reason), "") if reason in Reason.__members__.values() else ""
    sentence = f"{text}: {detail}" if text and detail else text or detail or KINDS[reason][1]
    return Problem(reason, sentence, **extensions)
