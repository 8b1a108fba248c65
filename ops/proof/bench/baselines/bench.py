"""`circle bench row-locks`: the same drop on the platform and on baselines, one after the other, on the same machine.

All get the same requests from the same client at the same rate, on as many seats. During its measurement each has the
machine for itself. A baseline does less than the platform, as `DESCRIBED` says: its figures flatter it.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import msgspec

from ops.progress import ProgressBars
from ops.proof.bench import consumer_loop
from ops.proof.bench import drop as drop_bench
from ops.proof.bench.baselines.serving import ServingBaseline, serving
from ops.proof.bench.baselines.terms import DESCRIBED, Baseline, FurnishedEvent
from ops.proof.bench.drop import (
    SECTION_SEATS_PER_ROW,
    DropOptions,
    DropReport,
    Step,
    limit_of,
    measured,
    ramped,
    sections_of,
    warmed_up,
)
from ops.proof.bench.mix import HOLD_TTL_S
from ops.proof.bench.suite.figures import BenchCheck, Figure, Machine
from ops.proof.bench.suite.machine import Calibration
from ops.proof.bench.suite.measurement import Measurement, rate_figure, rounds_chart
from ops.proof.load.open_loop import Plan, Target
from ops.proof.load.target import own_platform
from ops.run.platform import WORKER
from ops.run.services.process import run_coroutine
from pipelines.reservations.core.limits import TICKETS_PER_USER_MAX
from schemas.ids import US_PER_S, EventId, TicketTypeId

LOOP = ("-m", consumer_loop.MODULE)
PLATFORM = "platform"
OUTCOMES_GOAL, CPU_GOAL = 3.0, 2.0  # times row locks: outcomes at the sustained rate, CPU of everything


class BaselinesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The drop, and what the platform is compared with. `durable`: PostgreSQL of each side syncs to disk."""

    drop: DropOptions
    baselines: list[Baseline]
    rounds: int = 1
    broker: str = "embedded"
    durable: bool = False


class Ratios(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as good as the baseline the platform is, in the first step of both; below 1 the baseline is
    better."""

    outcomes_per_s: float
    p99: float
    cpu_of_our_processes: float
    cpu_of_everything: float
    limit_rate: float | None


class BaselineReport(msgspec.Struct, frozen=True, kw_only=True):
    """The run of one baseline. `oversold`: places that it sold beyond their claims or the capacity."""

    baseline: Baseline
    steps: list[Step]
    limit_rate: float | None
    oversold: int
    ratios: Ratios

    @property
    def passed(self) -> bool:
        """Whether it lost nothing and sold no place twice."""
        return bool(self.steps) and all(step.whole for step in self.steps) and self.oversold == 0


class BaselinesRound(msgspec.Struct, frozen=True, kw_only=True):
    """The platform's run, and one of each baseline."""

    platform: DropReport
    baselines: list[BaselineReport]

    @property
    def passed(self) -> bool:
        return self.platform.passed and all(one.passed for one in self.baselines)


class BaselinesReport(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds, and their figures."""

    options: BaselinesOptions
    machine: Machine
    rounds: list[BaselinesRound]
    figures: list[Figure]

    @property
    def passed(self) -> bool:
        return all(one.passed for one in self.rounds)


def run(options: BaselinesOptions, progress: ProgressBars) -> BaselinesReport:
    """Each round has each side once; odd rounds in the reverse order. Raises CircleError when a server fails."""
    calibration, rounds = Calibration(options.broker), list[BaselinesRound]()
    for number in range(options.rounds):
        calibration.measure()
        sides: list[Baseline | None] = [None, *options.baselines]
        found: dict[Baseline | None, DropReport] = {}
        for side in sides if number % 2 == 0 else reversed(sides):
            found[side] = _sold(side, options, progress)
        platform = found[None]
        reports = [report(name, options.drop, platform, found[name]) for name in options.baselines]
        rounds.append(BaselinesRound(platform=platform, baselines=reports))
    return BaselinesReport(
        options=options, machine=calibration.machine(), rounds=rounds, figures=figures_of(options.baselines, rounds)
    )


def report(baseline: Baseline, options: DropOptions, platform: DropReport, theirs: DropReport) -> BaselineReport:
    """A baseline's run, compared with the platform's. Pure."""
    ours, other, limit = platform.steps[0], theirs.steps[0], limit_of(options, theirs.steps)
    return BaselineReport(
        baseline=baseline,
        steps=theirs.steps,
        limit_rate=limit,
        oversold=theirs.oversold,
        ratios=Ratios(
            outcomes_per_s=_ratio(ours.outcomes_per_s, other.outcomes_per_s),
            p99=_ratio(other.latency.p99_ms, ours.latency.p99_ms),
            cpu_of_our_processes=_ratio(*(cpu_us(step, services=False) for step in (other, ours))),
            cpu_of_everything=_ratio(*(cpu_us(step, services=True) for step in (other, ours))),
            limit_rate=_ratio(platform.limit_rate, limit) if platform.limit_rate and limit else None,
        ),
    )


def figures_of(baselines: Sequence[Baseline], rounds: Sequence[BaselinesRound]) -> list[Figure]:
    """Outcomes, latency and CPU of each side in each round. Pure."""
    sides = {PLATFORM: [one.platform.steps[0] for one in rounds]}
    sides |= {name.value: [one.baselines[at].steps[0] for one in rounds] for at, name in enumerate(baselines)}
    figures = list[Figure]()
    for name, steps in sides.items():
        figures += [
            rate_figure(f"outcomes, {name}", [step.outcomes_per_s for step in steps]),
            Figure(name=f"p50, {name}", unit="ms", values=[step.latency.p50_ms for step in steps]),
            Figure(name=f"p99, {name}", unit="ms", values=[step.latency.p99_ms for step in steps]),
            Figure(name=f"our CPU, {name}", unit="µs a request", values=[cpu_us(s, services=False) for s in steps]),
            Figure(name=f"all CPU, {name}", unit="µs a request", values=[cpu_us(s, services=True) for s in steps]),
        ]
    return figures


def measurement(report: BaselinesReport) -> Measurement:
    """The report as the suite shows it. Pure."""
    options = report.options
    checks = [
        BenchCheck(
            "the platform lost nothing and sold nothing twice", all(one.platform.passed for one in report.rounds)
        )
    ]
    for at, name in enumerate(options.baselines):
        passed = all(one.baselines[at].passed for one in report.rounds)
        described = DESCRIBED[name]
        detail = f"{described.does}. It has no {described.lacks}"
        checks.append(BenchCheck(f"{name} lost nothing and sold nothing twice", passed, detail))
    return Measurement(
        name=Baseline.ROW_LOCKS.value,
        about="the same drop on the platform and on other ways to sell",
        load={
            "rate": options.drop.rate,
            "seconds": options.drop.seconds,
            "events": options.drop.events,
            "buyers": options.drop.buyers,
            "baselines": ", ".join(options.baselines),
            "durable": str(options.durable).lower(),
        },
        machine=report.machine,
        figures=report.figures,
        checks=checks,
        goals=_goals(report),
        charts=[
            rounds_chart("p99", report.figures, lambda figure: figure.name.startswith("p99")),
            rounds_chart("CPU of everything", report.figures, lambda figure: figure.name.startswith("all CPU")),
        ],
    )


def cpu_us(step: Step, *, services: bool) -> float:
    """CPU of our processes for each accepted request; with `services`, of their services, too."""
    return round(sum(one.cpu_s for one in step.cpu if one.ours or services) / max(1, step.expected) * US_PER_S, 1)


def _goals(report: BaselinesReport) -> list[BenchCheck]:
    """What we want against row locks."""
    goals = []
    for at, name in enumerate(report.options.baselines):
        if name is not Baseline.ROW_LOCKS:
            continue
        ratios = [one.baselines[at].ratios for one in report.rounds]
        outcomes, cpu = ([getattr(one, field) for one in ratios] for field in ("outcomes_per_s", "cpu_of_everything"))
        goals = [
            BenchCheck(
                f"{OUTCOMES_GOAL:g} times the outcomes of row locks", min(outcomes) >= OUTCOMES_GOAL, f"{outcomes}"
            ),
            BenchCheck(f"CPU of everything {CPU_GOAL:g} times as good as row locks", min(cpu) >= CPU_GOAL, f"{cpu}"),
        ]
    return goals


def _ratio(better: float, worse: float) -> float:
    return round(better / worse, 2) if worse else 0.0


def _sold(side: Baseline | None, options: BaselinesOptions, progress: ProgressBars) -> DropReport:
    """One side's drop. None is the platform."""
    if side is None or side is Baseline.CONSUMER_LOOP:
        worker = WORKER if side is None else LOOP
        with own_platform(
            broker=options.broker, reservations=1, say=progress.say, worker=worker, durable=options.durable
        ) as target:
            return run_coroutine(drop_bench.run(options.drop, target, progress))
    return run_coroutine(run_baseline(side, options, progress))


async def run_baseline(name: Baseline, options: BaselinesOptions, progress: ProgressBars) -> DropReport:
    """The drop on a baseline with a store of its own."""
    drop, events = options.drop, list[str]()
    async with serving(name, buyers=drop.buyers, durable=options.durable, progress=progress) as served:

        async def plan(rate: float, number: int, seconds: float = drop.seconds) -> Plan:
            made = await _plan(msgspec.structs.replace(drop, seconds=seconds), served, rate, number)
            events.extend(target.event_id for target in made.targets)
            return made

        async def step(rate: float, number: int) -> Step:
            return await measured(await plan(rate, number), served.meter, served.ledger, progress)

        warm = await warmed_up(drop, plan, served.meter, progress)
        steps = await ramped(drop, step)
        oversold = await served.ledger.oversold(events)
    return DropReport(options=drop, steps=steps, limit_rate=limit_of(drop, steps), oversold=oversold, warm_up=warm)


async def _plan(options: DropOptions, served: ServingBaseline, rate: float, number: int) -> Plan:
    """The drop bench's own plan, on the baseline's events."""
    sections, rows = sections_of(options, rate)
    targets = []
    for _ in range(options.events):
        house = FurnishedEvent(
            event_id=EventId(str(uuid4())),
            sections=[TicketTypeId(str(uuid4())) for _ in range(sections)],
            rows=rows,
            width=SECTION_SEATS_PER_ROW,
            tickets_per_user_max=TICKETS_PER_USER_MAX,
            hold_ttl_s=HOLD_TTL_S,
        )
        await served.ledger.furnish(house)
        targets.append(Target(house.event_id, house.sections, sections * house.section_places))
    return Plan(
        url=served.url,
        tokens=served.tokens,
        targets=targets,
        rate=rate,
        seconds=options.seconds,
        seed=options.seed * 1_000 + number,
    )
