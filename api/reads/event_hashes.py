"""An event's hashes in Redis, which the reservations worker and other sellers write, read at one moment."""

from __future__ import annotations

from typing import cast

from redis.exceptions import RedisError

from api.deps import ApiDeps
from api.fairness.limits import CLAIMS_AT_ONCE, REDIS_TIMEOUT_S
from connectors import logs
from schemas.ids import EventId

log = logs.get("api.availability")


async def event_hashes(deps: ApiDeps, event_id: EventId, *parts: str) -> list[dict[bytes, bytes]]:
    """The event's hashes of these names, in one round trip; empty while Redis does not answer."""
    try:
        pipeline = deps.redis.pipeline(transaction=True)
        for part in parts:
            pipeline.hgetall(f"circle:{{{event_id}}}:{part}")
        async with deps.redis_reads.of(patience_s=REDIS_TIMEOUT_S):
            hashes: list[dict[bytes, bytes]] = await pipeline.execute()
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("redis.away", error=f"{type(error).__name__}: {error}")
        return [{} for _ in parts]
    return hashes


async def seat_hashes(deps: ApiDeps, event_id: EventId, seats: int) -> list[dict[bytes, bytes]]:
    """Meta, claims and foreign locks of an event with `seats` seats; empty if Redis does not answer or lost the event.

    The claims of a large event are read in steps, so that neither Redis nor the event loop delays the holds. A change
    between two steps may be in the answer or not.
    """
    if seats <= CLAIMS_AT_ONCE:
        return await event_hashes(deps, event_id, "meta", "claims", "foreign")
    (before,) = await event_hashes(deps, event_id, "meta")
    claims = await _step_by_step(deps, f"circle:{{{event_id}}}:claims")
    after, foreign = await event_hashes(deps, event_id, "meta", "foreign")
    if claims is None or before.get(b"epoch") != after.get(b"epoch"):
        return [{}, {}, {}]
    return [after, claims, foreign]


async def _step_by_step(deps: ApiDeps, key: str) -> dict[bytes, bytes] | None:
    """A hash, CLAIMS_AT_ONCE fields at a time; None if Redis does not answer."""
    entries: dict[bytes, bytes] = {}
    cursor = 0
    try:
        while True:
            async with deps.redis_reads.of(patience_s=REDIS_TIMEOUT_S):
                cursor, some = await deps.redis.hscan(key, cursor, count=CLAIMS_AT_ONCE)
            entries.update(cast("dict[bytes, bytes]", some))
            if not cursor:
                return entries
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("redis.away", error=f"{type(error).__name__}: {error}")
        return None
