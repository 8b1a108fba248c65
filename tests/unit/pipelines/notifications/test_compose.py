"""Each fact that concerns a user becomes a message to that user, with the words and figures of the fact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from pipelines.notifications.compose import compose, compose_direct
from pipelines.notifications.kinds import KINDS, Channel, NotificationKind, outdated
from schemas import facts as f
from schemas.codec import Codec
from schemas.facts import Reason
from schemas.notifications import Notification
from schemas.times import rfc3339_micros
from tests.harness.fact_logs import FactLog, recorded
from tests.harness.words import (
    ALICE,
    BOB,
    DEADLINE,
    EVENT,
    ORGANIZER,
    R1,
    STALLS,
    T,
    cancelled,
    confirmation_refused,
    confirmed,
    created,
    dispute_closed,
    dispute_opened,
    held,
    hold_expired,
    hold_released,
    payment_declined,
    payment_refunded,
    payment_requested,
    refund_failed,
    refunded_at_provider,
    rejected,
)

DAY_US = 86_400_000_000


def told(fact: f.Fact) -> list[Notification]:
    """A fact's messages in the inbox; its mails say the same."""
    messages = compose(recorded(fact, offset=1))
    inbox = [one for one in messages if one.channel == Channel.INBOX]
    mails = [one for one in messages if one.channel == Channel.MAIL]
    assert [msgspec.structs.replace(one, channel=Channel.INBOX) for one in mails] == inbox
    assert len(inbox) * 2 == len(messages)
    return inbox


def notified(kind: str) -> f.HolderNotified:
    day = T + DAY_US
    return f.HolderNotified(
        kind=kind,
        cause=7,
        reservation_id=R1,
        user_id=ALICE,
        changed=["venue"],
        title="Night",
        venue="Hall",
        starts_at=day,
        ends_at=day + 1,
        timezone="Europe/Vienna",
    )


def test_a_hold_tells_what_is_held_and_until_when() -> None:
    message, mail = compose(recorded(held(["A-1", "A-2"]), offset=7, index=1, count=2, partition=3))
    assert mail == msgspec.structs.replace(message, channel=Channel.MAIL)
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
        "expires_at": rfc3339_micros(DEADLINE),
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
        (f.HoldWarned(R1, ALICE, STALLS, DEADLINE), "hold.expiring"),
        (f.HoldExtended(R1, ALICE, STALLS, DEADLINE), "hold.extended"),
        (cancelled(["A-1"], reason=Reason.EVENT_CANCELLED), "event.cancelled"),
        (
            f.TicketsCancelled(
                reservation_id=R1,
                user_id=ALICE,
                ticket_type_id=STALLS,
                quantity=1,
                seats=["A-1"],
                ticket_ids=["t-1"],
                amount_minor=2_500,
                kept_minor=0,
                reason="buyer-cancelled",
            ),
            "tickets.cancelled",
        ),
        (
            f.WaitlistOffered(
                entry_id="entry",
                user_id=ALICE,
                ticket_type_id=STALLS,
                quantity=2,
                reservation_id=R1,
                expires_at=DEADLINE,
            ),
            "waitlist.offered",
        ),
        (
            f.CheckInAccepted(
                reservation_id=R1,
                user_id=ALICE,
                ticket_id="t-1",
                seat="A-1",
                by_user_id=BOB,
                gate="north",
                scanner="scanner-3",
                scanned_at=T,
            ),
            "ticket.checked-in",
        ),
        (notified("reminder"), "event.reminder"),
        (notified("event-changed"), "event.changed"),
        (notified("event-cancelled"), "event.cancelled"),
    ],
)
def test_each_outcome_is_one_message(fact: f.Fact, kind: str) -> None:
    (message,) = told(fact)
    assert (message.user_id, message.kind, message.template) == (ALICE, kind, kind)
    assert message.kind in KINDS
    data = msgspec.json.decode(message.data)
    assert (data["event_id"], data["reservation_id"]) == (EVENT, R1)


@pytest.mark.parametrize(
    ("fact", "wanted"),
    [
        (refunded_at_provider(), [(ALICE, "payment.refunded"), (ORGANIZER, "order.refunded")]),
        (refund_failed(), [(ORGANIZER, "order.refund-failed"), (ALICE, "payment.refund-failed")]),
        (refund_failed(origin="provider", to_tickets=2_500), [(ORGANIZER, "order.refund-failed")]),
        (dispute_opened(), [(ORGANIZER, "order.disputed"), (ALICE, "payment.disputed")]),
        (dispute_opened("inquiry"), [(ORGANIZER, "order.disputed")]),
        (dispute_closed("won"), [(ORGANIZER, "order.dispute-closed"), (ALICE, "payment.dispute-closed")]),
        (dispute_closed("lost"), [(ORGANIZER, "order.dispute-closed"), (ALICE, "payment.dispute-closed")]),
        (dispute_closed("closed"), [(ORGANIZER, "order.dispute-closed")]),
    ],
)
def test_who_hears_of_what_began_at_the_provider(fact: f.Fact, wanted: list[tuple[str, str]]) -> None:
    messages = told(fact)
    assert [(one.user_id, one.kind) for one in messages] == wanted
    assert all(ORGANIZER not in one.data and ALICE not in one.data for one in messages)


def test_a_transfer_tells_both_sides_and_neither_who_the_other_is() -> None:
    sent, received = told(
        f.TicketTransferred(
            reservation_id=R1,
            user_id=ALICE,
            ticket_type_id=STALLS,
            ticket_id="t-1",
            seat="A-1",
            to_user_id=BOB,
            version=2,
        )
    )
    assert [(one.user_id, one.kind) for one in (sent, received)] == [
        (ALICE, "ticket.transferred"),
        (BOB, "ticket.received"),
    ]
    assert BOB not in sent.data
    assert ALICE not in received.data


def test_an_offer_tells_its_receiver_and_its_end_whoever_did_not_end_it() -> None:
    offer: Any = {
        "transfer_id": "offer", "reservation_id": R1, "user_id": ALICE, "ticket_type_id": STALLS, "ticket_id": "t-1",
        "seat": "A-1", "to_user_id": BOB,
    }  # fmt: skip
    (offered,) = told(f.TransferOffered(**offer, expires_at=T))
    assert (offered.user_id, offered.kind) == (BOB, "transfer.offered")
    assert ALICE not in offered.data
    for outcome, user in (("declined", ALICE), ("expired", ALICE), ("withdrawn", BOB), ("cancelled", BOB)):
        (ended,) = told(f.TransferEnded(**offer, outcome=outcome))
        assert (ended.user_id, ended.kind) == (user, "transfer.ended")


def test_whoever_is_invited_to_a_door_is_told_until_when_and_not_by_whom() -> None:
    (message,) = told(f.StaffInvited(ORGANIZER, BOB, T))
    assert (message.user_id, message.kind) == (BOB, "staff.invited")
    assert msgspec.json.decode(message.data) == {"event_id": EVENT, "expires_at": rfc3339_micros(T)}


def test_whoever_works_at_a_door_is_told_of_the_event_and_not_by_whom() -> None:
    (message,) = told(f.StaffAdded(ORGANIZER, BOB))
    assert (message.user_id, message.kind, message.event_id, message.reservation_id) == (BOB, "staff.added", EVENT, "")
    assert msgspec.json.decode(message.data) == {"event_id": EVENT}


def test_a_chore_that_nobody_knows_tells_nobody() -> None:
    assert compose(recorded(notified("new-in-a-later-version"), offset=1)) == []


def test_a_reminder_says_what_the_event_was_when_it_was_decided() -> None:
    (message,) = told(notified("reminder"))
    data = msgspec.json.decode(message.data)
    assert (data["title"], data["venue"], data["timezone"]) == ("Night", "Hall", "Europe/Vienna")
    assert data["starts_at"] == rfc3339_micros(T + DAY_US)


SEVERAL = frozenset(
    {
        "ticket.transferred", "ticket.received", "transfer.offered", "transfer.ended", "staff.invited", "staff.added",
    }
)  # fmt: skip


def test_every_kind_but_that_of_accounts_comes_from_a_fact() -> None:
    """Each kind is made by one of the facts above, or by a direct message."""
    marks = test_each_outcome_is_one_message.pytestmark  # type: ignore[attr-defined]
    kinds = {kind for mark in marks for _, kind in mark.args[1]}
    told_apart = {
        kind
        for mark in test_who_hears_of_what_began_at_the_provider.pytestmark
        for _, wanted in mark.args[1]
        for _, kind in wanted
    }  # type: ignore[attr-defined]
    assert kinds | told_apart | {*SEVERAL, NotificationKind.REGISTERED} == set(KINDS)


def test_a_direct_message_is_a_mail_that_no_fact_has_caused() -> None:
    (mail,) = compose_direct(7, ALICE, NotificationKind.REGISTERED, "{}", T)
    assert (mail.channel, mail.partition, mail.offset, mail.user_id) == (Channel.MAIL, -1, 7, ALICE)
    assert mail.kind == mail.template == NotificationKind.REGISTERED


def test_a_mail_is_outdated_once_its_deadline_has_passed() -> None:
    (message,) = told(held(["A-1"]))
    data = msgspec.json.decode(message.data)
    deadline = datetime.fromtimestamp(DEADLINE / 1_000_000, UTC)
    assert not outdated(message.kind, data, deadline - timedelta(seconds=1))
    assert outdated(message.kind, data, deadline + timedelta(seconds=1))
    assert not outdated(NotificationKind.CHECKED_IN, data, deadline + timedelta(days=1))
    assert not outdated(message.kind, {"expires_at": "0"}, deadline + timedelta(days=1))


@pytest.mark.parametrize("fact", [created(), payment_requested(), f.TickObserved(), f.CommandUnreadable("x")])
def test_what_concerns_nobody_tells_nobody(fact: f.Fact) -> None:
    assert compose(recorded(fact, offset=1)) == []


def test_a_refusal_says_why() -> None:
    (message,) = told(rejected(Reason.SEAT_TAKEN, "A-1"))
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
    assert rfc3339_micros(1_800_000_000_000_001) == "2027-01-15T08:00:00.000001Z"
    assert rfc3339_micros(1 << 62) == "0"
