"""The figures of a bench: the value of every round, their median and spread, and what they say. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from statistics import median

import msgspec

from ops.proof.bench.drop import P99_MS_MAX, Step
from ops.proof.bench.oversold import Oversold
from ops.proof.bench.suite.scenarios import OVERLOAD_FACTOR, Scenario
from ops.proof.load.open_loop import LoadSecond
from ops.statistics import Latencies
from schemas.ids import US_PER_S

GOODPUT_SHARE_MIN = 0.8
PEAK_WINDOW_S = 3
RECOVERED_FACTOR = 2.0  # a second is calm again at so many times the median p50 before the overload
RECOVERED_S_MAX = 1  # "back at once": by the second second after the overload
SINCE = "s after the first request"


class Scaling(StrEnum):
    """How a figure follows the machine: a time grows as the machine gets slower, a rate falls, others stay."""

    TIME = "time"
    RATE = "rate"
    NONE = "none"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure, with its value in each round."""

    name: str
    unit: str
    values: list[float]
    scaling: Scaling = Scaling.TIME
    higher_is_better: bool = False

    @property
    def median(self) -> float:
        return round(median(self.values), 3)

    @property
    def spread(self) -> float:
        """The distance of the lowest and the highest value, as a share of the median; 0.0 at a median of 0."""
        middle = median(self.values)
        return round((max(self.values) - min(self.values)) / middle, 3) if middle else 0.0


class BenchCheck(msgspec.Struct, frozen=True):
    """Something that must hold, or a goal; with the numbers behind the answer."""

    name: str
    holds: bool
    detail: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bench ran. `calibration_ms`: CPU of one fixed computation, before each round."""

    cpus: int
    python: str
    broker: str
    load_average: float
    calibration_ms: list[float]


class BenchResult(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds of one scenario. `checks` must hold for the figures to mean anything; `goals` are what we want.

    `baseline` has the latency of a request that no dataflow sees, in turns with the rounds."""

    scenario: Scenario
    machine: Machine
    warm_up_p50_ms: list[float]
    warm: bool
    rounds: list[Step]
    baseline: list[Latencies]
    figures: list[Figure]
    checks: list[BenchCheck]
    goals: list[BenchCheck]
    warm_up_broker_us: list[float] = []

    @property
    def name(self) -> str:
        return self.scenario.name

    @property
    def load(self) -> Scenario:
        """What was sent. Results with another load are not compared."""
        return self.scenario

    @property
    def passed(self) -> bool:
        """Whether the figures count: nothing lost, nothing sold twice, and every round has outcomes."""
        return all(check.holds for check in self.checks)


def figures_of(scenario: Scenario, rounds: Sequence[Step], baseline: Sequence[Latencies]) -> list[Figure]:
    """Every figure of a scenario's rounds."""
    latency = [step.latency for step in rounds]
    times = {
        "p50": [each.p50_ms for each in latency],
        "p99": [each.p99_ms for each in latency],
        "p99.9": [each.p999_ms for each in latency],
        "baseline p50": [each.p50_ms for each in baseline],
        "baseline p99": [each.p99_ms for each in baseline],
    }
    figures = [
        Figure(
            name="outcomes",
            unit="/s",
            values=[step.outcomes_per_s for step in rounds],
            scaling=Scaling.NONE,
            higher_is_better=True,
        ),
        *(Figure(name=name, unit="ms", values=values) for name, values in times.items()),
        Figure(name="our CPU", unit="µs a request", values=[step.our_cpu_us_per_request for step in rounds]),
        Figure(name="all CPU", unit="µs a request", values=[_all_cpu_us(step) for step in rounds]),
        *_cpu_by_process(rounds),
        Figure(
            name="refused",
            unit="share",
            values=[round(refused_share(step), 3) for step in rounds],
            scaling=Scaling.NONE,
        ),
        Figure(name="persisted", unit=SINCE, values=[round(step.seconds + step.persisted_s, 2) for step in rounds]),
        Figure(name="in the inbox", unit=SINCE, values=[round(step.seconds + step.caught_up_s, 2) for step in rounds]),
    ]
    if scenario.overload_s:
        goodput = [goodput_of(scenario, step.timeline) for step in rounds]
        figures += [
            Figure(name="goodput", unit="/s", values=goodput, scaling=Scaling.RATE, higher_is_better=True),
            Figure(
                name="goodput of the peak",
                unit="share",
                values=[_share(each, peak_of(step.timeline)) for each, step in zip(goodput, rounds, strict=True)],
                scaling=Scaling.NONE,
                higher_is_better=True,
            ),
            Figure(
                name="calm again",
                unit="s after the overload",
                values=[float(recovered_s(scenario, step.timeline)) for step in rounds],
                scaling=Scaling.NONE,
            ),
        ]
    return figures


def checks_of(scenario: Scenario, rounds: Sequence[Step], oversold: Oversold) -> list[BenchCheck]:
    """What must hold. `oversold` counts places in the rows of all rounds."""
    checks = [
        BenchCheck("every round has outcomes", all(step.latency.count for step in rounds)),
        BenchCheck(
            "nothing is lost",
            all(step.whole for step in rounds),
            ", ".join(
                f"{step.expected} on the log, {step.persisted} rows, {step.notified} messages" for step in rounds
            ),
        ),
        BenchCheck("nothing is sold twice", not oversold.places, str(oversold)),
    ]
    if scenario.exact:
        held = [step.outcomes.get("held", 0) for step in rounds]
        checks.append(BenchCheck("every request has its seat", held == [step.requests for step in rounds], str(held)))
    return checks


def goals_of(scenario: Scenario, rounds: Sequence[Step]) -> list[BenchCheck]:
    """What we want of the scenario. A goal that is not met makes no figure void."""
    if not scenario.overload_s:
        worst = max(step.latency.p99_ms for step in rounds)
        return [
            BenchCheck("the platform keeps up with the rate", all(s.sustained for s in rounds), f"p99 {worst:,.0f} ms")
        ]
    shares = [_share(goodput_of(scenario, step.timeline), peak_of(step.timeline)) for step in rounds]
    calm = [recovered_s(scenario, step.timeline) for step in rounds]
    calm_before = max(second.p99_ms for step in rounds for second in step.timeline[: max(1, int(scenario.seconds))])
    return [
        BenchCheck(
            "the rate before the overload is sustained", calm_before <= P99_MS_MAX, f"p99 {calm_before:,.0f} ms"
        ),
        BenchCheck(
            f"goodput at {OVERLOAD_FACTOR:g} times the rate is at least {GOODPUT_SHARE_MIN:.0%} of the peak",
            median(shares) >= GOODPUT_SHARE_MIN,
            ", ".join(f"{share:.0%}" for share in shares),
        ),
        BenchCheck(
            "the platform is calm again at once", median(calm) <= RECOVERED_S_MAX, f"{calm} s after the overload"
        ),
    ]


def refused_share(step: Step) -> float:
    """The share of the outcomes that are no hold."""
    decided = step.outcomes_per_s * step.seconds
    return max(0.0, 1 - step.outcomes.get("held", 0) / decided) if decided else 0.0


def goodput_of(scenario: Scenario, timeline: Sequence[LoadSecond]) -> float:
    """Outcomes a second while the overload lasts."""
    began, ended = int(scenario.seconds), max(int(scenario.seconds) + 1, int(scenario.seconds + scenario.overload_s))
    return round(sum(second.outcomes for second in timeline[began:ended]) / (ended - began), 1)


def peak_of(timeline: Sequence[LoadSecond]) -> float:
    """Outcomes a second in the best PEAK_WINDOW_S seconds of the whole run."""
    outcomes = [second.outcomes for second in timeline]
    width = max(1, min(PEAK_WINDOW_S, len(outcomes)))
    return max((sum(outcomes[at : at + width]) / width for at in range(len(outcomes) - width + 1)), default=0.0)


def recovered_s(scenario: Scenario, timeline: Sequence[LoadSecond]) -> int:
    """Whole seconds from the end of the overload until requests are as fast as before it, and stay so.

    A second whose requests have no outcome is slow. When the last second is slow, all of them count."""
    before = [second.p50_ms for second in timeline[: max(1, int(scenario.seconds))] if second.p50_ms]
    ended, limit = int(scenario.seconds + scenario.overload_s), RECOVERED_FACTOR * median(before or [0.0])
    p50s = {number: second.p50_ms for number, second in enumerate(timeline[ended:], 1)}
    slow = [number for number in range(1, int(scenario.seconds) + 1) if not 0 < p50s.get(number, 0.0) <= limit]
    return max(slow, default=0)


def _cpu_by_process(rounds: Sequence[Step]) -> list[Figure]:
    names = [process.name for process in rounds[0].cpu]
    by_name = [{process.name: process.us_per_request for process in step.cpu} for step in rounds]
    return [
        Figure(name=f"CPU of {name}", unit="µs a request", values=[cpu.get(name, 0.0) for cpu in by_name])
        for name in names
    ]


def _all_cpu_us(step: Step) -> float:
    return round(sum(process.cpu_s for process in step.cpu) / max(1, step.requests) * US_PER_S, 1)


def _share(part: float, whole: float) -> float:
    return round(part / whole, 3) if whole else 0.0
