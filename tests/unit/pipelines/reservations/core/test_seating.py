"""Best available seats, by the plain class and by its compiled twin: by example, and against a model that tries every
choice. Both give the same answers and errors on sections of every size."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.reservations.core import seating as plain
from pipelines.reservations.core import seats
from pipelines.reservations.core.seating import row_label
from tests.harness.native import native_seating, needs_native, without_twins
from tests.harness.seating_model import best_available

Seating: Any = plain.Seating


@pytest.fixture(scope="module", params=["plain", pytest.param("compiled", marks=needs_native)], autouse=True)
def seating_class(request: pytest.FixtureRequest) -> None:
    global Seating
    Seating = plain.Seating if request.param == "plain" else native_seating.NativeSeating


def seating(*rows: str) -> Any:
    """A section drawn row by row, front first: "." is free, "x" claimed, "#" locked by a foreign owner."""
    made = Seating(len(rows), len(rows[0]))
    for row, marks in enumerate(rows):
        for seat, mark in enumerate(marks, start=1):
            label = f"{row_label(row)}-{seat}"
            if mark == "x":
                made.claim([label])
            elif mark == "#":
                made.lock(label)
    return made


@pytest.mark.parametrize(
    ("row", "label"),
    [(0, "A"), (1, "B"), (25, "Z"), (26, "AA"), (27, "AB"), (51, "AZ"), (52, "BA"), (701, "ZZ"), (702, "AAA")],
)
def test_rows_are_lettered_a_to_z_then_aa(row: int, label: str) -> None:
    assert row_label(row) == label


def test_no_two_rows_share_a_label() -> None:
    assert len({row_label(row) for row in range(1_000)}) == 1_000


@pytest.mark.parametrize(
    ("rows", "quantity", "best"),
    [
        # contiguous, front rows first
        (("......", "......"), 2, ["A-3", "A-4"]),
        (("xxxx.x", "......"), 2, ["B-3", "B-4"]),
        (("x.x.x.", "..xx..", "......"), 3, ["C-1", "C-2", "C-3"]),
        # middle outwards, the left one of two
        ((".....",), 1, ["A-3"]),
        (("......",), 1, ["A-3"]),
        (("..x.....",), 2, ["A-4", "A-5"]),
        (("..xxxx..",), 2, ["A-1", "A-2"]),
        # no single seat left alone where avoidable, even if that means a row further back or off the middle
        (("......",), 4, ["A-1", "A-2", "A-3", "A-4"]),
        ((".....",), 2, ["A-1", "A-2"]),
        (("...xxx", "......"), 2, ["B-3", "B-4"]),
        (("....xx",), 1, ["A-4"]),
        (("..x...",), 1, ["A-4"]),
        # … and when it is not avoidable, the front row and its middle
        (("...xxx", "xx...x"), 2, ["A-2", "A-3"]),
        (("..",), 1, ["A-1"]),
        # split only when nothing contiguous is left: the largest blocks, each by the same rules
        ((".x.x.x", "..x.x."), 3, ["B-1", "B-2", "A-3"]),
        (("x.x.x.",), 2, ["A-4", "A-2"]),
        # a foreign lock counts as a claim
        (("..#...",), 3, ["A-4", "A-5", "A-6"]),
        (("......", "......"), 10, ["A-1", "A-2", "A-3", "A-4", "A-5", "A-6", "B-1", "B-2", "B-3", "B-4"]),
    ],
)
def test_best_available(rows: tuple[str, ...], quantity: int, best: list[str]) -> None:
    assert seating(*rows).best_available(quantity) == best


def test_when_fewer_seats_are_free_there_is_no_choice() -> None:
    assert seating("x.x", "xx.").best_available(3) is None
    assert seating("xxx").best_available(1) is None


def test_looking_changes_nothing() -> None:
    section = seating(".x.x.x", "..x.x.")
    before = section.free_rows()
    assert section.best_available(4) == section.best_available(4)
    assert section.free_rows() == before


def test_a_claimed_seat_cannot_be_claimed_again() -> None:
    section = seating("x..")
    with pytest.raises(AssertionError, match="seat A-1 is claimed already"):
        section.claim(["A-1"])


def test_a_seat_that_is_not_claimed_cannot_be_given_back() -> None:
    with pytest.raises(AssertionError, match="seat A-1 is not claimed"):
        seating("...").release(["A-1"])


def test_a_lock_and_a_claim_on_one_seat_end_apart() -> None:
    section = seating("...")
    section.claim(["A-1"])
    section.lock("A-1")
    assert (section.is_free("A-1"), section.is_locked("A-1"), section.free) == (False, True, 2)
    section.release(["A-1"])
    assert (section.is_free("A-1"), section.free) == (False, 2)
    section.unlock("A-1")
    assert (section.is_free("A-1"), section.is_locked("A-1"), section.free) == (True, False, 3)


def test_locking_and_unlocking_twice_counts_once() -> None:
    section = seating("...")
    section.lock("A-1")
    section.lock("A-1")
    assert section.free == 2
    section.unlock("A-1")
    section.unlock("A-1")
    assert section.free == 3


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 6),
    width=st.integers(1, 14),
    seed=st.integers(0, 2**32),
)
def test_every_choice_of_a_long_life_is_the_models(rows: int, width: int, seed: int) -> None:
    """Claims, releases, locks and unlocks in any order: the notes between two searches are never wrong."""
    rng = random.Random(seed)
    section = Seating(rows, width)
    every = [f"{row_label(row)}-{seat + 1}" for row in range(rows) for seat in range(width)]
    claimed: set[str] = set()
    locked: set[str] = set()
    for _ in range(80):
        quantity = rng.randint(1, 10)
        free = {label for label in every if label not in claimed and label not in locked}
        choice = section.best_available(quantity)
        assert choice == best_available(rows, width, free, quantity)
        assert section.free == len(free)
        act = rng.random()
        if choice is not None and act < 0.55:
            section.claim(choice)
            claimed.update(choice)
        elif claimed and act < 0.85:
            back = rng.sample(sorted(claimed), rng.randint(1, min(4, len(claimed))))
            section.release(back)
            claimed.difference_update(back)
        elif act < 0.93:
            label = rng.choice(every)
            section.lock(label)
            locked.add(label)
        elif locked:
            label = rng.choice(sorted(locked))
            section.unlock(label)
            locked.discard(label)


def test_a_large_section_sells_out_to_the_last_seat() -> None:
    section = Seating(100, 100)
    rng = random.Random(7)
    sold: set[str] = set()
    while section.free:
        choice = section.best_available(min(rng.randint(1, 4), section.free))
        assert choice is not None
        assert not sold.intersection(choice)
        section.claim(choice)
        sold.update(choice)
    assert len(sold) == 10_000
    assert section.best_available(1) is None


def test_a_section_is_made_again_from_what_is_claimed() -> None:
    original = seating("..x...", "xx....", "......")
    again = Seating.of_claimed(6, original.claimed_rows())
    assert (again.free, again.free_rows()) == (original.free, original.free_rows()) == (15, (59, 60, 63))
    assert [again.best_available(size) for size in range(1, 7)] == [
        original.best_available(size) for size in range(1, 7)
    ]
    again.claim(["C-1"])
    assert again.claimed_rows() == (4, 3, 1)


def test_a_pickled_section_is_the_same() -> None:
    original = seating("..x...", "xx..#.", "......")
    original.block(["C-2"])
    again = pickle.loads(pickle.dumps(original))
    assert (again.claimed_rows(), again.free_rows(), again.free) == (
        original.claimed_rows(), original.free_rows(), original.free
    )  # fmt: skip
    assert again.is_locked("B-5")
    again.unblock(["C-2"])
    assert again.is_free("C-2")


SIZES = st.sampled_from([(1, 1), (2, 5), (3, 14), (1, 63), (2, 64), (2, 65), (3, 130), (66, 3), (1, 500)])
ACTS = st.sampled_from(
    [
        "claim the best",
        "claim",
        "release",
        "lock",
        "unlock",
        "block",
        "unblock",
        "resize",
        "pickle",
        "claim wrongly",
        "release wrongly",
    ]
)


@needs_native
@settings(max_examples=200, deadline=None)
@given(SIZES, st.integers(0, 2**32), st.lists(ACTS, max_size=60))
def test_both_classes_are_alike_after_any_life(size: tuple[int, int], seed: int, acts: list[str]) -> None:
    rng = random.Random(seed)
    both = [plain.Seating(*size), native_seating.NativeSeating(*size)]
    for act in acts:
        both = live(both, act, rng)
        looks = [(one.rows, one.width, one.free, one.free_rows(), one.claimed_rows(), one.used()) for one in both]
        assert looks[0] == looks[1]
        for named in [*rng.sample(labels_of(both[0]), 1), "nowhere"]:
            same(both, lambda one, named=named: (named in one, one.is_free(named), one.is_locked(named)))
        for quantity in range(1, 12):
            same(both, lambda one, quantity=quantity: one.best_available(quantity))


def live(both: list[Any], act: str, rng: random.Random) -> list[Any]:
    """Do one act to both."""
    every, one = labels_of(both[0]), both[0]
    some = rng.sample(every, rng.randint(1, min(70, len(every))))
    match act:
        case "claim the best":
            choice = one.best_available(rng.randint(1, 10))
            same(both, lambda one: one.claim(choice or []))
        case "claim":
            free = [label for label in some if one.is_free(label)]
            same(both, lambda one: one.claim(free))
        case "release":
            bits = [bool(row >> seat & 1) for row in one.claimed_rows() for seat in range(one.width)]
            taken = [label for label, claimed in zip(every, bits, strict=True) if claimed]
            back = rng.sample(taken, rng.randint(0, min(70, len(taken))))
            same(both, lambda one: one.release(back))
        case "claim wrongly" | "release wrongly":
            wrong = [*some, rng.choice([some[0], "nowhere"])]
            same(both, lambda one: getattr(one, act.split()[0])(wrong))
        case "lock" | "unlock":
            same(both, lambda one: getattr(one, act)(some[0]))
        case "block" | "unblock":
            same(both, lambda one: getattr(one, act)(some))
        case "pickle":
            return [pickle.loads(pickle.dumps(one)) for one in both]
        case "resize" if one.free == len(every):
            size = rng.randint(1, 3), rng.choice([4, 64, 70])
            return [one.resized(*size) for one in both]
    return both


def labels_of(section: Any) -> list[str]:
    return [f"{row_label(row)}-{seat + 1}" for row in range(section.rows) for seat in range(section.width)]


def same(both: list[Any], ask: Callable[[Any], Any]) -> None:
    """Both answer alike, with a value or with an error."""
    answers = []
    for one in both:
        try:
            answers.append(ask(one))
        except (AssertionError, LookupError) as error:
            answers.append((type(error), str(error)))
    assert answers[0] == answers[1]


def test_sections_have_the_compiled_twin_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = native_seating is not None
    assert ("compiled" if compiled else "plain") == seats.SEATING
    assert seats.Seating is (native_seating.NativeSeating if compiled else plain.Seating)
    without = without_twins(seats, monkeypatch)
    assert (without.SEATING, without.Seating) == ("plain", plain.Seating)
