"""A request for foreign locks names each seat once, only seats that exist, and a bounded number of them."""

import pytest

from ops.operate.locks import PLACES_MAX, SeatedType, WrongRequest, check_owner, check_seats, choose, expand

STALLS, BALCONY = SeatedType("t1", "Stalls", 30, 12), SeatedType("t2", "Balcony", 1, 1_500)


def test_a_range_is_its_seats_and_other_seats_stay() -> None:
    assert expand(["B-7", "A-2..4"]) == ["B-7", "A-2", "A-3", "A-4"]


@pytest.mark.parametrize("seat", ["A-4..2", f"A-1..{PLACES_MAX + 1}"])
def test_a_range_goes_up_and_is_bounded(seat: str) -> None:
    with pytest.raises(WrongRequest, match="range"):
        expand([seat])


def test_a_seat_named_twice_is_one_seat() -> None:
    assert check_seats(STALLS, ["A-1", "AD-12", "A-1"]) == ["A-1", "AD-12"]


@pytest.mark.parametrize("seat", ["A-13", "A-0", "AE-1", "a-1", "A1", "A-", "A-x", ""])
def test_a_seat_that_is_not_there_is_named(seat: str) -> None:
    with pytest.raises(WrongRequest, match="A-1 to AD-12") as caught:
        check_seats(STALLS, [seat])
    assert f"no seat {seat};" in str(caught.value)


@pytest.mark.parametrize("count", [0, PLACES_MAX + 1])
def test_the_number_of_seats_is_bounded(count: int) -> None:
    with pytest.raises(WrongRequest, match=f"1 to {PLACES_MAX}"):
        check_seats(BALCONY, [f"A-{number}" for number in range(1, count + 1)])


def test_the_only_section_need_not_be_named_and_of_several_one_must_be() -> None:
    assert choose([STALLS], "e", None) == STALLS
    assert choose([STALLS, BALCONY], "e", "T2") == BALCONY
    with pytest.raises(WrongRequest, match=r"t1 \(Stalls\), t2 \(Balcony\)"):
        choose([STALLS, BALCONY], "e", None)
    with pytest.raises(WrongRequest, match="no seated ticket type t3"):
        choose([STALLS], "e", "t3")


@pytest.mark.parametrize("owner", ["", " x", "a|b", "x" * 65, "a\nb"])
def test_an_owner_that_would_break_the_lock_is_refused(owner: str) -> None:
    with pytest.raises(WrongRequest, match="--owner"):
        check_owner(owner)
