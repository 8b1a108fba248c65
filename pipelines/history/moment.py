"""Rebuilds an event as it was: its facts folded up to a moment or a position. Pure.

Guarantee: the state after `until` is the state that a worker had then: same `evolve`, same order, each position once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from pipelines.history.intake import Intake
from pipelines.reservations.core.evolve import fold
from pipelines.reservations.core.state import EventState
from schemas.facts import RecordedFact
from schemas.ids import EventId, Position, is_of_whole_command
from schemas.times import micros_of


class Moment(msgspec.Struct, frozen=True):
    """The end of a fold: a log time (inclusive), a position (inclusive; without index the whole command), or none."""

    log_time: int | None = None
    position: Position | None = None
    whole_command: bool = False

    def past(self, recorded: RecordedFact) -> bool:
        """Whether the fact comes after this moment."""
        at = recorded.envelope
        if self.log_time is not None:
            return at.log_time > self.log_time
        if self.position is not None:
            index = at.index if not self.whole_command else 0
            return (at.offset, index) > (self.position.offset, self.position.index)
        return False


def moment(text: str | None) -> Moment:
    """Read "2026-05-01T20:00:00Z" (any offset), "3-1200" or "3-1200-1". Raises ValueError that names the text."""
    if text is None:
        return Moment()
    try:
        return Moment(position=Position.parse(text), whole_command=is_of_whole_command(text))
    except ValueError:
        return Moment(log_time=_log_time(text))


def _log_time(text: str) -> int:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise ValueError(f"{text!r} is neither a time with its offset (2026-05-01T20:00:00Z) nor a position (3-1200)")
    return micros_of(when)


class EventFold:
    """One event's facts, folded one after the other."""

    def __init__(self, event_id: EventId, until: Moment | None = None) -> None:
        self.state = EventState(event_id)
        self.last: RecordedFact | None = None
        self.facts, self.over = 0, False
        self._intake, self._until = Intake(), until or Moment()

    def take(
        self,
        records: Iterable[tuple[int, RecordedFact]],
        before: Callable[[EventState, RecordedFact], None] = lambda _state, _recorded: None,
    ) -> None:
        """Fold records (offset on the facts topic, fact) up to the moment. `before` gets each fact and the state then.
        The fold ends at a fact that cannot be folded: `state.unfolded` names it.
        """
        for offset, recorded in records:
            for fact in self._intake.take(offset, recorded):
                if self._until.past(fact):
                    self.over = True
                    return
                before(self.state, fact)
                if not fold(self.state, fact.fact, fact.envelope):
                    return
                self.last = fact
                self.facts += 1
