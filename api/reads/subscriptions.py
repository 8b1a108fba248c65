"""One Redis pub/sub connection for all channels of this process. Reconnects with backoff, for ever.

Guarantee: after every (re)connection, `on_connected` runs once the subscription is active. There each listener catches
up on messages that it may have missed. A message that cannot be decoded is logged and dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from api.fairness.limits import REDIS_TIMEOUT_S
from connectors import logs, redis_clients
from connectors.backoff import Backoff

BACKOFF = Backoff(first_s=0.05, max_s=2.0)
QUIET_S = 5.0  # after this long without a message the connection is checked

log = logs.get("api.reads.subscriptions")


class Subscriptions:
    """Passes messages to the handler of their channel."""

    def __init__(
        self,
        url: str,
        handlers: Mapping[str, Callable[[bytes], None]],
        on_connected: Callable[[], Awaitable[None]],
    ) -> None:
        self._url = url
        self._handlers = {channel.encode(): handler for channel, handler in handlers.items()}
        self._on_connected = on_connected
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled."""
        tries = 0
        while True:
            try:
                await self._listen()
            except (RedisError, OSError, TimeoutError) as error:
                if self.connected.is_set() or not tries:
                    log.warning("redis.lost", error=f"{type(error).__name__}: {error}")
                tries = 0 if self.connected.is_set() else tries + 1
            finally:
                self.connected.clear()
            await asyncio.sleep(BACKOFF.spread_s(tries))

    async def _listen(self) -> None:
        retry = Retry(NoBackoff(), 0)  # this class reconnects by itself
        client = redis_clients.connect_async(self._url, socket_connect_timeout=REDIS_TIMEOUT_S, retry=retry)
        try:
            async with client.pubsub() as pubsub:
                await pubsub.subscribe(*self._handlers)
                for _ in self._handlers:
                    await asyncio.wait_for(pubsub.get_message(timeout=REDIS_TIMEOUT_S), REDIS_TIMEOUT_S * 2)
                self.connected.set()
                await self._on_connected()
                asked = False
                while True:
                    message = await pubsub.get_message(timeout=QUIET_S)
                    if message is None:
                        if asked:
                            raise TimeoutError("Redis does not answer")
                        asked = True
                        await pubsub.ping()
                    else:
                        asked = False
                        if message["type"] == "message":
                            self._hand_on(message["channel"], message["data"])
        finally:
            await client.aclose()

    def _hand_on(self, channel: bytes, data: bytes) -> None:
        try:
            self._handlers[channel](data)
        except Exception as error:
            log.exception("message.unreadable", error, channel=channel.decode())
