"""An event loop whose servers take waiting connections many at a time.

uvloop accepts one connection in each turn of its loop, as libuv does since 1.45. On a busy loop a turn takes up to a
tenth of a second. So of a thousand buyers who come at once, hundreds would wait until the load is over, while the
connected ones are answered. Here each accepted connection takes up to ACCEPTS_PER_TURN others along. A calm loop pays
one callback and one system call more for each connection.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvloop

from api.fairness.limits import ACCEPTS_PER_TURN


class AcceptingLoop(uvloop.Loop):
    """uvloop's loop; a server on a socket of the caller's takes waiting connections along."""

    async def create_server(  # type: ignore[override]  # the arguments are uvloop's
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        *args: Any,
        sock: socket.socket | None = None,
        **named: Any,
    ) -> asyncio.AbstractServer:
        """uvloop's server. The caller leaves `sock` to it, and closes the server."""
        factory = protocol_factory if sock is None else _TakingAlong(self, sock, protocol_factory).made
        server: asyncio.AbstractServer = await super().create_server(factory, *args, sock=sock, **named)
        return server


class AcceptingPolicy(uvloop.EventLoopPolicy):  # type: ignore[misc]  # uvloop's types leave it out
    """Makes these loops."""

    def _loop_factory(self) -> AcceptingLoop:
        return AcceptingLoop()


class _TakingAlong:
    """Makes the protocols of one listening socket, and accepts what waits there."""

    def __init__(self, loop: AcceptingLoop, listening: socket.socket, factory: Callable[[], asyncio.Protocol]) -> None:
        self._loop, self._listening, self._factory = loop, listening, factory
        self._due = False
        self._opening: set[asyncio.Task[Any]] = set()

    def made(self) -> asyncio.Protocol:
        """The protocol of a connection that uvloop has accepted. The waiting ones follow in this turn."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self._take)
        return self._factory()

    def _take(self) -> None:
        """Accept what waits. Any other error of the system goes to the loop, which logs it."""
        self._due = False
        for _ in range(ACCEPTS_PER_TURN):
            if self._listening.fileno() < 0:  # the server is closed
                return
            try:
                connection, _ = self._listening.accept()
            except BlockingIOError:  # nothing waits any more
                return
            except ConnectionAbortedError:  # the client has gone while it waited
                continue
            connection.setblocking(False)
            task = self._loop.create_task(self._loop.connect_accepted_socket(self._factory, connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
