"""The API's routes by the command that they write. A request that is followed begins with its route. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.statuses import OfferAnswer

_STRIPE = "POST /v1/payments/stripe/webhook"
_BATCH = "POST /v1/events/<event_id>/check-ins/batch"
_RESERVE = "POST /v1/events/<event_id>/reservations"

ROUTES: Mapping[str, tuple[str, ...]] = {
    "CreateEvent": ("POST /v1/events",),
    "UpdateEvent": ("PATCH /v1/events/<event_id>",),
    "PublishEvent": ("POST /v1/events/<event_id>/publish",),
    "CancelEvent": ("POST /v1/events/<event_id>/cancel",),
    "DeleteEvent": ("DELETE /v1/events/<event_id>",),
    "SetSchedule": ("PUT /v1/events/<event_id>/schedule",),
    "AddTicketType": ("POST /v1/events/<event_id>/ticket-types",),
    "UpdateTicketType": ("PATCH /v1/events/<event_id>/ticket-types/<ticket_type_id>",),
    "SetPool": ("POST /v1/events/<event_id>/pools", "PUT /v1/events/<event_id>/pools/<pool_id>"),
    "AddCode": ("POST /v1/events/<event_id>/codes",),
    "DisableCode": ("DELETE /v1/events/<event_id>/codes/<code_id>",),
    "BlockSeats": ("POST /v1/events/<event_id>/blocks",),
    "UnblockSeats": ("POST /v1/events/<event_id>/blocks/<block_id>/release",),
    "AddStaff": ("POST /v1/events/<event_id>/staff",),
    "RemoveStaff": ("DELETE /v1/events/<event_id>/staff/<user_id>",),
    "AnswerInvitation": ("POST /v1/invitations/<event_id>/accept", "POST /v1/invitations/<event_id>/decline"),
    "ReserveTickets": (_RESERVE,),
    "ReserveInTurn": (_RESERVE,),
    "ConfirmReservation": ("POST /v1/reservations/<reservation_id>/confirm",),
    "ReleaseReservation": ("DELETE /v1/reservations/<reservation_id>",),
    "ExtendHold": ("POST /v1/reservations/<reservation_id>/extend",),
    "CancelTickets": (
        "POST /v1/reservations/<reservation_id>/cancel-tickets",
        "POST /v1/events/<event_id>/reservations/<reservation_id>/refund",
    ),
    "RefundAmount": ("POST /v1/events/<event_id>/reservations/<reservation_id>/refund",),
    "TransferTicket": ("POST /v1/tickets/<ticket_id>/transfer",),
    "AnswerTransfer": (
        "POST /v1/transfers/<transfer_id>/accept",
        "POST /v1/transfers/<transfer_id>/decline",
        "DELETE /v1/transfers/<transfer_id>",
    ),
    "JoinWaitlist": ("POST /v1/events/<event_id>/waitlist",),
    "LeaveWaitlist": ("DELETE /v1/waitlist/<entry_id>",),
    "CheckIn": ("POST /v1/events/<event_id>/check-ins", _BATCH),
    "UndoCheckIn": ("DELETE /v1/events/<event_id>/check-ins/<ticket_id>",),
    "RecordPayment": (_STRIPE,),
    "RecordRefund": (_STRIPE,),
    "RecordProviderRefund": (_STRIPE,),
    "RecordRefundFailure": (_STRIPE,),
    "RecordDispute": (_STRIPE,),
}
"""The routes that write a command. Where there are several, the log does not always say which one it was."""

_ANSWERS = {OfferAnswer.ACCEPT: "/accept", OfferAnswer.DECLINE: "/decline", OfferAnswer.WITHDRAW: "DELETE "}


ALWAYS_OK = frozenset({_STRIPE, _BATCH})
"""Routes that answer success for every decision."""
HTTP_OK, HTTP_CREATED, HTTP_NO_CONTENT = 200, 201, 204
_SUCCESSES: Mapping[str, int] = {
    "POST /v1/events": HTTP_CREATED,
    "DELETE /v1/events/<event_id>": HTTP_NO_CONTENT,
    "POST /v1/events/<event_id>/ticket-types": HTTP_CREATED,
    "POST /v1/events/<event_id>/pools": HTTP_CREATED,
    "POST /v1/events/<event_id>/codes": HTTP_CREATED,
    "POST /v1/events/<event_id>/blocks": HTTP_CREATED,
    "POST /v1/events/<event_id>/staff": HTTP_CREATED,
    "DELETE /v1/events/<event_id>/staff/<user_id>": HTTP_NO_CONTENT,
    _RESERVE: HTTP_CREATED,
    "POST /v1/events/<event_id>/waitlist": HTTP_CREATED,
    "POST /v1/events/<event_id>/check-ins": HTTP_CREATED,
}
"""The status of a route's success, where it is not HTTP_OK. A test compares it with the API's table of routes."""


def success_of(route: str) -> int:
    """The status with which a route answers an accepted command, after its decision."""
    return _SUCCESSES.get(route, HTTP_OK)


def route_of(command: str, fields: Mapping[str, Any]) -> str:
    """The route that has written a command of the API, several joined by "or"; "" for a command that none writes."""
    return " or ".join(routes_of(command, fields))


def routes_of(command: str, fields: Mapping[str, Any]) -> Sequence[str]:
    """The routes of which one has written a command of the API; none for a command that no route writes."""
    routes = ROUTES.get(command, ())
    mark = _ANSWERS.get(fields.get("answer", ""))
    return [one for one in routes if mark is not None and (one.endswith(mark) or one.startswith(mark))] or routes
