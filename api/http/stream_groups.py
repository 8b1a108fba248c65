"""Live streams that show the same: one task serves a group of them and writes to each connection at once.

A thousand streams with a task each would wake a thousand tasks for one change. A group wakes one task for GROUP_MAX.

Guarantee: no stream waits for another's client. A client that has not read what came before is left out, without a
queue, and gets the state of a later look.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Generic, NamedTuple, TypeVar

from sanic import Request

from api.fairness.limits import HEARTBEAT_S
from api.http.http1 import EdgeHttp
from api.http.streaming import HEARTBEAT, TICK_S, StreamPace
from connectors.cancellation import cancel_all

GROUP_MAX = 32  # their writing takes a millisecond or less, in which the rest of the process waits
REST_S_MAX = 1.0  # between two looks: until a group notices that a stream has to end


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


class Looked(NamedTuple):
    """The position of the state that a look found, and the seconds until there may be a newer one."""

    position: int
    due_s: float


class LiveFeed(ABC, Generic[S]):
    """What the streams of one key get: the state, and then its changes."""

    @abstractmethod
    async def look(self, streams: Iterable[S]) -> Looked | None:
        """Send each stream what it lacks of the newest state. None if there is no state, or if a stream could not take
        it."""

    @abstractmethod
    async def changed(self, position: int, patience_s: float) -> bool:
        """Whether the state changes after `position` within `patience_s` seconds."""

    def patience_s(self, changed: bool) -> float:
        """How long to wait for a change; `changed` if the last wait has brought one."""
        del changed
        return HEARTBEAT_S

    async def begin(self, stream: S) -> None:
        """Send a stream the state. A group may have rested for long when the stream joins it."""
        pace = StreamPace()
        while stream.is_open():
            if await self.look([stream]) is not None:
                return
            await asyncio.sleep(pace.rest_s(monotonic()))

    async def serve(self, group: StreamGroup[S]) -> None:
        """Send a group the changes, and heartbeats, while it goes on."""
        pace, changed, heard_at = StreamPace(), True, monotonic()
        while group.goes_on():
            looked = await self.look(group.streams)
            due_s = 0.0 if looked is None else min(looked.due_s, REST_S_MAX)
            await asyncio.sleep(pace.rest_until_s(due_s) if due_s > TICK_S else pace.rest_s(monotonic()))
            if looked is None:
                quiet = monotonic() - heard_at >= HEARTBEAT_S
            else:  # a state that was read for another group earlier may lack a change that is known already
                changed = await self.changed(looked.position, self.patience_s(changed))
                quiet, heard_at = not changed, monotonic()
            if quiet:  # also without a state: a stream that hears nothing for long is ended
                group.send(HEARTBEAT_CHUNK)
                heard_at = monotonic()


class StreamGroups(Generic[S]):
    """The groups of live streams in this process, by what they show."""

    def __init__(self) -> None:
        self._groups: dict[Hashable, dict[StreamGroup[S], asyncio.Task[None]]] = {}

    async def serve(self, key: Hashable, stream: S, feed: LiveFeed[S]) -> None:
        """Serve a stream with those of the same key, until it has to end. Feeds of one key are alike."""
        with self._joined(key, stream, feed):
            await feed.begin(stream)
            await stream.ended

    @contextmanager
    def _joined(self, key: Hashable, stream: S, feed: LiveFeed[S]) -> Iterator[None]:
        groups = self._groups.setdefault(key, {})
        group = next((one for one in groups if len(one.streams) < GROUP_MAX), None)
        if group is None:
            group = StreamGroup()
            groups[group] = asyncio.create_task(self._run(key, group, feed))
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

    async def _run(self, key: Hashable, group: StreamGroup[S], feed: LiveFeed[S]) -> None:
        try:
            await feed.serve(group)
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


HEARTBEAT_CHUNK = chunk(HEARTBEAT)
