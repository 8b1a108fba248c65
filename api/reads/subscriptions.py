"""One Redis pub/sub connection for all channels of this process. Reconnects with backoff, for ever.

Guarantee: after every (re)connection, `on_connected` runs once the subscription is active. There each listener catches
up on messages that it may have missed. A message that cannot be decoded is logged and dropped.

Redis sends many messages at once under load. All that one read of the socket brings are handed on in one turn of the
event loop, without a task or a timer for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import hiredis
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
        *,
        on_demand: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        """`on_demand` has the channels that are heard only while they are wanted. Its callback runs when hearing
        begins: then the listener catches up."""
        self._url = url
        self._handlers = {channel.encode(): handler for channel, handler in handlers.items()}
        self._on_demand = {channel.encode(): begun for channel, begun in (on_demand or {}).items()}
        self._wanted = set(self._handlers) - set(self._on_demand)
        self._on_connected = on_connected
        self._line: _Line | None = None
        self.connected = asyncio.Event()
        self.tried = asyncio.Event()  # set once the first attempt to connect has succeeded or failed

    def want(self, channel: str, wanted: bool) -> None:
        """Begin or stop to listen to a channel of `on_demand`."""
        name = channel.encode()
        if wanted == (name in self._wanted):
            return
        (self._wanted.add if wanted else self._wanted.discard)(name)
        if self._line is not None:
            self._line.send("SUBSCRIBE" if wanted else "UNSUBSCRIBE", name)

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
                self.tried.set()
            await asyncio.sleep(BACKOFF.spread_s(tries))

    async def _listen(self) -> None:
        line = _Line(self._answered)
        try:
            line.stream = await redis_clients.hand_over(self._url, line, REDIS_TIMEOUT_S)
            self._line, awaited = line, frozenset(self._wanted)
            line.send("SUBSCRIBE", *sorted(awaited))
            async with asyncio.timeout(REDIS_TIMEOUT_S * 2):
                await line.subscribed(awaited)
            self.connected.set()
            self.tried.set()
            await self._on_connected()
            await line.last()
        finally:
            self._line = None
            line.close()

    def _answered(self, kind: bytes, channel: bytes, data: object) -> None:
        if kind == b"message":
            try:
                self._handlers[channel](cast("bytes", data))
            except Exception as error:
                log.exception("message.unreadable", error, channel=channel.decode())
        elif kind == b"subscribe" and channel in self._on_demand:
            self._on_demand[channel]()


class _Line(asyncio.Protocol):
    """The connection: parses answers as they come, and notices when Redis is silent or gone."""

    def __init__(self, answered: Callable[[bytes, bytes, object], None]) -> None:
        self._answered = answered
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._active: asyncio.Future[None] = loop.create_future()
        self._awaited: set[bytes] = set()
        self._heard = 0
        self.stream: object = None  # its end would be the connection's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._heard += 1
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:
                self._take(answer)
        except hiredis.ProtocolError as error:
            self._end(ConnectionError(f"what Redis sends is no answer: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        self._end(ConnectionError(f"the connection is lost: {error}" if error else "Redis closed the connection"))

    def send(self, *command: str | bytes) -> None:
        """Send a command. A connection that is closing takes no more; its end is reported by `last`."""
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub has tuples of one

    async def subscribed(self, channels: frozenset[bytes]) -> None:
        """Wait until Redis has confirmed these channels. Raises ConnectionError."""
        self._awaited = set(channels)
        await asyncio.wait([self._active, self._lost], return_when=asyncio.FIRST_COMPLETED)
        if self._lost.done():
            self._lost.result()

    async def last(self) -> None:
        """Wait for the end of the connection and raise its error: ConnectionError, TimeoutError for a silent Redis."""
        heard, asked = self._heard, False
        while not self._lost.done():
            await asyncio.wait([self._lost], timeout=QUIET_S)
            silent, heard = heard == self._heard, self._heard
            if silent and asked:
                raise TimeoutError("Redis does not answer")
            if silent:
                self.send("PING")
            asked = silent
        self._lost.result()

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()
        self._end(ConnectionError("closed"))

    def _take(self, answer: Any) -> None:
        if isinstance(answer, hiredis.HiredisError):
            self._end(ConnectionError(str(answer)))
        elif isinstance(answer, list) and len(answer) == 3:
            kind, channel, data = answer
            self._answered(kind, channel, data)
            if kind == b"subscribe":
                self._awaited.discard(channel)
                if not self._awaited and not self._active.done():
                    self._active.set_result(None)

    def _end(self, error: ConnectionError) -> None:
        if not self._lost.done():
            self._lost.set_exception(error)
            self._lost.exception()  # it is raised where a caller waits; at the end none does
