"""What the facts about messages to all holders change."""

from __future__ import annotations

import msgspec

from pipelines.reservations.core import entities as e
from pipelines.reservations.core.entities import Placed
from pipelines.reservations.core.folding.change import Change
from pipelines.reservations.core.state import EventState
from schemas import facts as f
from schemas.statuses import ChoreKind

_replace = msgspec.structs.replace


def _chore_started(state: EventState, fact: f.ChoreStarted, _at: Placed) -> None:
    state.change(state.chores, fact.kind, e.Chore(ChoreKind(fact.kind), fact.cause, fact.changed))
    if fact.kind == ChoreKind.REMINDER:
        state.reminded_for = fact.cause


def _told(state: EventState, fact: f.HolderNotified, _at: Placed) -> None:
    chore = state.chores.get(fact.kind)
    if chore is not None:
        last = state.reservations[fact.reservation_id]
        state.change(state.chores, fact.kind, _replace(chore, told_offset=last.offset, told_id=last.id))


def _chore_finished(state: EventState, fact: f.ChoreFinished, _at: Placed) -> None:
    state.change(state.chores, fact.kind, None)
    if fact.kind == ChoreKind.REMINDER:
        state.reminded_for = fact.cause


CHANGES: dict[type[f.Fact], Change] = {
    f.ChoreStarted: _chore_started,
    f.HolderNotified: _told,
    f.ChoreFinished: _chore_finished,
}
