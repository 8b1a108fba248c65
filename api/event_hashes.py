"""What the reservations worker and other sellers keep of an event in Redis, read as hashes of one moment."""

from __future__ import annotations

from redis.exceptions import RedisError

from api.deps import Deps
from api.limits import REDIS_TIMEOUT_S
from connectors import logs

log = logs.get("api.availability")


async def event_hashes(deps: Deps, event_id: str, *parts: str) -> list[dict[bytes, bytes]]:
    """The event's hashes of these names, in one round trip; empty when Redis is away."""
    try:
        pipeline = deps.redis.pipeline(transaction=True)
        for part in parts:
            pipeline.hgetall(f"circle:{{{event_id}}}:{part}")
        async with deps.redis_reads.of(patience_s=REDIS_TIMEOUT_S):
            found: list[dict[bytes, bytes]] = await pipeline.execute()
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("redis.away", error=f"{type(error).__name__}: {error}")
        return [{} for _ in parts]
    return found
