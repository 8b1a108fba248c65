"""Seals for messages between API processes over Redis: write access to Redis is not enough to forge one.

The keys derive from those that sign tokens: all API processes of an installation have them, and no other process. Each
channel has its own key, so a message is invalid on another channel. A sealed message can be replayed, so every message
has to be safe to receive twice. It is: a session stays ended, and a write keeps its position.
"""

from __future__ import annotations

from hashlib import blake2b

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.auth.keys import Key, KeyRing
from api.metrics import METRICS
from connectors import logs
from schemas.replies import opened, sealed

log = logs.get("api.log.seals")


class Seals:
    """Seals and opens the messages of one channel."""

    __slots__ = ("_channel", "_current", "_keys")

    def __init__(self, keys: KeyRing, channel: str) -> None:
        self._channel = channel
        self._current = _derived(keys.current, channel)
        self._keys = [_derived(key, channel) for key in keys.by_kid.values()]

    def seal(self, message: bytes) -> bytes:
        """The sealed message, ready to publish."""
        return sealed(message, self._current)

    def open(self, data: bytes) -> bytes | None:
        """The message; None for a forged one, which is also counted and logged."""
        for key in self._keys:
            message = opened(data, key)
            if message is not None:
                return message
        METRICS.forged.inc()
        log.warning("message.forged", channel=self._channel, bytes=len(data))
        return None


def _derived(key: Key, channel: str) -> bytes:
    raw = key.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return blake2b(channel.encode(), key=raw, person=b"circle seals").digest()
