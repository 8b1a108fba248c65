"""The bench of connections counts each connection once: by the status of its answer, or by why there was none."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from connectors.errors import SettingsError
from ops.progress import ProgressBars
from ops.proof.bench.connections import ConnectionsOptions, ConnectionsReport, Hold, enough_descriptors, opened
from ops.statistics import latencies

HOLD = Hold("event", "stalls", ["ada", "bob"])
CLOSED = "the connection ended before the answer: closed"


class Server:
    """Answers the requests in turn with `statuses`; 0 closes the connection without an answer."""

    def __init__(self, statuses: list[int]) -> None:
        self._statuses = iter(statuses)
        self.addresses: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.open = self.most_open = 0
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            await reader.readexactly(int(fields["content-length"]))
            self.addresses[writer.get_extra_info("peername")[0]] += 1
            self.tokens[fields["authorization"]] += 1
            self.keys.add(fields["idempotency-key"])
            if status := next(self._statuses):
                writer.write(f"HTTP/1.1 {status} Because\r\nContent-Length: 0\r\n\r\n".encode())
                await reader.read()
        finally:
            self.open -= 1
            writer.close()


async def measured(server: Server, options: ConnectionsOptions) -> ConnectionsReport:
    with ProgressBars(quiet=True) as progress:
        bar = progress.bar("connections", options.connections)
        return await opened(options, f"http://127.0.0.1:{server.port}", HOLD, bar)


async def test_answers_are_counted_by_status_and_connections_without_one_by_what_happened() -> None:
    async with Server([201] * 5 + [503, 429] + [0] * 3).running() as server:
        report = await measured(server, ConnectionsOptions(connections=10, rate=1_000, addresses=3))
    assert report.statuses == {"201": 5, "429": 1, "503": 1}
    assert report.unanswered == {CLOSED: 3}
    assert report.latency.count == 7
    assert not report.passed
    assert server.addresses == {"127.0.0.2": 4, "127.0.0.3": 3, "127.0.0.4": 3}
    assert server.tokens == {"bearer ada": 5, "bearer bob": 5}
    assert len(server.keys) == 10


async def test_a_server_that_is_not_there_answers_no_connection() -> None:
    server = Server([])
    async with server.running():
        pass
    report = await measured(server, ConnectionsOptions(connections=3, rate=1_000))
    assert report.statuses == {}
    assert sum(report.unanswered.values()) == 3
    assert "cannot be connected to" in "".join(report.unanswered)


async def test_the_rate_is_the_rate_of_new_connections() -> None:
    async with Server([201] * 20).running() as server:
        report = await measured(server, ConnectionsOptions(connections=20, rate=100))
    assert report.opened_s >= 19 / 100
    assert report.seconds >= report.opened_s


@pytest.mark.parametrize(("keep", "most"), [(True, 20), (False, 19)])
async def test_connections_stay_open_when_asked(keep: bool, most: int) -> None:
    async with Server([201] * 20).running() as server:
        await measured(server, ConnectionsOptions(connections=20, rate=200, keep=keep))
    assert server.most_open == 20 if keep else server.most_open <= most


@pytest.mark.parametrize(
    ("statuses", "unanswered", "passed"),
    [
        ({"201": 9, "409": 1}, {}, True),
        ({"201": 9, "503": 1}, {}, True),
        ({"201": 9, "500": 1}, {}, False),
        ({"201": 9}, {CLOSED: 1}, False),
    ],
)
def test_it_passes_when_every_connection_has_an_answer_that_is_no_internal_error(
    statuses: dict[str, int], unanswered: dict[str, int], passed: bool
) -> None:
    report = ConnectionsReport(
        options=ConnectionsOptions(connections=10),
        opened_s=1.0,
        seconds=1.0,
        statuses=statuses,
        unanswered=unanswered,
        latency=latencies([]),
    )
    assert report.passed is passed


def test_more_connections_than_this_process_may_have_are_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = [(256, 1_024)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.append(new))
    with pytest.raises(SettingsError, match="--connections: this process may open 1024 files"):
        enough_descriptors(1_000)
    enough_descriptors(600)
    assert limits[1:] == [(800, 1_024)]
