"""Tracks the finished part of a partition when its records finish in any order. Pure.

Guarantee: `next_offset` never passes an unfinished record, so a reader that goes on from it misses none.
"""

from __future__ import annotations


class PartitionProgress:
    """One partition: records begin in offset order and finish in any."""

    __slots__ = ("_begun", "_open")

    def __init__(self) -> None:
        self._begun = -1
        self._open: set[int] = set()

    def begin(self, offset: int) -> None:
        """Work on the record at `offset` begins; it finishes later."""
        self._open.add(offset)
        self.passed(offset)

    def passed(self, offset: int) -> None:
        """Every record up to `offset` has been looked at."""
        self._begun = max(self._begun, offset)

    def finish(self, offset: int) -> None:
        """The record at `offset` is finished."""
        self._open.discard(offset)

    @property
    def next_offset(self) -> int | None:
        """The offset to go on from: the first unfinished record, else behind the last one; None before the first."""
        if self._begun < 0:
            return None
        return min(self._open, default=self._begun + 1)
