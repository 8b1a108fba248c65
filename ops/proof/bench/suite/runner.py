"""The shared base of the suite: warm up, then rounds in turns with a baseline, then checks in the rows.

The load is open loop in a process of its own; latency counts from the moment when a request was due. The warm-up ends
when its figures stand still, or at its bound. The baseline is the same loop on a route that no dataflow sees, so it
shows what the network, the client and the machine take. Before each round a fixed computation measures the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager

import msgspec

from connectors.postgres import connect
from ops.progress import ProgressBars
from ops.proof.bench.drop import PlatformRows, Step, measured
from ops.proof.bench.mix import HOLD_TTL_S
from ops.proof.bench.oversold import oversold
from ops.proof.bench.queues import Sample, sampled
from ops.proof.bench.sending import send_plan
from ops.proof.bench.suite.figures import (
    BenchResult,
    checks_of,
    figures_of,
    goals_of,
)
from ops.proof.bench.suite.machine import Calibration
from ops.proof.bench.suite.scenarios import SCENARIOS, Scenario
from ops.proof.bench.warm_up import S_MAX, SEED, WarmUp, rate_of, warm_up
from ops.proof.load.accounts import provision
from ops.proof.load.http_client import HttpClient
from ops.proof.load.open_loop import Plan, Target
from ops.proof.load.organizer import Organizer
from ops.proof.load.target import LoadTarget
from ops.statistics import CpuMeter, Latencies
from pipelines.reservations.core.limits import TICKETS_PER_USER_MAX

PUBLISHERS = 8  # events that are made at the same time
BASELINE_S_MAX = 5.0


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How often, for whom, and how long the warm-up may take, in seconds."""

    rounds: int = 3
    buyers: int = 2_000
    warm_up_s: float = S_MAX
    broker: str = "embedded"
    seed: int = 1


async def run(scenario: Scenario, options: RunOptions, target: LoadTarget, progress: ProgressBars) -> BenchResult:
    """One scenario on a platform. Raises CircleError when the load generator fails."""
    accounts = await provision(target.settings, options.buyers, label=scenario.name)
    connection = await connect(target.settings.postgres_url)
    try:
        async with HttpClient(target.url, connections_max=PUBLISHERS) as client:
            stage = _Stage(
                organizer=await Organizer.join(client),
                url=target.url,
                tokens=[account.token for account in accounts],
                progress=progress,
            )
            warmed = await stage.warm_up(scenario, options, target.meter)
            rounds, baseline, targets = list[Step](), list[Latencies](), list[Target]()
            calibration = Calibration(options.broker)
            for number in range(options.rounds):
                plan = await stage.plan(scenario, options.seed * 1_000 + number)
                targets += plan.targets
                calibration.measure()
                if number % 2 == 0:
                    baseline.append(await stage.baseline(plan))
                queues = _queues(target) if scenario.overload_s else None
                rounds.append(await measured(plan, target.meter, PlatformRows(connection), progress, queues))
                if number % 2:
                    baseline.append(await stage.baseline(plan))
        sold_twice = await oversold(connection, targets)
    finally:
        await connection.close()
    return BenchResult(
        scenario=scenario,
        machine=calibration.machine(),
        warm_up_p50_ms=warmed.p50_ms,
        warm_up_broker_us=warmed.broker_us,
        warm=warmed.warm,
        rounds=rounds,
        baseline=baseline,
        figures=figures_of(scenario, rounds, baseline),
        checks=checks_of(scenario, rounds, sold_twice),
        goals=goals_of(scenario, rounds),
    )


def _queues(target: LoadTarget) -> AbstractContextManager[Sequence[Sample]]:
    return sampled(target.url, target.settings.operator_token or "", target.metrics_urls)


class _Stage:
    """An organizer, the buyers' tokens, and the plans that come of them."""

    def __init__(self, *, organizer: Organizer, url: str, tokens: list[str], progress: ProgressBars) -> None:
        self._organizer, self._url, self._tokens, self._progress = organizer, url, tokens, progress

    async def plan(self, scenario: Scenario, seed: int) -> Plan:
        """The events of a scenario, published, and the requests for them."""
        turns = asyncio.Semaphore(PUBLISHERS)
        houses = scenario.houses()

        async def publish(number: int) -> Target:
            house = houses[number]
            async with turns:
                drop = await self._organizer.publish(
                    f"{scenario.name} {number + 1}", sections=house.sections, rows=house.rows,
                    seats_per_row=house.seats_per_row, hold_ttl_s=HOLD_TTL_S,
                    tickets_per_user_max=TICKETS_PER_USER_MAX,
                    capacity=house.section_places if house.general else 0,
                )  # fmt: skip
            return Target(drop.event_id, drop.ticket_type_ids, house.places)

        targets = await asyncio.gather(*(publish(number) for number in range(len(houses))))
        return Plan(
            url=self._url,
            tokens=self._tokens,
            targets=list(targets),
            rate=scenario.rate,
            seconds=scenario.seconds,
            seed=seed,
            later=scenario.later,
            arrivals=scenario.arrivals,
            zipf=scenario.zipf,
            quantity_max=scenario.quantity_max,
        )

    async def warm_up(self, scenario: Scenario, options: RunOptions, meter: CpuMeter) -> WarmUp:
        """Windows of an ordinary load, until the figures stand still or the bound is reached."""
        quiet = msgspec.structs.replace(SCENARIOS["quiet"], rate=rate_of(scenario.rate), seconds=options.warm_up_s)
        plan = await self.plan(quiet, options.seed * 1_000 + SEED)
        return await asyncio.to_thread(warm_up, plan, options.warm_up_s, meter, self._progress)

    async def baseline(self, plan: Plan) -> Latencies:
        """The latency of PROBE at the plan's first rate."""
        seconds = min(plan.seconds, BASELINE_S_MAX)
        probe = msgspec.structs.replace(plan, seconds=seconds, later=[], probe=True)
        return (await asyncio.to_thread(send_plan, probe, self._progress, "baseline")).latency
