"""A proxy of connections as a process of its own: each goes to the next backend that accepts it, in turn.

`python -m tests.harness.tcp_proxy HOST:PORT BACKEND…` with a backend as HOST:PORT. A backend that did not accept a
connection in time is left out for a while. From SIGUSR1 to SIGUSR2 all that passes arrives DELAY_S later, each way; a
connection carries as much as before.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

ACCEPT_S_MAX = 1.0
LEFT_OUT_S = 2.0
CHUNK = 65_536
DELAY_S = 0.4
ON_THE_WAY_MAX = 256  # chunks of one connection and direction; then the sender waits


class Delay:
    """How long what passes is on its way, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def set(self, seconds: float) -> None:
        self.seconds = seconds


class Backends:
    """The addresses, and until when each of them is left out."""

    def __init__(self, addresses: list[tuple[str, int]]) -> None:
        self._left_out = dict.fromkeys(addresses, 0.0)
        self._turn = 0

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the next backend that accepts one; None when none does."""
        self._turn += 1
        addresses = list(self._left_out)
        start = self._turn % len(addresses)
        in_turn = addresses[start:] + addresses[:start]
        for address in sorted(in_turn, key=lambda one: self._left_out[one] > time.monotonic()):  # the others last
            try:
                async with asyncio.timeout(ACCEPT_S_MAX):
                    return await asyncio.open_connection(*address)
            except OSError:  # also TimeoutError
                self._left_out[address] = time.monotonic() + LEFT_OUT_S
        return None


async def serve(host: str, port: int, backends: Backends) -> None:
    """Passes connections on until the process ends."""
    delay = Delay()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, delay.set, DELAY_S)
    loop.add_signal_handler(signal.SIGUSR2, delay.set, 0.0)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await backends.connect()
        if there is None:
            writer.transport.abort()
            return
        upward = asyncio.create_task(_pump(reader, there[1], delay))
        downward = asyncio.create_task(_pump(there[0], writer, delay))
        await asyncio.wait((upward, downward), return_when=asyncio.FIRST_COMPLETED)
        for task in (upward, downward):
            task.cancel()
        for one in (writer, there[1]):
            one.close()  # sends what is left

    server = await asyncio.start_server(connected, host, port, backlog=512)
    await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: Delay) -> None:
    """Passes bytes on in their order, each when its delay is over, until there are no more."""
    clock = asyncio.get_running_loop().time
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(ON_THE_WAY_MAX)

    async def deliver() -> None:
        while True:
            due, data = await on_the_way.get()
            if not data:
                return
            if due > clock():
                await asyncio.sleep(due - clock())
            writer.write(data)
            await writer.drain()

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(deliver())
            data = b"more"
            while data:
                data = await reader.read(CHUNK)
                await on_the_way.put((clock() + delay.seconds, data))
    except* OSError:  # one end is gone
        pass


def address_of(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    listens, *others = map(address_of, sys.argv[1:])
    asyncio.run(serve(*listens, Backends(others)))
