"""`evolve(state, fact, at)`: what a fact changes. Pure: no clock, no I/O, no choice; every choice is in the rules.

The state is changed in place and returned. Facts that change nothing (refusals of commands, duplicates, ticks) are
folded like the others.
"""

from __future__ import annotations

from pipelines.reservations.core.entities import Placed
from pipelines.reservations.core.folding import chores, door, event, inventory, payments, reservations, waiting_list
from pipelines.reservations.core.folding.change import Change
from pipelines.reservations.core.state import EventState
from schemas import facts as f
from schemas.ids import position_text

# Errors that the same state gives on every machine. Errors of memory, of the stack and of signals are not among them.
DEFECTS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)

_CHANGES: dict[type[f.Fact], Change] = {
    **event.CHANGES,
    **inventory.CHANGES,
    **reservations.CHANGES,
    **payments.CHANGES,
    **door.CHANGES,
    **waiting_list.CHANGES,
    **chores.CHANGES,
}


def evolve(state: EventState, fact: f.Fact, at: Placed) -> EventState:
    """Fold one fact. Raises KeyError if the fact is about something that no earlier fact made: a broken log."""
    change = _CHANGES.get(type(fact))
    if change is not None:
        change(state, fact, at)
    return state


def fold(state: EventState, fact: f.Fact, at: Placed) -> bool:
    """Fold one fact of the log. False if it cannot be folded: `state.unfolded` names it, and later ones are skipped."""
    if state.unfolded:
        return False
    change = _CHANGES.get(type(fact))
    if change is None:
        return True
    try:
        change(state, fact, at)
    except DEFECTS as error:
        state.unfolded = not_folded(fact, at, error)
        return False
    return True


def not_folded(fact: f.Fact | None, at: Placed, error: BaseException) -> str:
    """The text for `EventState.unfolded`: the fact, its place and the error's class. Buyers may read it."""
    return f"{type(fact).__name__} at {position_text(at.partition, at.offset)} ({type(error).__name__})"
