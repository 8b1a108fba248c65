"""The one place that makes Redis clients. The URL has all options. `rediss://` is TLS, and the certificate is always
verified. With `ssl_ca_certs` (CIRCLE_REDIS_CA_FILE) it is verified against that authority.
"""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio


def connect(url: str, **options: Any) -> redis.Redis:
    """A client for synchronous code. It connects at its first use."""
    client: redis.Redis = redis.Redis.from_url(url, **options)
    return client


def connect_async(url: str, **options: Any) -> redis.asyncio.Redis:
    """The same for an event loop."""
    return redis.asyncio.Redis.from_url(url, **options)


def connect_sharing(url: str, connections: int, patience_s: float, **options: Any) -> redis.asyncio.Redis:
    """A client for many callers of one event loop, with at most `connections`. A caller waits `patience_s` for one."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url, max_connections=connections, timeout=patience_s, **options
    )
    return redis.asyncio.Redis.from_pool(pool)
