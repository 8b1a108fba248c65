"""A way to Redis on which its clock is wrong: answers to TIME are moved by `offset_s`. All else passes unchanged."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from ops.run.services.process import LOOPBACK

TIME = b"*1\r\n$4\r\nTIME\r\n"
BYTES_AT_ONCE = 65_536
STARTED_S = 10.0


class SkewedRedis:
    """Listens on loopback, in a thread of its own."""

    def __init__(self, url: str) -> None:
        self._target, self.offset_s = urlsplit(url), 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The address of this way, with the same login and database."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        login, at, _ = self._target.netloc.rpartition("@")
        return f"redis://{login}{at}{LOOPBACK}:{port}{self._target.path}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(STARTED_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(STARTED_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STARTED_S)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, LOOPBACK, 0))
        self._started.set()
        self._loop.run_forever()

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._target.hostname, self._target.port)
        asked_time = asyncio.Event()

        async def ask() -> None:
            while data := await reader.read(BYTES_AT_ONCE):
                if data == TIME:
                    asked_time.set()
                there[1].write(data)
                await there[1].drain()

        async def answer() -> None:
            while data := await there[0].read(BYTES_AT_ONCE):
                if asked_time.is_set():
                    asked_time.clear()
                    data = self._moved(data)
                writer.write(data)
                await writer.drain()

        try:
            done, rest = await asyncio.wait(
                [asyncio.create_task(ask()), asyncio.create_task(answer())], return_when=asyncio.FIRST_COMPLETED
            )
            for task in rest:
                task.cancel()
            await asyncio.gather(*done, *rest, return_exceptions=True)
        finally:
            writer.close()
            there[1].close()

    def _moved(self, answer: bytes) -> bytes:
        head, length, seconds, *micros = answer.split(b"\r\n")
        return b"\r\n".join([head, length, str(int(seconds) + self.offset_s).encode(), *micros])
