"""CPU of the API's edge without network and handlers: `python -m ops.proof.bench.edge`. To find out, not to promise.

Connections whose transport is in memory get the same reservation requests, in turns by the slim way of hot routes and
by Sanic's way, as an application with the production's routes serves them. The handler only gives back an answer. So
the figures are what a request costs from its bytes to the bytes of its answer, apart from the handler and the kernel.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any
from uuid import uuid4

import uvloop
from sanic import HTTPResponse, Request

from api.app import EdgeApp, ProblemHandler
from api.fairness import limits
from api.http.hot_route import HotPath, HotRoutes
from api.http.protocol import EdgeProtocol
from api.routes.table import ROUTES
from ops.output import emit_table
from ops.run.services.process import free_port
from schemas.ids import US_PER_S

CONNECTIONS = 50
ROUNDS = 200
WARM_UP_ROUNDS = 20
TOKEN = "t" * 360  # as long as an access token
BODY = b'{"id":"%s","status":"held"}' % str(uuid4()).encode()
HOT = next(route for route in ROUTES if route.hot)


class EdgeAnswers:
    """Counts the answers of a round."""

    def __init__(self) -> None:
        self.missing = 0
        self.complete = asyncio.Event()

    def expect(self, count: int) -> None:
        """A round begins."""
        self.missing = count
        self.complete.clear()

    def came(self) -> None:
        """One more answer."""
        self.missing -= 1
        if not self.missing:
            self.complete.set()


class MemoryTransport:
    """A transport that keeps the last answer."""

    def __init__(self, answers: EdgeAnswers) -> None:
        self._answers = answers
        self._closing = False
        self.last = b""

    def write(self, data: bytes) -> None:
        """Take an answer."""
        self.last = data
        self._answers.came()

    def close(self) -> None:
        """Nothing is left to be sent."""
        self._closing = True

    abort = close

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._closing

    def get_write_buffer_size(self) -> int:
        """Everything is read at once."""
        return 0

    def set_write_buffer_limits(self, **_limits: int) -> None:
        """There is no buffer."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        """The addresses of both ends."""
        return {"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 80)}.get(name, default)


class Connection:
    """One connection, by one of the ways."""

    def __init__(self, app: EdgeApp, answers: EdgeAnswers, *, hot: bool) -> None:
        self.transport = MemoryTransport(answers)
        self.protocol = EdgeProtocol(loop=asyncio.get_running_loop(), app=app, connections=set(), hot=hot)
        self.protocol.connection_made(self.transport)

    def end(self) -> None:
        """End the connection's task."""
        self.protocol.connection_lost(None)


async def _handle(request: Request, **path: str) -> HTTPResponse:
    assert request.body
    location = {"location": f"/v1/reservations/{path['event_id']}"}
    return HTTPResponse(BODY, 201, location, content_type="application/json")


async def measured() -> dict[str, list[float]]:
    """CPU microseconds a request, for each way and round."""
    app = EdgeApp("bench-edge", configure_logging=False, error_handler=ProblemHandler())
    app.config.update(REQUEST_MAX_HEADER_SIZE=limits.HEADER_BYTES_MAX, ACCESS_LOG=False, MOTD=False, AUTO_EXTEND=False)
    for number, route in enumerate(ROUTES):
        app.add_route(_handle, route.path, methods=[route.method], name=f"route_{number}")
    app.ctx.hot = HotRoutes([HotPath(HOT.method, HOT.path, _handle)])
    server: Any = await app.create_server(port=free_port(), return_asyncio_server=True, protocol=EdgeProtocol)
    await server.startup()
    answers = EdgeAnswers()
    ways = {
        "slim": [Connection(app, answers, hot=True) for _ in range(CONNECTIONS)],
        "Sanic's": [Connection(app, answers, hot=False) for _ in range(CONNECTIONS)],
    }
    await asyncio.sleep(0)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(WARM_UP_ROUNDS + ROUNDS):
        for name, connections in ways.items():
            cpu_s = await _round(connections, answers)
            if number >= WARM_UP_ROUNDS:
                found[name].append(cpu_s * US_PER_S / CONNECTIONS)
    assert all(b" 201 " in one.transport.last for connections in ways.values() for one in connections)
    for one in (connection for connections in ways.values() for connection in connections):
        one.end()
    server.close()
    await server.wait_closed()
    return found


async def _round(connections: list[Connection], answers: EdgeAnswers) -> float:
    """CPU seconds for a request on each connection."""
    requests = [_request() for _ in connections]
    answers.expect(len(connections))
    begun = time.process_time()
    for connection, request in zip(connections, requests, strict=True):
        connection.protocol.data_received(request)
    await answers.complete.wait()
    return time.process_time() - begun


def _request() -> bytes:
    """A reservation of another event each time: a path that no cache knows."""
    body = b'{"ticket_type_id":"%s","quantity":2}' % str(uuid4()).encode()
    path = HOT.path.replace("<event_id>", str(uuid4()))
    head = (
        f"{HOT.method} {path} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Idempotency-Key: {uuid4()}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Prefer: wait=10\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Measure both ways and print them."""
    found = uvloop.run(measured())
    rows = [(name, f"{min(us):.1f}", f"{statistics.median(us):.1f}") for name, us in found.items()]
    emit_table(("way", "lowest, µs a request", "median"), rows)


if __name__ == "__main__":
    main()
