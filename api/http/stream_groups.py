"""Live streams that show the same: one task serves a group of them and writes to each connection at once.

A thousand streams with a task each would wake a thousand tasks for one change. A group wakes one task for GROUP_MAX.

Guarantee: no stream waits for another's client. A client that has not read what came before is left out, without a
queue, and gets the state of a later look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from sanic import Request

from api.http.http1 import EdgeHttp
from connectors.cancellation import cancel_all

GROUP_MAX = 32  # their writing takes a millisecond or less, in which the rest of the process waits


class LiveStream:
    """The stream of one client. `ended` is done when the stream has to end, with its group's error if it has one."""

    def __init__(self, request: Request, is_open: Callable[[], bool]) -> None:
        """The answer of `request` has begun, in chunks. `is_open` says whether the stream may continue."""
        stream = request.stream
        assert isinstance(stream, EdgeHttp)
        self._connection, self.is_open = stream.protocol, is_open
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(self, chunk: bytes) -> bool:
        """Write a chunk; False if the client has not read what came before, and nothing was written."""
        return self._connection.send_now(chunk)


S = TypeVar("S", bound=LiveStream)


class StreamGroup(Generic[S]):
    """Streams that one task serves."""

    def __init__(self) -> None:
        self.streams: list[S] = []

    def goes_on(self) -> bool:
        """Whether a stream is left. Those that may not continue are ended here."""
        left = False
        for stream in self.streams:
            if stream.is_open():
                left = True
            elif not stream.ended.done():
                stream.ended.set_result(None)
        return left

    def send(self, chunk: bytes) -> None:
        """Write a chunk to each stream that can take it."""
        for stream in self.streams:
            stream.send(chunk)


class StreamGroups(Generic[S]):
    """The groups of live streams in this process, by what they show."""

    def __init__(self) -> None:
        self._groups: dict[Hashable, dict[StreamGroup[S], asyncio.Task[None]]] = {}

    @contextmanager
    def joined(self, key: Hashable, stream: S, serve: Callable[[StreamGroup[S]], Awaitable[None]]) -> Iterator[None]:
        """Let a stream be served with those of the same key. `serve` serves a new group until it does not go on."""
        groups = self._groups.setdefault(key, {})
        group = next((one for one in groups if len(one.streams) < GROUP_MAX), None)
        if group is None:
            group = StreamGroup()
            groups[group] = asyncio.create_task(self._serve(key, group, serve))
        group.streams.append(stream)
        try:
            yield
        finally:
            group.streams.remove(stream)
            if not group.streams and (task := self._forget(key, group)) is not None:
                task.cancel()

    async def close(self, within_s: float) -> None:
        """End the tasks of all groups."""
        tasks = [task for groups in self._groups.values() for task in groups.values()]
        if tasks:
            await cancel_all(tasks, within_s)

    async def _serve(
        self, key: Hashable, group: StreamGroup[S], serve: Callable[[StreamGroup[S]], Awaitable[None]]
    ) -> None:
        try:
            await serve(group)
        except Exception as error:  # noqa: BLE001 - the handler of each stream raises it
            for stream in group.streams:
                if not stream.ended.done():
                    stream.ended.set_exception(error)
        finally:
            self._forget(key, group)

    def _forget(self, key: Hashable, group: StreamGroup[S]) -> asyncio.Task[None] | None:
        """No further stream joins the group. Its task, if it was known."""
        groups = self._groups.get(key, {})
        task = groups.pop(group, None)
        if not groups:
            self._groups.pop(key, None)
        return task


def chunk(text: str) -> bytes:
    """A text as one chunk of an answer that is written in chunks."""
    data = text.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)
