"""What a fact tells its user."""

from __future__ import annotations

import msgspec
import pytest

from pipelines.notifications.compose import compose, rfc3339
from schemas import facts as f
from schemas.codec import Codec
from schemas.facts import Reason
from tests.harness.fact_logs import FactLog, recorded
from tests.harness.words import (
    ALICE,
    DEADLINE,
    EVENT,
    R1,
    STALLS,
    T,
    cancelled,
    confirmation_refused,
    confirmed,
    created,
    held,
    hold_expired,
    hold_released,
    payment_declined,
    payment_refunded,
    payment_requested,
    rejected,
)


def test_a_hold_tells_what_is_held_and_until_when() -> None:
    (message,) = compose(recorded(held(["A-1", "A-2"]), offset=7, index=1, count=2, partition=3))
    assert (message.kind, message.channel, message.template, message.user_id) == (
        "ticket.held",
        "inbox",
        "ticket.held",
        ALICE,
    )
    assert (message.partition, message.offset, message.index, message.created_at) == (3, 7, 1, T + 7)
    assert msgspec.json.decode(message.data) == {
        "event_id": EVENT,
        "reservation_id": R1,
        "ticket_type_id": STALLS,
        "quantity": 2,
        "seats": ["A-1", "A-2"],
        "amount": 5_000,
        "currency": "EUR",
        "expires_at": rfc3339(DEADLINE),
    }


@pytest.mark.parametrize(
    ("fact", "kind"),
    [
        (held(["A-1"]), "ticket.held"),
        (confirmed(["A-1"]), "reservation.confirmed"),
        (rejected(Reason.SOLD_OUT, "0 left"), "reservation.refused"),
        (confirmation_refused(Reason.HOLD_EXPIRED), "confirmation.refused"),
        (hold_expired(["A-1"]), "hold.expired"),
        (hold_released(["A-1"]), "hold.released"),
        (cancelled(["A-1"]), "reservation.cancelled"),
        (payment_declined(), "payment.declined"),
        (payment_refunded(), "payment.refunded"),
    ],
)
def test_each_outcome_is_one_message(fact: f.Fact, kind: str) -> None:
    (message,) = compose(recorded(fact, offset=1))
    assert message.kind == kind
    assert isinstance(msgspec.json.decode(message.data), dict)


@pytest.mark.parametrize("fact", [created(), payment_requested(), f.TickObserved(), f.CommandUnreadable("x")])
def test_what_concerns_nobody_tells_nobody(fact: f.Fact) -> None:
    assert compose(recorded(fact, offset=1)) == []


def test_a_refusal_says_why() -> None:
    (message,) = compose(recorded(rejected(Reason.SEAT_TAKEN, "A-1"), offset=1))
    data = msgspec.json.decode(message.data)
    assert (data["reason"], data["detail"]) == ("seat-taken", "A-1")


def test_the_same_fact_gives_the_same_bytes() -> None:
    codec = Codec()
    facts = FactLog(partition=0, seed=5).take(400)
    again = FactLog(partition=0, seed=5).take(400)
    messages = [codec.encode(message) for fact in facts for message in compose(fact)]
    assert messages
    assert messages == [codec.encode(message) for fact in again for message in compose(fact)]


def test_no_two_messages_of_a_log_have_one_identity() -> None:
    messages = [message for fact in FactLog(partition=0, seed=6).take(400) for message in compose(fact)]
    identities = {(m.user_id, m.partition, m.offset, m.index, m.channel, m.template) for m in messages}
    assert len(identities) == len(messages)


def test_times_are_rfc_3339_and_a_time_beyond_the_calendar_is_no_error() -> None:
    assert rfc3339(1_800_000_000_000_001) == "2027-01-15T08:00:00.000001Z"
    assert rfc3339(1 << 62) == "0"
