"""Decides a partition's log again, without Redis, and compares the facts byte for byte. Pure.

It uses the worker's own rules. So it shows that the log alone gives the same facts, and not that the rules are right.
The checker has rules of its own and does not import this module: `ops.proof.full_check` runs both.

Foreign locks are on the log: a SeatLocksObserved fact at a position is folded before its command is decided.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.reservations.core.decide import NotFolded, failed_before, is_unfolded, step
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import At, EventState
from schemas import facts as f
from schemas.codec import Codec, Undecodable
from schemas.commands import Command
from schemas.ids import NO_EVENT, LogTime
from schemas.recorded_facts import envelopes


class SecondDecision:
    """One partition, from its first record on."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._states: dict[str, EventState] = {}
        self._apart: set[str] = set()  # events that could not be folded

    def differs(
        self,
        position: tuple[int, int, int],
        command: Command | Undecodable,
        values: Sequence[bytes],
        facts: Sequence[f.Fact],
    ) -> str | None:
        """The difference between `command`'s facts and its second decision, in words; None without one.

        `position` is (partition, offset, log time in µs); `values` are the facts' bytes.
        """
        partition, offset, log_time = position
        at = At(partition, offset, LogTime(log_time))
        again: list[f.Fact]
        event_id = NO_EVENT
        if isinstance(command, Undecodable):
            again = [f.CommandUnreadable(command.error)]
        else:
            event_id = command.event_id
            if event_id in self._apart:
                return None
            try:
                again = self._decide(at, command, facts)
            except NotFolded as error:
                self._apart.add(event_id)
                return f"{error}; nothing of it is replayed from here on"
        rules = int(f.RULES_VERSION)
        encode, count = self._codec.encode_fact, len(again)
        numbered = envelopes(
            count,
            event_id=event_id,
            partition=at.partition,
            offset=at.offset,
            log_time=at.log_time,
            rules_version=rules,
        )
        for index, (envelope, fact) in enumerate(zip(numbered, again, strict=True)):
            wanted = encode(envelope, fact)
            if index >= len(values):
                return f"replay adds {fact!r}"
            if values[index] != wanted:
                return f"the log has {facts[index]!r}, replay gives {fact!r} at log time {at.log_time}"
        return f"the log has {len(values)} facts, replay gives {count}" if len(values) != count else None

    def _decide(self, at: At, command: Command, facts: Sequence[f.Fact]) -> list[f.Fact]:
        state = self._states.get(command.event_id)
        if state is None:
            state = self._states[command.event_id] = EventState(command.event_id)
        again: list[f.Fact] = []
        if facts and isinstance(facts[0], f.SeatLocksObserved):
            evolve(state, facts[0], at)
            again.append(facts[0])
        first = facts[0] if facts else None
        if isinstance(first, f.CommandRefused) and is_unfolded(first):
            again += failed_before(state, command, at, first)
        else:
            again += step(state, command, at)
        if state.details is None:
            del self._states[command.event_id]
        return again
