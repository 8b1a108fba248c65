"""An event's availability: its counters from Redis, or from the rows if Redis has none."""

from __future__ import annotations

import msgspec
from msgspec.structs import asdict

from api.deps import ApiDeps
from api.reads.event_hashes import event_hashes
from api.reads.visibility import Sight
from api.shapes.events import AvailabilityOut, EventAvailabilityOut
from connectors import logs
from schemas.ids import EventId, TicketTypeId


class _Counts(msgspec.Struct):
    total: int
    available: int
    held: int
    sold: int
    blocked: int = 0  # missing in data of an older version
    waiting: int = 0


_counts = msgspec.json.Decoder(_Counts)
log = logs.get("api.availability")


async def availability_seen(deps: ApiDeps, event_id: EventId, eyes: Sight) -> EventAvailabilityOut:
    """The availability of the ticket types that a caller sees."""
    return await seen_part(deps, await availability_of(deps, event_id), eyes)


async def seen_part(deps: ApiDeps, whole: EventAvailabilityOut, eyes: Sight) -> EventAvailabilityOut:
    """The part of an availability that a caller sees. Raises Problem unavailable."""
    seen = await eyes.among(deps, whole.event_id, [one.id for one in whole.items])
    return EventAvailabilityOut(whole.event_id, [one for one in whole.items if one.id in seen], whole.source)


async def availability_of(deps: ApiDeps, event_id: EventId) -> EventAvailabilityOut:
    """The current availability. Concurrent requests for the same event share one read."""
    return await deps.availability.get(event_id, lambda: _availability(deps, event_id))


async def _availability(deps: ApiDeps, event_id: EventId) -> EventAvailabilityOut:
    """The availability of all ticket types, also hidden ones: from Redis, where the reservations worker writes it, or
    from Postgres if Redis does not answer or has no readable data."""
    (counters,) = await event_hashes(deps, event_id, "availability")
    try:
        items = [
            AvailabilityOut(TicketTypeId(key.decode()), **asdict(_counts.decode(text)))
            for key, text in counters.items()
        ]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("redis.nonsense", event=event_id, error=str(error))
        items = []
    if items:
        return EventAvailabilityOut(event_id, items, "redis")
    items = [
        AvailabilityOut(
            id=row["id"],
            total=row["total"],
            available=max(0, row["free"]),
            held=row["held"],
            sold=row["sold"],
            blocked=row["blocked"],
            waiting=row["waiting"],
        )
        for row in await deps.database.rows("availability_from_rows", event_id)
    ]
    return EventAvailabilityOut(event_id, items, "postgres")
