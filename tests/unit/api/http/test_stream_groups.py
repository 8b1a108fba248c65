"""Streams that show the same are served in groups: as few tasks as groups, and each stream ends for itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from api.http import stream_groups
from api.http.stream_groups import (
    GROUP_MAX,
    HEARTBEAT_CHUNK,
    LiveFeed,
    LiveStream,
    Looked,
    StreamGroup,
    StreamGroups,
)
from connectors.cancellation import cancel_all


class KeptStream(LiveStream):
    """A stream that keeps what is written, and may be full."""

    def __init__(self, may_go_on: Callable[[], bool] = lambda: True) -> None:
        self.is_open, self.ended = may_go_on, asyncio.get_running_loop().create_future()
        self.written: list[bytes] = []
        self.wrote = asyncio.Event()
        self.is_full = False

    def send(self, chunk: bytes) -> bool:
        if not self.is_full:
            self.written.append(chunk)
            self.wrote.set()
        return not self.is_full


class News(LiveFeed[KeptStream]):
    """Writes a text to the streams of its groups with each `tell`."""

    def __init__(self) -> None:
        self.come, self.served, self.text = asyncio.Event(), list[StreamGroup[KeptStream]](), b""

    async def look(self, streams: Iterable[KeptStream]) -> Looked | None:
        del streams
        return Looked(0, 0.0)

    async def changed(self, position: int, patience_s: float) -> bool:
        raise AssertionError((position, patience_s))

    async def serve(self, group: StreamGroup[KeptStream]) -> None:
        self.served.append(group)
        while group.goes_on():
            await self.come.wait()
            group.send(self.text)
            await asyncio.sleep(0)

    async def tell(self, text: bytes) -> None:
        self.text = text
        self.come.set()
        await asyncio.sleep(0)
        self.come.clear()
        await asyncio.sleep(0)


class Broken(News):
    """Cannot serve."""

    async def serve(self, group: StreamGroup[KeptStream]) -> None:
        del group
        await asyncio.sleep(0)
        raise ValueError("broken")


@pytest.fixture
async def news() -> News:
    return News()


async def join(
    groups: StreamGroups[KeptStream], stream: KeptStream, news: News, key: str = "event"
) -> asyncio.Task[None]:
    served = asyncio.create_task(groups.serve(key, stream, news))
    for _ in range(2):  # the stream's task, and then its group's
        await asyncio.sleep(0)
    return served


@asynccontextmanager
async def watching(groups: StreamGroups[KeptStream], news: News, count: int) -> AsyncIterator[list[KeptStream]]:
    streams = [KeptStream() for _ in range(count)]
    tasks = [await join(groups, stream, news) for stream in streams]
    yield streams
    await cancel_all(tasks, 1.0)
    await asyncio.sleep(0)


async def test_a_thousand_streams_are_served_by_a_task_for_each_full_group(news: News) -> None:
    async with watching(StreamGroups(), news, 1_000) as streams:
        await news.tell(b"sold")
        assert [stream.written for stream in streams] == [[b"sold"]] * 1_000
        assert [len(group.streams) for group in news.served] == [GROUP_MAX] * 31 + [1_000 - 31 * GROUP_MAX]


async def test_streams_of_two_events_are_never_in_one_group(news: News) -> None:
    groups, one, two = StreamGroups[KeptStream](), KeptStream(), KeptStream()
    tasks = await join(groups, one, news, "one"), await join(groups, two, News(), "two")
    await news.tell(b"of one")
    assert (one.written, two.written) == ([b"of one"], [])
    await cancel_all(tasks, 1.0)


async def test_a_stream_that_leaves_makes_room_and_the_last_one_ends_the_task(news: News) -> None:
    before, groups = asyncio.all_tasks(), StreamGroups[KeptStream]()
    async with watching(groups, news, GROUP_MAX - 1):
        for _ in range(3):
            async with watching(groups, news, 1) as (late,):
                await news.tell(b"sold")
                assert late.written == [b"sold"]
        assert len(news.served) == 1
        assert len(asyncio.all_tasks() - before) == GROUP_MAX, "one for each stream, and one for all"
    assert asyncio.all_tasks() == before
    async with watching(groups, news, 1) as (later,):
        await news.tell(b"again")
        assert later.written == [b"again"]


async def test_a_stream_that_may_not_go_on_is_ended_and_the_others_get_their_news(news: News) -> None:
    groups, may = StreamGroups[KeptStream](), [True]
    short, long = KeptStream(lambda: may[0]), KeptStream()
    tasks = await join(groups, short, news), await join(groups, long, news)
    await news.tell(b"first")
    may[0] = False
    await news.tell(b"second")
    await tasks[0]
    assert not tasks[1].done()
    await news.tell(b"third")
    assert long.written == [b"first", b"second", b"third"]
    assert short.written == [b"first", b"second"]
    await cancel_all(tasks, 1.0)


async def test_a_full_stream_is_left_out_and_the_others_do_not_wait_for_it(news: News) -> None:
    async with watching(StreamGroups(), news, 3) as (full, *others):
        full.is_full = True
        await news.tell(b"sold")
        assert [stream.written for stream in others] == [[b"sold"]] * 2
        full.is_full = False
        await news.tell(b"more")
        assert full.written == [b"more"]


async def test_an_error_of_a_group_reaches_each_of_its_streams_and_the_next_one_begins_a_group(news: News) -> None:
    groups = StreamGroups[KeptStream]()
    broken = Broken()
    tasks = [asyncio.create_task(groups.serve("event", KeptStream(), broken)) for _ in range(2)]
    for task in tasks:
        with pytest.raises(ValueError, match="broken"):
            await task
    async with watching(groups, news, 1) as (later,):
        await news.tell(b"sold")
        assert later.written == [b"sold"]


class Away(LiveFeed[KeptStream]):
    """Has no state, as while PostgreSQL is away."""

    async def look(self, streams: Iterable[KeptStream]) -> Looked | None:
        del streams
        return None

    async def changed(self, position: int, patience_s: float) -> bool:
        raise AssertionError((position, patience_s))


async def test_streams_hear_a_heartbeat_also_while_there_is_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_groups, "HEARTBEAT_S", 0.1)
    groups, streams = StreamGroups[KeptStream](), [KeptStream(), KeptStream()]
    tasks = [asyncio.create_task(groups.serve("event", stream, Away())) for stream in streams]
    async with asyncio.timeout(10):
        for stream in streams:
            while HEARTBEAT_CHUNK not in stream.written:
                await stream.wrote.wait()
    await cancel_all(tasks, 1.0)
