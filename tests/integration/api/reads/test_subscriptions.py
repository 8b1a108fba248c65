"""A process hears its channels on a real Valkey: in order, again after a loss, over TLS, and some only on demand."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import redis.asyncio
import uvloop

from api.reads import subscriptions as module
from api.reads.subscriptions import Subscriptions
from connectors.backoff import Backoff
from connectors.settings import Settings
from connectors.urls import with_authority
from ops.run.services.process import free_port
from ops.run.services.stack import Stack
from tests.harness.authority import Authority
from tests.harness.tls_proxy import TlsProxy

REPLIES, NEWS = "circle:replies:test", "circle:news"
HEARD_S = 15.0


class Heard:
    """What came, and how often hearing began."""

    def __init__(self, url: str) -> None:
        self.replies: list[bytes] = []
        self.news: list[bytes] = []
        self.connections = self.begun = 0
        self._changed = asyncio.Event()
        self.subscriptions = Subscriptions(
            url, {REPLIES: self._reply, NEWS: self._news}, self._connected, on_demand={NEWS: self._began}
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what came fulfils the condition."""
        async with asyncio.timeout(HEARD_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _reply(self, data: bytes) -> None:
        self._changed.set()
        if data == b"unreadable":
            raise ValueError(data)
        self.replies.append(data)

    def _news(self, data: bytes) -> None:
        self._changed.set()
        self.news.append(data)

    def _began(self) -> None:
        self._changed.set()
        self.begun += 1

    async def _connected(self) -> None:
        self._changed.set()
        self.connections += 1


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Heard]:
    heard = Heard(url)
    task = asyncio.create_task(heard.subscriptions.run())
    try:
        await heard.until(lambda: heard.connections == 1)
        yield heard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def publish(url: str, channel: str, *messages: bytes) -> int:
    """Returns how many heard the last of these."""
    async with redis.asyncio.Redis.from_url(url) as client:
        count = 0
        for message in messages:
            count = int(await client.publish(channel, message))
        return count


async def test_the_first_attempt_ends_with_a_subscription_or_an_error(settings: Settings) -> None:
    async with listening(settings.redis_url) as heard:
        assert heard.subscriptions.tried.is_set()
    nowhere = Heard(f"redis://127.0.0.1:{free_port()}")
    assert not nowhere.subscriptions.tried.is_set()
    task = asyncio.create_task(nowhere.subscriptions.run())
    async with asyncio.timeout(HEARD_S):
        await nowhere.subscriptions.tried.wait()
    assert not nowhere.subscriptions.connected.is_set()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_messages_of_any_size_come_in_order_and_an_unreadable_one_is_passed_over(settings: Settings) -> None:
    async with listening(settings.redis_url) as heard:
        sent = [b"%d" % number for number in range(500)] + [b"x" * 300_000, b""]
        await publish(settings.redis_url, REPLIES, *sent[:10], b"unreadable", *sent[10:])
        await heard.until(lambda: len(heard.replies) == len(sent))
    assert heard.replies == sent


async def test_the_connection_stays_where_python_closes_that_of_a_collected_stream(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collected(stream: asyncio.StreamWriter) -> None:  # as releases of Python after 3.11.2 do
        stream.transport.close()

    monkeypatch.setattr(asyncio.StreamWriter, "__del__", collected, raising=False)
    async with listening(settings.redis_url) as heard:
        gc.collect()
        await publish(settings.redis_url, REPLIES, b"heard")
        await heard.until(lambda: heard.replies == [b"heard"])
        assert heard.connections == 1


async def test_a_channel_on_demand_is_heard_only_while_it_is_wanted(settings: Settings) -> None:
    async with listening(settings.redis_url) as heard:
        assert await publish(settings.redis_url, NEWS, b"before") == 0
        heard.subscriptions.want(NEWS, True)
        heard.subscriptions.want(NEWS, True)
        await heard.until(lambda: heard.begun == 1)
        assert await publish(settings.redis_url, NEWS, b"wanted") == 1
        await heard.until(lambda: heard.news == [b"wanted"])
        heard.subscriptions.want(NEWS, False)
        async with asyncio.timeout(HEARD_S):
            while await publish(settings.redis_url, NEWS, b"after"):
                pass
        heard.subscriptions.want(NEWS, True)
        await heard.until(lambda: heard.begun == 2)


async def test_after_a_loss_it_hears_again_what_it_wanted_and_catches_up(settings: Settings, stack: Stack) -> None:
    async with listening(settings.redis_url) as heard:
        heard.subscriptions.want(NEWS, True)
        await heard.until(lambda: heard.begun == 1)
        await asyncio.to_thread(stack.valkey.restart)
        await heard.until(lambda: heard.connections == 2 and heard.begun == 2)
        await publish(settings.redis_url, REPLIES, b"again")
        await publish(settings.redis_url, NEWS, b"again")
        await heard.until(lambda: (heard.replies, heard.news) == ([b"again"], [b"again"]))


async def test_a_redis_that_is_silent_counts_as_lost(
    settings: Settings, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET_S", 0.2)
    async with listening(settings.redis_url) as heard:
        await asyncio.sleep(1.0)  # five times as long: a Redis that answers is not lost
        assert heard.subscriptions.connected.is_set()
        stack.valkey.pause()
        try:
            async with asyncio.timeout(HEARD_S):
                while heard.subscriptions.connected.is_set():
                    await asyncio.sleep(0.02)
        finally:
            stack.valkey.resume()
        await heard.until(lambda: heard.connections == 2)


@pytest.mark.timeout(method="thread")  # uvloop drops what the handler of a signal raises
def test_a_connection_that_ends_at_any_moment_is_made_again(
    settings: Settings, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the event loop that the API runs on, which raises other errors than Python's own."""
    monkeypatch.setattr(module, "BACKOFF", Backoff(first_s=0.001, max_s=0.002))
    uvloop.run(cut_and_heard(settings.redis_url, stack.valkey.port))


async def cut_and_heard(url: str, port: int) -> None:
    """Listen through a proxy that ends its first connections later and later, and then hear a message."""
    delays_s = [number * 0.0001 for number in range(60) for _ in range(3)]
    chance, proxied = random.Random(1), set[asyncio.Task[None]]()

    async def cut(client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        proxied.add(task)
        redis_in, redis_out = await asyncio.open_connection("127.0.0.1", port)
        copies = [asyncio.create_task(copy(client, redis_out)), asyncio.create_task(copy(redis_in, back))]
        if delays_s:
            await asyncio.sleep(delays_s.pop(0))
            back.transport.abort() if chance.random() < 0.5 else back.close()
            redis_out.close()
        await asyncio.wait(copies)

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    own = server.sockets[0].getsockname()[1]
    heard = Heard(url.replace(f":{port}/", f":{own}/"))
    task = asyncio.create_task(heard.subscriptions.run())
    async with asyncio.timeout(4 * HEARD_S):
        while delays_s or not await publish(url, REPLIES, b"after all"):
            assert not task.done()
            await asyncio.sleep(0.01)
    await heard.until(lambda: b"after all" in heard.replies)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    server.close()
    await asyncio.wait(proxied)


async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Hand on what comes, until one of both is closed."""
    with suppress(OSError, RuntimeError):
        while data := await source.read(65_536):
            target.write(data)
    with suppress(OSError, RuntimeError):
        target.close()
        await target.wait_closed()


@pytest.mark.parametrize("turns", range(8))
async def test_cancelled_soon_after_it_has_subscribed_it_ends(settings: Settings, turns: int) -> None:
    """In each turn of the event loop. Python 3.11's `wait_for` loses a cancellation that comes with its result."""

    class Cancelled(Heard):
        def _began(self) -> None:
            cancelling.append(asyncio.create_task(cancel()))

    async def cancel() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        listens.cancel()

    cancelling: list[asyncio.Task[None]] = []
    heard = Cancelled(settings.redis_url)
    heard.subscriptions.want(NEWS, True)
    listens = asyncio.create_task(heard.subscriptions.run())
    await asyncio.wait([listens], timeout=HEARD_S)
    assert len(cancelling) == 1
    assert listens.cancelled()


async def test_it_listens_over_tls_with_a_password(settings: Settings, stack: Stack, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with TlsProxy(stack.valkey.port, authority.context()) as proxy:
        encrypted = settings.redis_url.replace("redis://", "rediss://").replace(str(stack.valkey.port), str(proxy.port))
        async with listening(with_authority(encrypted, authority.ca_file)) as heard:
            await publish(settings.redis_url, REPLIES, b"1")
            await heard.until(lambda: heard.replies == [b"1"])
        assert proxy.connections == 1
