"""The audience of `circle bench watchers`: open streams of one event, and what each has got."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

import msgspec

from connectors.errors import CircleError
from ops.proof.bench.connections import FIRST_ADDRESS
from ops.proof.load.http_client import HttpClient
from schemas.ids import EventId

STREAMS_OF_ADDRESS, STREAMS_OF_USER = 250, 10
CLOSED_S_MAX = 30.0
DATA = b"data: "


class Audience:
    """The open streams of one event, and the last state that each has got."""

    def __init__(self, client: HttpClient, event_id: EventId) -> None:
        self.client, self._event_id = client, event_id
        self._streams: list[_Stream] = []
        self._seen: dict[int, tuple[int, float]] = {}  # stream: available places, and when it got them
        self._wanted = -1
        self._missing = 0
        self._complete = asyncio.Event()
        self._times: dict[int, list[float]] | None = None

    @property
    def available(self) -> dict[int, int]:
        """The free places that each stream has got last, by the stream's number."""
        return {number: seen for number, (seen, _) in self._seen.items()}

    async def join(self, number: int, token: str) -> None:
        """Open one stream. Raises CircleError when it is refused."""
        source = f"127.0.0.{FIRST_ADDRESS + number // STREAMS_OF_ADDRESS}"
        local = (source, 0) if self.client.host == "127.0.0.1" else None
        stream = _Stream(asyncio.get_running_loop(), lambda available: self._has(number, available))
        await stream.loop.create_connection(lambda: stream, self.client.host, self.client.port, local_addr=local)
        self._streams.append(stream)
        path = f"/v1/events/{self._event_id}/stream"
        head = f"GET {path} HTTP/1.1\r\nHost: {self.client.host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        status = await stream.open(head.encode())
        if status.split(b" ")[1:2] != [b"200"]:
            raise CircleError(f"the stream {number + 1} is refused: {status.decode().strip()}")

    async def sees(self, available: int, timeout_s: float) -> list[float]:
        """The times of the event loop at which the streams got so many places; without those that did not in time."""
        self._wanted = available
        self._missing = len(self._streams) - sum(seen == available for seen, _ in self._seen.values())
        self._complete.clear()
        if self._missing:
            with suppress(TimeoutError):  # a stream that is late is not in the answer, and the bench fails
                async with asyncio.timeout(timeout_s):
                    await self._complete.wait()
        return [at for seen, at in self._seen.values() if seen == available]

    def note_times(self) -> None:
        """Note from now on when each stream has news."""
        self._times = {number: [] for number in self._seen}

    def longest_gaps(self, seconds: float) -> list[float]:
        """The longest time of each stream without news, in seconds, from the first news of any for `seconds`."""
        times = self._times or {}
        first = min((at for own in times.values() for at in own), default=None)
        if first is None:
            return [seconds for _ in times]
        return [longest_gap_s([first, *own], first + seconds) for own in times.values()]

    async def close(self) -> None:
        """Ends the streams, and waits for their connections."""
        for stream in self._streams:
            stream.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSED_S_MAX):
                await asyncio.gather(*(stream.closed for stream in self._streams))

    def _has(self, number: int, available: int) -> None:
        if number in self._seen and self._seen[number][0] == available:
            return
        now = asyncio.get_running_loop().time()
        self._seen[number] = available, now
        if self._times is not None:
            self._times[number].append(now)
        if available == self._wanted:
            self._missing -= 1
            if self._missing <= 0:
                self._complete.set()


class _Stream(asyncio.Protocol):
    """One open stream. It takes whole lines from what was received, without a task of its own.

    The bench reads thousands of messages a second on the platform's processors, so reading must be cheap.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, has: Callable[[int], None]) -> None:
        self.loop, self.closed = loop, loop.create_future()
        self._has, self._rest = has, b""
        self._status: asyncio.Future[bytes] = loop.create_future()
        self._transport: asyncio.Transport | None = None

    async def open(self, head: bytes) -> bytes:
        """Sends the request. Returns the status line, b"" if there was none."""
        assert self._transport is not None
        self._transport.write(head)
        return await self._status

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        """Each availability. A chunk of the answer is one message, so the chunks' heads are lines of their own."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines and not self._status.done():
            self._status.set_result(lines[0])
        for line in lines:
            if line.startswith(DATA):
                available = available_of(line)
                if available is not None:
                    self._has(available)

    def connection_lost(self, _: Exception | None) -> None:
        if not self._status.done():
            self._status.set_result(b"")
        if not self.closed.done():  # it is cancelled where the bench does not wait any longer
            self.closed.set_result(None)


def available_of(line: bytes) -> int | None:
    """The free places of the first ticket type in a `data:` line of an availability; None in another message."""
    data: dict[str, Any] = msgspec.json.decode(line.removeprefix(DATA))
    items = data.get("items")
    return int(items[0]["available"]) if items and "available" in items[0] else None


def longest_gap_s(times: Sequence[float], until: float) -> float:
    """The longest time from one of these to the next, or from the last to `until`. Later ones do not count."""
    seen = [at for at in times if at <= until]
    return max(after - before for before, after in zip(seen, [*seen[1:], until], strict=True))
