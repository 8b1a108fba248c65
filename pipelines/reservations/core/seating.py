"""Seats of one section as row bitmaps, and the choice of the best ones. Pure; one bit a seat, bit 0 is seat 1.

Best available tries three rules, each from the front row to the back:
1. a contiguous block that leaves no single seat alone ("tidy");
2. any contiguous block;
3. several blocks, only when no contiguous block is left.
Within a row the block nearest the middle wins, then the left one.

A choice costs the same in a section of 100 and of 10,000 seats. For each block size, a bitmap of rows says which rows
may have room. "May" can be wrong, but "no" never is. A search that finds no room clears the row's bit. A change of the
row sets the bit again: for a tidy block any change does, for a contiguous block only a freed seat. Each change is noted
once, and each block size reads the notes at its next search. After too many changes, or before the first search,
nothing is noted; the next search then looks at every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pipelines.reservations.core.limits import SEATS_PER_ORDER_MAX

Seat = tuple[int, int]
"""(row, seat), both from 0."""


def row_label(row: int) -> str:
    """A, B … Z, AA, AB …: row 0 is the front."""
    label = ""
    number = row + 1
    while number:
        number, letter = divmod(number - 1, 26)
        label = chr(65 + letter) + label
    return label


@lru_cache(maxsize=32)  # the layouts of a house; the largest takes 10 MB
def _plan(rows: int, width: int) -> tuple[list[list[str]], dict[str, tuple[int, int]]]:
    """The labels by row, and where each is: its row and its bit. The same for every section of that layout."""
    labels = [[f"{letters}-{seat + 1}" for seat in range(width)] for letters in map(row_label, range(rows))]
    bits = [1 << seat for seat in range(width)]
    return labels, {
        label: (row, bit) for row, named in enumerate(labels) for label, bit in zip(named, bits, strict=True)
    }


class Seating:
    """Which seats of a section are free: not claimed, not locked by a foreign owner, not blocked by the organizer."""

    __slots__ = (
        "_blocked",
        "_caught_up",
        "_changed_rows",
        "_claimed",
        "_every_row",
        "_freed_rows",
        "_full",
        "_labels",
        "_locked",
        "_maybe",
        "_maybe_whole",
        "_notes_max",
        "_seats",
        "_withheld",
        "free",
        "rows",
        "width",
    )

    def __init__(self, rows: int, width: int) -> None:
        self.rows, self.width = rows, width
        self._full, self._every_row = (1 << width) - 1, (1 << rows) - 1
        self.free = rows * width
        self._claimed = [0] * rows
        self._locked = [0] * rows
        self._blocked = [0] * rows
        self._withheld = [0] * rows  # locked or blocked
        self._maybe: list[int] = []  # by block size: rows with a tidy place, perhaps
        self._maybe_whole: list[int] = []  # … with any contiguous place, perhaps
        self._freed_rows = 0  # rows with a freed seat that _maybe_whole does not know yet
        self._changed_rows: list[int] | None = None  # bits of changed rows, in order; None: any row may be
        self._notes_max = 4 * rows + 256
        self._caught_up: list[int] = []  # by block size: how many of these changes _maybe knows
        self._labels, self._seats = _plan(rows, width)

    def __getstate__(self) -> dict[str, Any]:
        """Pickled without its labels: all sections of a layout share them."""
        return {name: getattr(self, name) for name in self.__slots__ if name not in ("_labels", "_seats")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self._labels, self._seats = _plan(self.rows, self.width)

    @classmethod
    def of_claimed(cls, width: int, claimed: Sequence[int]) -> Seating:
        """A section from its claimed seats alone: a bitmap for each row, front row first."""
        new = cls(len(claimed), width)
        new._claimed = list(claimed)
        new.free = sum(map(int.bit_count, new.free_rows()))
        return new

    def claimed_rows(self) -> tuple[int, ...]:
        """The claimed seats of each row as a bitmap, front row first."""
        return tuple(self._claimed)

    def __contains__(self, label: str) -> bool:
        return label in self._seats

    def is_free(self, label: str) -> bool:
        """Whether the seat is neither claimed nor locked."""
        row, bit = self._seats[label]
        return bool(self._free(row) & bit)

    def is_locked(self, label: str) -> bool:
        """Whether a foreign owner's lock is on the seat."""
        row, bit = self._seats[label]
        return bool(self._locked[row] & bit)

    def free_rows(self) -> tuple[int, ...]:
        """The free seats of each row as a bitmap, front row first."""
        return tuple(map(self._free, range(self.rows)))

    def claim(self, labels: Sequence[str]) -> None:
        """Claim free seats. A claimed seat must not be claimed again: that would be a seat sold twice."""
        claimed, withheld = self._claimed, self._withheld
        for row, bits in self._by_row(labels):
            before = claimed[row]
            assert not before & bits, f"seat {self._first(row, before & bits)} is claimed already"
            claimed[row] = before | bits
            self.free -= (bits & ~withheld[row] if withheld[row] else bits).bit_count()
            if self._changed_rows is not None:
                self._note(row)

    def release(self, labels: Sequence[str]) -> None:
        """Give claimed seats back."""
        claimed, withheld = self._claimed, self._withheld
        for row, bits in self._by_row(labels):
            before = claimed[row]
            assert before & bits == bits, f"seat {self._first(row, bits & ~before)} is not claimed"
            claimed[row] = before ^ bits
            self.free += (bits & ~withheld[row] if withheld[row] else bits).bit_count()
            if self._changed_rows is not None:
                self._note(row, freed=True)

    def lock(self, label: str) -> None:
        """A foreign owner holds the seat."""
        row, bit = self._seats[label]
        self._locked[row] |= bit
        self._withhold(row)

    def unlock(self, label: str) -> None:
        """The foreign owner has let go."""
        row, bit = self._seats[label]
        self._locked[row] &= ~bit
        self._withhold(row)

    def block(self, labels: Sequence[str]) -> None:
        """The organizer holds free seats back."""
        for row, bits in self._by_row(labels):
            self._blocked[row] |= bits
            self._withhold(row)

    def unblock(self, labels: Sequence[str]) -> None:
        """The organizer puts them on sale again."""
        for row, bits in self._by_row(labels):
            self._blocked[row] &= ~bits
            self._withhold(row)

    def used(self) -> list[str]:
        """The labels of seats that are claimed or blocked, front row first."""
        return [
            label
            for row, labels in enumerate(self._labels)
            for seat, label in enumerate(labels)
            if (self._claimed[row] | self._blocked[row]) >> seat & 1
        ]

    def resized(self, rows: int, width: int) -> Seating:
        """The same seats in another layout. Seats that are claimed, locked or blocked must still be there."""
        new = Seating(rows, width)
        for row in range(min(rows, self.rows)):
            new._claimed[row] = self._claimed[row]
            new._locked[row], new._blocked[row] = self._locked[row] & new._full, self._blocked[row]
            new._withheld[row] = new._locked[row] | new._blocked[row]
        new.free = sum(map(int.bit_count, new.free_rows()))
        return new

    def best_available(self, quantity: int) -> list[str] | None:
        """The best `quantity` free seats, or None when fewer are free. Changes no seat."""
        if quantity > self.free:
            return None
        block = self._tidy(quantity) or self._contiguous(quantity)
        if block is not None:
            row, start = block
            return self._labels[row][start : start + quantity]
        return self._split(quantity)

    def _tidy(self, quantity: int) -> Seat | None:
        """The front-most contiguous block that leaves no single seat alone."""
        notes = self._changed_rows
        if notes is None:
            notes = self._look_everywhere()
        maybe, full, claimed, withheld = self._maybe, self._full, self._claimed, self._withheld
        rows = maybe[quantity]
        for bit in notes[self._caught_up[quantity] :]:
            rows |= bit
        self._caught_up[quantity] = len(notes)
        while rows:
            bit = rows & -rows
            row = bit.bit_length() - 1
            mask = full ^ (claimed[row] | withheld[row])
            starts = _runs(mask, quantity)
            if starts:
                # A start is untidy when the seat left (or right) of the block is free and its other neighbour is not.
                left_alone = (mask << 1) & ~(mask << 2)
                right_alone = (mask >> quantity) & ~(mask >> (quantity + 1))
                starts &= ~(left_alone | right_alone)
                if starts:
                    maybe[quantity] = rows
                    return row, _nearest_middle(starts, quantity, self.width)
            rows ^= bit
        maybe[quantity] = 0
        return None

    def _contiguous(self, quantity: int) -> Seat | None:
        """The front-most contiguous block."""
        maybe = self._maybe_whole
        if self._freed_rows:
            for block in range(1, SEATS_PER_ORDER_MAX + 1):
                maybe[block] |= self._freed_rows
            self._freed_rows = 0
        rows = maybe[quantity]
        while rows:
            bit = rows & -rows
            row = bit.bit_length() - 1
            starts = _runs(self._free(row), quantity)
            if starts:
                maybe[quantity] = rows
                return row, _nearest_middle(starts, quantity, self.width)
            rows ^= bit
        maybe[quantity] = 0
        return None

    def _split(self, quantity: int) -> list[str]:
        """No contiguous block is left: the largest blocks there are, each by the rules above."""
        chosen: list[str] = []
        wanted, block = quantity, quantity - 1
        taken: list[Seat] = []
        while wanted:
            block = min(block, wanted)
            found = self._tidy(block) or self._contiguous(block)
            if found is None:
                block -= 1
                continue
            row, start = found
            chosen += self._labels[row][start : start + block]
            bits = ((1 << block) - 1) << start
            taken.append((row, bits))
            self._claimed[row] |= bits  # so the next block comes from the rest
            self._note(row)
            wanted -= block
        for row, bits in taken:
            self._claimed[row] ^= bits
            self._note(row, freed=True)
        return chosen

    def _first(self, row: int, bits: int) -> str:
        return self._labels[row][(bits & -bits).bit_length() - 1]

    def _by_row(self, labels: Sequence[str]) -> Sequence[tuple[int, int]]:
        """The seats as (row, bitmap) pairs, one for each run of seats in the same row."""
        seats = self._seats
        if len(labels) == 1:
            return (seats[labels[0]],)
        runs = []
        current, bits = -1, 0
        for label in labels:
            row, bit = seats[label]
            if row != current:
                if bits:
                    runs.append((current, bits))
                current, bits = row, 0
            bits |= bit
        if bits:
            runs.append((current, bits))
        return runs

    def _free(self, row: int) -> int:
        """The row's free seats as a bitmap."""
        return self._full ^ (self._claimed[row] | self._withheld[row])

    def _withhold(self, row: int) -> None:
        """The row's locked or blocked seats have changed."""
        before = self._free(row)
        self._withheld[row] = self._locked[row] | self._blocked[row]
        after = self._free(row)
        self.free += after.bit_count() - before.bit_count()
        self._note(row, freed=bool(after & ~before))

    def _note(self, row: int, freed: bool = False) -> None:
        """Note that the row has changed, so the next search looks at it again."""
        notes = self._changed_rows
        if notes is None:
            return
        if len(notes) >= self._notes_max:  # bounded
            self._changed_rows = None
            return
        notes.append(1 << row)
        if freed:
            self._freed_rows |= 1 << row

    def _look_everywhere(self) -> list[int]:
        """Every row may have room. From here on changes are noted."""
        self._maybe = [self._every_row] * (SEATS_PER_ORDER_MAX + 1)
        self._maybe_whole = list(self._maybe)
        self._caught_up = [0] * (SEATS_PER_ORDER_MAX + 1)
        notes: list[int] = []
        self._freed_rows, self._changed_rows = 0, notes
        return notes


def _runs(mask: int, length: int) -> int:
    """The starts of runs of `length` set bits in `mask`, as a bitmap. Doubling: log2(length) steps."""
    done = 1
    while done < length:
        step = min(done, length - done)
        mask &= mask >> step
        done += step
    return mask


def _nearest_middle(starts: int, length: int, width: int) -> int:
    """The start whose block's centre is nearest the row's centre; of two, the left."""
    ideal = (width - length) // 2
    low = starts & ((2 << ideal) - 1)
    high = starts >> (ideal + 1)
    if not high:
        return low.bit_length() - 1
    right = (high & -high).bit_length() + ideal
    if not low:
        return right
    left = low.bit_length() - 1
    # Distances of twice the centre, so that they stay whole numbers.
    return left if width - length - 2 * left <= 2 * right - (width - length) else right
