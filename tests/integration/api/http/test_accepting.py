"""On a busy loop, all buyers who come at once are let in within a few turns, not one in each turn."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Coroutine
from math import ceil
from typing import Any, cast

import pytest
import uvloop

from api.fairness.limits import ACCEPTS_PER_TURN
from api.http.accepting import AcceptingPolicy
from ops.run.services.process import free_port

CAME = 300


class Greeter(asyncio.Protocol):
    """Greets each connection, and gives back what it says."""

    made = 0
    ended = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass
        Greeter.made += 1
        self.transport.write(b"hello")

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        Greeter.ended += 1


@pytest.fixture
def crowd() -> list[socket.socket]:
    """Connections that wait to be accepted, and before them the socket where they wait."""
    Greeter.made = Greeter.ended = 0
    listening = socket.create_server(("127.0.0.1", 0), backlog=CAME)
    return [listening, *(socket.create_connection(listening.getsockname(), 5) for _ in range(CAME))]


async def turns_until(made: int) -> int:
    """The turns of the loop until so many connections are made."""
    turns = 0
    while Greeter.made < made:
        assert turns < 100 * made, f"{Greeter.made} of {made} connections are made"
        await asyncio.sleep(0)
        turns += 1
    return turns


async def all_leave(clients: list[socket.socket]) -> None:
    for client in clients:
        client.close()
    async with asyncio.timeout(30):
        while Greeter.ended < Greeter.made:
            await asyncio.sleep(0)


def test_who_waits_is_let_in_within_a_few_turns_of_the_loop(crowd: list[socket.socket]) -> None:
    listening, *clients = crowd
    address = listening.getsockname()
    loop = AcceptingPolicy().new_event_loop()

    async def scenario() -> int:
        server = await loop.create_server(Greeter, sock=listening)
        turns = await turns_until(CAME)
        for client in clients:
            assert await asyncio.to_thread(client.recv, 5) == b"hello"
        clients[-1].sendall(b"more")
        assert await asyncio.to_thread(clients[-1].recv, 4) == b"more"
        server.close()
        await server.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 5)
        await all_leave(clients)
        return turns

    assert run(loop, scenario()) <= 10 * ceil(CAME / ACCEPTS_PER_TURN)


def test_uvloop_alone_lets_one_in_with_each_turn(crowd: list[socket.socket]) -> None:
    listening, *clients = crowd
    loop = uvloop.new_event_loop()

    async def scenario() -> int:
        server = await loop.create_server(Greeter, sock=listening)
        turns = await turns_until(CAME)
        server.close()
        await server.wait_closed()
        await all_leave(clients)
        return turns

    assert run(loop, scenario()) >= CAME, "uvloop accepts many by itself: the work-around can go"


SERVES = """
import sys
from sanic import text
from api.app import EdgeApp
from api.http import accepting

made = accepting._TakingAlong.__init__
def noted(self, *given):
    print("takes along", flush=True)
    made(self, *given)
accepting._TakingAlong.__init__ = noted

app = EdgeApp("small")
app.add_route(lambda request: text("hello"), "/")
app.after_server_start(lambda app: app.stop())
app.run("127.0.0.1", int(sys.argv[1]), single_process=True, access_log=False, motd=False)
"""


def test_sanic_makes_the_apis_server_on_such_a_loop_and_on_a_socket_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVES, str(free_port())], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.count("takes along") == 1, done.stderr


def run(loop: asyncio.AbstractEventLoop, scenario: Coroutine[Any, Any, int]) -> int:
    try:
        return loop.run_until_complete(scenario)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
