"""A request gets the best free seats, the named ones, or none with a reason; the same request again gets the same."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipelines.reservations.core.decide import step
from pipelines.reservations.core.digest import canonical
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.limits import IDEMPOTENCY_WINDOW_S
from schemas import commands as c
from schemas.facts import Reason
from schemas.ids import US_PER_S, LogTime
from tests.harness.words import (
    ALICE,
    BOB,
    DEADLINE,
    EVENT,
    FLOOR,
    ORGANIZER,
    R1,
    R2,
    R3,
    STALLS,
    TTL_S,
    T,
    cancelled,
    confirmed,
    created,
    duplicate,
    folded,
    general,
    given,
    held,
    hold_expired,
    hold_released,
    locks,
    on_sale,
    refused,
    rejected,
    reserve,
    type_added,
    updated,
)

REUSED = "the same Idempotency-Key came with another body"


# --- granted ------------------------------------------------------------------------------------------------------


def test_the_best_seats_are_held_until_the_deadline() -> None:
    given(*on_sale()).when(reserve(2)).then(held(["A-3", "A-4"]))


def test_named_seats_are_held_as_named_and_in_that_order() -> None:
    given(*on_sale()).when(reserve(seats=["C-6", "B-1"])).then(held(["C-6", "B-1"]))


def test_a_hold_lasts_as_long_as_the_event_says_from_log_time() -> None:
    given(*on_sale(details={"hold_ttl_s": 5})).at(T + 7).when(reserve(1)).then(
        held(["A-3"], until=T + 7 + 5 * US_PER_S)
    )


def test_a_new_hold_length_is_for_holds_from_then_on() -> None:
    given(*on_sale(), held(["A-1"], rid=R2), updated(hold_ttl_s=1)).when(reserve(seats=["A-2"])).then(
        held(["A-2"], until=T + US_PER_S)
    )


def test_general_admission_holds_places_without_seats() -> None:
    given(*general(10)).when(reserve(3)).then(held(quantity=3))


def test_the_price_is_times_the_quantity() -> None:
    given(*on_sale(layout={"price_minor": 999})).when(reserve(4)).then(
        held(["A-1", "A-2", "A-3", "A-4"], price_minor=999)
    )


def test_seats_of_ended_reservations_are_sold_again() -> None:
    one = on_sale(layout={"rows": 1, "seats_per_row": 1})
    command, again = reserve(1, by=BOB, rid=R2), held(["A-1"], by=BOB, rid=R2)
    given(*one, held(["A-1"]), hold_released(["A-1"])).when(command).then(again)
    given(*one, held(["A-1"]), hold_expired(["A-1"])).when(command).then(again)
    given(*one, held(["A-1"]), confirmed(["A-1"]), cancelled(["A-1"])).when(command).then(again)


# --- the event and its window -------------------------------------------------------------------------------------


def test_an_event_that_does_not_exist_sells_nothing() -> None:
    given().when(reserve()).then(rejected(Reason.EVENT_NOT_FOUND, f"there is no event {EVENT}"))


def test_a_draft_sells_nothing() -> None:
    own = msgspec.structs.replace(reserve(), user_id=ORGANIZER)
    why = rejected(Reason.SALES_NOT_OPEN, "the event is not published", by=ORGANIZER)
    given(created(), type_added()).when(own).then(why)


def test_a_draft_is_no_event_to_anybody_else_whatever_was_asked_before() -> None:
    none = rejected(Reason.EVENT_NOT_FOUND, f"there is no event {EVENT}")
    draft = (created(), type_added())
    given(*draft).when(reserve()).then(none)
    given(*draft, none).when(reserve()).then(none)
    other = reserve(3)
    given(*draft, none).when(other).then(msgspec.structs.replace(none, quantity=3, fingerprint=other.fingerprint))
    wait = c.JoinWaitlist(
        event_id=EVENT, user_id=ALICE, command_id="cmd", entry_id="w1", ticket_type_id=STALLS, quantity=2
    )
    given(*draft).when(wait).then(refused(wait, Reason.EVENT_NOT_FOUND, f"there is no event {EVENT}", "w1"))


def test_a_ticket_type_that_does_not_exist_is_not_sold() -> None:
    given(*on_sale()).when(reserve(of=FLOOR)).then(
        rejected(Reason.TICKET_TYPE_NOT_FOUND, "the event has no ticket type floor", of=FLOOR)
    )


WINDOW = {"sales_open_at": T + 10, "sales_close_at": T + 20}


@pytest.mark.parametrize("placed", ["on the event", "on the ticket type"])
@pytest.mark.parametrize(
    ("now", "reason", "detail"),
    [
        (T + 9, Reason.SALES_NOT_OPEN, f"sales open at {T + 10}"),
        (T + 10, None, ""),
        (T + 19, None, ""),
        (T + 20, Reason.SALES_CLOSED, f"sales closed at {T + 20}"),
    ],
)
def test_sales_are_open_from_the_first_moment_to_before_the_last(
    placed: str, now: int, reason: Reason | None, detail: str
) -> None:
    facts = on_sale(details=WINDOW) if placed == "on the event" else on_sale(layout=WINDOW)
    expected: Any = held(["A-3"], until=now + TTL_S * US_PER_S)
    if reason is not None:
        border = WINDOW["sales_open_at" if reason == Reason.SALES_NOT_OPEN else "sales_close_at"]
        expected = rejected(reason, detail, at=border)
    given(*facts).at(now).when(reserve()).then(expected)


def test_a_ticket_types_own_window_goes_before_the_events() -> None:
    early = on_sale(details=WINDOW, layout={"sales_open_at": T + 1, "sales_close_at": T + 5})
    given(*early).at(T + 2).when(reserve()).then(held(["A-3"], until=T + 2 + TTL_S * US_PER_S))
    given(*early).at(T + 12).when(reserve()).then(rejected(Reason.SALES_CLOSED, f"sales closed at {T + 5}", at=T + 5))


# --- quantities and seats -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", [-(2**31), -1, 0, 11, 2**31 - 1])
def test_a_quantity_out_of_range_is_rejected(quantity: int) -> None:
    given(*on_sale()).when(reserve(quantity)).then(
        rejected(
            Reason.INVALID_QUANTITY,
            f"quantity is {quantity}; 1 to 10 are sold at once",
            quantity=quantity,
            field="quantity",
            amount=10,
        )
    )


def test_general_admission_has_no_seats_to_name() -> None:
    given(*general(10)).when(reserve(seats=["A-1"])).then(
        rejected(Reason.INVALID_SEATS, "general admission has no numbered seats", field="seats")
    )


def test_a_seat_named_twice_is_rejected() -> None:
    given(*on_sale()).when(reserve(seats=["A-1", "A-1"])).then(
        rejected(
            Reason.INVALID_SEATS, "a seat is named twice, or quantity is not their number", quantity=2, field="seats"
        )
    )


def test_a_quantity_other_than_the_number_of_named_seats_is_rejected() -> None:
    command = reserve(seats=["A-1", "A-2"])
    wrong = type(command)(*[3 if name == "quantity" else getattr(command, name) for name in command.__struct_fields__])
    given(*on_sale()).when(wrong).then(
        rejected(
            Reason.INVALID_SEATS, "a seat is named twice, or quantity is not their number", quantity=3, field="seats"
        )
    )


@pytest.mark.parametrize("seat", ["D-1", "A-7", "A-0", "a-1", "A1", "", "A-01", "-1"])
def test_a_seat_that_does_not_exist_is_rejected(seat: str) -> None:
    given(*on_sale()).when(reserve(seats=["A-1", seat])).then(
        rejected(Reason.SEAT_UNKNOWN, f"no such seat: {seat}", quantity=2, field="seats")
    )


def test_named_seats_are_had_all_or_not_at_all() -> None:
    """Also: a hold is rejected when any seat is taken, held or sold."""
    command = reserve(seats=["A-1", "A-2", "A-3"], by=BOB, rid=R2)
    turned_down = rejected(Reason.SEAT_TAKEN, "taken: A-2", by=BOB, rid=R2, quantity=3, field="seats")
    given(*on_sale(), held(["A-2"])).when(command).then(turned_down)
    after = given(*on_sale(), held(["A-2"]), confirmed(["A-2"])).when(command)
    after.then(turned_down)
    after.when(reserve(seats=["A-1", "A-3"], by=BOB, rid=R3)).then(held(["A-1", "A-3"], by=BOB, rid=R3))


def test_when_less_is_left_than_asked_for_it_is_sold_out() -> None:
    small = on_sale(layout={"rows": 1, "seats_per_row": 3})
    given(
        *small, held(["A-1"], by=BOB, rid=R2), held(["A-2"], by=BOB, rid=R3), confirmed(["A-2"], by=BOB, rid=R3)
    ).when(reserve(2)).then(rejected(Reason.SOLD_OUT, "2 asked; 1 available, 1 held, 1 sold", quantity=2, amount=1))


def test_general_admission_is_never_over_capacity() -> None:
    facts = [*general(3), held(quantity=2, rid=R2, by=BOB)]
    given(*facts).when(reserve(2)).then(
        rejected(Reason.SOLD_OUT, "2 asked; 1 available, 2 held, 0 sold", quantity=2, amount=1)
    )
    given(*facts).when(reserve(1)).then(held(quantity=1))


# --- the limit per user -------------------------------------------------------------------------------------------


def test_a_buyer_may_have_as_many_as_the_limit_and_no_more() -> None:
    allowed = on_sale(details={"max_tickets_per_user": 3})
    given(*allowed, held(["A-1", "A-2"], rid=R2)).when(reserve(1)).then(held(["A-3"]))
    given(*allowed, held(["A-1", "A-2"], rid=R2)).when(reserve(2)).then(
        rejected(Reason.LIMIT_EXCEEDED, "2 held or bought, 2 more asked, 3 allowed", quantity=2, amount=3)
    )


def test_what_is_bought_counts_and_what_has_ended_does_not() -> None:
    allowed = on_sale(details={"max_tickets_per_user": 2})
    two = held(["A-1", "A-2"], rid=R2)
    given(*allowed, two, confirmed(["A-1", "A-2"], rid=R2)).when(reserve(1)).then(
        rejected(Reason.LIMIT_EXCEEDED, "2 held or bought, 1 more asked, 2 allowed", amount=2)
    )
    given(*allowed, two, hold_released(["A-1", "A-2"], rid=R2)).when(reserve(2)).then(held(["A-3", "A-4"]))
    given(*allowed, two, confirmed(["A-1", "A-2"], rid=R2), cancelled(["A-1", "A-2"], rid=R2)).when(reserve(2)).then(
        held(["A-3", "A-4"])
    )


def test_the_limit_is_each_buyers_own_and_spans_ticket_types() -> None:
    allowed = on_sale(details={"max_tickets_per_user": 2})
    floor = type_added(FLOOR, 1, kind="general", capacity=9)
    given(*allowed, floor, held(["A-1", "A-2"], rid=R2, by=BOB)).when(reserve(2)).then(held(["A-3", "A-4"]))
    given(*allowed, floor, held(quantity=2, of=FLOOR, rid=R2)).when(reserve(1)).then(
        rejected(Reason.LIMIT_EXCEEDED, "2 held or bought, 1 more asked, 2 allowed", amount=2)
    )


# --- foreign locks ------------------------------------------------------------------------------------------------


def test_a_seat_locked_by_another_seller_is_not_sold_and_the_fact_says_why() -> None:
    facts = [*on_sale(), locks(["stalls/A-3"])]
    given(*facts).when(reserve(seats=["A-3"])).then(
        rejected(Reason.SEAT_TAKEN, "locked by another seller: A-3", field="seats")
    )


def test_best_available_goes_round_foreign_locks() -> None:
    given(*on_sale(), locks(["stalls/A-3"])).when(reserve(2)).then(held(["A-1", "A-2"]))


def test_a_freed_seat_is_sold() -> None:
    given(*on_sale(), locks(["stalls/A-3"]), locks(freed=["stalls/A-3"])).when(reserve(seats=["A-3"])).then(
        held(["A-3"])
    )


def test_seats_locked_before_their_ticket_type_exists_are_locked_in_it() -> None:
    given(created(), locks(["stalls/A-3"]), type_added(), on_sale()[2]).when(reserve(seats=["A-3"])).then(
        rejected(Reason.SEAT_TAKEN, "locked by another seller: A-3", field="seats")
    )


# --- the same request again ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "since",
    [
        [],
        [confirmed(["A-3"])],
        [hold_released(["A-3"])],
        [hold_expired(["A-3"])],
        [confirmed(["A-3"]), cancelled(["A-3"])],
    ],
)
def test_the_same_request_again_changes_nothing_whatever_became_of_it(since: list[Any]) -> None:
    given(*on_sale(), held(["A-3"]), *since).when(reserve()).then(duplicate(reserve()))


def test_a_rejected_request_stays_rejected_when_it_comes_again() -> None:
    """Even if it could be granted now: the first answer stands."""
    given(*on_sale(), rejected(Reason.SOLD_OUT, "")).when(reserve()).then(duplicate(reserve()))


def test_a_rejected_requests_key_may_be_used_anew_after_its_window() -> None:
    no = rejected(Reason.SOLD_OUT, "")
    window = IDEMPOTENCY_WINDOW_S * US_PER_S
    given(*on_sale(), no).at(T + window).when(reserve()).then(duplicate(reserve()))
    later = T + window + 1
    given(*on_sale(), no).at(later).when(reserve(fingerprint=2)).then(
        held(["A-3"], until=later + TTL_S * US_PER_S, fingerprint=2)
    )


@pytest.mark.parametrize("mistaken", ["no-such-type", FLOOR])
def test_a_key_that_was_rejected_for_another_ticket_type_claims_of_its_own_anew(mistaken: str) -> None:
    """The ticket type of the rejected request may never have existed: nothing is counted there."""
    floor = type_added(FLOOR, 1, kind="general", capacity=5, rows=0, seats_per_row=0)
    state = folded(*on_sale(), floor, rejected(Reason.SOLD_OUT, "", of=mistaken))
    before = canonical(state)
    state.begin()
    at = At(0, 9, LogTime(T + IDEMPOTENCY_WINDOW_S * US_PER_S + 1))
    step(state, reserve(2), at)
    assert {key: one.held for key, one in state.sections.items()} == {STALLS: 2, FLOOR: 0}
    state.take_back()
    assert canonical(state) == before


def test_a_granted_requests_key_is_never_used_anew() -> None:
    later = T + 10 * IDEMPOTENCY_WINDOW_S * US_PER_S
    given(*on_sale(), held(["A-3"]), hold_expired(["A-3"])).at(later).when(reserve()).then(duplicate(reserve()))


@pytest.mark.parametrize("former", [held(["A-3"]), rejected(Reason.SOLD_OUT, "")])
def test_the_same_key_with_another_body_is_refused(former: Any) -> None:
    command = reserve(2, fingerprint=2)
    given(*on_sale(), former).when(command).then(refused(command, Reason.IDEMPOTENCY_KEY_REUSED, REUSED, R1))


def test_another_users_reservation_id_is_refused() -> None:
    command = reserve(by=BOB)
    given(*on_sale(), held(["A-3"], by=ALICE)).when(command).then(
        refused(command, Reason.IDEMPOTENCY_KEY_REUSED, REUSED, R1)
    )


def test_holds_that_are_due_end_before_the_request_is_decided() -> None:
    one = on_sale(layout={"rows": 1, "seats_per_row": 1})
    command = reserve(1, by=BOB, rid=R2)
    given(*one, held(["A-1"])).at(DEADLINE - 1).when(command).then(
        rejected(Reason.SOLD_OUT, "1 asked; 0 available, 1 held, 0 sold", by=BOB, rid=R2, amount=0)
    )
    given(*one, held(["A-1"])).at(DEADLINE).when(command).then(
        hold_expired(["A-1"]), held(["A-1"], by=BOB, rid=R2, until=DEADLINE + TTL_S * US_PER_S)
    )
