"""The states of many events while a log is replayed, with a bounded number of reservations in memory. Pure.

Guarantee: a state that was stored comes back with the same meaning, so every decision on it is the same. A returning
state makes room for itself. Only states that are new since the last `turn` exceed the bound. One event is always whole.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, get_type_hints

import msgspec

from pipelines.reservations.core.entities import Reservation
from pipelines.reservations.core.state import EventState
from schemas.ids import EventId

KEPT_MAX = 300_000  # reservations in memory, of 600 bytes or so
EVENT_WEIGHT = 20  # the memory of an empty event, and of each ticket type, counted in reservations

_encode = msgspec.msgpack.Encoder().encode
_Row: Any = tuple[tuple(get_type_hints(Reservation).values())]  # type: ignore[misc]
_decode = msgspec.msgpack.Decoder(tuple[bytes, list[_Row]]).decode


class ScratchSpace(Protocol):
    """Bytes by event, outside of memory."""

    def put(self, event_id: EventId, packed: bytes) -> None:
        """Keep these bytes. They replace earlier ones."""

    def look(self, event_id: EventId) -> bytes | None:
        """The event's bytes; None if there are none."""

    def drop(self, event_id: EventId) -> None:
        """Drop the event's bytes."""

    def __contains__(self, event_id: object) -> bool:
        """Whether there are bytes of the event."""

    def __iter__(self) -> Iterator[EventId]:
        """The events."""

    def __len__(self) -> int:
        """The number of events."""


class States(Mapping[EventId, EventState]):
    """States by event. A lookup as in a mapping changes nothing; for a state out of memory it gives a copy.

    `recent` has the states that `of` returned since the last turn, always in the same dict: a loop may look there
    first. A caller must not keep a state while it asks for others: a state that leaves memory is taken apart.
    """

    def __init__(self, shelf: ScratchSpace | None = None, kept_max: int = KEPT_MAX) -> None:
        self.recent: dict[EventId, EventState] = {}
        self._former: dict[EventId, EventState] = {}
        self._shelf, self._kept_max, self._brought = shelf, kept_max, 0

    def of(self, event_id: EventId) -> EventState:
        """The event's state, to be changed. It is made if there is none."""
        state = self.recent.get(event_id)
        if state is None:
            state = self._former.pop(event_id, None)
            if state is None:
                state = self._unshelved(event_id)
            self.recent[event_id] = state
        return state

    def take(self, event_id: EventId) -> EventState:
        """As `of`, but the state now belongs to the caller: it is not moved out of memory until it is given back."""
        state = self.of(event_id)
        del self.recent[event_id]
        return state

    def give(self, state: EventState) -> None:
        """Take back a state that was taken."""
        state.keep()
        self.recent[state.event_id] = state

    def forget(self, event_id: EventId) -> None:
        """Drop the event's state. It is in one place only."""
        there = self.recent.pop(event_id, None) or self._former.pop(event_id, None)
        if there is None and self._shelf is not None:
            self._shelf.drop(event_id)

    def turn(self) -> None:
        """If the recent states use half of the bound, move all others out of memory."""
        if self._shelf is None or sum(map(_weight, self.recent.values())) <= self._kept_max // 2:
            return
        for event_id, state in list(self._former.items()):
            self._shelf.put(event_id, _packed(state))
            del self._former[event_id]
            state.dismantle()
        self._former.update(self.recent)
        self.recent.clear()
        self._brought = 0

    def _unshelved(self, event_id: EventId) -> EventState:
        packed = None if self._shelf is None else self._shelf.look(event_id)
        if self._shelf is None or packed is None:
            return EventState(event_id)
        self._shelf.drop(event_id)
        state = _unpacked(packed)
        self._brought += _weight(state)
        if self._brought > self._kept_max // 2:
            self.turn()
        return state

    def __getitem__(self, event_id: EventId) -> EventState:
        state = self.recent.get(event_id) or self._former.get(event_id)
        if state is None:
            packed = None if self._shelf is None else self._shelf.look(event_id)
            if packed is None:
                raise KeyError(event_id)
            state = _unpacked(packed)
        return state

    def __contains__(self, event_id: object) -> bool:
        there = event_id in self.recent or event_id in self._former
        return there or (self._shelf is not None and event_id in self._shelf)

    def __iter__(self) -> Iterator[EventId]:
        yield from self.recent
        yield from self._former
        yield from self._shelf or ()

    def __len__(self) -> int:
        return len(self.recent) + len(self._former) + (0 if self._shelf is None else len(self._shelf))


def _weight(state: EventState) -> int:
    several = len(state.reservations) + len(state.waitlist) + len(state.tickets)
    return several + EVENT_WEIGHT * (1 + len(state.sections))


def _packed(state: EventState) -> bytes:
    """Its reservations as rows, which are nearly all of it; the rest as Python pickles it."""
    reservations, state.reservations = state.reservations, {}
    try:
        rest = pickle.dumps(state, pickle.HIGHEST_PROTOCOL)
    finally:
        state.reservations = reservations
    return _encode((rest, [msgspec.structs.astuple(one) for one in reservations.values()]))


def _unpacked(packed: bytes) -> EventState:
    rest, rows = _decode(packed)
    state: EventState = pickle.loads(rest)  # noqa: S301 - this process packed it
    state.reservations = {row[0]: Reservation(*row) for row in rows}
    return state
