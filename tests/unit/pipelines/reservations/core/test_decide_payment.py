"""A hold is confirmed once, before its deadline, by one payment of its whole amount; any other end gives it back."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from pipelines.reservations.core.entities import At
from pipelines.reservations.core.former_rules import step_2
from pipelines.reservations.core.limits import EXPIRIES_PER_COMMAND_MAX
from schemas import commands as c
from schemas import facts as f
from schemas.facts import CommandDuplicated, HoldExpired, Reason, TickObserved
from schemas.ids import US_PER_S, LogTime
from tests.harness.words import (
    ALICE,
    BOB,
    DEADLINE,
    EVENT,
    ORGANIZER,
    R1,
    R2,
    R3,
    STALLS,
    TRY1,
    TRY2,
    T,
    cancelled,
    confirm,
    confirmation_refused,
    confirmed,
    declined,
    duplicate,
    folded,
    general,
    given,
    held,
    hold_expired,
    hold_released,
    on_sale,
    paid,
    payment_declined,
    payment_refunded,
    payment_requested,
    reacquired,
    refund_requested,
    refunded,
    refused,
    rejected,
    release,
    tick,
)

HELD = [*on_sale(), held(["A-3"])]
REQUESTED = [*HELD, payment_requested()]
CONFIRMED = [*REQUESTED, confirmed(["A-3"])]
NOT_YOURS = "no such reservation of yours"


# --- confirm ------------------------------------------------------------------------------------------------------


def test_confirming_asks_for_the_payment_of_the_whole_amount() -> None:
    two = held(["A-3", "A-4"])
    given(*on_sale(), two).when(confirm()).then(payment_requested(amount=5_000))


def test_what_costs_nothing_is_confirmed_at_once() -> None:
    free = on_sale(layout={"price_minor": 0})
    given(*free, held(["A-3"], price_minor=0)).when(confirm()).then(confirmed(["A-3"], payment="", price_minor=0))


def test_the_same_confirm_again_changes_nothing() -> None:
    given(*REQUESTED).when(confirm()).then(duplicate(confirm()))
    given(*CONFIRMED).when(confirm()).then(duplicate(confirm()))
    given(*REQUESTED, payment_declined()).when(confirm()).then(duplicate(confirm()))


def test_another_confirm_of_what_is_confirmed_changes_nothing() -> None:
    given(*CONFIRMED).when(confirm(attempt=TRY2)).then(duplicate(confirm(attempt=TRY2)))


def test_the_same_attempt_with_another_token_is_refused() -> None:
    command = confirm(token="tok_other")
    detail = "the same Idempotency-Key came with another payment_token"
    given(*REQUESTED).when(command).then(refused(command, Reason.IDEMPOTENCY_KEY_REUSED, detail, R1))


def test_only_one_payment_of_a_hold_is_under_way() -> None:
    command = confirm(attempt=TRY2)
    given(*REQUESTED).when(command).then(
        refused(command, Reason.PAYMENT_IN_PROGRESS, "another payment of it is under way", R1)
    )


def test_after_a_decline_another_attempt_may_pay() -> None:
    given(*REQUESTED, payment_declined()).when(confirm(attempt=TRY2, token="tok_new")).then(
        payment_requested(attempt=TRY2, token="tok_new")
    )


@pytest.mark.parametrize("command", [confirm(), confirm(by=BOB)])
def test_a_reservation_that_is_not_there_or_not_yours_is_not_confirmed(command: Any) -> None:
    facts = on_sale() if command.user_id == ALICE else HELD
    given(*facts).when(command).then(refused(command, Reason.RESERVATION_NOT_FOUND, NOT_YOURS, R1))


def test_a_hold_is_confirmed_before_its_deadline_and_not_at_it() -> None:
    given(*HELD).at(DEADLINE - 1).when(confirm()).then(payment_requested())
    given(*HELD).at(DEADLINE).when(confirm()).then(hold_expired(["A-3"]), confirmation_refused(Reason.HOLD_EXPIRED))


def test_a_hold_past_its_deadline_is_not_confirmed_even_before_its_end_is_recorded() -> None:
    given(*HELD).at(DEADLINE).when_decided(confirm()).then(confirmation_refused(Reason.HOLD_EXPIRED))


@pytest.mark.parametrize(
    ("since", "reason"),
    [
        ([hold_expired(["A-3"])], Reason.HOLD_EXPIRED),
        ([hold_released(["A-3"])], Reason.NOT_HELD),
        ([payment_requested(), confirmed(["A-3"]), cancelled(["A-3"])], Reason.NOT_HELD),
    ],
)
def test_what_has_ended_is_not_confirmed(since: list[Any], reason: Reason) -> None:
    given(*HELD, *since).when(confirm(attempt=TRY2)).then(confirmation_refused(reason, attempt=TRY2))


def test_a_rejected_reservation_is_not_confirmed() -> None:
    given(*on_sale(), rejected(Reason.SOLD_OUT, "")).when(confirm()).then(confirmation_refused(Reason.NOT_HELD))


# --- the provider's answer ----------------------------------------------------------------------------------------


def test_a_captured_payment_confirms_with_a_ticket_for_each_place() -> None:
    fact = confirmed(["A-3"])
    given(*REQUESTED).when(paid()).then(fact)
    assert len(fact.ticket_ids) == 1


def test_tickets_of_general_admission_are_numbered() -> None:
    facts = [*general(5), held(quantity=2), payment_requested(amount=5_000)]
    given(*facts).when(paid(amount=5_000)).then(confirmed(quantity=2))


def test_a_declined_payment_leaves_the_hold_until_its_deadline() -> None:
    given(*REQUESTED).when(declined()).then(payment_declined())
    state = folded(*REQUESTED, payment_declined())
    assert state.reservations[R1].status == "held"
    given(*REQUESTED, payment_declined()).at(DEADLINE).when(tick()).then(hold_expired(["A-3"]), TickObserved())


def test_the_providers_answer_counts_once() -> None:
    given(*CONFIRMED).when(paid()).then(duplicate(paid()))
    given(*REQUESTED, payment_declined()).when(declined()).then(duplicate(declined()))
    given(*CONFIRMED, cancelled(["A-3"]), refund_requested(Reason.BUYER_CANCELLED)).when(paid()).then(duplicate(paid()))


def test_an_answer_to_a_former_attempt_changes_nothing() -> None:
    facts = [*REQUESTED, payment_declined(), payment_requested(attempt=TRY2)]
    given(*facts).when(declined()).then(duplicate(declined()))


TAKEN = held(["A-3"], rid=R2, by=BOB)


def test_a_capture_that_comes_too_late_is_refunded() -> None:
    given(*REQUESTED, hold_expired(["A-3"]), TAKEN).at(DEADLINE - 1).when(paid()).then(
        confirmation_refused(Reason.HOLD_EXPIRED, refund=2_500), refund_requested(Reason.HOLD_EXPIRED)
    )


def test_a_capture_that_comes_late_has_the_same_seats_when_they_are_free() -> None:
    given(*REQUESTED, hold_expired(["A-3"])).at(DEADLINE + 5).when(paid()).then(reacquired(["A-3"]), confirmed(["A-3"]))
    state = folded(*REQUESTED, hold_expired(["A-3"]), reacquired(["A-3"]), confirmed(["A-3"]))
    assert (state.reservations[R1].status, state.sections[STALLS].sold, state.tickets_of) == (
        "confirmed",
        1,
        {ALICE: 1},
    )


def test_a_capture_that_comes_late_for_a_seat_that_is_no_more_is_refunded() -> None:
    """The seat was free again, so its organizer could make the layout smaller."""
    smaller = c.UpdateTicketType(EVENT, ORGANIZER, "cmd", STALLS, rows=3, seats_per_row=2)
    state = given(*REQUESTED, hold_expired(["A-3"])).when(smaller)
    assert isinstance(state.facts[0], f.TicketTypeUpdated)
    state.at(DEADLINE + 5).when(paid()).then(
        confirmation_refused(Reason.HOLD_EXPIRED, refund=2_500), refund_requested(Reason.HOLD_EXPIRED)
    )


def test_a_capture_at_the_deadline_ends_the_hold_first_and_has_it_again() -> None:
    given(*REQUESTED).at(DEADLINE).when(paid()).then(hold_expired(["A-3"]), reacquired(["A-3"]), confirmed(["A-3"]))


def test_a_capture_at_the_deadline_is_confirmed_even_before_the_holds_end_is_recorded() -> None:
    given(*REQUESTED).at(DEADLINE - 1).when_decided(paid()).then(confirmed(["A-3"]))
    given(*REQUESTED).at(DEADLINE).when_decided(paid()).then(reacquired(["A-3"]), confirmed(["A-3"]))


def test_a_late_capture_is_refunded_when_the_buyer_has_the_limit_by_now() -> None:
    others = held(["A-1", "A-2"], rid=R3)
    small = on_sale(details={"max_tickets_per_user": 2})
    given(*small, held(["A-3"]), payment_requested(), hold_expired(["A-3"]), others).when(paid()).then(
        confirmation_refused(Reason.HOLD_EXPIRED, refund=2_500), refund_requested(Reason.HOLD_EXPIRED)
    )


def test_a_capture_after_the_release_is_refunded() -> None:
    given(*REQUESTED, hold_released(["A-3"])).when(paid()).then(
        confirmation_refused(Reason.NOT_HELD, refund=2_500), refund_requested(Reason.NOT_HELD)
    )


def test_a_free_hold_is_confirmed_without_a_token_and_ignores_one() -> None:
    free = (*on_sale(layout={"price_minor": 0}), held(["A-3"], price_minor=0))
    yes = confirmed(["A-3"], payment="", price_minor=0)
    given(*free).when(confirm(token="")).then(yes)
    given(*free).when(confirm(token="tok_declined")).then(yes)
    for token in ("", "tok_ok", "tok_other"):
        given(*free, yes).when(confirm(token=token)).then(duplicate(confirm(token=token)))
    assert not folded(*free, yes).reservations[R1].payment_id


def test_a_price_is_not_paid_without_a_token() -> None:
    command = confirm(token="")
    detail = "payment_token is required: the reservation has to be paid for"
    given(*HELD).when(command).then(refused(command, Reason.PAYMENT_TOKEN_REQUIRED, detail, R1, field="payment_token"))
    given(*HELD).at(DEADLINE).when(command).then(hold_expired(["A-3"]), confirmation_refused(Reason.HOLD_EXPIRED))


def test_former_rules_know_tokens_of_their_time_only() -> None:
    at = At(0, 9, LogTime(T))
    assert step_2(folded(*HELD), confirm(token=""), at) == [payment_requested(token="")]
    free = (*on_sale(), held(["A-3"], price_minor=0), confirmed(["A-3"], payment="", price_minor=0))
    again = refused(
        confirm(), Reason.IDEMPOTENCY_KEY_REUSED, "the same Idempotency-Key came with another payment_token", R1
    )
    assert step_2(folded(*free), confirm(), at) == [again]


# --- what arrives is not what was asked for -----------------------------------------------------------------------

LATE = [hold_expired(["A-3"])]
OVER = [f.EventCancelled(ORGANIZER, ""), hold_released(["A-3"])]
DISCOUNTED = [
    *on_sale(),
    f.CodeAdded(
        user_id=ORGANIZER,
        code_id="c1",
        code="SPRING",
        kind="percent",
        value=20,
        uses_max=0,
        ticket_type_ids=[],
        valid_from_at=0,
        valid_until_at=0,
    ),
    f.TicketsHeld(
        reservation_id=R1,
        user_id=ALICE,
        ticket_type_id=STALLS,
        quantity=1,
        seats=["A-3"],
        amount_minor=2_000,
        currency="EUR",
        expires_at=DEADLINE,
        fingerprint=1,
        promo_code="SPRING",
        access_code=None,
        discount_minor=500,
    ),
    payment_requested(amount=2_000),
]
DEARER = f.TicketTypeUpdated(
    user_id=ORGANIZER,
    ticket_type_id=STALLS,
    name="Stalls",
    price_minor=9_900,
    rows=3,
    seats_per_row=6,
    capacity=0,
    sales_open_at=0,
    sales_close_at=0,
    max_per_order=0,
    max_per_user=0,
    hidden=0,
)


def straight_back(amount: int, currency: str = "EUR", *, payment: str = "pay-1") -> f.RefundRequested:
    back = refund_requested(Reason.PAYMENT_DIFFERS, amount=amount, payment=payment)
    return replace(back, origin="stray", currency=currency)


@pytest.mark.parametrize("since", [[], LATE, [*LATE, TAKEN], OVER, [DEARER], [payment_declined()]])
@pytest.mark.parametrize(
    ("amount", "currency", "back"),
    [(1, None, 1), (2_499, "EUR", 2_499), (2_501, None, 2_501), (9_900, "EUR", 9_900), (2_500, "USD", 2_500),
     (2**53, "EUR", 2**53)],
)  # fmt: skip
def test_another_amount_or_currency_sells_nothing_and_goes_back(
    since: list[f.Fact], amount: int, currency: str | None, back: int
) -> None:
    """In time, late, when another buyer has the places, when the event is cancelled, when the price has changed."""
    command = replace(paid(amount=amount), currency=currency)
    no = payment_declined(reason=Reason.PAYMENT_DIFFERS)
    after = given(*REQUESTED, *since).when(command)
    after.then(no, straight_back(back, currency or "EUR"))
    after.when(command).then(duplicate(command))
    assert after.state.reservations[R1].status != "confirmed"


@pytest.mark.parametrize("since", [[], LATE])
def test_a_discounted_hold_is_paid_with_its_own_price_and_no_other(since: list[f.Fact]) -> None:
    given(*DISCOUNTED, *since).when(paid(amount=2_500)).then(
        payment_declined(reason=Reason.PAYMENT_DIFFERS), straight_back(2_500)
    )
    assert given(*DISCOUNTED, *since).when(paid(amount=2_000)).state.reservations[R1].status == "confirmed"


@pytest.mark.parametrize("since", [[], LATE])
@pytest.mark.parametrize(("amount", "payment"), [(0, "pay-1"), (-5, "pay-1"), (2_500, "")])
def test_nothing_that_could_go_back_sells_nothing_either(since: list[f.Fact], amount: int, payment: str) -> None:
    command = paid(amount=amount, payment=payment)
    after = given(*REQUESTED, *since).when(command)
    after.then(payment_declined(reason=Reason.PAYMENT_DIFFERS))
    after.when(command).then(duplicate(command))


def test_the_true_payment_counts_after_a_forged_one() -> None:
    after = given(*REQUESTED).when(paid(amount=1, payment="pay-forged"))
    after.then(payment_declined(reason=Reason.PAYMENT_DIFFERS), straight_back(1, payment="pay-forged"))
    after.when(paid()).then(confirmed(["A-3"]))
    forged = payment_refunded(payment="pay-forged", amount=1)
    after.when(refunded(payment="pay-forged", amount=1)).then(replace(forged, origin="stray"))
    assert (after.state.reservations[R1].payment, after.state.reservations[R1].payment_id) == ("captured", "pay-1")


def test_another_attempt_may_pay_after_another_amount_came() -> None:
    after = given(*REQUESTED).when(paid(amount=1))
    after.when(confirm(attempt=TRY2)).then(payment_requested(attempt=TRY2))
    after.when(paid(attempt=TRY2, payment="pay-2")).then(confirmed(["A-3"], attempt=TRY2, payment="pay-2"))
    after.when(paid(amount=1)).then(duplicate(paid()))


def test_former_rules_looked_at_the_amount_of_late_payments_only() -> None:
    at = At(0, 9, LogTime(T))
    assert step_2(folded(*REQUESTED), paid(amount=1), at) == [confirmed(["A-3"])]
    late = step_2(folded(*REQUESTED, *LATE), paid(amount=777), at)
    assert late[1] == refund_requested(Reason.HOLD_EXPIRED, amount=777)


def test_a_late_decline_changes_nothing_but_the_payment() -> None:
    given(*REQUESTED, hold_expired(["A-3"])).when(declined()).then(payment_declined())
    assert folded(*REQUESTED, hold_expired(["A-3"]), payment_declined()).reservations[R1].status == "expired"


def test_a_payment_for_no_reservation_is_refused() -> None:
    given(*on_sale()).when(paid()).then(
        refused(paid(), Reason.RESERVATION_NOT_FOUND, "a payment for no reservation", R1)
    )


# --- refunds ------------------------------------------------------------------------------------------------------

REFUNDING = [*CONFIRMED, cancelled(["A-3"]), refund_requested(Reason.BUYER_CANCELLED)]


def test_a_refund_is_recorded_once() -> None:
    given(*REFUNDING).when(refunded()).then(payment_refunded())
    given(*REFUNDING, payment_refunded()).when(refunded()).then(duplicate(refunded()))


def test_a_refund_that_nobody_asked_for_changes_nothing() -> None:
    given(*CONFIRMED).when(refunded()).then(duplicate(refunded()))
    given(*REFUNDING).when(refunded(payment="pay-2")).then(duplicate(refunded()))


def test_a_refund_for_no_reservation_is_refused() -> None:
    given(*on_sale()).when(refunded()).then(
        refused(refunded(), Reason.RESERVATION_NOT_FOUND, "a refund for no reservation", R1)
    )


# --- release and cancel -------------------------------------------------------------------------------------------


def test_a_hold_is_given_back() -> None:
    given(*HELD).when(release()).then(hold_released(["A-3"]))


def test_a_confirmed_reservation_is_cancelled_and_refunded() -> None:
    given(*CONFIRMED).when(release()).then(cancelled(["A-3"], refund=2_500), refund_requested(Reason.BUYER_CANCELLED))


def test_cancelling_what_cost_nothing_refunds_nothing() -> None:
    facts = [*on_sale(layout={"price_minor": 0}), held(["A-3"], price_minor=0)]
    given(*facts, confirmed(["A-3"], payment="", price_minor=0)).when(release()).then(cancelled(["A-3"]))


@pytest.mark.parametrize("since", [[hold_released(["A-3"])], [confirmed(["A-3"]), cancelled(["A-3"])]])
def test_releasing_again_changes_nothing(since: list[Any]) -> None:
    given(*HELD, *since).when(release()).then(duplicate(release()))


@pytest.mark.parametrize("command", [release(), release(by=BOB)])
def test_what_is_not_there_or_not_yours_is_not_released(command: Any) -> None:
    facts = on_sale() if command.user_id == ALICE else HELD
    given(*facts).when(command).then(refused(command, Reason.RESERVATION_NOT_FOUND, NOT_YOURS, R1))


def test_an_expired_hold_is_not_released() -> None:
    given(*HELD, hold_expired(["A-3"])).when(release()).then(
        refused(release(), Reason.HOLD_EXPIRED, "the reservation is expired", R1)
    )


def test_a_rejected_reservation_is_not_released() -> None:
    given(*on_sale(), rejected(Reason.SOLD_OUT, "")).when(release()).then(
        refused(release(), Reason.NOT_HELD, "the reservation is rejected", R1)
    )


def test_a_release_at_the_deadline_finds_the_hold_ended() -> None:
    given(*HELD).at(DEADLINE).when(release()).then(
        hold_expired(["A-3"]), refused(release(), Reason.HOLD_EXPIRED, "the reservation is expired", R1)
    )
    given(*HELD).at(DEADLINE).when_decided(release()).then(
        hold_expired(["A-3"]), refused(release(), Reason.HOLD_EXPIRED, "its deadline has passed", R1)
    )


# --- expiry by log time -------------------------------------------------------------------------------------------


def test_a_tick_ends_what_is_due_and_nothing_before() -> None:
    given(*HELD).at(DEADLINE - 1).when(tick()).then(TickObserved())
    given(*HELD).at(DEADLINE).when(tick()).then(hold_expired(["A-3"]), TickObserved())


def test_any_command_of_the_event_ends_what_is_due() -> None:
    given(*HELD).at(DEADLINE).when(release(R2)).then(
        hold_expired(["A-3"]), refused(release(R2), Reason.RESERVATION_NOT_FOUND, NOT_YOURS, R2)
    )


def test_holds_end_in_the_order_of_their_deadlines() -> None:
    facts = [
        held(["A-1"], rid=R1, until=T + 30),
        held(["A-2"], rid=R2, until=T + 10),
        held(["A-3"], rid=R3, until=T + 20),
    ]
    given(*on_sale(), *facts).at(T + 25).when(tick()).then(
        hold_expired(["A-2"], rid=R2), hold_expired(["A-3"], rid=R3), TickObserved()
    )


def test_a_confirmed_hold_does_not_expire() -> None:
    given(*CONFIRMED).at(DEADLINE + US_PER_S).when(tick()).then(TickObserved())


def test_a_hold_whose_payment_is_under_way_expires_all_the_same() -> None:
    given(*REQUESTED).at(DEADLINE).when(tick()).then(hold_expired(["A-3"]), TickObserved())


def test_one_command_ends_a_limited_number_of_holds_and_the_next_the_rest() -> None:
    many = EXPIRIES_PER_COMMAND_MAX + 3
    facts = [held(quantity=1, rid=f"{number:05}", by=f"user-{number}", until=T + number) for number in range(many)]
    after = given(*general(many), *facts).at(T + many).when(tick())
    assert [fact.reservation_id for fact in after.facts if isinstance(fact, HoldExpired)] == [
        f"{number:05}" for number in range(EXPIRIES_PER_COMMAND_MAX)
    ]
    assert after.state.sections[STALLS].held == 3
    assert len(after.when(tick()).facts) == 4
    after.when(tick()).then(TickObserved())


def test_a_hold_that_is_overdue_but_beyond_the_limit_cannot_be_paid() -> None:
    many = EXPIRIES_PER_COMMAND_MAX + 1
    facts = [held(quantity=1, rid=f"{number:05}", until=T + number) for number in range(many)]
    last = f"{many - 1:05}"
    after = given(*general(many), *facts).at(T + many).when(confirm(last, attempt=TRY1))
    assert after.facts[-1] == confirmation_refused(Reason.HOLD_EXPIRED, rid=last)


def test_every_command_yields_at_least_one_fact() -> None:
    """Also a request that came before."""
    after = given(*CONFIRMED).when(paid())
    assert [type(fact) for fact in after.facts] == [CommandDuplicated]
