"""HTTP/1.1 over a bounded set of kept connections, as cheap as Python allows: the load generator shares the machine.

Understands what our API answers: a status line, headers, a body of `Content-Length`. No chunks, no redirects, no TLS.
Guarantee: a request is sent at most once. Without an answer, `NoAnswer` is raised and the caller decides.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import Any, NamedTuple, Self, cast
from urllib.parse import urlsplit

import msgspec

from connectors.errors import CircleError

CONNECTIONS_MAX = 1_000
CONNECT_TIMEOUT_S = 15.0
ANSWER_TIMEOUT_S = 45.0  # above the 30 s that the API waits at most for an outcome
_LENGTH = b"content-length:"
_CLOSE = b"connection: close"


class NoAnswer(CircleError):
    """The connection broke, or time ran out. The request may have had an effect or not."""


class TimedResponse(NamedTuple):
    """A status, a body, and the seconds from sending the request to having all of it."""

    status: int
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body) if self.body else None

    @property
    def problem(self) -> str:
        """The slug of a problem document, such as "sold-out"; "" when it is none."""
        if self.status < 400:
            return ""
        try:
            kind = msgspec.json.decode(self.body, type=_Problem).type
        except msgspec.DecodeError:
            return f"http-{self.status}"
        return kind.rpartition("/")[2] or f"http-{self.status}"


class _Problem(msgspec.Struct):
    type: str = ""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    __slots__ = ("_body_at", "_buffer", "_close", "_status", "_total", "alive", "transport", "waiter")

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiter: asyncio.Future[tuple[int, bytes]] | None = None
        self.alive = True
        self._buffer = bytearray()
        self._total = -1  # head and body of the present answer; -1: its head is not complete yet
        self._status = self._body_at = 0
        self._close = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._total < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            self._status = int(head[9:12])
            self._body_at = end + 4
            at = head.find(_LENGTH)
            length = int(head[at + len(_LENGTH) : (head + b"\r\n").find(b"\r\n", at)]) if at >= 0 else 0
            self._total = self._body_at + length
            self._close = _CLOSE in head
        if len(self._buffer) >= self._total:
            answer = self._status, bytes(self._buffer[self._body_at : self._total])
            if self._close:
                self.abort()
            self._reset()
            if self.waiter is not None and not self.waiter.done():
                self.waiter.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(NoAnswer(f"the connection ended before the answer: {exc or 'closed'}"))

    def abort(self) -> None:
        """No more requests here."""
        self.alive = False
        if self.transport is not None:
            self.transport.close()

    def _reset(self) -> None:
        self._buffer.clear()
        self._total = -1
        self._status = self._body_at = 0
        self._close = False


class HttpClient:
    """Requests to one address. At most `connections_max` at a time; the others wait their turn, in order."""

    def __init__(self, url: str, *, connections_max: int = CONNECTIONS_MAX, source: str = "") -> None:
        """`source` is the client's own address, if the server is on this machine; by default the system chooses."""
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise CircleError(f"{url!r} is no http:// address")
        self.host, self.port = parts.hostname, parts.port or 80
        self.local_addr = (source, 0) if source and self.host == "127.0.0.1" else None
        self._host = f"{self.host}:{self.port}"
        self._free = connections_max
        self._idle: list[_Connection] = []
        self._turns: deque[asyncio.Future[None]] = deque()
        self.sent = 0

    async def request(
        self, method: str, path: str, *, token: str = "", key: str = "", prefer: str = "", body: object = None
    ) -> TimedResponse:
        """One request and its answer. Raises NoAnswer. `body` is sent as JSON."""
        payload = b"" if body is None else msgspec.json.encode(body)
        head = [f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(payload)}\r\n"]
        if payload:
            head.append("Content-Type: application/json\r\n")
        if token:
            head.append(f"Authorization: Bearer {token}\r\n")
        if key:
            head.append(f"Idempotency-Key: {key}\r\n")
        if prefer:
            head.append(f"Prefer: {prefer}\r\n")
        head.append("\r\n")
        return await self._send("".join(head).encode() + payload)

    async def warm(self, connections: int) -> None:
        """Opens connections beforehand, a few at a time, so that a stampede is one of requests."""
        opened: list[_Connection] = []
        while len(opened) < min(connections, self._free):
            step = min(50, connections - len(opened))
            opened += await asyncio.gather(*(self._connect() for _ in range(step)))
        self._idle += opened

    def close(self) -> None:
        """Ends the idle connections."""
        while self._idle:
            self._idle.pop().abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _send(self, data: bytes) -> TimedResponse:
        await self._turn()
        connection = None
        try:
            connection = await self._take()
            assert connection.transport is not None
            waiter = connection.waiter = asyncio.get_running_loop().create_future()
            timer = asyncio.get_running_loop().call_later(ANSWER_TIMEOUT_S, _time_out, waiter)
            started = time.perf_counter()
            self.sent += 1
            try:
                connection.transport.write(data)
                status, body = await waiter
            finally:
                timer.cancel()
                connection.waiter = None
            return TimedResponse(status, body, time.perf_counter() - started)
        except BaseException:
            if connection is not None:
                connection.abort()
            raise
        finally:
            if connection is not None and connection.alive:
                self._idle.append(connection)
            self._next_turn()

    async def _turn(self) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next_turn()
            raise

    def _next_turn(self) -> None:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    async def _take(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.alive:
                return connection
        return await self._connect()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            connecting = loop.create_connection(_Connection, self.host, self.port, local_addr=self.local_addr)
            _, connection = await asyncio.wait_for(connecting, CONNECT_TIMEOUT_S)
        except OSError as error:
            raise NoAnswer(f"{self._host} cannot be connected to: {str(error) or type(error).__name__}") from error
        return connection


def _time_out(waiter: asyncio.Future[tuple[int, bytes]]) -> None:
    if not waiter.done():
        waiter.set_exception(NoAnswer(f"no answer within {ANSWER_TIMEOUT_S:.0f} s"))
