"""What a fact tells which user. Pure.

Guarantee: the same fact gives the same messages, byte for byte. A message's identity is the fact's position with the
user, the channel and the template, so a message that is made or delivered twice is recognised everywhere.

`data` is a JSON object with everything a template needs: ids, seats, `amount` in minor units, times in RFC 3339.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from schemas import facts as f
from schemas.facts import RecordedFact
from schemas.ids import US_PER_S
from schemas.notifications import Notification

INBOX = "inbox"

TICKET_HELD = "ticket.held"
RESERVATION_CONFIRMED = "reservation.confirmed"
RESERVATION_REFUSED = "reservation.refused"
RESERVATION_CANCELLED = "reservation.cancelled"
HOLD_EXPIRED = "hold.expired"
HOLD_RELEASED = "hold.released"
CONFIRMATION_REFUSED = "confirmation.refused"
PAYMENT_DECLINED = "payment.declined"
PAYMENT_REFUNDED = "payment.refunded"

Message = tuple[str, dict[str, Any]]
_json = msgspec.json.Encoder(order="deterministic")


def compose(recorded: RecordedFact) -> list[Notification]:
    """The messages of a fact: one for its user in the inbox, or none."""
    at, fact = recorded.envelope, recorded.fact
    tell = _MESSAGES.get(type(fact))
    if tell is None:
        return []
    kind, data = tell(fact)
    user_id: str = fact.user_id  # type: ignore[attr-defined]  # every fact in _MESSAGES is about a user
    reservation_id: str = fact.reservation_id  # type: ignore[attr-defined]  # … and a reservation of theirs
    return [
        Notification(
            user_id=user_id,
            event_id=at.event_id,
            reservation_id=reservation_id,
            partition=at.partition,
            offset=at.offset,
            index=at.index,
            kind=kind,
            channel=INBOX,
            template=kind,
            created_at=at.log_time,
            data=_json.encode({"event_id": at.event_id, "reservation_id": reservation_id, **data}).decode(),
        )
    ]


def rfc3339(time_us: int) -> str:
    """Microseconds since the epoch as text, in UTC to the microsecond. A time no calendar has becomes the text "0"."""
    try:
        moment = datetime.fromtimestamp(time_us // US_PER_S, UTC).replace(microsecond=time_us % US_PER_S)
    except (OverflowError, ValueError, OSError):
        return "0"
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _places(
    fact: f.TicketsHeld | f.ReservationConfirmed | f.HoldExpired | f.HoldReleased | f.ReservationCancelled,
) -> dict[str, Any]:
    return {"ticket_type_id": fact.ticket_type_id, "quantity": fact.quantity, "seats": fact.seats}


def _held(fact: f.TicketsHeld) -> Message:
    price = {"amount": fact.amount_minor, "currency": fact.currency}
    return TICKET_HELD, {**_places(fact), **price, "expires_at": rfc3339(fact.expires_at)}


def _confirmed(fact: f.ReservationConfirmed) -> Message:
    price = {"amount": fact.amount_minor, "currency": fact.currency}
    return RESERVATION_CONFIRMED, {**_places(fact), **price, "ticket_ids": fact.ticket_ids}


def _rejected(fact: f.ReservationRejected) -> Message:
    asked = {"ticket_type_id": fact.ticket_type_id, "quantity": fact.quantity}
    return RESERVATION_REFUSED, {**asked, "reason": fact.reason, "detail": fact.detail}


def _confirmation_refused(fact: f.ConfirmationRefused) -> Message:
    return CONFIRMATION_REFUSED, {"attempt_id": fact.attempt_id, "reason": fact.reason}


def _declined(fact: f.PaymentDeclined) -> Message:
    return PAYMENT_DECLINED, {"attempt_id": fact.attempt_id, "reason": fact.reason}


def _refunded(fact: f.PaymentRefunded) -> Message:
    return PAYMENT_REFUNDED, {"payment_id": fact.payment_id, "refund_id": fact.refund_id, "amount": fact.amount_minor}


_MESSAGES: dict[type[f.Fact], Callable[[Any], Message]] = {
    f.TicketsHeld: _held,
    f.ReservationConfirmed: _confirmed,
    f.ReservationRejected: _rejected,
    f.ConfirmationRefused: _confirmation_refused,
    f.PaymentDeclined: _declined,
    f.PaymentRefunded: _refunded,
    f.HoldExpired: lambda fact: (HOLD_EXPIRED, _places(fact)),
    f.HoldReleased: lambda fact: (HOLD_RELEASED, _places(fact)),
    f.ReservationCancelled: lambda fact: (RESERVATION_CANCELLED, {**_places(fact), "reason": fact.reason}),
}
