"""The one place where Redis clients are made. The URL says everything: `rediss://` is TLS, whose certificate is always
verified, with `ssl_ca_certs` (CIRCLE_REDIS_CA_FILE) against an authority of one's own.
"""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio


def connect(url: str, **options: Any) -> redis.Redis:
    """A client for synchronous code; it connects when it is first used."""
    client: redis.Redis = redis.Redis.from_url(url, **options)
    return client


def connect_async(url: str, **options: Any) -> redis.asyncio.Redis:
    """The same for an event loop."""
    return redis.asyncio.Redis.from_url(url, **options)


def connect_sharing(url: str, connections: int, patience_s: float, **options: Any) -> redis.asyncio.Redis:
    """For many callers of one event loop: so many connections, and who needs one more waits for it, so long at most."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url, max_connections=connections, timeout=patience_s, **options
    )
    return redis.asyncio.Redis.from_pool(pool)
