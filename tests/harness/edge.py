"""The edge alone: our protocol and our errors on a free port of this process, with a few routes and limits.

Requests are bytes and answers are bytes: no library corrects a request or refuses to send it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import uvloop
from sanic import HTTPResponse, Request
from sanic.response import json as answer

from api.app import EdgeApp, ProblemHandler
from api.http.descriptors import affordable
from api.http.hot_route import HotPath, HotRoutes
from api.http.protocol import EdgeLimits, EdgeProtocol

PATIENCE_S = 10.0
HEADERS = {"REQUEST_MAX_SIZE": 64 * 1024, "REQUEST_MAX_HEADER_SIZE": 8 * 1024}


class Edge:
    """A running edge, and the target of every request that reached a handler."""

    def __init__(self, port: int, app: EdgeApp, server: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.port, self.app, self.done = port, app, list[str]()
        self.server, self.loop = server, loop

    def connect(self, *, source: str = "", **options: int) -> socket.socket:
        """A connection, from the address `source` if it is given. A small `rcvbuf` makes a slow reader."""
        connection = socket.socket()
        connection.settimeout(PATIENCE_S)
        if "rcvbuf" in options:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["rcvbuf"])
        if source:
            connection.bind((source, 0))
        connection.connect(("127.0.0.1", self.port))
        return connection

    def send(self, data: bytes) -> bytes:
        """Send bytes; returns everything until the server ends the connection."""
        with self.connect() as connection:
            connection.sendall(data)
            return everything(connection)


def everything(connection: socket.socket) -> bytes:
    """All bytes until the other side ends the connection."""
    found = b""
    while chunk := connection.recv(65_536):
        found += chunk
    return found


def one_answer(connection: socket.socket) -> bytes:
    """The bytes of one answer that has a body with a length. What comes after it is not read."""
    found = b""
    while not (end := found.find(b"\r\n\r\n")) > 0 or len(found) < end + 4 + _length(found[:end]):
        chunk = connection.recv(65_536)
        assert chunk, f"the connection ended within an answer: {found!r}"
        found += chunk
    return found


def _length(head: bytes) -> int:
    (length,) = (line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return int(length)


def statuses(answers: bytes) -> list[int]:
    """The statuses of the answers in these bytes, in order. Each body has a length, or there is none."""
    found = []
    while answers:
        head, _, rest = answers.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        found.append(int(lines[0].split(b" ")[1]))
        headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
        answers = rest[int(headers.get(b"content-length", b"0")) :]
    return found


def document(answers: bytes) -> dict[str, Any]:
    """The body of the last answer."""
    found: dict[str, Any] = json.loads(answers.rpartition(b"\r\n\r\n")[2])
    return found


@contextmanager
def edge(*, hot: bool = True, **limits: Any) -> Iterator[Edge]:
    """A running edge. `limits` are fields of EdgeLimits. Without `hot` the hot routes take Sanic's way, too."""
    app = EdgeApp(f"edge-{uuid4().hex}", configure_logging=False, error_handler=ProblemHandler())
    app.config.update(HEADERS | {"ACCESS_LOG": False, "MOTD": False, "AUTO_EXTEND": False, "TOUCHUP": False})
    app.ctx.edge = EdgeLimits(**limits)
    loop, started, running = uvloop.new_event_loop(), threading.Event(), list[Edge]()

    async def serve() -> Any:
        _routes(app, lambda target: running[0].done.append(target))
        hot_paths = _hot_routes(app, lambda target: running[0].done.append(target))
        app.ctx.hot = HotRoutes(hot_paths if hot else ())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server: Any = await app.create_server(
            host="127.0.0.1",
            port=port,
            return_asyncio_server=True,
            protocol=EdgeProtocol,
            backlog=app.ctx.edge.accept_queue_max,
        )
        await server.startup()
        await server.start_serving()
        running.append(Edge(port, app, server, loop))
        started.set()
        return server

    def run() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(serve())
        loop.run_forever()
        server.close()
        loop.run_until_complete(server.wait_closed())
        for connection in list(server.connections):
            connection.abort()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(PATIENCE_S)
        yield running[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        EdgeApp._app_registry.pop(app.name, None)


def _routes(app: EdgeApp, note: Any) -> None:
    async def echo(request: Request) -> HTTPResponse:
        note(request.url.removeprefix(f"http://{request.host}"))
        return answer({"method": request.method, "body": request.body.decode("latin-1")})

    async def large(request: Request, size: int) -> HTTPResponse:
        note(request.path)
        return HTTPResponse(b"x" * size, content_type="text/plain")

    async def stream(request: Request) -> None:
        note(request.path)
        response = await request.respond(content_type="text/event-stream")
        while request.method != "HEAD":
            await response.send("data: " + "x" * 10_000 + "\n\n")
            await asyncio.sleep(0)
        await response.send(": hello\n\n")
        await response.eof()

    async def hangs(request: Request) -> HTTPResponse:
        note(request.path)
        await asyncio.Event().wait()
        raise AssertionError

    app.add_route(echo, "/echo", methods=["GET", "HEAD", "POST"], name="echo")
    app.add_route(large, "/large/<size:int>", methods=["GET", "HEAD"], name="large")
    app.add_route(stream, "/stream", methods=["GET", "HEAD"], name="stream")
    app.add_route(hangs, "/hangs", methods=["GET"], name="hangs")


def _hot_routes(app: EdgeApp, note: Any) -> list[HotPath]:
    """Routes that can be hot, and are Sanic's routes too."""

    async def echo(request: Request, thing_id: str) -> HTTPResponse:
        note(thing_id)
        body = {"method": request.method, "body": request.body.decode("latin-1"), "ip": request.ip}
        return answer(body, headers={"x-thing": thing_id})

    async def empty(request: Request, thing_id: str) -> HTTPResponse:
        note(thing_id)
        return HTTPResponse(status=204)

    async def split(request: Request, thing_id: str) -> HTTPResponse:
        note(thing_id)
        return answer({}, headers={"x-thing": request.headers["x-thing"] + "\r\nx-forged: yes"})

    async def fails(request: Request, thing_id: str) -> HTTPResponse:
        note(thing_id)
        raise KeyError(thing_id)

    async def asks(request: Request, thing_id: str) -> HTTPResponse:
        """Reads parts of a request that the slim way does not fill in."""
        note(thing_id)
        return answer(
            {"path": request.path, "args": request.args, "cookies": dict(request.cookies), "url": request.url}
        )

    async def hangs(request: Request, thing_id: str) -> HTTPResponse:
        note(thing_id)
        await asyncio.Event().wait()
        raise AssertionError

    async def stubborn(request: Request, thing_id: str) -> HTTPResponse:
        note(thing_id)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise KeyError(thing_id) from None
        raise AssertionError

    async def large(request: Request, thing_id: str) -> HTTPResponse:
        note(thing_id)
        return HTTPResponse(b"x" * 4_000_000, content_type="text/plain")

    found = []
    for handler in (echo, empty, split, fails, asks, hangs, stubborn, large):
        path = f"/hot/<thing_id>/{handler.__name__}"
        app.add_route(handler, path, methods=["POST"], name=f"hot_{handler.__name__}")
        found.append(HotPath("POST", path, handler))
    return found


if __name__ == "__main__":  # a process of its own, with as many descriptors as its limit allows, until its input ends
    with edge(**asdict(affordable())) as alone:
        print(alone.port, flush=True)
        sys.stdin.read()
