"""The HTTP status that answered a command, derived from its routes and its facts. Pure.

No record keeps the status of an answer. The API makes it from the decision, by `http_status_of` and the status of a
route's success. So it follows from the log, except where the client did not wait until then: its answer was 202.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from pipelines.watch.command_routes import ALWAYS_OK, routes_of, success_of
from pipelines.watch.topic_record import TopicRecord
from schemas.reasons import Reason, http_status_of
from schemas.replies import REPLY_TO

ACCEPTED_ONLY = "202"
BY_ITS_DECISION = "by its decision; 202 to a client that did not wait for it"
PAYMENT_UNDER_WAY = "the payment is under way; 202 to a client that does not wait for its end"
REPEATED = "a repeated request: answered by the state of its reservation then"

_REFUSALS = frozenset({"ReservationRejected", "CommandRefused", "ConfirmationRefused", "CheckInRefused"})
_PAID = frozenset({"ReservationConfirmed", "PaymentDeclined", "ConfirmationRefused"})
_DECISIONS = frozenset({"TicketsHeld", "ReservationRejected"})


class HttpAnswer(NamedTuple):
    """`status` is "" where it does not follow from the log. `why` says from what it follows, or why it does not."""

    status: str
    why: str


class _Open(Exception):
    """The decision does not say the status. The message says why."""


def answer_to(command: TopicRecord, facts: Sequence[TopicRecord]) -> HttpAnswer:
    """The answer to a command of the API. `facts` are all known facts about its subject, in their order.

    Several statuses are joined: by "or" where one of several routes was called, by "," where one record has several
    requests.
    """
    routes = routes_of(command.record, command.fields)
    waited = REPLY_TO in command.headers
    try:
        statuses = dict.fromkeys(_on_route(route, waited, command, facts) for route in routes)
    except _Open as open_:
        return HttpAnswer("", str(open_))
    if all(route in ALWAYS_OK for route in routes):
        return HttpAnswer(" or ".join(statuses), "for every decision, once the log has the command")
    return HttpAnswer(" or ".join(statuses), BY_ITS_DECISION if waited else "the client did not wait for the decision")


def _on_route(route: str, waited: bool, command: TopicRecord, facts: Sequence[TopicRecord]) -> str:
    if route in ALWAYS_OK:
        return str(success_of(route))
    return ", ".join(dict.fromkeys(_decided(route, command, facts))) if waited else ACCEPTED_ONLY


def _decided(route: str, command: TopicRecord, facts: Sequence[TopicRecord]) -> Iterable[str]:
    """The status of each request of the command, as `reply_to` finds the outcome. Raises _Open."""
    own = [one for one in facts if _answers(one, command)]
    if not own:
        raise _Open("not decided yet")
    success = str(success_of(route))
    if command.record in ("ReserveTickets", "ReserveInTurn"):
        return [status for one in own if (status := _of_reservation(one, facts, success))]
    return [_of_command(command, own, facts, success)]


def _of_reservation(fact: TopicRecord, facts: Sequence[TopicRecord], success: str) -> str:
    """The status of one request for tickets; "" for a fact that answers none."""
    if fact.record in _REFUSALS:
        return _refused(fact)
    if fact.record == "CommandDuplicated":
        first = _first(facts, lambda one: one.record in _DECISIONS and _subject(one) == fact.fields["subject_id"])
        if first is None:
            raise _Open(REPEATED)
        return _of_reservation(first, facts, success)
    return success if fact.record == "TicketsHeld" else ""


def _of_command(command: TopicRecord, own: Sequence[TopicRecord], facts: Sequence[TopicRecord], success: str) -> str:
    status = success
    for fact in own:
        if fact.record in _REFUSALS:
            status = _refused(fact)
        elif fact.record == "PaymentDeclined":
            status = str(http_status_of(Reason.PAYMENT_DECLINED))
        elif fact.record == "PaymentRequested":
            status = _of_payment(fact, facts, success)
        elif fact.record == "CommandDuplicated" and command.record == "ConfirmReservation":
            raise _Open(REPEATED)
    return status


def _of_payment(requested: TopicRecord, facts: Sequence[TopicRecord], success: str) -> str:
    """The status by the end of the payment attempt. Raises _Open while it has none."""
    attempt = requested.fields["attempt_id"]
    end = _first(facts, lambda one: one.record in _PAID and one.fields.get("attempt_id") == attempt)
    if end is None:
        raise _Open(PAYMENT_UNDER_WAY)
    if end.record == "PaymentDeclined":
        return str(http_status_of(Reason.PAYMENT_DECLINED))
    return _refused(end) if end.record in _REFUSALS else success


def _refused(fact: TopicRecord) -> str:
    return str(http_status_of(fact.fields["reason"]))


def _answers(fact: TopicRecord, command: TopicRecord) -> bool:
    return fact.position.rpartition("-")[0] == command.position


def _subject(fact: TopicRecord) -> Any:
    return fact.fields.get("reservation_id")


def _first(facts: Iterable[TopicRecord], wanted: Callable[[TopicRecord], bool]) -> TopicRecord | None:
    return next(filter(wanted, facts), None)
