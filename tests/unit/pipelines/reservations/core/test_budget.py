"""Unpaid holds and declined cards have a budget for each user and event; without budget the user must wait."""

from __future__ import annotations

import pytest

from pipelines.reservations.core import former_rules
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.limits import CARDS_DECLINED_MAX, HOLDS_UNPAID_MAX, UNPAID_WINDOW_S
from pipelines.reservations.core.state import EventState
from schemas.facts import Fact, Reason
from schemas.ids import US_PER_S, LogTime
from tests.harness.words import (
    ALICE,
    BOB,
    DEADLINE,
    R1,
    R2,
    TTL_S,
    T,
    confirm,
    confirmed,
    folded,
    given,
    held,
    hold_expired,
    hold_released,
    on_sale,
    payment_declined,
    payment_requested,
    reacquired,
    refused,
    rejected,
    reserve,
)

WINDOW_US = UNPAID_WINDOW_S * US_PER_S
ADA = 2**62  # the mailbox of ada+1@ to ada+6@


def run_out(
    count: int, *, spacing_us: int = 0, by: str = ALICE, mailbox: int | None = None, name: str = "gone"
) -> list[Fact]:
    """Expired holds of a buyer; each deadline is a little later than the one before."""
    facts: list[Fact] = []
    for number in range(count):
        rid, until = f"{name}-{number}", DEADLINE + number * spacing_us
        facts += [held(["A-3"], rid=rid, by=by, until=until, mailbox=mailbox), hold_expired(["A-3"], rid=rid, by=by)]
    return facts


def test_who_let_nineteen_holds_run_out_may_have_one_more_and_after_twenty_waits() -> None:
    soon = DEADLINE + 1
    given(*on_sale(), *run_out(HOLDS_UNPAID_MAX - 1)).at(soon).when(reserve()).then(
        held(["A-3"], until=soon + TTL_S * US_PER_S)
    )
    detail = f"{HOLDS_UNPAID_MAX} holds ran out unpaid; the next is possible at {DEADLINE + WINDOW_US}"
    given(*on_sale(), *run_out(HOLDS_UNPAID_MAX)).at(soon).when(reserve()).then(
        rejected(Reason.HOLDS_EXHAUSTED, detail, at=DEADLINE + WINDOW_US, amount=20)
    )


def test_the_next_hold_is_possible_from_the_moment_that_was_told() -> None:
    facts = [*on_sale(), *run_out(HOLDS_UNPAID_MAX + 3, spacing_us=10)]
    again_at = DEADLINE + 30 + WINDOW_US  # after the fourth of 23, 19 are left
    detail = f"{HOLDS_UNPAID_MAX} holds ran out unpaid; the next is possible at {again_at}"
    given(*facts).at(again_at - 1).when(reserve()).then(
        rejected(Reason.HOLDS_EXHAUSTED, detail, at=again_at, amount=20)
    )
    given(*facts).at(again_at).when(reserve()).then(held(["A-3"], until=again_at + TTL_S * US_PER_S))


def test_the_budget_is_each_users_own() -> None:
    soon = DEADLINE + 1
    given(*on_sale(), *run_out(HOLDS_UNPAID_MAX)).at(soon).when(reserve(by=BOB)).then(
        held(["A-3"], by=BOB, until=soon + TTL_S * US_PER_S)
    )


def of_one_mailbox(count: int) -> list[Fact]:
    """Expired holds, in turn of five accounts of one mailbox."""
    five = [f"ada-{account}" for account in range(5)]
    return [fact for n in range(count) for fact in run_out(1, by=five[n % 5], mailbox=ADA, name=f"gone-{n}")]


def test_the_accounts_of_one_mailbox_share_one_budget() -> None:
    soon = DEADLINE + 1
    again = reserve(by="ada-6", mailbox=ADA)
    given(*on_sale(), *of_one_mailbox(HOLDS_UNPAID_MAX - 1)).at(soon).when(again).then(
        held(["A-3"], by="ada-6", until=soon + TTL_S * US_PER_S, mailbox=ADA)
    )
    detail = f"{HOLDS_UNPAID_MAX} holds ran out unpaid; the next is possible at {DEADLINE + WINDOW_US}"
    given(*on_sale(), *of_one_mailbox(HOLDS_UNPAID_MAX)).at(soon).when(again).then(
        rejected(Reason.HOLDS_EXHAUSTED, detail, by="ada-6", at=DEADLINE + WINDOW_US, amount=20)
    )


@pytest.mark.parametrize("mailbox", [None, ADA + 1])
def test_another_mailbox_and_one_that_is_not_known_are_not_counted_in(mailbox: int | None) -> None:
    soon = DEADLINE + 1
    given(*on_sale(), *of_one_mailbox(HOLDS_UNPAID_MAX)).at(soon).when(reserve(by=BOB, mailbox=mailbox)).then(
        held(["A-3"], by=BOB, until=soon + TTL_S * US_PER_S, mailbox=mailbox)
    )


def test_a_users_own_holds_count_whatever_mailbox_each_says_and_each_counts_once() -> None:
    soon = DEADLINE + 1
    own = run_out(5) + run_out(5, mailbox=ADA, name="then") + run_out(5, mailbox=ADA + 1, name="later")
    shared = run_out(HOLDS_UNPAID_MAX - 16, by=BOB, mailbox=ADA, name="his")
    again = reserve(mailbox=ADA)
    given(*on_sale(), *own, *shared).at(soon).when(again).then(
        held(["A-3"], until=soon + TTL_S * US_PER_S, mailbox=ADA)
    )
    detail = f"{HOLDS_UNPAID_MAX} holds ran out unpaid; the next is possible at {DEADLINE + WINDOW_US}"
    one_more = run_out(1, by=BOB, mailbox=ADA, name="last")
    given(*on_sale(), *own, *shared, *one_more).at(soon).when(again).then(
        rejected(Reason.HOLDS_EXHAUSTED, detail, at=DEADLINE + WINDOW_US, amount=20)
    )


def test_what_was_given_back_or_paid_in_the_end_costs_nothing() -> None:
    given_back = [
        fact
        for number in range(3 * HOLDS_UNPAID_MAX)
        for fact in (held(["A-3"], rid=f"back-{number}"), hold_released(["A-3"], rid=f"back-{number}"))
    ]
    late = held(["A-4"], rid=R2), hold_expired(["A-4"], rid=R2), reacquired(["A-4"], rid=R2), confirmed(["A-4"], rid=R2)
    soon = DEADLINE + 1
    given(*on_sale(), *given_back, *run_out(HOLDS_UNPAID_MAX - 1), *late).at(soon).when(reserve()).then(
        held(["A-3"], until=soon + TTL_S * US_PER_S)
    )


def test_other_reasons_go_before_this_one() -> None:
    facts = [*on_sale(), *run_out(HOLDS_UNPAID_MAX)]
    given(*facts, held(["A-3"], rid=R2, by=BOB, until=2 * DEADLINE)).at(DEADLINE + 1).when(reserve(1, ["A-3"])).then(
        rejected(Reason.SEAT_TAKEN, "taken: A-3", field="seats")
    )


def declined(count: int) -> list[Fact]:
    """A hold with declined cards of ALICE."""
    facts: list[Fact] = [held(["A-3"])]
    for number in range(count):
        facts += [payment_requested(attempt=f"card-{number}"), payment_declined(attempt=f"card-{number}")]
    return facts


def test_after_ten_declined_cards_no_other_is_tried_for_any_hold_of_the_event() -> None:
    given(*on_sale(), *declined(CARDS_DECLINED_MAX - 1)).when(confirm()).then(payment_requested())
    detail = f"{CARDS_DECLINED_MAX} cards of yours were declined for this event lately"
    exhausted = [*on_sale(), *declined(CARDS_DECLINED_MAX)]
    given(*exhausted).when(confirm()).then(refused(confirm(), Reason.PAYMENTS_EXHAUSTED, detail, R1, amount=10))
    other = confirm(R2)
    given(*exhausted, held(["A-4"], rid=R2)).when(other).then(
        refused(other, Reason.PAYMENTS_EXHAUSTED, detail, R2, amount=10)
    )


def test_the_accounts_of_one_mailbox_share_the_cards_that_are_declined() -> None:
    def given_cards(count: int) -> list[Fact]:
        facts: list[Fact] = [held(["A-3"], mailbox=ADA), held(["A-4"], rid=R2, by=BOB, mailbox=ADA)]
        for number in range(count):
            facts += [payment_requested(attempt=f"card-{number}"), payment_declined(attempt=f"card-{number}")]
        return facts

    other = confirm(R2, by=BOB)
    given(*on_sale(), *given_cards(CARDS_DECLINED_MAX - 1)).when(other).then(payment_requested(R2, by=BOB))
    detail = f"{CARDS_DECLINED_MAX} cards of yours were declined for this event lately"
    given(*on_sale(), *given_cards(CARDS_DECLINED_MAX)).when(other).then(
        refused(other, Reason.PAYMENTS_EXHAUSTED, detail, R2, amount=10)
    )


def test_declined_cards_are_forgotten_when_their_hold_was_asked_for_long_ago() -> None:
    later = T + WINDOW_US
    state = folded(*on_sale(), *declined(CARDS_DECLINED_MAX), hold_expired(["A-3"]))
    assert state.unpaid(held().user_id, 0, LogTime(later - WINDOW_US)) == ([DEADLINE], 0)


def test_what_costs_nothing_is_confirmed_whatever_was_declined() -> None:
    free = on_sale(layout={"price_minor": 0})
    given(*free, *declined(CARDS_DECLINED_MAX), held(["A-4"], rid=R2, price_minor=0)).when(confirm(R2)).then(
        confirmed(["A-4"], rid=R2, payment="", price_minor=0)
    )


def test_versions_1_and_2_let_nobody_wait() -> None:
    for step in (former_rules.step_1, former_rules.step_2):
        state = folded(*on_sale(), *run_out(HOLDS_UNPAID_MAX))
        (fact,) = step(state, reserve(), At(0, 1_000, LogTime(DEADLINE + 1)))
        assert fact == held(["A-3"], until=DEADLINE + 1 + TTL_S * US_PER_S)
        state = folded(*on_sale(), *declined(CARDS_DECLINED_MAX))
        assert step(state, confirm(), At(0, 1_000, LogTime(T))) == [payment_requested()]


@pytest.mark.parametrize("end", [hold_expired(["A-3"]), payment_declined()])
def test_a_batch_that_is_taken_back_costs_nothing(end: Fact) -> None:
    before: list[Fact] = [*on_sale(), held(["A-3"], mailbox=ADA), payment_requested()]
    state: EventState = folded(*before)
    state.begin()
    evolve(state, end, At(0, 99, LogTime(T)))
    assert set(state.unpaid_of) == {held().user_id, ADA}
    state.take_back()
    assert state.unpaid_of == {}
