"""What PostgreSQL knows of the state that a process keeps in its memory: read at its start, and after a gap."""

from __future__ import annotations

import asyncpg

from api.fairness.limits import ACCESS_TOKEN_TTL_S
from api.log.watermarks import PendingReservation
from api.reads.database import QueryPool
from api.reads.existence import PUBLIC
from api.shapes.events import EventStatus
from schemas.ids import EventId, ReservationId, SessionId, UserId


class StoredState:
    """Each method is one query. All of them raise Problem unavailable (503)."""

    def __init__(self, database: QueryPool) -> None:
        self._database = database

    async def ended_sessions(self) -> list[SessionId]:
        """The sessions that have ended while an access token of theirs may still be valid."""
        rows: list[asyncpg.Record] = await self._database.rows("sessions_ended", ACCESS_TOKEN_TTL_S)
        return [row["session_id"] for row in rows]

    async def recent_reservations(self, since_us: int, count: int) -> list[tuple[ReservationId, PendingReservation]]:
        """The latest reservations since a time in microseconds, at most `count`."""
        rows: list[asyncpg.Record] = await self._database.rows("reservations_since", since_us, count)
        return [
            (row["id"], PendingReservation(*(row[name] for name in PendingReservation.__struct_fields__)))
            for row in rows
        ]

    async def projected_positions(self) -> list[tuple[int, int]]:
        """How far each partition is projected: its number and the offset of the last command."""
        rows: list[asyncpg.Record] = await self._database.rows("positions_projected")
        return [(row["partition"], row["offset"]) for row in rows]

    async def owner_of_draft(self, event_id: EventId) -> UserId | None:
        """The organizer of a draft; PUBLIC for an event that is no draft; None if there is no such event."""
        row = await self._database.row("event_by_id", event_id)
        return None if row is None else row["organizer_id"] if row["status"] == EventStatus.DRAFT else PUBLIC
