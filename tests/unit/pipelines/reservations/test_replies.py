"""A waiting request gets the outcome of its own attempt, the same one for every report of it."""

from __future__ import annotations

import pytest

from pipelines.reservations.core.decide import step
from pipelines.reservations.core.state import At
from pipelines.reservations.replies import reply_to
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import LogTime
from schemas.replies import Reply
from tests.harness.words import (
    ALICE,
    BOB,
    R2,
    TRY1,
    T,
    confirm,
    confirmed,
    create,
    folded,
    held,
    hold_expired,
    on_sale,
    paid,
    payment_requested,
    reserve,
)

PAYING = [*on_sale(), held(["A-3"]), payment_requested()]


def told(*commands: c.Command, taken: tuple[f.Fact, ...] = ()) -> Reply:
    """The reply to the last of these commands. They come after PAYING, and after the facts in `taken` that took its
    seats."""
    state, reply = folded(*PAYING, *taken), None
    for offset, command in enumerate(commands, 10):
        at = At(0, offset, LogTime(T))
        facts = step(state, command, at)
        reply = reply_to(state, command, facts, 0, offset)
    assert reply is not None
    return reply


def captured() -> c.RecordPayment:
    return paid()


def not_captured(reason: str = "card_declined") -> c.RecordPayment:
    return c.RecordPayment(
        event_id=paid().event_id,
        user_id="",
        command_id="cmd",
        reservation_id=paid().reservation_id,
        attempt_id=TRY1,
        payment_id="",
        outcome="declined",
        reason=reason,
        amount_minor=0,
    )


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_capture_is_told_as_tickets_however_often_it_comes(times: int) -> None:
    reply = told(*[captured()] * times)
    assert (reply.outcome, reply.duplicate) == ("accepted", times > 1)
    assert reply.reservation is not None
    assert (reply.reservation.status, reply.reservation.user_id) == ("confirmed", ALICE)
    assert reply.reservation.ticket_ids == confirmed(["A-3"]).ticket_ids


@pytest.mark.parametrize("times", [1, 2])
def test_a_decline_is_told_with_its_reason_however_often_it_comes(times: int) -> None:
    reply = told(*[not_captured("expired_card")] * times)
    assert (reply.outcome, reply.reason, reply.detail) == ("refused", Reason.PAYMENT_DECLINED, "expired_card")


@pytest.mark.parametrize("times", [1, 2])
def test_a_capture_that_came_too_late_is_told_as_expired_however_often_it_comes(times: int) -> None:
    taken = hold_expired(["A-3"]), held(["A-3"], rid=R2, by=BOB)
    reply = told(*[captured()] * times, taken=taken)
    assert (reply.outcome, reply.reason) == ("refused", Reason.HOLD_EXPIRED)


def test_what_is_told_of_a_former_attempt_leaves_the_present_one_pending() -> None:
    again = confirm(attempt="attempt-2")
    reply = told(not_captured(), again, not_captured())
    assert (reply.outcome, reply.duplicate) == ("pending", True)


def test_a_refusal_is_told_with_what_its_detail_names_and_again_the_same() -> None:
    state = folded(*on_sale(details={"sales_open_at": T + 10}))
    replies = []
    for offset in (10, 11):
        at = At(0, offset, LogTime(T + 1))
        replies.append(reply_to(state, reserve(), step(state, reserve(), at), 0, offset))
    assert [one.duplicate for one in replies] == [False, True]
    assert [(one.reason, one.at, one.field) for one in replies] == [(Reason.SALES_NOT_OPEN, T + 10, "")] * 2
    assert [one.reservation.detail_at for one in replies if one.reservation is not None] == [T + 10] * 2


def test_a_refusal_about_a_field_is_told_with_the_field() -> None:
    state, command = folded(), create(ends_at=1)
    reply = reply_to(state, command, step(state, command, At(0, 1, LogTime(T))), 0, 1)
    assert (reply.reason, reply.field, reply.at) == (Reason.INVALID_SCHEDULE, "ends_at", 0)
