"""The counters of ticket types that Redis does not show yet. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from pipelines.reservations.core.counters import Availability, counters_of
from pipelines.reservations.core.state import EventState
from schemas.ids import EventId, TicketTypeId

Texts = dict[EventId, dict[TicketTypeId, str]]
"""Ticket types and their counters as JSON, by event."""


class RedisCounters:
    """The counters that Redis shows. A batch changes few of an event's ticket types, and only these are written."""

    def __init__(self) -> None:
        self._shown: dict[EventId, dict[TicketTypeId, Availability]] = {}

    def whole(self, states: Collection[EventState]) -> Texts:
        """All counters of events, which Redis shows from now on."""
        for state in states:
            self._shown.pop(state.event_id, None)
        return self.changes(states)

    def changes(self, states: Iterable[EventState]) -> Texts:
        """The counters that differ from those that Redis shows. It shows them from now on."""
        texts: Texts = {}
        for state in states:
            if not state.sections or state.unfolded:
                continue
            shown = self._shown.setdefault(state.event_id, {})
            changed = texts[state.event_id] = {}
            for section in state.sections.values():
                now = counters_of(section)
                if shown.get(section.ticket_type_id) != now:
                    shown[section.ticket_type_id] = now
                    changed[section.ticket_type_id] = msgspec.json.encode(now).decode()
        return {event_id: changed for event_id, changed in texts.items() if changed}

    def parts(self, texts: Texts) -> set[EventId]:
        """The events of which `texts` has only some ticket types."""
        return {event_id for event_id, own in texts.items() if len(own) < len(self._shown[event_id])}
