"""Changed ticket types, pools, codes and blocks: what each buyer may buy, and what is held back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from pipelines.reservations.core import limits
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.evolve import evolve
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import LogTime, ReservationId, ticket_id
from tests.harness.words import (
    ALICE,
    BOB,
    DEADLINE,
    EVENT,
    FLOOR,
    LAYOUT,
    ORGANIZER,
    R1,
    R2,
    STALLS,
    TRY1,
    T,
    add_type,
    created,
    duplicate,
    folded,
    general,
    given,
    held,
    hold_expired,
    on_sale,
    paid,
    payment_requested,
    published,
    refused,
    rejected,
    reserve,
    tick,
    type_added,
)

POOL = f.PoolChanged(ORGANIZER, "pool", "House", 3)


def change(**changes: Any) -> c.UpdateTicketType:
    return c.UpdateTicketType(EVENT, ORGANIZER, "cmd", STALLS, **changes)


def changed(**changes: Any) -> f.TicketTypeUpdated:
    names = f.TicketTypeUpdated.__struct_fields__[2:]
    now = LAYOUT | {"max_per_order": 0, "max_per_user": 0, "hidden": 0} | changes
    return f.TicketTypeUpdated(ORGANIZER, STALLS, **{name: now[name] for name in names})


def code(text: str = "SPRING", kind: str = "percent", value: int = 20, **changes: Any) -> f.CodeAdded:
    terms = {"uses_max": 0, "ticket_type_ids": [], "valid_from_at": 0, "valid_until_at": 0} | changes
    return f.CodeAdded(user_id=ORGANIZER, code_id=f"id-{text}", code=text, kind=kind, value=value, **terms)


def with_codes(command: c.ReserveTickets, promo: str | None = None, access: str | None = None) -> c.ReserveTickets:
    return msgspec.structs.replace(command, promo_code=promo, access_code=access)


def block(seats: list[str], *, until: int = 0, quantity: int = 0, of: str = STALLS) -> c.BlockSeats:
    return c.BlockSeats(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        block_id="b1",
        ticket_type_id=of,
        seats=seats,
        quantity=quantity,
        until_at=until,
        label="desk",
    )


def blocked(seats: list[str], *, until: int = 0, quantity: int = 0, of: str = STALLS) -> f.SeatsBlocked:
    return f.SeatsBlocked(
        user_id=ORGANIZER,
        block_id="b1",
        ticket_type_id=of,
        seats=seats,
        quantity=quantity or len(seats),
        until_at=until,
        label="desk",
    )


# --- ticket types -------------------------------------------------------------------------------------------------


def test_a_new_price_is_for_new_holds_only() -> None:
    given(*on_sale()).when(change(price_minor=9_900)).then(changed(price_minor=9_900))
    state = folded(*on_sale(), held(["A-3"]), changed(price_minor=9_900))
    assert (state.reservations[R1].amount_minor, state.sections[STALLS].price_minor) == (2_500, 9_900)


def test_a_layout_grows_and_keeps_what_is_claimed() -> None:
    state = folded(*on_sale(), held(["A-3"]), blocked(["B-1"]), changed(rows=4, seats_per_row=7))
    seating = state.sections[STALLS].seating
    assert seating is not None
    assert (state.sections[STALLS].available, seating.is_free("D-7")) == (26, True)
    assert not seating.is_free("A-3")
    assert not seating.is_free("B-1")


def test_a_layout_never_loses_a_seat_in_use() -> None:
    facts = (*on_sale(), held(["C-1"]))
    command = change(rows=2)
    given(*facts).when(command).then(
        refused(command, Reason.LAYOUT_IN_USE, "in use, and not in the new layout: C-1", STALLS, field="layout")
    )
    given(*facts).when(change(rows=3, seats_per_row=2)).then(changed(rows=3, seats_per_row=2))


def test_a_general_admission_keeps_room_for_what_is_sold_and_blocked() -> None:
    general = {"kind": "general", "capacity": 5, "rows": 0, "seats_per_row": 0}
    facts = (*on_sale(layout=general), held(quantity=2), blocked([], quantity=1))
    command = change(capacity=2)
    given(*facts).when(command).then(
        refused(
            command, Reason.LAYOUT_IN_USE, "capacity 2 is less than the 3 in use", STALLS, field="capacity", amount=3
        )
    )
    given(*facts).when(change(capacity=3)).then(changed(**general | {"capacity": 3}))


def test_a_change_that_is_taken_back_leaves_no_trace() -> None:
    state = folded(*on_sale(), held(["A-3"]))
    state.begin()
    for fact in (changed(rows=5, price_minor=1), POOL, code(), blocked(["A-1"])):
        evolve(state, fact, At(0, 9, LogTime(T)))
    state.take_back()
    section = state.sections[STALLS]
    assert (section.rows, section.price_minor, section.available) == (3, 2_500, 17)
    assert (state.pools, state.codes, state.blocks) == ({}, {}, {})


def test_a_type_has_limits_of_its_own() -> None:
    per_order = on_sale(layout={"max_per_order": 2})
    given(*per_order).when(reserve(3)).then(
        rejected(Reason.LIMIT_EXCEEDED, "3 asked, 2 are sold in one order", quantity=3, amount=2)
    )
    per_user = on_sale(layout={"max_per_user": 2})
    detail = "1 of this ticket type held or bought, 2 more asked, 2 allowed"
    given(*per_user, held(["A-1"], rid=R2)).when(reserve(2)).then(
        rejected(Reason.LIMIT_EXCEEDED, detail, quantity=2, amount=2)
    )
    given(*per_user, held(["A-1"], rid=R2, by=BOB)).when(reserve(seats=["B-1", "B-2"])).then(held(["B-1", "B-2"]))


def test_an_event_has_a_limit_per_order() -> None:
    given(*on_sale(details={"max_tickets_per_order": 1})).when(reserve(2)).then(
        rejected(Reason.LIMIT_EXCEEDED, "2 asked, 1 are sold in one order", quantity=2, amount=1)
    )


# --- pools --------------------------------------------------------------------------------------------------------


def test_types_share_a_pool() -> None:
    floor = type_added(FLOOR, 1, kind="general", capacity=10, rows=0, seats_per_row=0, pool_id="pool")
    facts = (created(), POOL, type_added(pool_id="pool"), floor, published(), held(["A-1", "A-2"], rid=R2, by=BOB))
    detail = "2 asked; 1 available, 0 held, 0 sold"
    given(*facts).when(reserve(2, of=FLOOR)).then(rejected(Reason.SOLD_OUT, detail, of=FLOOR, quantity=2, amount=1))
    given(*facts).when(reserve(1, of=FLOOR)).then(held(quantity=1, of=FLOOR))
    smaller = c.SetPool(event_id=EVENT, user_id=ORGANIZER, command_id="cmd", pool_id="pool", name="House", capacity=1)
    given(*facts).when(smaller).then(
        refused(
            smaller, Reason.INVALID_POOL, "capacity 1 is less than the 2 in use", "pool", field="capacity", amount=2
        )
    )


def test_a_type_of_a_pool_that_is_not_there_is_refused() -> None:
    command = add_type(pool_id="pool")
    given(created()).when(command).then(refused(command, Reason.POOL_NOT_FOUND, "the event has no pool pool"))


# --- codes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("added", "amount", "discount"),
    [
        (code(), 2_000, 500),
        (code(kind="amount", value=700), 1_800, 700),
        (code(kind="amount", value=99_999), 0, 2_500),
        (code(kind="percent", value=100), 0, 2_500),
    ],
)
def test_a_promo_code_takes_its_part_off(added: f.CodeAdded, amount: int, discount: int) -> None:
    fact = given(*on_sale(), added).when(with_codes(reserve(seats=["A-3"]), "SPRING")).facts[0]
    assert isinstance(fact, f.TicketsHeld)
    assert (fact.amount_minor, fact.discount_minor, fact.promo_code) == (amount, discount, "SPRING")


@pytest.mark.parametrize(
    ("added", "command", "now"),
    [
        (code(), with_codes(reserve(), "AUTUMN"), T),
        (code(kind="access", value=0), with_codes(reserve(), "SPRING"), T),
        (code(), with_codes(reserve(), None, "SPRING"), T),
        (code(ticket_type_ids=[FLOOR]), with_codes(reserve(), "SPRING"), T),
        (code(valid_from_at=T + 1), with_codes(reserve(), "SPRING"), T),
        (code(valid_until_at=T), with_codes(reserve(), "SPRING"), T),
    ],
)
def test_a_code_that_does_not_fit_the_order_refuses_it(added: f.CodeAdded, command: c.ReserveTickets, now: int) -> None:
    fact = given(*on_sale(), added).at(now).when(command).facts[0]
    assert isinstance(fact, f.ReservationRejected)
    assert fact.reason == Reason.CODE_INVALID


def test_a_disabled_code_works_no_more_and_orders_keep_their_price() -> None:
    disable = c.DisableCode(EVENT, ORGANIZER, "cmd", "id-SPRING")
    given(*on_sale(), code()).when(disable).then(f.CodeDisabled(ORGANIZER, "id-SPRING"))
    fact = given(*on_sale(), code(), f.CodeDisabled(ORGANIZER, "id-SPRING")).when(with_codes(reserve(), "SPRING")).facts
    assert isinstance(fact[0], f.ReservationRejected)


def test_a_codes_uses_are_counted_and_given_back_with_the_hold() -> None:
    once = code(uses_max=1)
    used = f.TicketsHeld(
        reservation_id=R2,
        user_id=BOB,
        ticket_type_id=STALLS,
        quantity=1,
        seats=["A-1"],
        amount_minor=2_000,
        currency="EUR",
        expires_at=T + 60_000_000,
        fingerprint=1,
        promo_code="SPRING",
        access_code=None,
        discount_minor=500,
    )
    detail = "promo_code has been used by others"
    given(*on_sale(), once, used).when(with_codes(reserve(), "SPRING")).then(
        rejected(Reason.CODE_USED_UP, detail, field="promo_code")
    )
    free_again = f.HoldReleased(reservation_id=R2, user_id=BOB, ticket_type_id=STALLS, quantity=1, seats=["A-1"])
    assert isinstance(
        given(*on_sale(), once, used, free_again).when(with_codes(reserve(), "SPRING")).facts[0], f.TicketsHeld
    )


def test_a_codes_places_are_counted_beside_its_orders_and_given_back() -> None:
    """Two orders, three places: held places count, released or cancelled ones no longer do."""
    three = (*on_sale(), code(uses_max=2, places_max=3))

    def order(quantity: int, *before: f.Fact) -> f.Fact:
        return given(*three, *before).when(with_codes(reserve(quantity), "SPRING")).facts[-1]

    def turned_down(left: int, quantity: int) -> f.ReservationRejected:
        detail = f"promo_code has room for {left} more, {quantity} are asked"
        return rejected(Reason.CODE_USED_UP, detail, quantity=quantity, field="promo_code")

    two = f.TicketsHeld(
        reservation_id=R2,
        user_id=BOB,
        ticket_type_id=STALLS,
        quantity=2,
        seats=["A-1", "A-2"],
        amount_minor=4_000,
        currency="EUR",
        expires_at=DEADLINE,
        fingerprint=1,
        promo_code="SPRING",
        access_code=None,
        discount_minor=1_000,
    )
    assert isinstance(order(3), f.TicketsHeld)
    assert order(4) == turned_down(3, 4)
    assert order(2, two) == turned_down(1, 2)
    assert isinstance(order(1, two), f.TicketsHeld)
    for ended in (f.HoldReleased, f.HoldExpired):
        assert isinstance(order(3, two, ended(R2, BOB, STALLS, 2, ["A-1", "A-2"])), f.TicketsHeld)
    tickets = [ticket_id(ReservationId(R2), seat) for seat in ("A-1", "A-2")]
    bought = f.ReservationConfirmed(
        reservation_id=R2,
        user_id=BOB,
        ticket_type_id=STALLS,
        quantity=2,
        seats=["A-1", "A-2"],
        ticket_ids=tickets,
        attempt_id=TRY1,
        payment_id="pay-2",
        amount_minor=4_000,
        currency="EUR",
    )
    one_gone = f.TicketsCancelled(
        reservation_id=R2,
        user_id=BOB,
        ticket_type_id=STALLS,
        quantity=1,
        seats=["A-1"],
        ticket_ids=tickets[:1],
        amount_minor=2_000,
        kept_minor=0,
        reason=Reason.BUYER_CANCELLED,
    )
    assert order(2, two, bought) == turned_down(1, 2)
    assert isinstance(order(2, two, bought, one_gone), f.TicketsHeld)
    assert order(3, two, bought, one_gone) == turned_down(2, 3)


def test_a_free_ticket_code_for_one_order_and_one_place_is_no_code_for_ten() -> None:
    free = (*on_sale(details={"max_tickets_per_user": 20}), code(value=100, uses_max=1, places_max=1))
    detail = "promo_code has room for 1 more, 10 are asked"
    given(*free).when(with_codes(reserve(10), "SPRING")).then(
        rejected(Reason.CODE_USED_UP, detail, quantity=10, field="promo_code")
    )
    (held,) = given(*free).when(with_codes(reserve(1), "SPRING")).facts
    assert isinstance(held, f.TicketsHeld)
    assert held.amount_minor == 0


def test_an_access_code_is_bounded_by_places_too() -> None:
    door = (*on_sale(layout={"hidden": 1}), code("DOOR", "access", 0, places_max=2))
    detail = "access_code has room for 2 more, 3 are asked"
    given(*door).when(with_codes(reserve(3), None, "DOOR")).then(
        rejected(Reason.CODE_USED_UP, detail, quantity=3, field="access_code")
    )


def test_a_late_payment_does_not_take_places_of_a_code_that_others_have() -> None:
    mine = f.TicketsHeld(
        reservation_id=R1,
        user_id=ALICE,
        ticket_type_id=STALLS,
        quantity=2,
        seats=["A-3", "A-4"],
        amount_minor=4_000,
        currency="EUR",
        expires_at=DEADLINE,
        fingerprint=1,
        promo_code="SPRING",
        access_code=None,
        discount_minor=1_000,
    )
    theirs = f.TicketsHeld(
        reservation_id=R2,
        user_id=BOB,
        ticket_type_id=STALLS,
        quantity=2,
        seats=["B-1", "B-2"],
        amount_minor=4_000,
        currency="EUR",
        expires_at=DEADLINE * 2,
        fingerprint=1,
        promo_code="SPRING",
        access_code=None,
        discount_minor=1_000,
    )
    late = (mine, payment_requested(amount=4_000), hold_expired(["A-3", "A-4"]), theirs)
    for places_max, first in ((3, f.ConfirmationRefused), (4, f.HoldReacquired)):
        facts = given(*on_sale(), code(places_max=places_max), *late).at(DEADLINE + 1).when(paid(amount=4_000)).facts
        assert isinstance(facts[0], first)


@pytest.mark.parametrize("places_max", [-1, limits.CODE_PLACES_MAX + 1])
def test_a_codes_places_have_a_bound(places_max: int) -> None:
    wrong = c.AddCode(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        code_id="id",
        code="SPRING",
        kind="percent",
        value=10,
        uses_max=0,
        ticket_type_ids=[],
        valid_from_at=0,
        valid_until_at=0,
        places_max=places_max,
    )
    detail = f"places_max must be 0 to {limits.CODE_PLACES_MAX}"
    given(*on_sale()).when(wrong).then(refused(wrong, Reason.INVALID_CODE, detail, "id", field="places_max"))


def test_a_hidden_type_needs_an_access_code() -> None:
    hidden = (*on_sale(layout={"hidden": 1}), code("DOOR", "access", 0))
    needed = "this ticket type is sold with an access code"
    own = replace(reserve(), user_id=ORGANIZER)
    given(*hidden).when(own).then(rejected(Reason.ACCESS_CODE_REQUIRED, needed, by=ORGANIZER, field="access_code"))
    fact = given(*hidden).when(with_codes(reserve(), None, "DOOR")).facts[0]
    assert isinstance(fact, f.TicketsHeld)
    assert (fact.access_code, fact.amount_minor) == ("DOOR", 2_500)


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ((), None),
        ((), "DOOR"),
        ((code("DOOR", "access", 0, ticket_type_ids=[FLOOR]),), "DOOR"),
        ((code("DOOR", "percent", 5),), "DOOR"),
        ((code("DOOR", "access", 0), f.CodeDisabled(ORGANIZER, "id-DOOR")), "DOOR"),
    ],
    ids=["no code", "unknown", "of another type", "a promo code", "disabled"],
)
@pytest.mark.parametrize("seats", [None, ["A-1"], ["Z-99"]])
def test_a_hidden_type_is_none_to_whoever_has_no_code_for_it(
    added: tuple[f.Fact, ...], named: str | None, seats: list[str] | None
) -> None:
    asked = with_codes(reserve(seats=seats) if seats else reserve(), None, named)
    (found,) = given(*on_sale(layout={"hidden": 1}), *added).when(asked).facts
    (none,) = given(*on_sale(layout={"hidden": 1}), *added).when(replace(asked, ticket_type_id="none")).facts
    assert isinstance(found, f.ReservationRejected)
    assert isinstance(none, f.ReservationRejected)
    assert found.reason == none.reason == Reason.TICKET_TYPE_NOT_FOUND
    assert found.detail.replace(STALLS, "none") == none.detail


def test_a_code_that_ended_still_shows_what_it_was_for() -> None:
    ended = (*on_sale(layout={"hidden": 1}), code("DOOR", "access", 0, valid_until_at=T))
    detail = "access_code does not work for this order"
    given(*ended).when(with_codes(reserve(), None, "DOOR")).then(
        rejected(Reason.CODE_INVALID, detail, field="access_code")
    )


def test_a_code_is_unique_in_its_event() -> None:
    command = c.AddCode(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        code_id="another",
        code="SPRING",
        kind="percent",
        value=10,
        uses_max=0,
        ticket_type_ids=[],
        valid_from_at=0,
        valid_until_at=0,
    )
    given(*on_sale(), code()).when(command).then(
        refused(command, Reason.CODE_EXISTS, "the event has this code already", "another")
    )


def test_a_code_that_could_never_be_used_is_refused_and_one_made_in_time_is_known() -> None:
    late = c.AddCode(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        code_id="id-SPRING",
        code="SPRING",
        kind="percent",
        value=20,
        uses_max=0,
        ticket_type_ids=[],
        valid_from_at=0,
        valid_until_at=T,
    )
    detail = "valid_until must not be in the past"
    given(*on_sale()).at(T).when(late).then(
        refused(late, Reason.INVALID_CODE, detail, "id-SPRING", field="valid_until")
    )
    given(*on_sale()).at(T - 1).when(late).then(code(valid_until_at=T))
    given(*on_sale(), code(valid_until_at=T)).at(T + 1).when(late).then(duplicate(late, "id-SPRING"))


# --- blocks -------------------------------------------------------------------------------------------------------


def test_blocked_seats_are_not_sold_until_they_are_freed() -> None:
    given(*on_sale()).when(block(["A-3", "A-4"])).then(blocked(["A-3", "A-4"]))
    facts = (*on_sale(), blocked(["A-3", "A-4"]))
    given(*facts).when(reserve(seats=["A-3"])).then(rejected(Reason.SEAT_TAKEN, "taken: A-3", field="seats"))
    free = c.UnblockSeats(event_id=EVENT, user_id=ORGANIZER, command_id="cmd", block_id="b1", seats=["A-3"], quantity=0)
    freed = f.SeatsUnblocked(user_id=ORGANIZER, block_id="b1", ticket_type_id=STALLS, seats=["A-3"], quantity=1)
    given(*facts).when(free).then(freed)
    given(*facts, freed).when(reserve(seats=["A-3"])).then(held(["A-3"]))
    given(*facts, freed).when(reserve(seats=["A-4"])).then(rejected(Reason.SEAT_TAKEN, "taken: A-4", field="seats"))


def test_what_is_claimed_cannot_be_blocked_nor_anything_of_that_block() -> None:
    command = block(["A-2", "A-3"])
    given(*on_sale(), held(["A-3"])).when(command).then(
        refused(command, Reason.SEAT_TAKEN, "not free: A-3", "b1", field="seats")
    )


def test_a_timed_block_ends_by_log_time() -> None:
    facts = (*on_sale(), blocked(["A-3"], until=T + 10))
    given(*facts).at(T + 9).when(tick()).then(f.TickObserved())
    given(*facts).at(T + 10).when(tick()).then(
        f.SeatsUnblocked(user_id="", block_id="b1", ticket_type_id=STALLS, seats=["A-3"], quantity=1), f.TickObserved()
    )
    assert folded(*facts).next_deadline() == T + 10


def test_general_admission_is_blocked_by_number() -> None:
    general = on_sale(layout={"kind": "general", "capacity": 5, "rows": 0, "seats_per_row": 0})
    facts = (*general, blocked([], quantity=4))
    given(*facts).when(reserve(2)).then(
        rejected(Reason.SOLD_OUT, "2 asked; 1 available, 0 held, 0 sold", quantity=2, amount=1)
    )
    some = c.UnblockSeats(event_id=EVENT, user_id=ORGANIZER, command_id="cmd", block_id="b1", seats=[], quantity=3)
    given(*facts).when(some).then(
        f.SeatsUnblocked(user_id=ORGANIZER, block_id="b1", ticket_type_id=STALLS, seats=[], quantity=3)
    )
    rest = c.UnblockSeats(event_id=EVENT, user_id=ORGANIZER, command_id="cmd", block_id="b1", seats=[], quantity=0)
    given(*facts).when(rest).then(
        f.SeatsUnblocked(user_id=ORGANIZER, block_id="b1", ticket_type_id=STALLS, seats=[], quantity=4)
    )
    given(*general).when(duplicated := block([], quantity=6)).then(
        refused(
            duplicated,
            Reason.INVALID_BLOCK,
            "quantity must be 1 to the 5 that are free",
            "b1",
            field="quantity",
            amount=5,
        )
    )
    given(*facts).when(again := block([], quantity=4)).then(duplicate(again, "b1"))


def test_a_block_that_was_freed_is_not_made_again_by_its_request() -> None:
    """Freed by its organizer or by time, at once or in parts: a repeated request blocks nothing."""
    wanted = block(["A-3", "A-4"], until=T + 10)
    facts = (*on_sale(), blocked(["A-3", "A-4"], until=T + 10))
    parts = [
        f.SeatsUnblocked(user_id=ORGANIZER, block_id="b1", ticket_type_id=STALLS, seats=[seat], quantity=1)
        for seat in ("A-3", "A-4")
    ]
    given(*facts, parts[0]).when(wanted).then(duplicate(wanted, "b1"))
    given(*facts, *parts).when(wanted).then(duplicate(wanted, "b1"))
    in_time = f.SeatsUnblocked(user_id="", block_id="b1", ticket_type_id=STALLS, seats=["A-3", "A-4"], quantity=2)
    given(*facts).at(T + 10).when(wanted).then(in_time, duplicate(wanted, "b1"))
    other = c.BlockSeats(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        block_id="b2",
        ticket_type_id=STALLS,
        seats=["A-3"],
        quantity=0,
        until_at=0,
        label="desk",
    )
    given(*facts, *parts).when(other).then(
        f.SeatsBlocked(
            user_id=ORGANIZER, block_id="b2", ticket_type_id=STALLS, seats=["A-3"], quantity=1, until_at=0, label="desk"
        )
    )


def test_freeing_all_of_a_block_again_changes_nothing_and_freeing_some_is_refused() -> None:
    facts = (
        *on_sale(),
        blocked(["A-3"]),
        f.SeatsUnblocked(user_id=ORGANIZER, block_id="b1", ticket_type_id=STALLS, seats=["A-3"], quantity=1),
    )
    rest = c.UnblockSeats(event_id=EVENT, user_id=ORGANIZER, command_id="cmd", block_id="b1", seats=[], quantity=0)
    given(*facts).when(rest).then(duplicate(rest, "b1"))
    some = c.UnblockSeats(event_id=EVENT, user_id=ORGANIZER, command_id="cmd", block_id="b1", seats=["A-3"], quantity=0)
    given(*facts).when(some).then(refused(some, Reason.BLOCK_NOT_FOUND, "the event has no block b1", "b1"))


def test_places_are_freed_once_for_one_request() -> None:
    facts = (*general(5), blocked([], quantity=4))
    some = c.UnblockSeats(
        event_id=EVENT, user_id=ORGANIZER, command_id="cmd", block_id="b1", seats=[], quantity=2, release_id="f1"
    )
    freed = f.SeatsUnblocked(
        user_id=ORGANIZER, block_id="b1", ticket_type_id=STALLS, seats=[], quantity=2, release_id="f1"
    )
    given(*facts).when(some).then(freed)
    given(*facts, freed).when(some).then(duplicate(some, "b1"))
    rest = f.SeatsUnblocked(
        user_id=ORGANIZER, block_id="b1", ticket_type_id=STALLS, seats=[], quantity=2, release_id="f2"
    )
    given(*facts, freed, rest).when(some).then(duplicate(some, "b1"))
    more = c.UnblockSeats(
        event_id=EVENT, user_id=ORGANIZER, command_id="cmd", block_id="b1", seats=[], quantity=1, release_id="f3"
    )
    given(*facts, freed).when(more).then(
        f.SeatsUnblocked(user_id=ORGANIZER, block_id="b1", ticket_type_id=STALLS, seats=[], quantity=1, release_id="f3")
    )
    odd = c.UnblockSeats(
        event_id=EVENT, user_id=ORGANIZER, command_id="cmd", block_id="b1", seats=[], quantity=1, release_id="a,b"
    )
    detail = "release_id must have no comma, and an event at most 20000 of them"
    given(*facts).when(odd).then(refused(odd, Reason.INVALID_BLOCK, detail, "b1", field="release_id"))


def test_a_batch_that_is_taken_back_has_freed_no_block() -> None:
    state = folded(*on_sale(), blocked(["A-3"]))
    state.begin()
    evolve(
        state,
        f.SeatsUnblocked(user_id=ORGANIZER, block_id="b1", ticket_type_id=STALLS, seats=["A-3"], quantity=1),
        At(0, 9, LogTime(T)),
    )
    assert (state.blocks, list(state.freed_blocks)) == ({}, ["b1"])
    state.take_back()
    assert (list(state.blocks), state.freed_blocks) == (["b1"], {})


def test_blocks_are_bounded_over_an_events_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCKS_EVER_PER_EVENT_MAX", 1)
    facts = (
        *on_sale(),
        blocked(["A-3"]),
        f.SeatsUnblocked(user_id=ORGANIZER, block_id="b1", ticket_type_id=STALLS, seats=["A-3"], quantity=1),
    )
    one_more = c.BlockSeats(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        block_id="b2",
        ticket_type_id=STALLS,
        seats=["A-3"],
        quantity=0,
        until_at=0,
        label="desk",
    )
    detail = "an event has at most 1 blocks in its life"
    given(*facts).when(one_more).then(refused(one_more, Reason.TOO_MANY, detail))


def test_only_the_organizer_says_what_is_sold() -> None:
    for command in (
        c.SetPool(event_id=EVENT, user_id=ALICE, command_id="cmd", pool_id="pool", name="House", capacity=3),
        c.AddCode(
            event_id=EVENT,
            user_id=ALICE,
            command_id="cmd",
            code_id="id",
            code="SPRING",
            kind="percent",
            value=10,
            uses_max=0,
            ticket_type_ids=[],
            valid_from_at=0,
            valid_until_at=0,
        ),
        c.BlockSeats(
            event_id=EVENT,
            user_id=ALICE,
            command_id="cmd",
            block_id="b1",
            ticket_type_id=STALLS,
            seats=["A-1"],
            quantity=0,
            until_at=0,
            label="",
        ),
        c.UpdateTicketType(EVENT, ALICE, "cmd", STALLS, price_minor=1),
    ):
        detail = "only the event's organizer may do this"
        given(*on_sale()).when(command).then(refused(command, Reason.NOT_OWNER, detail))
