"""`circle bench drop`: reservations over HTTP at a stated rate, open loop, the whole path.

A step is one rate for some seconds on events of its own. It measures the latency from the moment when a request was due
to the moment of its outcome; the outcomes; and the CPU of each process for each request, from the first request until
every reservation is in Postgres and every notification in the inbox. A ramp raises the rate until a step fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import msgspec
from msgspec import structs

from connectors.postgres import Connection, connect
from ops.progress import ProgressBars
from ops.proof.bench.mix import GRANTED_SHARE, HOLD_TTL_S, PLACES_MEAN
from ops.proof.bench.oversold import oversold
from ops.proof.bench.queues import QueueSecond, Sample, queues_of
from ops.proof.bench.replay_under_load import REPLAYS, BesideReport, ReplayRuns, replaying
from ops.proof.bench.sending import send_plan
from ops.proof.bench.warm_up import S_MAX, SEED, WarmUp, rate_of, warm_up
from ops.proof.bench.watching import WATCHING, Watched, watching
from ops.proof.load.accounts import provision
from ops.proof.load.http_client import NOT_DECIDED, HttpClient
from ops.proof.load.open_loop import NO_ANSWER, NOT_SENT, LoadSecond, Plan, Target
from ops.proof.load.organizer import Organizer
from ops.proof.load.target import LoadTarget
from ops.statistics import CpuMeter, Latencies, ProcessCpu, our_us_per_request
from pipelines.reservations.core.limits import TICKETS_PER_USER_MAX
from schemas.ids import EventId

SECTION_ROWS, SECTION_SEATS_PER_ROW = 40, 50
RAMP_FACTOR = 1.5
RAMP_STEPS_MAX = 12
COMPANIONS = (*REPLAYS, WATCHING)
P99_MS_MAX = 1_000.0  # beyond it a queue grows somewhere
ANSWERED_SHARE_MIN = 0.99
CAUGHT_UP_S_MAX = 60.0
POLL_S = 0.2

PERSISTED = "SELECT count(*) FROM reservations WHERE event_id = ANY($1::text[])"
NOTIFIED = "SELECT count(*) FROM notifications WHERE event_id = ANY($1::text[])"


class Stored(Protocol):
    """Counts what there is of some events."""

    async def persisted(self, events: list[EventId]) -> int:
        """Reservations, refused ones too."""

    async def notified(self, events: list[EventId]) -> int:
        """Messages in the inbox."""


class PlatformRows:
    """The rows of the platform."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def persisted(self, events: list[EventId]) -> int:
        """Reservations, refused ones too."""
        return int(await self._connection.fetchval(PERSISTED, events))

    async def notified(self, events: list[EventId]) -> int:
        """Messages in the inbox."""
        return int(await self._connection.fetchval(NOTIFIED, events))


class DropOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The requests to send."""

    rate: float = 1_000.0
    seconds: float = 10.0
    ramp: bool = False
    events: int = 8
    buyers: int = 2_000
    beside: str | None = None  # one of REPLAYS, or WATCHING
    rounds: int = 3
    warm_up_s: float = S_MAX  # at most so long
    seed: int = 1


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One rate. `expected` requests may be on the log; as many must be persisted and notified."""

    rate: float
    requests: int
    outcomes_per_s: float
    latency: Latencies
    outcomes: dict[str, int]
    expected: int
    persisted: int
    notified: int
    caught_up_s: float
    cpu: list[ProcessCpu]
    our_cpu_us_per_request: float
    client_cpu_s: float
    seconds: float = 0.0  # from the first request to the last answer
    persisted_s: float = 0.0  # from the last answer until all are in Postgres
    timeline: list[LoadSecond] = []
    queues: list[QueueSecond] = []  # only where they are measured

    @property
    def whole(self) -> bool:
        """Whether every acknowledged request is there. A request without an answer may be there or not."""
        unknown = self.outcomes.get(NO_ANSWER, 0) + self.outcomes.get("not-acknowledged", 0)
        return all(self.expected <= seen <= self.expected + unknown for seen in (self.persisted, self.notified))

    @property
    def sustained(self) -> bool:
        """Whether the platform kept up with the rate. If it does not, latency grows until the step ends."""
        return self.latency.count >= ANSWERED_SHARE_MIN * self.requests and self.latency.p99_ms <= P99_MS_MAX


class DropReport(msgspec.Struct, frozen=True, kw_only=True):
    """All steps. `limit_rate` is the highest sustained one of a ramp, else null. `oversold`: places sold beyond the
    capacity or twice, in all steps and the warm-up."""

    options: DropOptions
    steps: list[Step]
    limit_rate: float | None
    oversold: int
    beside: BesideReport | None = None
    p99_ratio: float | None = None
    warm_up: WarmUp | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing was lost or sold twice, and a stated rate was answered."""
        whole = bool(self.steps) and all(step.whole for step in self.steps)
        return whole and not self.oversold and self.steps[0].latency.count > 0


async def run(options: DropOptions, target: LoadTarget, progress: ProgressBars) -> DropReport:
    """Runs the steps. Raises CircleError when the client fails."""
    accounts = await provision(target.settings, options.buyers, label="bench")
    tokens = [account.token for account in accounts]
    connection = await connect(target.settings.postgres_url)
    try:
        async with HttpClient(target.url, connections_max=8) as client:
            organizer, targets = await Organizer.join(client), list[Target]()

            async def plan(rate: float, number: int, seconds: float = options.seconds) -> Plan:
                sized = structs.replace(options, seconds=seconds)
                made = await _plan(sized, organizer, target.url, tokens, rate, number)
                targets.extend(made.targets)
                return made

            async def step(rate: float, number: int) -> Step:
                return await measured(await plan(rate, number), target.meter, PlatformRows(connection), progress)

            warm = await warmed_up(options, plan, target.meter, progress)
            beside: BesideReport | None = None
            if options.beside is None:
                steps = await ramped(options, step)
            else:
                steps, beside = await _beside(options, options.beside, target, step)
        sold_twice = await oversold(connection, targets)
    finally:
        await connection.close()
    return DropReport(
        options=options,
        steps=steps,
        limit_rate=limit_of(options, steps) if beside is None else None,
        oversold=sold_twice.places,
        beside=beside,
        p99_ratio=beside.ratio if beside is not None else None,
        warm_up=warm,
    )


def _companion(beside: str, target: LoadTarget) -> AbstractContextManager[ReplayRuns | Watched]:
    if beside == WATCHING:
        return watching(target.url, target.settings.operator_token or "", target.metrics_urls)
    return replaying(target.settings, beside)


async def _beside(
    options: DropOptions, companion: str, target: LoadTarget, step: Callable[[float, int], Awaitable[Step]]
) -> tuple[list[Step], BesideReport]:
    """The rate with and without a companion. The two take turns and change their order, so that a disturbance hits
    both."""
    steps: list[Step] = []
    p99: dict[bool, list[float]] = {False: [], True: []}
    cpu: dict[bool, list[float]] = {False: [], True: []}
    runs = diverged = niceness = 0
    for number in range(options.rounds):
        for beside in (False, True) if number % 2 == 0 else (True, False):
            with _companion(companion, target) if beside else nullcontext() as found:
                steps.append(await step(options.rate, len(steps)))
            p99[beside].append(steps[-1].latency.p99_ms)
            cpu[beside].append(steps[-1].our_cpu_us_per_request)
            if isinstance(found, Watched):
                runs += found.scrapes
            elif found is not None:
                runs, diverged, niceness = runs + found.runs, diverged + found.diverged, max(niceness, found.niceness)
    return steps, BesideReport(
        alone_p99_ms=p99[False],
        beside_p99_ms=p99[True],
        alone_cpu_us=cpu[False],
        beside_cpu_us=cpu[True],
        runs=runs,
        diverged=diverged,
        niceness=niceness,
    )


async def warmed_up(
    options: DropOptions,
    plan: Callable[[float, int, float], Awaitable[Plan]],
    meter: CpuMeter,
    progress: ProgressBars,
) -> WarmUp:
    """Windows at a part of the rate, until the figures stand still. Not measured."""
    first = await plan(rate_of(options.rate), SEED, options.warm_up_s)
    return await asyncio.to_thread(warm_up, first, options.warm_up_s, meter, progress)


async def ramped(options: DropOptions, step: Callable[[float, int], Awaitable[Step]]) -> list[Step]:
    """The stated rate; with `ramp` higher ones too, until one is not sustained."""
    steps, rate = list[Step](), options.rate
    for number in range(RAMP_STEPS_MAX if options.ramp else 1):
        steps.append(await step(rate, number))
        if not steps[-1].sustained:
            break
        rate = round(rate * RAMP_FACTOR)
    return steps


def limit_of(options: DropOptions, steps: list[Step]) -> float | None:
    """The highest rate that a ramp sustained, 0 when none; null without a ramp."""
    return max((step.rate for step in steps if step.sustained), default=0.0) if options.ramp else None


def sections_of(options: DropOptions, rate: float) -> tuple[int, int]:
    """The number of an event's sections, and of rows in each, so that there are places for GRANTED_SHARE of the
    requests."""
    wanted = rate * options.seconds * PLACES_MEAN * GRANTED_SHARE / options.events
    sections = max(1, round(wanted / (SECTION_ROWS * SECTION_SEATS_PER_ROW)))
    return sections, max(1, min(SECTION_ROWS, round(wanted / sections / SECTION_SEATS_PER_ROW)))


async def _plan(
    options: DropOptions, organizer: Organizer, url: str, tokens: list[str], rate: float, number: int
) -> Plan:
    """Events with as many places as the step should sell, and the requests for them."""
    sections, rows = sections_of(options, rate)
    targets = []
    for event in range(options.events):
        drop = await organizer.publish(
            f"Bench {number + 1}.{event + 1}", sections=sections, rows=rows, seats_per_row=SECTION_SEATS_PER_ROW,
            hold_ttl_s=HOLD_TTL_S, tickets_per_user_max=TICKETS_PER_USER_MAX,
        )  # fmt: skip
        targets.append(Target(drop.event_id, drop.ticket_type_ids, sections * rows * SECTION_SEATS_PER_ROW))
    return Plan(
        url=url, tokens=tokens, targets=targets, rate=rate, seconds=options.seconds, seed=options.seed * 1_000 + number
    )


async def measured(
    plan: Plan,
    meter: CpuMeter,
    stored: Stored,
    progress: ProgressBars,
    queues: AbstractContextManager[Sequence[Sample]] | None = None,
) -> Step:
    """One rate, until everything is persisted and notified. `queues` gives the samples of a block."""
    meter.start()
    with queues or nullcontext(()) as samples:
        result = await asyncio.to_thread(send_plan, plan, progress)
    ended = time.perf_counter()
    not_there = sum(result.outcomes.get(name, 0) for name in NOT_DECIDED | {NO_ANSWER, NOT_SENT})
    expected = result.due - not_there
    events = [one.event_id for one in plan.targets]
    persisted = await _wait_for(stored.persisted, events, expected)
    persisted_s = time.perf_counter() - ended
    notified = await _wait_for(stored.notified, events, expected)
    caught_up_s = time.perf_counter() - ended
    cpu = meter.read(result.sent)
    return Step(
        rate=plan.rate,
        requests=result.due,
        outcomes_per_s=round(result.decided / result.seconds, 1),
        latency=result.latency,
        outcomes=result.outcomes,
        expected=expected,
        persisted=persisted,
        notified=notified,
        caught_up_s=round(caught_up_s, 2),
        cpu=cpu,
        our_cpu_us_per_request=our_us_per_request(cpu),
        client_cpu_s=result.client_cpu_s,
        seconds=result.seconds,
        persisted_s=round(persisted_s, 2),
        timeline=result.timeline,
        queues=queues_of(samples, result.began_at),
    )


async def _wait_for(count_of: Callable[[list[EventId]], Awaitable[int]], events: list[EventId], expected: int) -> int:
    """The count, as soon as it has the expected value, or after CAUGHT_UP_S_MAX."""
    deadline = time.monotonic() + CAUGHT_UP_S_MAX
    while True:
        count = await count_of(events)
        if count >= expected or time.monotonic() > deadline:
            return count
        await asyncio.sleep(POLL_S)
