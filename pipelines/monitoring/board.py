"""Shows the results of monitoring and of verification in Redis, for `/readyz` and the dashboard: JSON keys that expire.

Nothing depends on them: while Redis or the writer is away, there is nothing to show.
"""

from __future__ import annotations

from typing import Any

import msgspec
import redis

from connectors import redis_clients
from connectors.logs import Log
from connectors.settings import Settings

MONITORED, VERIFIED = "circle:monitored", "circle:verified"
SHOWN_S = 30  # older values are not shown: their writer is gone
TIMEOUT_S = 1.0

log = Log("shown")


class VerifiedPartition(msgspec.Struct, frozen=True, kw_only=True):
    """How far `circle verify --follow` is on a partition."""

    partition: int
    through: int
    digest: str
    waiting: int
    divergences: int


class VerifierProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What `circle verify --follow` has found so far."""

    at: str
    facts: int
    divergences: int
    partitions: list[VerifiedPartition]


class Board:
    """Writes and reads the keys."""

    def __init__(self, settings: Settings) -> None:
        self._client: redis.Redis = redis_clients.connect(
            settings.redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def show(self, key: str, value: object) -> None:
        """Show a value for SHOWN_S. Never raises, never waits longer than TIMEOUT_S."""
        try:
            self._client.set(key, msgspec.json.encode(value), ex=SHOWN_S)
        except (redis.RedisError, OSError) as error:
            log.warning("board.not_written", key=key, error=f"{type(error).__name__}: {error}")

    def monitored(self) -> dict[str, Any] | None:
        """What monitoring saw last, as `show` wrote it; None if it does not run, or Redis is away."""
        text = self._read(MONITORED)
        return None if text is None else msgspec.json.decode(text, type=dict[str, Any])

    def verified(self) -> VerifierProgress | None:
        """The progress of `circle verify --follow`; None if it does not run, or Redis is away."""
        text = self._read(VERIFIED)
        return None if text is None else msgspec.json.decode(text, type=VerifierProgress)

    def _read(self, key: str) -> bytes | str | None:
        try:
            text: bytes | str | None = self._client.get(key)
        except (redis.RedisError, OSError) as error:
            log.warning("board.not_read", key=key, error=f"{type(error).__name__}: {error}")
            return None
        return text
