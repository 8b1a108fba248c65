"""Announces writes to readers over Redis pub/sub. A lost message does no harm: readers also look by themselves.

Guarantee: never raises, never waits longer than TIMEOUT_S. Messages are sent after the commit.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import redis

from connectors import redis_clients
from connectors.logs import Log
from connectors.settings import Settings

TIMEOUT_S = 1.0

log = Log("publisher")
_json = msgspec.json.Encoder()


class Publisher:
    """One Redis connection to publish on."""

    def __init__(self, settings: Settings) -> None:
        self._client = redis_clients.connect(
            settings.redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def publish_json(self, messages: Iterable[tuple[str, object]]) -> None:
        """Messages, each with its channel, as JSON and in one round trip."""
        encoded = [(channel, _json.encode(message)) for channel, message in messages]
        if not encoded:
            return
        try:
            pipeline = self._client.pipeline(transaction=False)
            for channel, message in encoded:
                pipeline.publish(channel, message)
            pipeline.execute()
        except (redis.RedisError, OSError) as error:
            channels = sorted({channel for channel, _ in encoded})
            log.warning("publish.failed", channel=channels, error=f"{type(error).__name__}: {error}")
