"""Sanic's HTTP/1.1 protocol with a request parser and timeouts of our own. It is written for Sanic 25.12;
`tests/integration/api/http/test_protocol.py` fails if another version differs.

Replaced parts, with reasons:

- `Http.http1_request_header` and `read`: Sanic accepts `Content-Length :`, bare line feeds, NUL and two Hosts. Here
`api.http.framing` reads head, chunks and trailers. It answers anything else with 400 and ends the connection.
- `HttpProtocol.check_timeouts`: Sanic restarts its clock with each byte. Here the limits are totals (`EdgeLimits`).
- `HttpProtocol.connection_task`, `Http.error_response`: a disconnected client is logged for debugging, not as an error.
- `Http.head_response_ignored`: Sanic's cannot be awaited, so a HEAD request for a stream failed.
- `HttpProtocol.data_received`, `receive_more`: a future instead of an event, and reading resumes only if it was paused.
- `HttpProtocol.connection_made`: a connection gets a 503 if the process cannot serve it, or if its network's share is
used up.
- The connection lingers after it has answered a request that it has not read to its end. Otherwise the client's last
bytes make the kernel reset the connection, and the reset can overtake the answer.
- `HttpProtocol.request_handler`: a request of a hot route is answered by `EdgeHttp.answer_hot`, without Sanic's router
and response (`api.http.hot_route`). It keeps Sanic's stages, so time limits and shutdown are the same.

Everything else is Sanic's: routing, requests, responses, streams, shutdown.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
from sanic.exceptions import RequestCancelled, RequestTimeout, ServiceUnavailable
from sanic.http import Stage
from sanic.models.server_types import ConnInfo
from sanic.server.protocols.http_protocol import HttpProtocol

from api.fairness import limits
from api.fairness.owner import Who
from api.fairness.shares import FairShare, Full, Line
from api.fairness.waiting_turns import Turn
from api.http.client_address import parse
from api.http.cors import Cors
from api.http.headers import http_date
from api.http.hot_route import HotRoutes
from api.http.http1 import EdgeHttp, answer
from api.http.problem import CONTENT_TYPE, busy
from api.metrics import METRICS
from connectors import logs

EVERYBODY = Who("", ())  # counts in the total, in no network's share
CLOCK_S = 0.001  # the loop's timers have whole milliseconds

log = logs.get("api.http")


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeLimits:
    """The limits of a connection, in seconds and bytes, as totals. api.fairness.limits gives the reason for each."""

    head_s: float = limits.HEAD_TIMEOUT_S
    request_s: float = limits.REQUEST_TIMEOUT_S
    response_s: float = limits.RESPONSE_TIMEOUT_S
    keep_alive_s: float = limits.KEEP_ALIVE_S
    send_grace_s: float = limits.SEND_GRACE_S
    read_bytes_per_s: float = limits.READ_BYTES_PER_S
    linger_s: float = limits.LINGER_S
    connections_max: int = limits.CONNECTIONS_MAX
    of_network_max: int = limits.CONNECTIONS_OF_NETWORK_MAX
    refused_max: int = limits.CONNECTIONS_REFUSED_MAX
    accept_queue_max: int = limits.ACCEPT_QUEUE_MAX

    @property
    def tick_s(self) -> float:
        """How late a limit may take effect, in seconds."""
        return min(self.head_s, self.request_s, self.response_s, self.keep_alive_s, self.send_grace_s) / 4


class EdgeProtocol(HttpProtocol):
    """One connection, within `EdgeLimits` (`app.ctx.edge`, or the defaults)."""

    HTTP_CLASS = EdgeHttp

    __slots__ = (
        "_answered_at",
        "_answered_bytes",
        "_begun_at",
        "_discards",
        "_drains_by",
        "_gone",
        "_idle_at",
        "_limits",
        "_more",
        "_paused",
        "_received_at",
        "_refused",
        "_streams",
        "_turn",
        "_written_at",
        "cors",
        "hot",
        "operator",
    )

    def __init__(self, *, operator: bool = False, hot: bool = True, **options: Any) -> None:
        """`hot` False: every request takes Sanic's way. Only for tests, which compare both ways."""
        super().__init__(**options)
        self.operator = operator
        self.hot: HotRoutes | None = getattr(self.app.ctx, "hot", None) if hot else None
        self.request_handler = answer
        self.cors: Cors | None = getattr(self.app.ctx, "cors", None)
        self._limits: EdgeLimits = getattr(self.app.ctx, "edge", None) or EdgeLimits()
        self._begun_at = self._received_at = self._answered_at = self._written_at = 0.0
        self._drains_by: float | None = None
        self._answered_bytes = 0
        self._streams = self._discards = self._refused = False
        self._paused = False
        self._more: asyncio.Future[None] | None = None
        self._gone = asyncio.Event()
        self._turn: Turn | None = None
        self._idle_at = self.loop.time()

    # --- EdgeHttp reports here

    def begins(self) -> None:
        """The first byte of a request has arrived."""
        self._begun_at, self._received_at = self.loop.time(), 0.0
        self._streams = False

    def has_arrived(self) -> None:
        """The last byte of a request has arrived."""
        self._received_at = self.loop.time()

    def answers(self, *, streams: bool) -> None:
        """An answer begins."""
        self._answered_at, self._answered_bytes, self._streams = self.loop.time(), 0, streams

    def is_gone(self) -> bool:
        """Whether the client has disconnected."""
        return self.transport is None or self.transport.is_closing() or bool(self.conn_info and self.conn_info.lost)

    # --- the connection's life

    async def connection_task(self) -> None:
        """Requests and answers, one after another, until either side ends the connection."""
        try:
            self._setup_connection()  # type: ignore[no-untyped-call]
            await self._http.http1()
            if not self._received_at and self._begun_at and not self.is_gone():
                await self._linger()
        except (CancelledError, RequestCancelled):
            log.debug("connection.cut")
        except Exception as error:
            log.exception("connection.failed", error)
        finally:
            self._http = None
            self._task = None
            self.close()

    async def _linger(self) -> None:
        """Read and discard until the client has read the answer and disconnects, for LINGER_S at most."""
        assert self.transport is not None
        self._discards = True
        self.recv_buffer.clear()
        self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.linger_s):
                await self._gone.wait()

    def connection_made(self, transport: Any) -> None:
        """Serve the connection, or refuse it with a 503 because there are too many."""
        line = self._line()
        try:
            self._turn = line.ask(self._who(transport))
        except Full as full:
            METRICS.share_refused(line.share.name, full.why)
        else:
            super().connection_made(transport)  # type: ignore[no-untyped-call]
            return
        self.connections.add(self)
        self.transport, self.conn_info, self._refused = transport, ConnInfo(transport, unix=self._unix), True
        at_once = len(self.connections) > line.running + self._limits.refused_max
        self._callback_check_timeouts = self.loop.call_later(0.0 if at_once else self._limits.linger_s, self._refuse)

    def _line(self) -> Line:
        """The open connections of this process. Those of operators are counted separately."""
        name, bounds = "operator_connections" if self.operator else "connections", self._limits
        line: Line | None = getattr(self.app.ctx, name, None)
        if line is None:
            line = Line(
                FairShare(name="connections", places=bounds.connections_max, user=0, network=bounds.of_network_max)
            )
            setattr(self.app.ctx, name, line)
        return line

    def _who(self, transport: Any) -> Who:
        """The connection's owner. A trusted proxy's connection carries all clients: no network's share counts it."""
        if self.operator or bool(getattr(self.app.ctx, "trusted_proxies", 0)):
            return EVERYBODY
        peer = transport.get_extra_info("peername")
        return Who("", parse(peer[0]).keys if isinstance(peer, tuple) else ())

    def _refuse(self) -> None:
        if self._refused and not self.is_gone() and self.transport is not None:
            self._refused = False
            log.debug("connection.refused", connections=len(self.connections))
            self.transport.write(_refusal())
            self.close()

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the task. A connection that is ending discards them."""
        if self._refused:
            self._refuse()  # its request is read, so no reset can overtake the answer
        elif not self._discards and self._task is not None:
            self.recv_buffer += data
            if len(self.recv_buffer) >= self.app.config.REQUEST_BUFFER_SIZE and self.transport is not None:
                self.transport.pause_reading()
                self._paused = True
            if self._more is not None and not self._more.done():
                self._more.set_result(None)

    async def receive_more(self) -> None:
        """Wait until more bytes are in `recv_buffer`. One waits at a time: the connection's task."""
        if self._paused and self.transport is not None:
            self.transport.resume_reading()
            self._paused = False
        self._more = self.loop.create_future()
        try:
            await self._more
        finally:
            self._more = None

    def connection_lost(self, exc: Exception | None) -> None:
        """End the task, if there is one."""
        self._gone.set()
        if self._turn is not None:
            self._line().leave(self._turn)
            self._turn = None
        super().connection_lost(exc)  # type: ignore[no-untyped-call]

    async def send(self, data: bytes) -> None:
        """Write, once the client has read the bytes before down to a few kilobytes."""
        await self._can_write.wait()
        if self.is_gone():
            raise RequestCancelled
        self._write(data)

    def send_now(self, data: bytes) -> bool:
        """Write, unless the client has not read the bytes before, or is gone: then False."""
        if not self._can_write.is_set() or self.is_gone():
            return False
        self._write(data)
        return True

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)
        self._written_at = self.loop.time()
        self._answered_bytes += len(data)

    def pause_writing(self) -> None:
        """The client reads more slowly than we write: from now on it has a time limit."""
        super().pause_writing()  # type: ignore[no-untyped-call]
        now, bound = self.loop.time(), self._limits
        # A stream has no size and is open for hours, so its limit counts from the moment when it began to lag.
        since = now if self._streams else max(self._answered_at, self._begun_at)
        waiting = max(self._answered_bytes, self._unread())
        self._drains_by = max(since + waiting / bound.read_bytes_per_s, now) + bound.send_grace_s

    def resume_writing(self) -> None:
        """The client has read enough."""
        super().resume_writing()  # type: ignore[no-untyped-call]
        self._drains_by = None

    def close(self, timeout: float | None = None) -> None:
        """Close when the client has read everything, within its time limit."""
        if timeout is None and (unread := self._unread()):
            timeout = self._limits.send_grace_s + unread / self._limits.read_bytes_per_s
        super().close(timeout)

    def check_timeouts(self) -> None:
        """End a connection that is past a limit. Otherwise check again at the next limit or tick, if that is sooner."""
        if self._task is None:
            return
        left, error = self._left(self.loop.time())
        if left > 0:
            wait = min(left, self._limits.tick_s) + CLOCK_S
            self._callback_check_timeouts = self.loop.call_later(wait, self.check_timeouts)
            return
        log.debug("connection.timeout", stage=self._http.stage.name, error=type(error).__name__)
        if self._drains_by is not None:
            self._give_up()  # the client does not read, so no answer can reach it
            return
        self._http.exception = error
        self._task.cancel()
        self._callback_check_timeouts = self.loop.call_later(self._limits.send_grace_s, self._give_up)

    def _give_up(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _left(self, now: float) -> tuple[float, Exception | None]:
        """Seconds until the connection's next limit, and the error that is answered at 0."""
        bound, stage = self._limits, self._http.stage
        if self._drains_by is not None:
            return self._drains_by - now, None
        if self._begun_at and not self._received_at:
            limit = bound.head_s if stage is Stage.REQUEST else bound.request_s
            return self._begun_at + limit - now, RequestTimeout("Request Timeout")
        if stage is Stage.IDLE:
            since = max(self._idle_at, self._written_at)
            return since + (bound.send_grace_s if self._unread() else bound.keep_alive_s) - now, None
        since = max(self._received_at, self._written_at if stage is Stage.RESPONSE else 0.0)
        return since + bound.response_s - now, ServiceUnavailable("Response Timeout")

    def _unread(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0


def _refusal() -> bytes:
    """A 503 for a refused connection, as bytes: it needs no object of Sanic's."""
    problem = busy("too many connections are open")
    body = msgspec.json.encode(problem.document())
    headers = {
        "content-type": CONTENT_TYPE,
        "content-length": str(len(body)),
        "date": http_date(),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "connection": "close",
        **problem.headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{head}\r\n".encode() + body
