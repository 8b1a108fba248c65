"""Makes messages from facts: for which user, with which content, over which channels. Pure.

Guarantee: the same fact gives the same messages, byte for byte: one for each user, channel and template. A message's
identity is the fact's position with the user, the channel and the template. So every deliverer recognises a message
that comes twice. Preferences are applied later, at delivery.

`data` is a JSON object with everything that a template needs and no personal data: ids, seats, `amount` in minor units,
times in RFC 3339.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from pipelines.notifications.kinds import Channel, NotificationKind
from schemas import facts as f
from schemas.facts import Reason, RecordedFact
from schemas.ids import NO_EVENT, NO_RESERVATION, UserId
from schemas.notifications import Notification
from schemas.statuses import ChoreKind, DisputeStatus, PaymentStatus, TransferStatus
from schemas.times import rfc3339_micros

DIRECT_PARTITION = -1  # for a message without a fact; its offset is the number of the direct message
DELIVERED = (
    Channel.INBOX,
    Channel.MAIL,
)  # the live stream shows what is in the inbox, so it has no messages of its own


class ComposedMessage(NamedTuple):
    """The message for one user, before it is split by channel."""

    user_id: UserId
    kind: NotificationKind
    data: dict[str, Any]


_json = msgspec.json.Encoder(order="deterministic")


def compose(recorded: RecordedFact) -> list[Notification]:
    """The messages of a fact; none for most types of facts."""
    at, fact = recorded.envelope, recorded.fact
    tell = _MESSAGES.get(type(fact))
    if tell is None:
        return []
    about: dict[str, str] = {"event_id": at.event_id}
    reservation_id = NO_RESERVATION
    if not isinstance(fact, f.StaffAdded | f.StaffInvited):  # every other fact in _MESSAGES is about a reservation
        about["reservation_id"] = reservation_id = fact.reservation_id  # type: ignore[attr-defined]
    messages: list[Notification] = []
    for user_id, kind, data in tell(fact):
        text = _json.encode(about | data).decode()
        messages += (
            Notification(
                user_id=user_id,
                event_id=at.event_id,
                reservation_id=reservation_id,
                partition=at.partition,
                offset=at.offset,
                index=at.index,
                kind=kind,
                channel=channel,
                template=kind,
                created_at=at.log_time,
                data=text,
            )
            for channel in DELIVERED
        )
    return messages


def compose_direct(number: int, user_id: UserId, kind: str, data: str, created_at: int) -> list[Notification]:
    """The mail of a direct message. It is about an account, so it has no fact. `data` is a JSON object.

    The inbox entry is not made here: the statement that changed the account writes it.
    """
    return [
        Notification(
            user_id=user_id,
            event_id=NO_EVENT,
            reservation_id=NO_RESERVATION,
            partition=DIRECT_PARTITION,
            offset=number,
            index=0,
            kind=kind,
            channel=Channel.MAIL,
            template=kind,
            created_at=created_at,
            data=data,
        )
    ]


def _places(
    fact: f.TicketsHeld
    | f.ReservationConfirmed
    | f.HoldExpired
    | f.HoldReleased
    | f.ReservationCancelled
    | f.TicketsCancelled,
) -> dict[str, Any]:
    return {"ticket_type_id": fact.ticket_type_id, "quantity": fact.quantity, "seats": fact.seats}


def _price(fact: f.TicketsHeld | f.ReservationConfirmed) -> dict[str, Any]:
    return {"amount": fact.amount_minor, "currency": fact.currency}


def _held(fact: f.TicketsHeld) -> list[ComposedMessage]:
    data = {**_places(fact), **_price(fact), "expires_at": rfc3339_micros(fact.expires_at)}
    return [ComposedMessage(fact.user_id, NotificationKind.TICKET_HELD, data)]


def _deadline(kind: NotificationKind) -> Callable[[Any], list[ComposedMessage]]:
    def tell(fact: f.HoldWarned | f.HoldExtended) -> list[ComposedMessage]:
        data = {"ticket_type_id": fact.ticket_type_id, "expires_at": rfc3339_micros(fact.expires_at)}
        return [ComposedMessage(fact.user_id, kind, data)]

    return tell


def _ended(kind: NotificationKind) -> Callable[[Any], list[ComposedMessage]]:
    return lambda fact: [ComposedMessage(fact.user_id, kind, _places(fact))]


def _confirmed(fact: f.ReservationConfirmed) -> list[ComposedMessage]:
    data = {**_places(fact), **_price(fact), "ticket_ids": fact.ticket_ids}
    return [ComposedMessage(fact.user_id, NotificationKind.RESERVATION_CONFIRMED, data)]


def _rejected(fact: f.ReservationRejected) -> list[ComposedMessage]:
    asked = {"ticket_type_id": fact.ticket_type_id, "quantity": fact.quantity}
    return [
        ComposedMessage(
            fact.user_id, NotificationKind.RESERVATION_REFUSED, {**asked, "reason": fact.reason, "detail": fact.detail}
        )
    ]


def _cancelled(fact: f.ReservationCancelled) -> list[ComposedMessage]:
    """A cancelled reservation. If the event was cancelled, the message says that instead."""
    kind = (
        NotificationKind.EVENT_CANCELLED
        if fact.reason == Reason.EVENT_CANCELLED
        else NotificationKind.RESERVATION_CANCELLED
    )
    money = {"kept": fact.kept_minor or 0, "refund": fact.refund_minor or 0}
    return [ComposedMessage(fact.user_id, kind, {**_places(fact), **money, "reason": fact.reason})]


def _tickets_cancelled(fact: f.TicketsCancelled) -> list[ComposedMessage]:
    data = {**_places(fact), "ticket_ids": fact.ticket_ids, "amount": fact.amount_minor, "kept": fact.kept_minor}
    return [ComposedMessage(fact.user_id, NotificationKind.TICKETS_CANCELLED, {**data, "reason": fact.reason})]


def _confirmation_refused(fact: f.ConfirmationRefused) -> list[ComposedMessage]:
    data = {"attempt_id": fact.attempt_id, "reason": fact.reason, "refund": fact.refund_minor or 0}
    return [ComposedMessage(fact.user_id, NotificationKind.CONFIRMATION_REFUSED, data)]


def _declined(fact: f.PaymentDeclined) -> list[ComposedMessage]:
    return [
        ComposedMessage(
            fact.user_id, NotificationKind.PAYMENT_DECLINED, {"attempt_id": fact.attempt_id, "reason": fact.reason}
        )
    ]


def _refunded(fact: f.PaymentRefunded) -> list[ComposedMessage]:
    data: dict[str, Any] = {
        "payment_id": fact.payment_id, "refund_id": fact.refund_id, "amount": fact.amount_minor,
    }  # fmt: skip
    if fact.currency:
        data["currency"] = fact.currency
    messages = [ComposedMessage(fact.user_id, NotificationKind.PAYMENT_REFUNDED, data)]
    if fact.organizer_id:  # set if the refund began at the provider, without the organizer
        messages.append(
            ComposedMessage(fact.organizer_id, NotificationKind.ORDER_REFUNDED, {**data, "reason": fact.reason or ""})
        )
    return messages


def _refund_failed(fact: f.RefundFailed) -> list[ComposedMessage]:
    """The organizer has to act. The buyer gets a message only if money is owed to them."""
    data = {"payment_id": fact.payment_id, "refund_id": fact.refund_id, "amount": fact.amount_minor}
    messages = [
        ComposedMessage(
            fact.organizer_id,
            NotificationKind.ORDER_REFUND_FAILED,
            {**data, "reason": fact.reason, "origin": fact.origin},
        )
    ]
    if fact.to_owed_minor and fact.payment == PaymentStatus.REFUND_FAILED:
        messages.append(
            ComposedMessage(fact.user_id, NotificationKind.REFUND_FAILED, {**data, "amount": fact.to_owed_minor})
        )
    return messages


def _dispute(fact: f.DisputeOpened | f.DisputeClosed) -> dict[str, Any]:
    about = {"payment_id": fact.payment_id, "dispute_id": fact.dispute_id, "amount": fact.amount_minor}
    return {**about, "status": fact.status, "reason": fact.reason}


def _dispute_opened(fact: f.DisputeOpened) -> list[ComposedMessage]:
    """An inquiry by the bank gives the buyer no message yet."""
    messages = [ComposedMessage(fact.organizer_id, NotificationKind.ORDER_DISPUTED, _dispute(fact))]
    if fact.status == DisputeStatus.OPEN:
        messages.append(ComposedMessage(fact.user_id, NotificationKind.PAYMENT_DISPUTED, _dispute(fact)))
    return messages


def _dispute_closed(fact: f.DisputeClosed) -> list[ComposedMessage]:
    messages = [ComposedMessage(fact.organizer_id, NotificationKind.ORDER_DISPUTE_CLOSED, _dispute(fact))]
    if fact.status in (DisputeStatus.WON, DisputeStatus.LOST):
        messages.append(ComposedMessage(fact.user_id, NotificationKind.DISPUTE_CLOSED, _dispute(fact)))
    return messages


def _transferred(fact: f.TicketTransferred) -> list[ComposedMessage]:
    """A message to both users. Neither learns who the other is."""
    data = {"ticket_type_id": fact.ticket_type_id, "ticket_id": fact.ticket_id, "seat": fact.seat}
    return [
        ComposedMessage(fact.user_id, NotificationKind.TICKET_TRANSFERRED, data),
        ComposedMessage(fact.to_user_id, NotificationKind.TICKET_RECEIVED, data),
    ]


def _transfer_offered(fact: f.TransferOffered) -> list[ComposedMessage]:
    """A message to the user who may accept. Neither user learns who the other is."""
    data = {"ticket_type_id": fact.ticket_type_id, "ticket_id": fact.ticket_id, "seat": fact.seat}
    data |= {"transfer_id": fact.transfer_id, "expires_at": rfc3339_micros(fact.expires_at)}
    return [ComposedMessage(fact.to_user_id, NotificationKind.TRANSFER_OFFERED, data)]


def _transfer_ended(fact: f.TransferEnded) -> list[ComposedMessage]:
    """A message to the user who did not end the offer: the holder if it was declined or expired, else the receiver."""
    data = {"ticket_type_id": fact.ticket_type_id, "ticket_id": fact.ticket_id, "seat": fact.seat}
    data |= {"transfer_id": fact.transfer_id, "outcome": fact.outcome}
    receiver_lost_it = fact.outcome in (TransferStatus.WITHDRAWN, TransferStatus.CANCELLED)
    return [
        ComposedMessage(fact.to_user_id if receiver_lost_it else fact.user_id, NotificationKind.TRANSFER_ENDED, data)
    ]


def _invited(fact: f.StaffInvited) -> list[ComposedMessage]:
    return [
        ComposedMessage(fact.member_id, NotificationKind.STAFF_INVITED, {"expires_at": rfc3339_micros(fact.expires_at)})
    ]


def _offered(fact: f.WaitlistOffered) -> list[ComposedMessage]:
    asked = {"entry_id": fact.entry_id, "ticket_type_id": fact.ticket_type_id, "quantity": fact.quantity}
    return [
        ComposedMessage(
            fact.user_id, NotificationKind.WAITLIST_OFFERED, {**asked, "expires_at": rfc3339_micros(fact.expires_at)}
        )
    ]


def _checked_in(fact: f.CheckInAccepted) -> list[ComposedMessage]:
    data = {"ticket_id": fact.ticket_id, "seat": fact.seat, "gate": fact.gate}
    return [
        ComposedMessage(
            fact.user_id, NotificationKind.CHECKED_IN, {**data, "scanned_at": rfc3339_micros(fact.scanned_at)}
        )
    ]


def _staff(fact: f.StaffAdded) -> list[ComposedMessage]:
    return [ComposedMessage(fact.member_id, NotificationKind.STAFF_ADDED, {})]


_CHORES: dict[str, NotificationKind] = {
    ChoreKind.REMINDER: NotificationKind.EVENT_REMINDER,
    ChoreKind.EVENT_CHANGED: NotificationKind.EVENT_CHANGED,
    ChoreKind.EVENT_CANCELLED: NotificationKind.EVENT_CANCELLED,
}


def _notified(fact: f.HolderNotified) -> list[ComposedMessage]:
    """The event's data comes from the fact: the rows may be newer when the message is read."""
    kind = _CHORES.get(fact.kind)
    if kind is None:
        return []
    times = {
        "starts_at": rfc3339_micros(fact.starts_at),
        "ends_at": rfc3339_micros(fact.ends_at),
        "timezone": fact.timezone,
    }
    data = {"title": fact.title, "venue": fact.venue, **times, "changed": fact.changed}
    return [ComposedMessage(fact.user_id, kind, data)]


_MESSAGES: dict[type[f.Fact], Callable[[Any], list[ComposedMessage]]] = {
    f.TicketsHeld: _held,
    f.HoldWarned: _deadline(NotificationKind.HOLD_EXPIRING),
    f.HoldExtended: _deadline(NotificationKind.HOLD_EXTENDED),
    f.HoldExpired: _ended(NotificationKind.HOLD_EXPIRED),
    f.HoldReleased: _ended(NotificationKind.HOLD_RELEASED),
    f.ReservationConfirmed: _confirmed,
    f.ReservationRejected: _rejected,
    f.ReservationCancelled: _cancelled,
    f.TicketsCancelled: _tickets_cancelled,
    f.ConfirmationRefused: _confirmation_refused,
    f.PaymentDeclined: _declined,
    f.PaymentRefunded: _refunded,
    f.RefundFailed: _refund_failed,
    f.DisputeOpened: _dispute_opened,
    f.DisputeClosed: _dispute_closed,
    f.TicketTransferred: _transferred,
    f.TransferOffered: _transfer_offered,
    f.TransferEnded: _transfer_ended,
    f.WaitlistOffered: _offered,
    f.CheckInAccepted: _checked_in,
    f.HolderNotified: _notified,
    f.StaffInvited: _invited,
    f.StaffAdded: _staff,
}
