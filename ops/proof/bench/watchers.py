"""`circle bench watchers`: many live streams of one event, and holds that change its availability.

It measures how long each stream needs for a change, from the moment when the buyer has the answer, and the CPU of each
process for each delivered message. A stream may skip a state when the next one comes soon, so the bench sends the next
hold only when every stream has the last state. The streams come from several loopback addresses and accounts, so that
no client network and no user has more than its share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from statistics import median
from typing import Any
from uuid import uuid4

import msgspec

from connectors.errors import CircleError
from ops.proof.bench.connections import FIRST_ADDRESS, enough_descriptors
from ops.proof.bench.suite.figures import BenchCheck, Figure, Machine
from ops.proof.bench.suite.machine import Calibration
from ops.proof.bench.suite.measurement import Measurement, rounds_chart
from ops.proof.load.accounts import provision
from ops.proof.load.http_client import HttpClient
from ops.proof.load.organizer import Drop, Organizer, expect
from ops.proof.load.progress import ProgressBars
from ops.proof.load.statistics import Latencies, ProcessCpu, latencies, our_us_per_request
from ops.proof.load.target import LoadTarget

TO_STREAM = "ms to the stream"
STREAMS_MAX = 1_500  # an API process leaves the other places to the streams of notifications
STREAMS_OF_ADDRESS, STREAMS_OF_USER = 250, 10
OPENED_AT_ONCE = 50
CAPACITY = 10_000
HOLD_TTL_S = 3_600
DELIVERED_S_MAX = 30.0
OPENED_S_MAX = 60.0


class WatchersOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The streams, and the holds of each round."""

    streams: int = 1_000
    changes: int = 10
    rounds: int = 3
    broker: str = "embedded"


class WatchersRound(msgspec.Struct, frozen=True, kw_only=True):
    """One round. `delivered` messages of `changes` × streams came in time; `last_s` has the slowest of each change."""

    delivered: int
    latency: Latencies
    last_s: list[float]
    cpu: list[ProcessCpu]  # for each delivered message


class WatchersReport(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds, and their figures. `opened_s` is the time until every stream had its first state."""

    options: WatchersOptions
    machine: Machine
    opened_s: float
    rounds: list[WatchersRound]
    figures: list[Figure]

    @property
    def passed(self) -> bool:
        """Whether each stream got the state after each hold."""
        return all(one.delivered == self.options.changes * self.options.streams for one in self.rounds)


async def run(options: WatchersOptions, target: LoadTarget, progress: ProgressBars) -> WatchersReport:
    """Open the streams, then measure the rounds. Raises CircleError when a stream is refused."""
    enough_descriptors(options.streams)
    accounts = await provision(target.settings, 1 + options.streams // STREAMS_OF_USER, label="watchers")
    loop, calibration = asyncio.get_running_loop(), Calibration(options.broker)
    async with HttpClient(target.url) as client:
        organizer = await Organizer.join(client)
        drop = await organizer.publish(
            "Watchers", sections=1, rows=1, seats_per_row=1, hold_ttl_s=HOLD_TTL_S, tickets_per_user_max=1_000,
            capacity=CAPACITY,
        )  # fmt: skip
        audience = Audience(client, drop.event_id)
        began, bar = loop.time(), progress.bar("opening streams", options.streams)
        try:
            for start in range(0, options.streams, OPENED_AT_ONCE):
                numbers = range(start, min(options.streams, start + OPENED_AT_ONCE))
                tokens = [accounts[number // STREAMS_OF_USER].token for number in numbers]
                await asyncio.gather(*map(audience.join, numbers, tokens))
                bar.set(numbers.stop)
            await audience.sees(CAPACITY, OPENED_S_MAX)
            opened_s = loop.time() - began
            rounds, left = list[WatchersRound](), CAPACITY
            for _ in range(options.rounds):
                calibration.measure()
                rounds.append(await _round(options, target, audience, drop, accounts[-1].token, left=left))
                left -= options.changes
        finally:
            await audience.close()
    return WatchersReport(
        options=options,
        machine=calibration.machine(),
        opened_s=round(opened_s, 2),
        rounds=rounds,
        figures=figures_of(rounds),
    )


def measurement(report: WatchersReport) -> Measurement:
    """The report as the suite shows it. Pure."""
    options = report.options
    expected = options.changes * options.streams
    detail = ", ".join(f"{one.delivered} of {expected} messages" for one in report.rounds)
    return Measurement(
        name="watchers",
        about="live streams of one event, and holds that change its availability",
        load={"streams": options.streams, "changes": options.changes},
        machine=report.machine,
        figures=report.figures,
        checks=[BenchCheck("each stream got each change", report.passed, detail)],
        charts=[rounds_chart("watchers", report.figures, lambda figure: figure.unit == TO_STREAM)],
    )


def figures_of(rounds: Sequence[WatchersRound]) -> list[Figure]:
    """The latency of a message, the slowest stream of a change, and our CPU. Pure."""
    latency = [one.latency for one in rounds]
    return [
        Figure(name="p50", unit=TO_STREAM, values=[each.p50_ms for each in latency]),
        Figure(name="p99", unit=TO_STREAM, values=[each.p99_ms for each in latency]),
        Figure(name="slowest stream", unit="s, median of the changes", values=[median(one.last_s) for one in rounds]),
        Figure(name="our CPU", unit="µs a message", values=[our_us_per_request(one.cpu) for one in rounds]),
    ]


async def _round(
    options: WatchersOptions, target: LoadTarget, audience: Audience, drop: Drop, token: str, *, left: int
) -> WatchersRound:
    """The holds of one round, each after the delivery of the one before."""
    delays, last_s = list[float](), list[float]()
    target.meter.start()
    for number in range(1, options.changes + 1):
        body = {"ticket_type_id": drop.ticket_type_ids[0], "quantity": 1}
        path = f"/v1/events/{drop.event_id}/reservations"
        await expect(audience.client, 201, "POST", path, token=token, key=uuid4().hex, body=body)
        answered = asyncio.get_running_loop().time()
        times = await audience.sees(left - number, DELIVERED_S_MAX)
        delays += [max(0.0, at - answered) for at in times]
        last_s.append(round(max(0.0, max(times, default=answered) - answered), 3))
    return WatchersRound(
        delivered=len(delays), latency=latencies(delays), last_s=last_s, cpu=target.meter.read(len(delays))
    )


class Audience:
    """The open streams of one event, and the last state that each has got."""

    def __init__(self, client: HttpClient, event_id: str) -> None:
        self.client, self._event_id = client, event_id
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._seen: dict[int, tuple[int, float]] = {}  # stream: available places, and when it got them
        self._wanted = -1
        self._missing = 0
        self._complete = asyncio.Event()

    @property
    def available(self) -> dict[int, int]:
        """The free places that each stream has got last, by the stream's number."""
        return {number: seen for number, (seen, _) in self._seen.items()}

    async def join(self, number: int, token: str) -> None:
        """Open one stream. Raises CircleError when it is refused."""
        source = f"127.0.0.{FIRST_ADDRESS + number // STREAMS_OF_ADDRESS}"
        local = (source, 0) if self.client.host == "127.0.0.1" else None
        reader, writer = await asyncio.open_connection(self.client.host, self.client.port, local_addr=local)
        self._writers.append(writer)
        path = f"/v1/events/{self._event_id}/stream"
        head = f"GET {path} HTTP/1.1\r\nHost: {self.client.host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        status = (await reader.readline()).split(b" ")
        if status[1:2] != [b"200"]:
            raise CircleError(f"the stream {number + 1} is refused: {b' '.join(status).decode().strip()}")
        self._tasks.append(asyncio.create_task(self._read(number, reader)))

    async def sees(self, available: int, timeout_s: float) -> list[float]:
        """The times of the event loop at which the streams got so many places; without those that did not in time."""
        self._wanted = available
        self._missing = len(self._tasks) - sum(seen == available for seen, _ in self._seen.values())
        self._complete.clear()
        if self._missing:
            with suppress(TimeoutError):  # a stream that is late is not in the answer, and the bench fails
                await asyncio.wait_for(self._complete.wait(), timeout_s)
        return [at for seen, at in self._seen.values() if seen == available]

    async def close(self) -> None:
        """Ends the streams."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()

    async def _read(self, number: int, reader: asyncio.StreamReader) -> None:
        """Each availability, until the server ends the stream. A chunk of the answer is one message."""
        while line := await reader.readline():
            if not line.startswith(b"data: "):
                continue
            available = available_of(line)
            if available is None:
                continue
            if number in self._seen and self._seen[number][0] == available:
                continue
            self._seen[number] = available, asyncio.get_running_loop().time()
            if available == self._wanted:
                self._missing -= 1
                if self._missing <= 0:
                    self._complete.set()


def available_of(line: bytes) -> int | None:
    """The free places of the first ticket type in a `data:` line of an availability; None in another message."""
    data: dict[str, Any] = msgspec.json.decode(line.removeprefix(b"data: "))
    items = data.get("items")
    return int(items[0]["available"]) if items and "available" in items[0] else None
