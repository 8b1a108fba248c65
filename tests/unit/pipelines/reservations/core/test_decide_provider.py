"""Money that moves at the provider first is counted once: refunds made there, failed refunds, disputes, late
captures.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import ReservationId, ticket_id
from tests.harness.words import (
    ALICE,
    BOB,
    DEADLINE,
    EVENT,
    ORGANIZER,
    R1,
    R2,
    STALLS,
    TRY1,
    TRY2,
    Given,
    T,
    came_back,
    cancelled,
    confirmation_refused,
    confirmed,
    dispute,
    dispute_closed,
    dispute_opened,
    duplicate,
    folded,
    given,
    given_back,
    held,
    hold_expired,
    on_sale,
    paid,
    payment_declined,
    payment_refunded,
    payment_requested,
    reacquired,
    refund_failed,
    refund_requested,
    refunded,
    refunded_at_provider,
    refused,
    release,
    tick,
)

HELD = [*on_sale(), held(["A-3", "A-4"])]
PAID = [*HELD, payment_requested(amount=5_000), confirmed(["A-3", "A-4"])]
GONE = cancelled(["A-3", "A-4"], reason=Reason.REFUNDED_AT_PROVIDER)
CALLED_OFF = f.EventCancelled(ORGANIZER, "rain")
REFUND_DUE = [*PAID, CALLED_OFF, cancelled(["A-3", "A-4"], reason=Reason.EVENT_CANCELLED)]
ASKING = [*REFUND_DUE, refund_requested(Reason.EVENT_CANCELLED, amount=5_000)]
TICKET = ticket_id(ReservationId(R1), "A-3")


# --- refunds made at the provider -----------------------------------------------------------------------------------


def test_a_part_that_is_refunded_at_the_provider_lowers_what_is_left() -> None:
    given(*PAID).when(given_back(2_000)).then(refunded_at_provider(2_000))
    assert folded(*PAID, refunded_at_provider(2_000)).reservations[R1].amount_minor == 3_000


def test_a_cancelled_event_refunds_what_is_left_and_exactly_that() -> None:
    state = folded(*PAID, refunded_at_provider(2_000), CALLED_OFF)
    assert [one for one in given_state(state, tick()) if isinstance(one, f.RefundRequested)] == [
        refund_requested(Reason.EVENT_CANCELLED, amount=3_000)
    ]


def test_what_is_refunded_whole_at_the_provider_has_void_tickets_and_free_places() -> None:
    all_of_it = refunded_at_provider(5_000, payment="refunded")
    given(*PAID).when(given_back(5_000)).then(all_of_it, GONE)
    state = folded(*PAID, all_of_it, GONE)
    assert (state.reservations[R1].payment, state.sections[STALLS].available) == ("refunded", 18)


def test_parts_at_the_provider_that_add_up_to_the_whole_void_the_tickets() -> None:
    first = refunded_at_provider(1_666)
    given(*PAID, first).when(given_back(3_334, refund="re-10")).then(
        refunded_at_provider(3_334, payment="refunded", refund="re-10"), GONE
    )


def test_who_waits_is_offered_the_places_of_what_was_refunded_at_the_provider() -> None:
    small = on_sale(layout={"rows": 1, "seats_per_row": 4})
    waits = f.WaitlistJoined("w1", BOB, STALLS, 4)
    facts = given(*small, *PAID[3:], waits).when(given_back(5_000)).facts
    assert [type(one) for one in facts] == [
        f.PaymentRefunded, f.ReservationCancelled, f.WaitlistOffered, f.TicketsHeld,
    ]  # fmt: skip


def test_the_same_refund_of_the_provider_is_counted_once() -> None:
    given(*PAID, refunded_at_provider(2_000)).when(given_back(2_000)).then(duplicate(given_back(2_000)))


def test_our_own_refund_is_not_counted_again_when_it_is_told_as_the_providers() -> None:
    ours = given_back(5_000, refund="ref-1")
    given(*ASKING, payment_refunded(amount=5_000)).when(ours).then(duplicate(ours))


@pytest.mark.parametrize(
    ("command", "reason", "detail"),
    [
        (given_back(5_001), Reason.REFUND_TOO_LARGE, "5001 were refunded at the provider, 5000 were paid by pay-1"),
        (given_back(0), Reason.REFUND_TOO_LARGE, "0 were refunded at the provider, 5000 were paid by pay-1"),
        (
            given_back(payment="pay-2"),
            Reason.PAYMENT_NOT_FOUND,
            "the reservation was not paid for by payment pay-2",
        ),
        (given_back(currency="USD"), Reason.CURRENCY_MISMATCH, "payment pay-1 is in EUR, not in USD"),
        (dispute(payment="pay-2"), Reason.PAYMENT_NOT_FOUND, "the reservation was not paid for by payment pay-2"),
        (dispute(currency="USD"), Reason.CURRENCY_MISMATCH, "payment pay-1 is in EUR, not in USD"),
        (dispute("pondered"), Reason.INVALID_DISPUTE, "dispute dp-1 is pondered, of 2500"),
        (dispute(amount=-1), Reason.INVALID_DISPUTE, "dispute dp-1 is open, of -1"),
        (came_back(key="refund-x"), Reason.REFUND_NOT_FOUND, "no refund refund-x was asked for"),
    ],
)
def test_what_cannot_be_is_refused_by_name(command: c.Command, reason: Reason, detail: str) -> None:
    paid_minor = 5_000 if reason == Reason.REFUND_TOO_LARGE else None
    given(*PAID).when(command).then(refused(command, reason, detail, R1, amount=paid_minor))


@pytest.mark.parametrize("command", [given_back(rid=R2), came_back(rid=R2), dispute(rid=R2)])
def test_news_of_no_reservation_is_refused(command: c.Command) -> None:
    (answer,) = given(*PAID).when(command).facts
    assert isinstance(answer, f.CommandRefused)
    assert (answer.reason, answer.subject_id) == (Reason.RESERVATION_NOT_FOUND, R2)


def test_a_refund_at_the_provider_after_the_event_ended_is_recorded() -> None:
    all_of_it = refunded_at_provider(5_000, payment="refunded")
    given(*PAID, f.EventEnded()).when(given_back(5_000)).then(all_of_it, GONE)


def test_what_was_kept_of_a_cancelled_reservation_may_be_given_back_at_the_provider() -> None:
    half = [*PAID, replace(cancelled(["A-3", "A-4"]), kept_minor=2_500), refund_requested(Reason.BUYER_CANCELLED)]
    done = [*half, payment_refunded()]
    given(*done).when(given_back(2_500)).then(refunded_at_provider(0, 2_500, payment="refunded"))
    assert folded(*done, refunded_at_provider(0, 2_500)).reservations[R1].kept_minor == 0


# --- refunds that fail ------------------------------------------------------------------------------------------------


def test_where_a_part_went_back_meanwhile_the_rest_is_asked_for_anew() -> None:
    key = f"refund-{R1}-3"
    elsewhere = refunded_at_provider(0, 0, 2_000, payment="refund-requested")
    given(*ASKING).when(given_back(2_000)).then(elsewhere)
    again = replace(refund_requested(Reason.REFUNDED_AT_PROVIDER, amount=3_000, key=key), from_owed_minor=3_000)
    failed = refund_failed(5_000, refund="")
    given(*ASKING, elsewhere).when(came_back(5_000, refund="", key="refund-pay-1")).then(failed, again)
    state = folded(*ASKING, elsewhere, failed, again)
    assert (state.reservations[R1].payment, state.reservations[R1].owed_minor) == ("refund-requested", 0)


def test_the_failure_may_be_heard_of_before_the_part_that_went_back_elsewhere() -> None:
    failed = refund_failed(5_000, refund="")
    given(*ASKING).when(came_back(5_000, refund="", key="refund-pay-1")).then(failed)
    part = refunded_at_provider(0, 0, 2_000, payment="refund-failed")
    again = refund_requested(Reason.REFUNDED_AT_PROVIDER, amount=3_000, key=f"refund-{R1}-2")
    given(*ASKING, failed).when(given_back(2_000)).then(part, replace(again, from_owed_minor=3_000))


def test_nothing_is_asked_for_when_all_of_it_went_back_elsewhere() -> None:
    elsewhere = refunded_at_provider(0, 0, 5_000, payment="refund-requested")
    given(*ASKING, elsewhere).when(came_back(5_000, refund="", key="refund-pay-1")).then(
        refund_failed(5_000, refund="", payment="refunded")
    )


def test_a_refund_of_ours_that_fails_after_it_was_made_is_owed() -> None:
    made = [*ASKING, payment_refunded(amount=5_000)]
    failure = came_back(5_000, refund="ref-1", key="refund-pay-1")
    given(*made).when(failure).then(refund_failed(5_000, refund="ref-1"))
    assert folded(*made, refund_failed(5_000, refund="ref-1")).reservations[R1].owed_minor == 5_000
    given(*made, refund_failed(5_000, refund="ref-1")).when(failure).then(duplicate(failure))


def test_the_answer_of_a_refund_that_has_failed_already_changes_nothing() -> None:
    failed = [*ASKING, refund_failed(5_000, refund="ref-1")]
    given(*failed).when(refunded(amount=5_000)).then(duplicate(refunded(amount=5_000)))


def test_a_failed_refund_that_is_made_after_all_is_owed_no_more() -> None:
    failed = [*ASKING, refund_failed(5_000, refund="")]
    made = replace(payment_refunded(amount=5_000), from_owed_minor=5_000, payment="refunded")
    given(*failed).when(refunded(amount=5_000)).then(made)
    assert folded(*failed, made).reservations[R1].owed_minor == 0


def test_a_part_refund_of_the_provider_that_fails_is_what_the_tickets_are_worth_again() -> None:
    part = [*PAID, refunded_at_provider(2_000)]
    back = refund_failed(2_000, key="re-9", origin="provider", to_tickets=2_000, payment="captured")
    given(*part).when(came_back(2_000)).then(back)
    assert folded(*part, back).reservations[R1].amount_minor == 5_000


def test_a_failure_that_is_told_before_the_refund_leaves_all_as_it_was() -> None:
    early = refund_failed(2_000, key="re-9", origin="provider", to_owed=0, payment="captured")
    given(*PAID).when(came_back(2_000)).then(early)
    given(*PAID, early).when(given_back(2_000)).then(duplicate(given_back(2_000)))


# --- disputes ---------------------------------------------------------------------------------------------------------


def test_the_tickets_of_a_disputed_payment_open_no_door_and_stay_who_they_are() -> None:
    given(*PAID).when(dispute(amount=5_000)).then(dispute_opened(amount=5_000))
    disputed = [*PAID, dispute_opened(amount=5_000)]
    scan = c.CheckIn(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        reservation_id=R1,
        ticket_id=TICKET,
        version=1,
        gate="north",
        scanner="",
        scanned_at=T,
    )
    given(*disputed).when(scan).then(
        f.CheckInRefused(
            reservation_id=R1,
            user_id=ORGANIZER,
            ticket_id=TICKET,
            reason=Reason.PAYMENT_DISPUTED,
            gate="north",
            scanner="",
            scanned_at=T,
            first_scanned_at=0,
            first_gate="",
            first_scanner="",
        )
    )
    hand_on = c.TransferTicket(
        event_id=EVENT, user_id=ALICE, command_id="cmd", reservation_id=R1, ticket_id=TICKET, to_user_id=BOB
    )
    given(*disputed).when(hand_on).then(
        refused(hand_on, Reason.TRANSFER_NOT_ALLOWED, "the payment is disputed", TICKET)
    )
    assert folded(*disputed).sections[STALLS].available == 16, "the places are kept until it is decided"


def test_a_banks_question_leaves_tickets_and_refunds_as_they_are() -> None:
    asked = [*PAID, dispute_opened("inquiry")]
    scan = c.CheckIn(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        reservation_id=R1,
        ticket_id=TICKET,
        version=1,
        gate="north",
        scanner="",
        scanned_at=T,
    )
    assert isinstance(given(*asked).when(scan).facts[0], f.CheckInAccepted)
    given(*asked).when(dispute("closed")).then(dispute_closed("closed"))
    given(*asked).when(dispute("open")).then(dispute_opened("open"))


def test_a_dispute_that_is_won_makes_the_tickets_good_again() -> None:
    given(*PAID, dispute_opened()).when(dispute("won")).then(dispute_closed("won"))
    scan = c.CheckIn(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        reservation_id=R1,
        ticket_id=TICKET,
        version=1,
        gate="north",
        scanner="",
        scanned_at=T,
    )
    facts = given(*PAID, dispute_opened(), dispute_closed("won")).when(scan).facts
    assert isinstance(facts[0], f.CheckInAccepted)


def test_a_dispute_that_is_lost_voids_the_tickets_and_refunds_nothing() -> None:
    lost = dispute_closed("lost", 5_000, amount=5_000, payment="charged-back")
    void = cancelled(["A-3", "A-4"], reason=Reason.CHARGED_BACK)
    given(*PAID, dispute_opened(amount=5_000)).when(dispute("lost", 5_000)).then(lost, void)
    state = folded(*PAID, lost, void)
    assert (state.reservations[R1].payment, state.sections[STALLS].available) == ("charged-back", 18)


def test_a_dispute_of_a_part_that_is_lost_leaves_the_tickets_good() -> None:
    lost = dispute_closed("lost", 2_500)
    given(*PAID, dispute_opened()).when(dispute("lost")).then(lost)
    assert folded(*PAID, dispute_opened(), lost).reservations[R1].amount_minor == 2_500


def test_nothing_is_refunded_while_the_payment_is_disputed_and_the_rest_is_when_it_is_over() -> None:
    disputed = [*PAID, dispute_opened(amount=5_000)]
    given(*disputed).when(release()).then(
        refused(
            release(),
            Reason.PAYMENT_DISPUTED,
            "the payment is disputed: what becomes of the money, the bank decides",
            R1,
        )
    )
    withheld = replace(cancelled(["A-3", "A-4"], reason=Reason.EVENT_CANCELLED), withheld_minor=5_000)
    assert withheld in given_state(folded(*disputed, CALLED_OFF), tick())
    off = [*disputed, CALLED_OFF, withheld]
    back = refund_requested(Reason.PAYMENT_DISPUTED, amount=5_000, key=f"refund-{R1}-1")
    given(*off).when(dispute("won", 5_000)).then(
        dispute_closed("won", amount=5_000), replace(back, from_owed_minor=5_000)
    )
    given(*off).when(dispute("lost", 5_000)).then(
        dispute_closed("lost", owed=5_000, amount=5_000, payment="charged-back")
    )
    rest = refund_requested(Reason.PAYMENT_DISPUTED, amount=2_000, key=f"refund-{R1}-1")
    given(*off).when(dispute("lost", 3_000)).then(
        dispute_closed("lost", owed=3_000, amount=3_000), replace(rest, from_owed_minor=2_000)
    )


def test_the_organizer_cancels_a_disputed_reservation_whole_and_no_ticket_of_it_alone() -> None:
    disputed = [*PAID, dispute_opened(amount=5_000)]
    one = c.CancelTickets(event_id=EVENT, user_id=ORGANIZER, command_id="cmd", reservation_id=R1, ticket_ids=[TICKET])
    assert isinstance(given(*disputed).when(one).facts[0], f.CommandRefused)
    whole = c.CancelTickets(event_id=EVENT, user_id=ORGANIZER, command_id="cmd", reservation_id=R1, ticket_ids=[])
    given(*disputed).when(whole).then(
        replace(cancelled(["A-3", "A-4"], reason=Reason.ORGANIZER_CANCELLED), withheld_minor=5_000)
    )


def test_the_end_of_a_dispute_may_be_heard_of_before_its_beginning() -> None:
    won = [*PAID, dispute_closed("won")]
    for late in (dispute("inquiry"), dispute("open"), dispute("won"), dispute("lost")):
        given(*won).when(late).then(duplicate(late))


def test_what_was_lost_and_is_won_after_all_is_the_organizers_to_keep() -> None:
    lost = [*PAID, dispute_closed("lost", 5_000, amount=5_000), cancelled(["A-3", "A-4"], reason=Reason.CHARGED_BACK)]
    won = dispute_closed("won", kept=-5_000, amount=5_000)
    given(*lost).when(dispute("won", 5_000)).then(won)
    assert folded(*lost, won).reservations[R1].kept_minor == 5_000


# --- captures that come late ------------------------------------------------------------------------------------------


def test_an_attempt_that_was_called_declined_and_is_captured_after_all_is_a_payment() -> None:
    refused_first = [*HELD, payment_requested(amount=5_000), payment_declined()]
    given(*refused_first).when(paid(amount=5_000)).then(confirmed(["A-3", "A-4"]))
    expired = [*refused_first, hold_expired(["A-3", "A-4"])]
    given(*expired).at(DEADLINE).when(paid(amount=5_000)).then(reacquired(["A-3", "A-4"]), confirmed(["A-3", "A-4"]))


def test_what_was_captured_beside_the_reservations_own_payment_goes_back() -> None:
    twice = [*HELD, payment_requested(amount=5_000), payment_declined(), payment_requested(attempt=TRY2, amount=5_000)]
    own = [*twice, confirmed(["A-3", "A-4"], attempt=TRY2, payment="pay-2")]
    back = replace(refund_requested(Reason.PAYMENT_TWICE, amount=5_000), origin="stray")
    given(*own).when(paid(amount=5_000)).then(back)
    state = folded(*own, back)
    assert (state.reservations[R1].payment_id, state.reservations[R1].payment) == ("pay-2", "captured")
    given(*own, back).when(paid(amount=5_000)).then(duplicate(paid(amount=5_000)))
    made = replace(payment_refunded(amount=5_000), origin="stray")
    given(*own, back).when(refunded(amount=5_000)).then(made)


def test_a_key_whose_money_went_back_does_not_pay_again() -> None:
    back = replace(refund_requested(Reason.PAYMENT_TWICE, amount=5_000), origin="stray")
    again = [*HELD, payment_requested(amount=5_000), payment_declined(), payment_requested(attempt=TRY2, amount=5_000)]
    given(*again, back, payment_declined(attempt=TRY2), payment_requested(amount=5_000)).when(paid(amount=5_000)).then(
        payment_declined(attempt=TRY1, reason="payment_refunded")
    )


def test_money_that_is_late_for_a_cancelled_event_goes_back_once() -> None:
    late = [*HELD, payment_requested(amount=5_000), CALLED_OFF]
    given(*late).when_decided(paid(amount=5_000)).then(
        confirmation_refused(Reason.EVENT_CANCELLED, refund=5_000),
        refund_requested(Reason.EVENT_CANCELLED, amount=5_000),
    )


def given_state(state: EventState, command: c.Command) -> tuple[f.Fact, ...]:
    """The facts of a command for a state."""
    return Given(state).when(command).facts


# --- amounts that the organizer gives back -------------------------------------------------------------------------


def gift(amount: int, key: str = "refund-gift", by: str = ORGANIZER) -> c.RefundAmount:
    return c.RefundAmount(
        event_id=EVENT, user_id=by, command_id="cmd", reservation_id=R1, amount_minor=amount, refund_key=key
    )


def given_by_organizer(amount: int, **parts: int) -> f.RefundRequested:
    return replace(refund_requested(Reason.ORGANIZER_REFUNDED, amount=amount, key="refund-gift"), **parts)


def test_an_amount_is_given_back_once_for_each_key_and_nothing_is_cancelled() -> None:
    facts = given(*PAID).when(gift(1_500)).facts
    assert list(facts) == [given_by_organizer(1_500, from_tickets_minor=1_500)]
    state = folded(*PAID, *facts)
    one = state.reservations[R1]
    assert (one.status, one.amount_minor, len(one.tickets())) == ("confirmed", 3_500, 2)
    given(*PAID, *facts).when(gift(1_500)).then(duplicate(gift(1_500), R1))
    again = gift(1_600)
    detail = "the same Idempotency-Key came with another amount"
    given(*PAID, *facts).when(again).then(refused(again, Reason.IDEMPOTENCY_KEY_REUSED, detail, R1))


def test_never_more_is_given_back_than_is_left() -> None:
    first = given_by_organizer(1_500, from_tickets_minor=1_500)
    for amount, left, facts in ((5_001, 5_000, PAID), (3_501, 3_500, (*PAID, first)), (0, 5_000, PAID)):
        command = gift(amount, key="refund-other")
        detail = f"{amount} to be given back, {left} of the payment are left"
        given(*facts).when(command).then(refused(command, Reason.REFUND_TOO_LARGE, detail, R1, amount=left))
    whole = given(*PAID, first).when(gift(3_500, key="refund-other")).facts[0]
    assert isinstance(whole, f.RefundRequested)
    assert folded(*PAID, first, whole).reservations[R1].status == "confirmed"


def test_only_the_organizer_gives_an_amount_back() -> None:
    command = gift(100, by=ALICE)
    detail = "only the event's organizer may do this"
    given(*PAID).when(command).then(refused(command, Reason.NOT_OWNER, detail, R1))
    given(*on_sale()).when(gift(100)).then(refused(gift(100), Reason.RESERVATION_NOT_FOUND, "no such reservation", R1))
