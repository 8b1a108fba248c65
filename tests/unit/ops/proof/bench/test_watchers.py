"""The watchers bench counts a stream once it has the state, and misses the streams that never get it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from connectors.errors import CircleError
from ops.proof.bench.watchers import Audience, available_of
from ops.proof.load.http_client import HttpClient


def message(available: int) -> bytes:
    return b'id: 0-1\nevent: availability\ndata: {"items":[{"available":%d}]}\n\n' % available


@asynccontextmanager
async def audience(first: list[bytes]) -> AsyncIterator[tuple[Audience, list[asyncio.StreamWriter]]]:
    """A server whose stream n begins with `first[n]`, and an audience of all of them."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first[len(writers)])
        writers.append(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        streams = Audience(HttpClient(f"http://127.0.0.1:{port}"), "event")
        try:
            yield streams, writers
        finally:
            await streams.close()
            for writer in writers:
                writer.close()


OPEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


async def test_a_change_is_seen_when_every_stream_has_it() -> None:
    async with audience([OPEN + message(5)] * 2) as (streams, writers):
        await streams.join(0, "ada")
        await streams.join(1, "bob")
        assert len(await streams.sees(5, 5)) == 2
        waiting = asyncio.create_task(streams.sees(4, 5))
        writers[0].write(message(4))
        while streams.available.get(0) != 4:
            await asyncio.sleep(0)
        assert not waiting.done()
        writers[0].write(message(4))  # once more: it still is one stream
        writers[0].write(message(4))
        writers[1].write(message(4))
        assert len(await waiting) == 2


async def test_a_stream_that_skips_a_change_is_missing() -> None:
    async with audience([OPEN + message(5), OPEN + message(4)]) as (streams, _):
        await streams.join(0, "ada")
        await streams.join(1, "bob")
        assert len(await streams.sees(5, 0.2)) == 1


async def test_a_refused_stream_ends_the_bench() -> None:
    async with audience([b"HTTP/1.1 503 Service Unavailable\r\n\r\n"]) as (streams, _):
        with pytest.raises(CircleError, match=r"the stream 1 is refused: HTTP/1\.1 503"):
            await streams.join(0, "ada")


def test_other_messages_are_no_availability() -> None:
    assert available_of(message(7).splitlines()[2]) == 7
    assert available_of(b'data: {"items":[]}') is None
    assert available_of(b'data: {"scanned":1}') is None
