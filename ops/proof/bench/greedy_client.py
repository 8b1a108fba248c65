"""One greedy client, as a process of its own. It asks for one thing as often as it can, with as many requests at once.

`python -m ops.proof.bench.greedy_client KIND URL TOKEN EVENT TICKET RESERVATION` until it reads a line; then it prints,
as JSON, how often it got each status ("none" without an answer).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from uuid import uuid4

import msgspec

from connectors.errors import CircleError
from ops.proof.load.http_client import HttpClient
from ops.proof.load.organizer import PASSWORD

STREAMS = 300
ADDRESS = "127.0.0.2"  # of its own, if the platform is on this machine
LOWEST_PRIORITY = 19
PAUSE_S = 0.05  # after a refusal: without it the client would measure itself


class Greedy(NamedTuple):
    """Its account and its ticket."""

    client: HttpClient
    token: str
    event: str
    ticket: str
    reservation: str


async def watch(greedy: Greedy) -> int:
    """Opens a stream and keeps it until the server ends it."""
    reader, writer = await asyncio.open_connection(
        greedy.client.host, greedy.client.port, local_addr=greedy.client.local_addr
    )
    path = f"/v1/events/{greedy.event}/stream"
    head = f"GET {path} HTTP/1.1\r\nHost: {greedy.client.host}\r\nAuthorization: Bearer {greedy.token}\r\n\r\n"
    try:
        writer.write(head.encode())
        status = int((await reader.readline()).split(b" ")[1])
        while status == 200 and await reader.read(65_536):
            pass
    finally:
        writer.close()
    return status


async def read(greedy: Greedy) -> int:
    """A search in PostgreSQL."""
    return (await greedy.client.request("GET", f"/v1/events?q={uuid4().hex[:4]}", token=greedy.token)).status


async def seats(greedy: Greedy) -> int:
    """The whole seat map."""
    return (await greedy.client.request("GET", f"/v1/events/{greedy.event}/seats", token=greedy.token)).status


async def draw(greedy: Greedy) -> int:
    """A ticket's page."""
    return (await greedy.client.request("GET", f"/v1/tickets/{greedy.ticket}/ticket.pdf", token=greedy.token)).status


async def explain(greedy: Greedy) -> int:
    """An answer from the log."""
    path = f"/v1/reservations/{greedy.reservation}/explanation"
    return (await greedy.client.request("GET", path, token=greedy.token)).status


async def register(greedy: Greedy) -> int:
    """A new account."""
    account = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD, "name": "Eve"}
    return (await greedy.client.request("POST", "/v1/auth/register", body=account)).status


async def hold(greedy: Greedy) -> int:
    """A hold on an event that does not exist."""
    path, body = f"/v1/events/{uuid4()}/reservations", {"ticket_type_id": str(uuid4()), "quantity": 1}
    return (await greedy.client.request("POST", path, token=greedy.token, key=uuid4().hex, body=body)).status


KINDS: dict[str, tuple[int, Callable[[Greedy], Awaitable[int]]]] = {
    "streams": (STREAMS, watch),
    "reads": (64, read),
    "seats": (16, seats),
    "drawing": (80, draw),
    "history": (32, explain),
    "registrations": (64, register),
    "unknown-events": (32, hold),
}
"""By kind: how many requests at once, and the request."""


async def _run(kind: str, greedy: Greedy, over: asyncio.Event) -> Counter[str]:
    at_once, ask = KINDS[kind]
    statuses: Counter[str] = Counter()

    async def again() -> None:
        while not over.is_set():
            try:
                status = await ask(greedy)
            except (CircleError, OSError, IndexError, ValueError):
                statuses["none"] += 1
                await asyncio.sleep(PAUSE_S)
                continue
            statuses[str(status)] += 1
            if status >= 400:
                await asyncio.sleep(PAUSE_S)

    tasks = [asyncio.create_task(again()) for _ in range(at_once)]
    await over.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return statuses


async def _main(kind: str, url: str, *rest: str) -> None:
    os.nice(LOWEST_PRIORITY)
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    statuses = await _run(kind, Greedy(HttpClient(url, connections_max=KINDS[kind][0], source=ADDRESS), *rest), over)
    print(msgspec.json.encode(statuses).decode())


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
