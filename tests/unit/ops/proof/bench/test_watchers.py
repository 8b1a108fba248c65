"""The watchers bench counts a stream once it has the state, and misses the streams that never get it.

Its verdict compares drops with an audience to drops without one, and names the stream that waited longest for news.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from connectors.errors import CircleError
from ops.proof.bench.audience import Audience, available_of, longest_gap_s
from ops.proof.bench.watchers import (
    NEWS_MS_MAX,
    WatchedDrop,
    WatchersOptions,
    WatchersRound,
    checks_of,
    figures_of,
    goals_of,
)
from ops.proof.load.http_client import HttpClient
from ops.statistics import ProcessCpu, latencies


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


async def test_the_longest_time_without_news_is_that_of_the_drop_alone() -> None:
    async with audience([OPEN + message(5)] * 2) as (streams, writers):
        await streams.join(0, "ada")
        await streams.join(1, "bob")
        await streams.sees(5, 5)
        streams.note_times()
        writers[0].write(message(4))
        await until(streams, 0, 4)
        writers[0].write(message(3))
        writers[1].write(message(3))
        await until(streams, 1, 3)
        first, second = streams.longest_gaps(60.0)
        assert 59.0 < first < 60.0, "no news until the end counts as a gap"
        assert 59.0 < second < 60.0


async def until(streams: Audience, number: int, available: int) -> None:
    while streams.available.get(number) != available:
        await asyncio.sleep(0)


async def test_an_audience_that_hears_nothing_was_without_news_all_the_time() -> None:
    async with audience([OPEN + message(5)]) as (streams, _):
        await streams.join(0, "ada")
        await streams.sees(5, 5)
        streams.note_times()
        assert streams.longest_gaps(9.5) == [9.5]


def test_a_gap_is_between_two_news_or_before_the_end() -> None:
    assert longest_gap_s([10.0, 10.2, 10.5], 10.6) == pytest.approx(0.3)
    assert longest_gap_s([10.0, 10.2], 11.0) == pytest.approx(0.8)
    assert longest_gap_s([10.0, 10.2, 12.0], 10.4) == pytest.approx(0.2), "what comes after the load does not count"


OPTIONS = WatchersOptions(streams=2, changes=1, rounds=1, rate=100.0, seconds=1.0)
CPU = [ProcessCpu("api", 0.01, 100.0, True)]


def drop(p99_ms: float, decided: int = 100) -> WatchedDrop:
    return WatchedDrop(
        latency=latencies([p99_ms / 1_000] * decided), outcomes={"held": decided}, decided=decided, due=100, cpu=CPU
    )


def watched(p99_ms: float, *, gap_ms: float = 200.0, delivered: int = 2, followed: int = 2) -> WatchersRound:
    return WatchersRound(
        opened_s=0.1, delivered=delivered, latency=latencies([0.01] * delivered), last_s=[0.01], cpu=CPU,
        drop=drop(p99_ms), gaps=latencies([gap_ms / 1_000, 0.2]), followed=followed,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("with_ms", "without_ms", "met"), [(30.0, 20.0, True), (31.0, 20.0, False), (10.0, 20.0, True)]
)
def test_an_audience_may_lengthen_the_p99_by_a_half(with_ms: float, without_ms: float, met: bool) -> None:
    assert goals_of([watched(with_ms)], [drop(without_ms)])[0].holds is met


def test_the_medians_of_the_rounds_are_compared_not_one_disturbance() -> None:
    rounds = [watched(25.0), watched(900.0), watched(26.0)]
    assert goals_of(rounds, [drop(20.0)] * 3)[0].holds
    assert not goals_of(rounds, [drop(20.0), drop(10.0), drop(12.0)])[0].holds


def test_one_stream_without_news_for_too_long_misses_the_goal() -> None:
    assert goals_of([watched(20.0, gap_ms=NEWS_MS_MAX)], [drop(20.0)])[1].holds
    assert not goals_of([watched(20.0), watched(20.0, gap_ms=NEWS_MS_MAX + 1)], [drop(20.0)])[1].holds


def test_figures_count_only_if_all_was_delivered_and_decided() -> None:
    good = watched(20.0)
    assert all(check.holds for check in checks_of(OPTIONS, [good], [drop(20.0)]))
    for rounds, alone in (
        ([good, watched(20.0, delivered=1)], [drop(20.0)]),
        ([good, watched(20.0, followed=1)], [drop(20.0)]),
        ([good], [drop(20.0, decided=98)]),
    ):
        assert not all(check.holds for check in checks_of(OPTIONS, rounds, alone))


def test_the_figures_have_both_sales_and_the_processor_of_each_process() -> None:
    named = {(one.name, one.unit): one.values for one in figures_of([watched(30.0)], [drop(20.0)])}
    assert named["reservation p99, watched", "ms"] == [30.0]
    assert named["reservation p99, alone", "ms"] == [20.0]
    assert named["CPU of api", "µs a request, watched"] == named["CPU of api", "µs a request, alone"] == [100.0]
