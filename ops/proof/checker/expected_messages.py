"""The messages that each fact must make: receiver, kind, channels and content, as the checker's own table. Pure.

The table follows the design and the record types. It uses nothing of `pipelines.notifications`. So the check finds a
message that is missing, that goes to a wrong user, or that says something else than its fact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from schemas import facts as f
from schemas.facts import RecordedFact
from schemas.ids import UserId
from schemas.statuses import ChoreKind, DisputeStatus, PaymentStatus, TransferStatus
from schemas.times import rfc3339_micros

INBOX, MAIL = "inbox", "mail"
CHANNELS = (INBOX, MAIL)  # each message is in its user's inbox, and may be mailed
# The kinds with a mail for each user who has not switched it off. A user may switch each other kind on.
KINDS_WITH_MAILS = frozenset(
    {
        "hold.expiring", "reservation.confirmed", "reservation.cancelled", "tickets.cancelled", "confirmation.refused",
        "payment.refunded", "payment.disputed", "payment.dispute-closed", "payment.refund-failed", "order.refunded",
        "order.disputed", "order.dispute-closed", "order.refund-failed", "ticket.transferred", "ticket.received",
        "transfer.offered", "transfer.ended", "waitlist.offered", "event.changed", "event.cancelled",
        "event.reminder", "staff.invited", "staff.added",
    }
)  # fmt: skip
NOT_SET: Mapping[str, object] = {"kept": 0, "refund": 0, "reason": ""}
"""The content for a field that the fact does not set. Rows of version 0.1 have no `refund`, which means the same."""


class MessageKey(NamedTuple):
    """A message's identity in its partition: offset and index of its fact, its user, its channel and its template."""

    offset: int
    number: int
    user_id: UserId
    channel: str
    template: str


class ExpectedMessage(NamedTuple):
    """A message that must exist. `content` is JSON: the columns of its row, and in `data` what the row's data must
    have."""

    key: MessageKey
    content: bytes


class MessageRule(NamedTuple):
    """One message of a type of facts.

    `receiver` is the field with the user. `content` maps each name in the message's data to the field of the fact. A
    name that ends with "_at" is a time: microseconds in the fact, RFC 3339 in the message. `when` says of a fact
    whether it makes the message.
    """

    receiver: str
    template: str
    content: Mapping[str, str]
    when: Callable[[Any], bool] = lambda _fact: True


def expected_messages(recorded: RecordedFact) -> list[ExpectedMessage]:
    """The messages that a fact must make, in the order of the table; none for a type without a rule."""
    at, fact = recorded.envelope, recorded.fact
    messages: list[ExpectedMessage] = []
    for rule in RULES.get(type(fact), ()):
        if not rule.when(fact):
            continue
        about = {"event_id": at.event_id, "reservation_id": getattr(fact, "reservation_id", "")}
        data = {name: _said(name, getattr(fact, field)) for name, field in rule.content.items()}
        data |= {name: value for name, value in about.items() if value}
        columns = {**about, "kind": rule.template, "created_at": at.log_time, "data": data}
        content, user_id = msgspec.json.encode(columns), getattr(fact, rule.receiver)
        for channel in CHANNELS:
            key = MessageKey(
                offset=at.offset, number=at.index, user_id=user_id, channel=channel, template=rule.template
            )
            messages.append(ExpectedMessage(key, content))
    return messages


def difference(content: bytes, row: Mapping[str, Any]) -> str:
    """What a row has other than the expected `content`, in words; "" for nothing. `row["data"]` is JSON text."""
    expected: dict[str, Any] = msgspec.json.decode(content)
    said: dict[str, Any] = expected.pop("data")
    for name, value in expected.items():
        if row[name] != value:
            return f"{name} is {row[name]!r}, by the log {value!r}"
    data: dict[str, Any] = msgspec.json.decode(row["data"])
    for name, value in said.items():
        if (has := data.get(name, NOT_SET.get(name))) != value:
            return f"its data has {name} {has!r}, by the log {value!r}"
    return ""


def _said(name: str, value: Any) -> object:
    if name.endswith("_at"):
        return rfc3339_micros(value)
    return NOT_SET.get(name) if value is None else value


def _same(*names: str) -> dict[str, str]:
    """Content that has the names of the fact's fields."""
    return {name: name for name in names}


_AMOUNT = {"amount": "amount_minor"}
_PLACES = _same("ticket_type_id", "quantity", "seats")
_PRICE = _AMOUNT | _same("currency")
_DEADLINE = _same("ticket_type_id", "expires_at")
_CANCELLED = _PLACES | {"kept": "kept_minor", "refund": "refund_minor"} | _same("reason")
_REFUND = _AMOUNT | _same("payment_id", "refund_id")
_DISPUTE = _AMOUNT | _same("payment_id", "dispute_id", "status", "reason")
_TICKET = _same("ticket_type_id", "ticket_id", "seat")
_EVENT = _same("title", "venue", "starts_at", "ends_at", "timezone", "changed")
_LOST_BY_RECEIVER = (TransferStatus.WITHDRAWN, TransferStatus.CANCELLED)


def _chore(template: str, kind: ChoreKind) -> MessageRule:
    return MessageRule("user_id", template, _EVENT, lambda fact: fact.kind == kind)


RULES: Mapping[type[f.Fact], tuple[MessageRule, ...]] = {
    f.TicketsHeld: (MessageRule("user_id", "ticket.held", _PLACES | _PRICE | _DEADLINE),),
    f.HoldWarned: (MessageRule("user_id", "hold.expiring", _DEADLINE),),
    f.HoldExtended: (MessageRule("user_id", "hold.extended", _DEADLINE),),
    f.HoldExpired: (MessageRule("user_id", "hold.expired", _PLACES),),
    f.HoldReleased: (MessageRule("user_id", "hold.released", _PLACES),),
    f.ReservationConfirmed: (MessageRule("user_id", "reservation.confirmed", _PLACES | _PRICE | _same("ticket_ids")),),
    f.ReservationRejected: (
        MessageRule("user_id", "reservation.refused", _same("ticket_type_id", "quantity", "reason", "detail")),
    ),
    f.ReservationCancelled: (
        MessageRule("user_id", "event.cancelled", _CANCELLED, lambda fact: fact.reason == f.Reason.EVENT_CANCELLED),
        MessageRule(
            "user_id", "reservation.cancelled", _CANCELLED, lambda fact: fact.reason != f.Reason.EVENT_CANCELLED
        ),
    ),
    f.TicketsCancelled: (
        MessageRule(
            "user_id", "tickets.cancelled", _PLACES | _AMOUNT | {"kept": "kept_minor"} | _same("ticket_ids", "reason")
        ),
    ),
    f.ConfirmationRefused: (
        MessageRule("user_id", "confirmation.refused", _same("attempt_id", "reason") | {"refund": "refund_minor"}),
    ),
    f.PaymentDeclined: (MessageRule("user_id", "payment.declined", _same("attempt_id", "reason")),),
    f.PaymentRefunded: (
        MessageRule("user_id", "payment.refunded", _REFUND | _same("currency")),
        MessageRule(  # the fact names the organizer if the refund began at the provider
            "organizer_id",
            "order.refunded",
            _REFUND | _same("currency", "reason"),
            lambda fact: bool(fact.organizer_id),
        ),
    ),
    f.RefundFailed: (
        MessageRule("organizer_id", "order.refund-failed", _REFUND | _same("reason", "origin")),
        MessageRule(  # the buyer hears of money that is owed to them
            "user_id",
            "payment.refund-failed",
            _REFUND | {"amount": "to_owed_minor"},
            lambda fact: fact.to_owed_minor != 0 and fact.payment == PaymentStatus.REFUND_FAILED,
        ),
    ),
    f.DisputeOpened: (
        MessageRule("organizer_id", "order.disputed", _DISPUTE),
        MessageRule("user_id", "payment.disputed", _DISPUTE, lambda fact: fact.status == DisputeStatus.OPEN),
    ),
    f.DisputeClosed: (
        MessageRule("organizer_id", "order.dispute-closed", _DISPUTE),
        MessageRule(  # an inquiry that is closed never reached the buyer
            "user_id",
            "payment.dispute-closed",
            _DISPUTE,
            lambda fact: fact.status in (DisputeStatus.WON, DisputeStatus.LOST),
        ),
    ),
    f.TicketTransferred: (
        MessageRule("user_id", "ticket.transferred", _TICKET),
        MessageRule("to_user_id", "ticket.received", _TICKET),
    ),
    f.TransferOffered: (MessageRule("to_user_id", "transfer.offered", _TICKET | _same("transfer_id", "expires_at")),),
    f.TransferEnded: (  # the user who did not end the offer
        MessageRule(
            "to_user_id",
            "transfer.ended",
            _TICKET | _same("transfer_id", "outcome"),
            lambda fact: fact.outcome in _LOST_BY_RECEIVER,
        ),
        MessageRule(
            "user_id",
            "transfer.ended",
            _TICKET | _same("transfer_id", "outcome"),
            lambda fact: fact.outcome not in _LOST_BY_RECEIVER,
        ),
    ),
    f.WaitlistOffered: (MessageRule("user_id", "waitlist.offered", _DEADLINE | _same("entry_id", "quantity")),),
    f.CheckInAccepted: (MessageRule("user_id", "ticket.checked-in", _same("ticket_id", "seat", "gate", "scanned_at")),),
    f.HolderNotified: (
        _chore("event.reminder", ChoreKind.REMINDER),
        _chore("event.changed", ChoreKind.EVENT_CHANGED),
        _chore("event.cancelled", ChoreKind.EVENT_CANCELLED),
    ),
    f.StaffInvited: (MessageRule("member_id", "staff.invited", _same("expires_at")),),
    f.StaffAdded: (MessageRule("member_id", "staff.added", {}),),
}
