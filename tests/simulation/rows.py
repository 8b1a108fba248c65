"""The projection's tables as dicts: what `pipelines.projections.project` changes, kept without a database."""

from __future__ import annotations

from typing import Any

import msgspec

from pipelines.projections.changes import ReservationChange
from pipelines.projections.project import project
from pipelines.projections.snapshot import (
    AppliedPosition,
    EventRow,
    EventSnapshot,
    ReservationRow,
    TicketTypeRow,
)
from schemas.facts import RecordedFact


class Rows:
    """Tables of one partition. `snapshot` reads an event as a reservations worker reads it from Postgres."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.types: dict[str, dict[str, dict[str, Any]]] = {}
        self.reservations: dict[str, dict[str, dict[str, Any]]] = {}
        self.locks: dict[str, dict[str, bool]] = {}

    def apply(self, facts: list[RecordedFact]) -> None:
        """Fold a batch of facts into the rows."""
        changes = project(facts)
        for event_id, event in changes.events.items():
            _merge(self.events.setdefault(event_id, {}), event)
        for (event_id, type_id), ticket_type in changes.ticket_types.items():
            self.types.setdefault(event_id, {})[type_id] = msgspec.structs.asdict(ticket_type)
        for (event_id, key), change in changes.reservations.items():
            rows = self.reservations.setdefault(event_id, {})
            if isinstance(change, ReservationChange) and change.fingerprint is not None:
                rows[key] = {}
            _merge(rows[key], change)
        for (event_id, place), lock in changes.seat_locks.items():
            self.locks.setdefault(event_id, {})[place] = lock.locked

    def forget(self, event_id: str) -> None:
        """Let go of an event that nothing will ask for again."""
        for table in (self.events, self.types, self.reservations, self.locks):
            table.pop(event_id, None)

    def snapshot(self, event_id: str) -> EventSnapshot:
        """The event's rows."""
        event = self.events.get(event_id)
        types = sorted(self.types.get(event_id, {}).values(), key=lambda row: row["ordinal"])
        reservations = sorted(self.reservations.get(event_id, {}).values(), key=lambda row: (row["offset"], row["id"]))
        return EventSnapshot(
            event_id,
            AppliedPosition(),
            _pick(EventRow, event) if event is not None else None,
            [_pick(TicketTypeRow, row) for row in types],
            [_pick(ReservationRow, row) for row in reservations],
            [],
            sorted(place for place, locked in self.locks.get(event_id, {}).items() if locked),
        )


def _merge(row: dict[str, Any], change: msgspec.Struct) -> None:
    for name in change.__struct_fields__:
        value = getattr(change, name)
        if value is not None:
            row[name] = value


def _pick(kind: type[Any], row: dict[str, Any]) -> Any:
    return kind(**{name: row[name] for name in kind.__struct_fields__})
