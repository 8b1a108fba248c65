"""Refusals of former rules name fields and moments only in words: one module reads them."""

from __future__ import annotations

import pytest

from schemas import former_details


@pytest.mark.parametrize(
    ("detail", "field"),
    [
        ("ends_at must be after starts_at", "ends_at"),
        ("layout has more than 50000 seats; make it several ticket types", "layout"),
        ("layout.rows must be 1 to 1000, layout.seats_per_row 1 to 500", "layout.rows"),
        ("payment_token is required: the reservation has to be paid for", "payment_token"),
        ("an event has at most 200 ticket types", ""),
        ("the event is over", ""),
        ("", ""),
    ],
)
def test_a_former_detail_begins_with_its_field(detail: str, field: str) -> None:
    assert former_details.field_of(detail) == field


@pytest.mark.parametrize(
    ("detail", "moment"),
    [
        ("sales open at 1800000385017000", 1_800_000_385_017_000),
        ("20 holds ran out unpaid; the next is possible at 1800021660000000", 1_800_021_660_000_000),
        ("first scanned at 1800021660000000, North", 1_800_021_660_000_000),
        ("layout has more than 50000 seats", 0),
        ("20000000000000000 asked", 0),
        ("", 0),
    ],
)
def test_a_former_detail_has_its_moment_in_microseconds(detail: str, moment: int) -> None:
    assert former_details.moment_in(detail) == moment


def test_a_former_refusal_says_in_words_that_a_fact_cannot_be_folded() -> None:
    assert former_details.is_unfolded(former_details.UNFOLDED + "HoldExpired at 0-7 (KeyError)")
    assert not former_details.is_unfolded("the rules raised KeyError")
