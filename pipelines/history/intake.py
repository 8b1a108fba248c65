"""Chooses the facts of a partition to apply, by position. Pure; every reader of tickets.facts uses it.

Guarantee: each position passes once, in order, and a command's facts pass together. A fact that comes twice is dropped:
a redelivery, or an aborted batch that a broker without transactions shows. Facts of an incomplete command are held back
until its last fact is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from schemas.facts import RecordedFact

NONE_APPLIED = (-1, -1)


class Intake:
    """One partition. `next_offset` is the start for a successor: the first record that did not pass."""

    __slots__ = ("_dedupe", "_held", "_held_from", "applied", "log_time", "next_offset", "skipped")

    def __init__(
        self,
        *,
        applied: tuple[int, int] = NONE_APPLIED,
        next_offset: int | None = None,
        log_time: int = 0,
        dedupe: bool = True,
    ) -> None:
        self.applied, self.next_offset, self.log_time = applied, next_offset, log_time
        self.skipped = 0
        self._dedupe = dedupe
        self._held: list[RecordedFact] = []
        self._held_from = -1

    @property
    def held_back(self) -> int:
        """How many facts wait for the rest of their command."""
        return len(self._held)

    def take(self, record_offset: int, recorded: RecordedFact) -> list[RecordedFact]:
        """The facts to apply after the record at `record_offset` of tickets.facts is read."""
        return self.take_all(((record_offset, recorded),))

    def take_all(self, records: Iterable[tuple[int, object]]) -> list[RecordedFact]:
        """`take` of each record that is a fact, and `skip` of any other."""
        ready: list[RecordedFact] = []
        rest = iter(records)
        while (other := self._take_singles(rest, ready)) is not None:
            record_offset, recorded = other
            if type(recorded) is not RecordedFact:
                self.skip(record_offset)
                continue
            found = self._ready(record_offset, recorded)
            if found:
                last = found[-1].envelope
                self.applied = (last.offset, last.index)
                self.log_time = max(self.log_time, last.log_time)
                ready += found
            self.next_offset = self._held_from if self._held else record_offset + 1
        return ready

    def skip(self, record_offset: int) -> None:
        """Skip a record that is no fact."""
        self.skipped += 1
        if not self._held:
            self.next_offset = record_offset + 1

    def _take_singles(
        self, records: Iterator[tuple[int, object]], ready: list[RecordedFact]
    ) -> tuple[int, object] | None:
        """Take facts that are their command's only fact, as most are. Returns the first record that is not one."""
        if self._held:
            return next(records, None)
        offset, log_time, end = self.applied[0], self.log_time, -1
        for record in records:
            record_offset, recorded = record
            if type(recorded) is not RecordedFact:
                break
            at = recorded.envelope
            if at.count != 1 or at.index != 0 or at.offset <= offset:
                break
            offset, end = at.offset, record_offset
            if at.log_time > log_time:
                log_time = at.log_time
            ready.append(recorded)
        else:
            record = None
        if end >= 0:
            self.applied, self.next_offset, self.log_time = (offset, 0), end + 1, log_time
        return record

    def _ready(self, record_offset: int, recorded: RecordedFact) -> list[RecordedFact]:
        at, held = recorded.envelope, self._held
        if self._dedupe and (at.offset, at.index) <= self.applied:
            return []
        abandoned: list[RecordedFact] = []
        if held:
            waiting = held[-1].envelope
            if at.offset > waiting.offset:
                # The rest never came (its record could not be read): the facts that came count.
                abandoned, held = held, []
            elif at.offset < waiting.offset or at.index == 0:
                held = []  # the command starts again: the held facts are the rest of an aborted batch
            elif at.index <= waiting.index:
                return []
        if not held:
            self._held_from = record_offset
        held = [*held, recorded]
        if at.index >= at.count - 1:
            self._held = []
            return abandoned + held
        self._held = held
        return abandoned
