"""HTTP/1.1 over a bounded set of kept connections, as cheap as Python allows: the load generator shares the machine.

Understands what our API answers: a status line, headers, a body of `Content-Length`. No chunks, no redirects, no TLS.
Guarantee: a request is sent at most once. It ends with a whole answer or with `NoAnswer`, and the caller decides.

`HttpClient.request` is a coroutine. `HttpClient.send` calls back instead: at thousands of requests a second, a task, a
future and a timer for each would cost more than the request.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self, cast
from urllib.parse import urlsplit

import msgspec

from connectors.errors import CircleError

CONNECTIONS_MAX = 1_000
CONNECT_TIMEOUT_S = 15.0
ANSWER_TIMEOUT_S = 45.0  # above the 30 s that the API waits at most for an outcome
LOOK_FOR_LATE_S = 1.0
NOT_DECIDED = frozenset({"busy", "not-acknowledged", "rate-limited", "too-many-at-once", "unavailable"})
"""The problems with 429 and 503: no outcome is known, and the same request may be sent again with its key. After
`not-acknowledged` it may be on the log."""
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


# Takes the answer, or why there is none. It must not raise.
Done = Callable[[TimedResponse | NoAnswer], None]


class _Exchange:
    """One request and who waits for its answer."""

    __slots__ = ("cancelled", "connection", "data", "done", "sent_at")

    def __init__(self, data: bytes, done: Done) -> None:
        self.data, self.done = data, done
        self.sent_at = 0.0
        self.cancelled = False  # before it was sent
        self.connection: _Connection | None = None


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    __slots__ = ("_buffer", "_client", "alive", "exchange", "transport")

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self.transport: asyncio.Transport | None = None
        self.exchange: _Exchange | None = None
        self.alive = True
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end >= 0:
            head = data[: end + 2].lower()
            at = head.find(_LENGTH)
            total = end + 4 + (int(head[at + len(_LENGTH) : head.index(b"\r", at)]) if at >= 0 else 0)
            if len(data) >= total:
                self._buffer = b""
                if _CLOSE in head:
                    self.abort()
                self._end(int(head[9:12]), data[end + 4 : total])
                return
        self._buffer = data

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        self.fail(f"the connection ended before the answer: {exc or 'closed'}")

    def abort(self) -> None:
        """No more requests here."""
        self.alive = False
        if self.transport is not None:
            self.transport.close()

    def fail(self, reason: str) -> None:
        """Ends the present request, if there is one, without an answer. The connection is not used again."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            self.abort()
            self._client.freed(self, exchange, NoAnswer(reason))

    def _end(self, status: int, body: bytes) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            answer = TimedResponse(status, body, time.perf_counter() - exchange.sent_at)
            self._client.freed(self, exchange, answer)


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
        self._waiting: deque[_Exchange] = deque()
        self._sent: dict[_Exchange, None] = {}  # without an answer so far, the oldest first
        self._late: asyncio.TimerHandle | None = None
        self._connecting: set[asyncio.Task[None]] = set()
        self.sent = 0

    @property
    def unsent(self) -> int:
        """Requests that wait for a connection."""
        return len(self._waiting) + len(self._connecting)

    @property
    def unanswered(self) -> int:
        """Requests that were sent and have no answer yet."""
        return len(self._sent)

    async def request(
        self, method: str, path: str, *, token: str = "", key: str = "", prefer: str = "", body: object = None
    ) -> TimedResponse:
        """One request and its answer. Raises NoAnswer. `body` is sent as JSON."""
        payload = b"" if body is None else msgspec.json.encode(body)
        answer: asyncio.Future[TimedResponse] = asyncio.get_running_loop().create_future()

        def done(given: TimedResponse | NoAnswer) -> None:
            if answer.done():
                return
            if isinstance(given, NoAnswer):
                answer.set_exception(given)
            else:
                answer.set_result(given)

        head = self.head(method, path, payload, prefer=prefer)
        exchange = self.send(head + self.lines(token=token, key=key) + payload, done)
        try:
            return await answer
        except asyncio.CancelledError:
            self._cancel(exchange)
            raise

    def head(self, method: str, path: str, payload: bytes, *, prefer: str = "") -> bytes:
        """The first lines of requests with a body of this length. `lines` and the body follow."""
        lines = [f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(payload)}\r\n"]
        if payload:
            lines.append("Content-Type: application/json\r\n")
        if prefer:
            lines.append(f"Prefer: {prefer}\r\n")
        return "".join(lines).encode()

    @staticmethod
    def lines(*, token: str = "", key: str = "") -> bytes:
        """The last lines of a head."""
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        return (f"{authorization}Idempotency-Key: {key}\r\n\r\n" if key else f"{authorization}\r\n").encode()

    def send(self, data: bytes, done: Done) -> _Exchange:
        """Sends a whole request as soon as a connection is free. `done` gets the answer, or why there is none."""
        exchange = _Exchange(data, done)
        if (connection := self._take()) is not None:
            self._free -= 1
            self._write(connection, exchange)
        elif self._free > 0:
            self._free -= 1
            self._connect_for(exchange)
        else:
            self._waiting.append(exchange)
        return exchange

    async def warm(self, connections: int) -> None:
        """Opens connections beforehand, a few at a time, so that a stampede is one of requests."""
        opened: list[_Connection] = []
        while len(opened) < min(connections, self._free):
            step = min(50, connections - len(opened))
            opened += await asyncio.gather(*(self._connect() for _ in range(step)))
        self._idle += opened

    def close(self) -> None:
        """Ends the idle connections."""
        if self._late is not None:
            self._late.cancel()
            self._late = None
        while self._idle:
            self._idle.pop().abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def freed(self, connection: _Connection, exchange: _Exchange, answer: TimedResponse | NoAnswer) -> None:
        """For a connection whose request has ended: the next one in turn gets it, or a new one in its place."""
        del self._sent[exchange]
        exchange.connection = None
        self._next_on(connection)
        exchange.done(answer)

    def _next_on(self, connection: _Connection) -> None:
        if not self._waiting:
            self._free += 1
            if connection.alive:
                self._idle.append(connection)
            return
        exchange = self._waiting.popleft()
        if connection.alive:
            self._write(connection, exchange)
        else:
            self._connect_for(exchange)

    def _write(self, connection: _Connection, exchange: _Exchange) -> None:
        assert connection.transport is not None
        connection.exchange, exchange.connection = exchange, connection
        exchange.sent_at = time.perf_counter()
        self._sent[exchange] = None
        self.sent += 1
        if self._late is None:
            self._late = asyncio.get_running_loop().call_later(LOOK_FOR_LATE_S, self._end_late)
        connection.transport.write(exchange.data)

    def _end_late(self) -> None:
        """Ends the requests that have waited too long. Looks again as long as requests wait."""
        before = time.perf_counter() - ANSWER_TIMEOUT_S
        self._late = None
        while self._sent and (oldest := next(iter(self._sent))).sent_at < before:
            assert oldest.connection is not None
            oldest.connection.fail(f"no answer within {ANSWER_TIMEOUT_S:.0f} s")
        if self._sent and self._late is None:
            self._late = asyncio.get_running_loop().call_later(LOOK_FOR_LATE_S, self._end_late)

    def _cancel(self, exchange: _Exchange) -> None:
        """Its answer is not awaited any more. A connection that still waits for it cannot be used again."""
        if exchange.connection is not None:
            exchange.connection.fail("the request was cancelled")
        elif exchange in self._waiting:
            self._waiting.remove(exchange)
        else:
            exchange.cancelled = True

    def _take(self) -> _Connection | None:
        while self._free > 0 and self._idle:
            connection = self._idle.pop()
            if connection.alive:
                return connection
        return None

    def _connect_for(self, exchange: _Exchange) -> None:
        task = asyncio.get_running_loop().create_task(self._connect_and_write(exchange))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect_and_write(self, exchange: _Exchange) -> None:
        try:
            connection = await self._connect()
        except NoAnswer as error:
            self._free += 1
            exchange.done(error)
            if self._waiting:
                self._free -= 1
                self._connect_for(self._waiting.popleft())
            return
        if exchange.cancelled:
            self._next_on(connection)
        else:
            self._write(connection, exchange)

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            connecting = loop.create_connection(
                lambda: _Connection(self), self.host, self.port, local_addr=self.local_addr
            )
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await connecting
        except OSError as error:
            raise NoAnswer(f"{self._host} cannot be connected to: {str(error) or type(error).__name__}") from error
        return connection
