"""Shares of a price: they can be moved, in every currency, and add up to the whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from ops.proof.checker import event_ledger as checker
from pipelines.payments.providers.stripe.money import NotPayable, from_stripe, to_stripe
from pipelines.reservations.core import former_rules, limits
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.shares import EXACT, FORMER, MOVABLE_MINOR
from pipelines.reservations.core.state import At, EventState
from schemas import commands as c
from schemas import facts as f
from schemas.ids import LogTime
from schemas.money import CURRENCIES
from tests.harness.words import ALICE, EVENT, ORGANIZER, R1, STALLS, TRY1, T, confirm, folded, on_sale, release, reserve

currencies = st.sampled_from([*sorted(CURRENCIES), "EUO", "", "eur"])
percents = st.integers(0, 100)
quantities = st.integers(1, limits.SEATS_PER_ORDER_MAX)
PAID = "pay-1"


def unit_of(currency: str) -> int:
    """The unit of the shares of a price."""
    return MOVABLE_MINOR.get(currency, 1)


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
def test_what_is_promised_in_a_currency_is_what_every_provider_moves(currency: str) -> None:
    unit = unit_of(currency)
    for count in (1, 2, 3, 7, 99, 1_234_567):
        assert from_stripe(to_stripe(count * unit, currency), currency) == count * unit
    if unit > 1:
        with pytest.raises(NotPayable):
            to_stripe(unit - 1, currency)


def test_the_checker_has_come_to_the_same_table_by_itself() -> None:
    assert checker.LEAST_MOVED == MOVABLE_MINOR
    assert set(MOVABLE_MINOR) <= set(CURRENCIES)


@drawn(st.integers(0, limits.PRICE_MINOR_MAX * 10), percents, quantities, currencies, st.data())
def test_parts_add_up_to_the_whole_and_can_be_moved(
    of_minor: int, percent: int, quantity: int, currency: str, data: st.DataObject
) -> None:
    """Tickets of an order are cancelled in parts of any size, at one percentage, until none is left."""
    unit, left, back, kept = unit_of(currency), of_minor, 0, 0
    for count in parts(quantity, data):
        part = EXACT.part(left, count, quantity, currency)
        gone = EXACT.back(left, part, percent, currency)
        assert 0 <= gone <= part <= left
        last = count == quantity
        assert last or not part % unit
        assert percent == 100 or not gone % unit
        back, kept, left, quantity = back + gone, kept + part - gone, left - part, quantity - count
    assert (left, quantity, back + kept) == (0, 0, of_minor)
    assert back == EXACT.back(of_minor, of_minor, percent, currency) == EXACT.of_percent(of_minor, percent, currency)
    assert abs(back - of_minor * percent / 100) < unit + 1


@drawn(st.integers(0, limits.PRICE_MINOR_MAX), percents, currencies)
def test_a_discount_leaves_what_can_be_charged(price: int, percent: int, currency: str) -> None:
    unit = unit_of(currency)
    price -= price % unit
    for discount in (EXACT.of_percent(price, percent, currency), EXACT.at_most(percent, price, currency)):
        assert 0 <= discount <= price
        assert not discount % unit
        assert not (price - discount) % unit
    assert EXACT.of_percent(price, 100, currency) == EXACT.at_most(price, price, currency) == price


def parts(quantity: int, data: st.DataObject) -> Iterator[int]:
    while quantity:
        count = data.draw(st.integers(1, quantity))
        yield count
        quantity -= count


# --- by the rules -------------------------------------------------------------------------------------------------


def bought(price: int, currency: str, quantity: int, percent: int) -> EventState:
    state = folded(
        *on_sale(
            details={"refund_percent": percent, "max_tickets_per_user": 100},
            layout={"price_minor": price, "currency": currency, "rows": 5, "seats_per_row": 10},
        )
    )
    run(state, reserve(quantity))
    amount = state.reservations[R1].amount_minor
    run(state, confirm())
    if amount:
        run(
            state,
            c.RecordPayment(
                event_id=EVENT,
                user_id="",
                command_id="cmd",
                reservation_id=R1,
                attempt_id=TRY1,
                payment_id=PAID,
                outcome="captured",
                reason="",
                amount_minor=amount,
            ),
        )
    assert state.reservations[R1].status == "confirmed"
    return state


def run(state: EventState, command: c.Command) -> list[f.Fact]:
    return step(state, command, At(0, 1_000, LogTime(T)))


@settings(deadline=None)
@drawn(st.integers(0, limits.PRICE_MINOR_MAX), currencies, quantities, percents, st.data())
def test_what_was_paid_is_what_went_back_and_what_was_kept(
    price: int, currency: str, quantity: int, percent: int, data: st.DataObject
) -> None:
    state = bought(price, currency, quantity, percent)
    paid, back, whole = price * quantity, 0, bought(price, currency, quantity, percent)
    once = sum(one.amount_minor for one in run(whole, release()) if isinstance(one, f.RefundRequested))
    tickets = list(state.reservations[R1].tickets())
    while tickets:
        some = data.draw(st.lists(st.sampled_from(tickets), min_size=1, unique=True))
        facts = run(
            state, c.CancelTickets(event_id=EVENT, user_id=ALICE, command_id="cmd", reservation_id=R1, ticket_ids=some)
        )
        asked = [one for one in facts if isinstance(one, f.RefundRequested)]
        assert all(one.amount_minor > 0 and one.currency == currency for one in asked)
        back += sum(one.amount_minor for one in asked)
        tickets = [one for one in tickets if one not in some]
    left = state.reservations[R1]
    assert (left.status, back + left.kept_minor, back) == ("cancelled", paid, once)


@pytest.mark.parametrize(
    ("price", "currency", "percent", "back"),
    [
        (12_340, "KWD", 33, 4_070), (12_340, "KWD", 100, 12_340), (12_345, "KWD", 100, 12_345), (990, "BHD", 1, 0),
        (500, "JPY", 33, 165), (1, "JPY", 99, 0), (50_000, "MGA", 33, 16_500), (1_000, "EUR", 33, 330),
        (600_000_000, "IDR", 33, 198_000_000),
    ],
)  # fmt: skip
def test_a_refund_is_promised_as_it_can_be_moved(price: int, currency: str, percent: int, back: int) -> None:
    cancelled, *asked = run(bought(price, currency, 1, percent), release())
    assert isinstance(cancelled, f.ReservationCancelled)
    assert (cancelled.kept_minor or 0) == price - back
    assert [one.amount_minor for one in asked if isinstance(one, f.RefundRequested)] == ([back] if back else [])


@pytest.mark.parametrize(
    ("price", "currency", "kind", "value", "due"),
    [
        (12_340, "KWD", "percent", 33, 8_270),
        (12_340, "KWD", "amount", 1_234, 11_110),
        (12_345, "KWD", "amount", 20_000, 0),
        (12_345, "KWD", "percent", 100, 0),
        (500, "JPY", "percent", 33, 335),
        (50_000, "MGA", "percent", 1, 49_500),
    ],
)  # fmt: skip
def test_a_discounted_price_is_one_that_can_be_charged(
    price: int, currency: str, kind: str, value: int, due: int
) -> None:
    code = f.CodeAdded(
        user_id=ORGANIZER,
        code_id="c1",
        code="SPRING",
        kind=kind,
        value=value,
        uses_max=0,
        ticket_type_ids=[],
        valid_from_at=0,
        valid_until_at=0,
    )
    state = folded(*on_sale(layout={"price_minor": price, "currency": currency}), code)
    (held,) = run(
        state,
        c.ReserveTickets(
            event_id=EVENT,
            user_id=ALICE,
            command_id="cmd",
            reservation_id=R1,
            ticket_type_id=STALLS,
            quantity=1,
            seats=[],
            fingerprint=1,
            promo_code="SPRING",
        ),
    )
    assert isinstance(held, f.TicketsHeld)
    assert (held.amount_minor, held.discount_minor) == (due, price - due)


def test_former_rules_round_as_they_did() -> None:
    """Each share by itself, down to the minor unit, as on a log of that time."""
    state, at = bought(1_001, "EUR", 3, 50), At(0, 1_000, LogTime(T))
    backs = []
    for ticket in state.reservations[R1].tickets():
        facts = former_rules.step_2(
            state,
            c.CancelTickets(event_id=EVENT, user_id=ALICE, command_id="cmd", reservation_id=R1, ticket_ids=[ticket]),
            at,
        )
        backs += [one.amount_minor for one in facts if isinstance(one, f.RefundRequested)]
    assert backs == [500, 500, 500]
    dinars = bought(12_340, "KWD", 1, 33)
    facts = former_rules.step_2(dinars, release(), at)
    assert [one.amount_minor for one in facts if isinstance(one, f.RefundRequested)] == [4_072]
    assert FORMER.at_most(5, 12_340, "KWD") == 5
    code = f.CodeAdded(
        user_id=ORGANIZER,
        code_id="c1",
        code="SPRING",
        kind="percent",
        value=33,
        uses_max=0,
        ticket_type_ids=[],
        valid_from_at=0,
        valid_until_at=0,
    )
    state = folded(*on_sale(layout={"price_minor": 12_340, "currency": "KWD"}), code)
    order = c.ReserveTickets(
        event_id=EVENT,
        user_id=ALICE,
        command_id="cmd",
        reservation_id=R1,
        ticket_type_id=STALLS,
        quantity=1,
        seats=[],
        fingerprint=1,
        promo_code="SPRING",
    )
    (held,) = former_rules.step_2(state, order, at)
    assert isinstance(held, f.TicketsHeld)
    assert held.discount_minor == 4_072
