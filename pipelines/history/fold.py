"""A partition's facts folded to the states of its events, a chunk at a time. Pure.

Guarantee: each position is folded once and in order, for any chunks and any repeated records. So a fold that was
stopped and goes on at `next_offset` gives the same `digest`. It keeps only the states; `States` bounds their memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice

from pipelines.history.intake import Intake
from pipelines.history.states import States
from pipelines.reservations.core.digest import canonical
from pipelines.reservations.core.evolve import fold
from schemas.codec import Codec

DIGEST_BYTES = 16
AT_ONCE = 256  # records for each step: so many stay in the processor's nearer caches


class Fold:
    """One partition of tickets.facts."""

    def __init__(self, codec: Codec, states: States | None = None) -> None:
        self.states = States() if states is None else states
        self.facts = 0
        self._codec, self._intake = codec, Intake()

    @property
    def unreadable(self) -> int:
        """How many records were no facts."""
        return self._intake.skipped

    @property
    def next_offset(self) -> int:
        """The offset on tickets.facts to go on from: the first unfolded record."""
        return self._intake.next_offset or 0

    @property
    def through(self) -> tuple[int, int]:
        """The last folded fact: its command's offset, and its place among that command's facts."""
        return self._intake.applied

    @property
    def log_time(self) -> int:
        """Log time there, in microseconds."""
        return self._intake.log_time

    def digest(self) -> str:
        """Digest of the meaning of all states: the same for the same facts."""
        sum_ = blake2b(digest_size=DIGEST_BYTES)
        for event_id in sorted(self.states):
            sum_.update(canonical(self.states[event_id]))
        return sum_.hexdigest()

    def take(self, records: Iterable[tuple[int, bytes | None]]) -> None:
        """Fold records (offset on the topic, value). A record that is no fact is counted and skipped."""
        records = iter(records)
        while some := list(islice(records, AT_ONCE)):
            self._take(some)
        self.states.turn()

    def _take(self, records: list[tuple[int, bytes | None]]) -> None:
        states, recent = self.states, self.states.recent
        ready = self._intake.take_all(self._codec.decode_all(records))
        for one in ready:
            at = one.envelope
            state = recent.get(at.event_id)
            if state is None:
                state = states.of(at.event_id)
            fold(state, one.fact, at)
        self.facts += len(ready)
