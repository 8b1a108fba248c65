"""`circle bench watchers`: many live streams of one event, and what they cost the sale.

Rounds with an audience and rounds without it take turns and change their order, so that a disturbance hits both. Each
sells an event of its own by an open loop: requests are sent when they are due, and their latency counts from then. A
round with an audience first sends single holds, each when every stream has the state of the one before: a stream may
skip a state when the next one comes soon. It measures how long each stream needs for a change, from the moment when the
buyer has the answer. Under the load it measures the longest time that each stream was without news.

The streams come from several loopback addresses and accounts, so that no client network and no user has more than its
share. The bench's own process reads them, and its CPU is not counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from statistics import median
from uuid import uuid4

import msgspec

from ops.progress import ProgressBars
from ops.proof.bench.audience import STREAMS_OF_USER, Audience
from ops.proof.bench.connections import enough_descriptors
from ops.proof.bench.mix import HOLD_TTL_S
from ops.proof.bench.sending import send_plan
from ops.proof.bench.suite.figures import BenchCheck, Figure, Machine
from ops.proof.bench.suite.machine import Calibration
from ops.proof.bench.suite.measurement import Measurement, cpu_figures, rounds_chart
from ops.proof.bench.warm_up import S_MAX, SEED, WarmUp, rate_of, warm_up
from ops.proof.load.accounts import Account, provision
from ops.proof.load.http_client import HttpClient
from ops.proof.load.open_loop import Plan, Target
from ops.proof.load.organizer import Drop, Organizer, expect
from ops.proof.load.target import LoadTarget
from ops.statistics import Latencies, ProcessCpu, latencies, our_us_per_request
from pipelines.reservations.core.limits import TICKETS_PER_USER_MAX

TO_STREAM = "ms to the stream"
STREAMS_MAX = 1_500  # an API process leaves the other places to the streams of notifications
OPENED_AT_ONCE = 50
BUYERS = 500
DELIVERED_S_MAX = 30.0
OPENED_S_MAX = 60.0
P99_RATIO_MAX = 1.5  # an audience may make the p99 of a reservation longer by a half
NEWS_MS_MAX = 250.0  # a watcher hears of an event that sells at least so often
DECIDED_SHARE_MIN = 0.99
LOAD_END_S = 0.5  # of a load's seconds: its last change may come before its end


class WatchersOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The streams, the single holds of each round, and the load of each drop: requests a second for some seconds."""

    streams: int = 1_000
    changes: int = 10
    rounds: int = 3
    rate: float = 200.0
    seconds: float = 10.0
    warm_up_s: float = S_MAX  # at most so long
    seed: int = 1
    broker: str = "embedded"

    @property
    def requests(self) -> int:
        """The requests of a drop."""
        return round(self.rate * self.seconds)


class WatchedDrop(msgspec.Struct, frozen=True, kw_only=True):
    """One open-loop drop. `latency` is that of the reservations, from when each was due. `cpu` is for each request."""

    latency: Latencies
    outcomes: dict[str, int]
    decided: int
    due: int
    cpu: list[ProcessCpu]


class WatchersRound(msgspec.Struct, frozen=True, kw_only=True):
    """One round with an audience, which took `opened_s` until every stream had its first state.

    `delivered` messages of `changes` × streams came in time; `last_s` has the slowest of each change; `cpu` is for each
    delivered message. `gaps` has the longest time of each stream without news while the drop ran. `followed` streams
    had the last state after the drop.
    """

    opened_s: float
    delivered: int
    latency: Latencies
    last_s: list[float]
    cpu: list[ProcessCpu]
    drop: WatchedDrop
    gaps: Latencies
    followed: int


class WatchersReport(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds: `rounds` with an audience, `alone` without one; their figures and what they say."""

    options: WatchersOptions
    machine: Machine
    warm_up: WarmUp
    rounds: list[WatchersRound]
    alone: list[WatchedDrop]
    figures: list[Figure]
    checks: list[BenchCheck]
    goals: list[BenchCheck]

    @property
    def passed(self) -> bool:
        """Whether the figures count: every stream got every change, and the drops were decided."""
        return all(check.holds for check in self.checks)

    @property
    def opened_s(self) -> float:
        """The longest time until all streams of a round had their first state."""
        return max(one.opened_s for one in self.rounds)


async def run(options: WatchersOptions, target: LoadTarget, progress: ProgressBars) -> WatchersReport:
    """Warm up, then measure the rounds. Raises CircleError when a stream is refused, or the load generator fails."""
    enough_descriptors(options.streams)
    calibration = Calibration(options.broker)
    accounts = await provision(target.settings, max(BUYERS, 1 + options.streams // STREAMS_OF_USER), label="watchers")
    rounds, alone = list[WatchersRound](), list[WatchedDrop]()
    async with HttpClient(target.url) as client:
        organizer = await Organizer.join(client)
        bench = _Bench(options, target=target, progress=progress, client=client, organizer=organizer, accounts=accounts)
        warm = await bench.warm_up()
        for number in range(options.rounds):
            for watched in (False, True) if number % 2 == 0 else (True, False):
                calibration.measure()
                if watched:
                    rounds.append(await bench.watched(number))
                else:
                    alone.append(await bench.alone(number))
    return WatchersReport(
        options=options,
        machine=calibration.machine(),
        warm_up=warm,
        rounds=rounds,
        alone=alone,
        figures=figures_of(rounds, alone),
        checks=checks_of(options, rounds, alone),
        goals=goals_of(rounds, alone),
    )


def measurement(report: WatchersReport) -> Measurement:
    """The report as the suite shows it. Pure."""
    options = report.options
    return Measurement(
        name="watchers",
        about="live streams of one event that sells, and what they cost the sale",
        load={
            "streams": options.streams, "changes": options.changes, "rate": options.rate, "seconds": options.seconds,
        },
        machine=report.machine,
        figures=report.figures,
        checks=report.checks,
        goals=report.goals,
        charts=[rounds_chart("watchers", report.figures, lambda figure: figure.unit == TO_STREAM)],
    )  # fmt: skip


def figures_of(rounds: Sequence[WatchersRound], alone: Sequence[WatchedDrop]) -> list[Figure]:
    """The latency of a message, the gaps between news, the sale with and without an audience, and CPU. Pure."""
    latency = [one.latency for one in rounds]
    watched = [one.drop for one in rounds]
    return [
        Figure(name="p50", unit=TO_STREAM, values=[each.p50_ms for each in latency]),
        Figure(name="p99", unit=TO_STREAM, values=[each.p99_ms for each in latency]),
        Figure(name="slowest stream", unit="s, median of the changes", values=[median(one.last_s) for one in rounds]),
        Figure(name="our CPU", unit="µs a message", values=[our_us_per_request(one.cpu) for one in rounds]),
        Figure(name="news p99", unit="ms, longest gap of a stream", values=[one.gaps.p99_ms for one in rounds]),
        Figure(name="news of the slowest", unit="ms, longest gap", values=[one.gaps.max_ms for one in rounds]),
        Figure(name="reservation p50, watched", unit="ms", values=[one.latency.p50_ms for one in watched]),
        Figure(name="reservation p50, alone", unit="ms", values=[one.latency.p50_ms for one in alone]),
        Figure(name="reservation p99, watched", unit="ms", values=[one.latency.p99_ms for one in watched]),
        Figure(name="reservation p99, alone", unit="ms", values=[one.latency.p99_ms for one in alone]),
        *cpu_figures([one.cpu for one in watched], "µs a request, watched"),
        *cpu_figures([one.cpu for one in alone], "µs a request, alone"),
    ]


def checks_of(
    options: WatchersOptions, rounds: Sequence[WatchersRound], alone: Sequence[WatchedDrop]
) -> list[BenchCheck]:
    """What must hold for the figures to mean anything. Pure."""
    expected = options.changes * options.streams
    drops = [*(one.drop for one in rounds), *alone]
    return [
        BenchCheck(
            "each stream got each change",
            all(one.delivered == expected for one in rounds),
            ", ".join(f"{one.delivered} of {expected} messages" for one in rounds),
        ),
        BenchCheck(
            "each stream had the last state after the drop",
            all(one.followed == options.streams for one in rounds),
            ", ".join(f"{one.followed} of {options.streams}" for one in rounds),
        ),
        BenchCheck(
            "the drops were decided",
            all(one.due and one.decided >= DECIDED_SHARE_MIN * one.due for one in drops),
            ", ".join(f"{one.decided} of {one.due}" for one in drops),
        ),
    ]


def goals_of(rounds: Sequence[WatchersRound], alone: Sequence[WatchedDrop]) -> list[BenchCheck]:
    """What we want: the sale hardly notices its audience, and the audience has news all the time. Pure."""
    with_ms = median(one.drop.latency.p99_ms for one in rounds)
    without_ms = median(one.latency.p99_ms for one in alone)
    slowest_ms = [one.gaps.max_ms for one in rounds]
    return [
        BenchCheck(
            f"the p99 of a reservation is at most {P99_RATIO_MAX} times that without an audience",
            with_ms <= P99_RATIO_MAX * without_ms,
            f"{with_ms:,.1f} ms watched, {without_ms:,.1f} ms alone (medians)",
        ),
        BenchCheck(
            f"no stream is without news for more than {NEWS_MS_MAX:.0f} ms",
            all(one <= NEWS_MS_MAX for one in slowest_ms),
            ", ".join(f"{one:,.0f} ms" for one in slowest_ms),
        ),
    ]


class _Bench:
    """The drops of one run."""

    def __init__(
        self,
        options: WatchersOptions,
        *,
        target: LoadTarget,
        progress: ProgressBars,
        client: HttpClient,
        organizer: Organizer,
        accounts: list[Account],
    ) -> None:
        self._options, self._target, self._progress = options, target, progress
        self._client, self._organizer, self._accounts = client, organizer, accounts

    async def warm_up(self) -> WarmUp:
        """Load until the figures stand still. Not measured."""
        options = self._options
        rate = rate_of(options.rate)
        drop = await self._publish("Warm-up", round(rate * options.warm_up_s) + 1)
        plan = self._plan(drop, rate, options.warm_up_s, SEED, round(rate * options.warm_up_s) + 1)
        return await asyncio.to_thread(warm_up, plan, options.warm_up_s, self._target.meter, self._progress)

    async def alone(self, number: int) -> WatchedDrop:
        """A drop without an audience."""
        drop = await self._publish(f"Unwatched {number + 1}", self._options.requests)
        return await self._sell(drop, 2 * number)

    async def watched(self, number: int) -> WatchersRound:
        """A drop with an audience: single holds, then the load."""
        options, loop = self._options, asyncio.get_running_loop()
        capacity = options.changes + options.requests
        drop = await self._publish(f"Watched {number + 1}", capacity)
        began = loop.time()
        async with self._audience(drop) as audience:
            await audience.sees(capacity, OPENED_S_MAX)
            opened_s = loop.time() - began
            self._target.meter.start()
            delays, last_s = await self._changes(audience, drop, capacity)
            cpu = self._target.meter.read(len(delays))
            audience.note_times()
            sold = await self._sell(drop, 2 * number + 1)
            gaps = audience.longest_gaps(options.seconds - LOAD_END_S)
            left = (await expect(self._client, 200, "GET", f"/v1/events/{drop.event_id}/availability"))["items"][0]
            followed = len(await audience.sees(left["available"], DELIVERED_S_MAX))
        return WatchersRound(
            opened_s=round(opened_s, 2),
            delivered=len(delays),
            latency=latencies(delays),
            last_s=last_s,
            cpu=cpu,
            drop=sold,
            gaps=latencies(gaps),
            followed=followed,
        )

    async def _changes(self, audience: Audience, drop: Drop, left: int) -> tuple[list[float], list[float]]:
        """Single holds, each after the delivery of the one before: all delays, and the longest of each hold."""
        delays, last_s, token = list[float](), list[float](), self._accounts[-1].token
        body = {"ticket_type_id": drop.ticket_type_ids[0], "quantity": 1}
        for number in range(1, self._options.changes + 1):
            path = f"/v1/events/{drop.event_id}/reservations"
            await expect(audience.client, 201, "POST", path, token=token, key=uuid4().hex, body=body)
            answered = asyncio.get_running_loop().time()
            times = await audience.sees(left - number, DELIVERED_S_MAX)
            delays += [max(0.0, at - answered) for at in times]
            last_s.append(round(max(0.0, max(times, default=answered) - answered), 3))
        return delays, last_s

    async def _sell(self, drop: Drop, seed: int) -> WatchedDrop:
        """The open loop of a drop, in a process of its own."""
        options = self._options
        plan = self._plan(drop, options.rate, options.seconds, options.seed * 1_000 + seed, options.requests)
        self._target.meter.start()
        result = await asyncio.to_thread(send_plan, plan, self._progress)
        return WatchedDrop(
            latency=result.latency,
            outcomes=result.outcomes,
            decided=result.decided,
            due=result.due,
            cpu=self._target.meter.read(result.sent),
        )

    async def _publish(self, title: str, capacity: int) -> Drop:
        return await self._organizer.publish(
            title, sections=1, rows=1, seats_per_row=1, hold_ttl_s=HOLD_TTL_S,
            tickets_per_user_max=TICKETS_PER_USER_MAX, capacity=capacity,
        )  # fmt: skip

    def _plan(self, drop: Drop, rate: float, seconds: float, seed: int, places: int) -> Plan:
        return Plan(
            url=self._target.url, tokens=[one.token for one in self._accounts],
            targets=[Target(drop.event_id, drop.ticket_type_ids, places)], rate=rate, seconds=seconds, seed=seed,
            quantity_max=1,
        )  # fmt: skip

    @asynccontextmanager
    async def _audience(self, drop: Drop) -> AsyncIterator[Audience]:
        """All streams of an event, while the block lasts."""
        count, bar = self._options.streams, self._progress.bar("opening streams", self._options.streams)
        audience = Audience(self._client, drop.event_id)
        try:
            for start in range(0, count, OPENED_AT_ONCE):
                numbers = range(start, min(count, start + OPENED_AT_ONCE))
                tokens = [self._accounts[number // STREAMS_OF_USER].token for number in numbers]
                await asyncio.gather(*map(audience.join, numbers, tokens))
                bar.set(numbers.stop)
            yield audience
        finally:
            await audience.close()
