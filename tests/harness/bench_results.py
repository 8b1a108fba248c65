"""Results of the bench suite, made without any measurement."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ops.proof.bench.drop import Step
from ops.proof.bench.oversold import Oversold
from ops.proof.bench.suite.figures import BenchCheck, BenchResult, Figure, Machine, checks_of, figures_of, goals_of
from ops.proof.bench.suite.measurement import Measurement, SuiteResult, rounds_chart
from ops.proof.bench.suite.scenarios import SCENARIOS, Scenario
from ops.proof.load.open_loop import LoadSecond
from ops.statistics import ProcessCpu, latencies

STEP = Step(
    rate=10.0,
    requests=100,
    outcomes_per_s=10.0,
    latency=latencies([0.010] * 99 + [0.050]),
    outcomes={"held": 75, "sold-out": 25},
    expected=100,
    persisted=100,
    notified=100,
    caught_up_s=0.5,
    cpu=[
        ProcessCpu("api", 0.02, 200.0, ours=True),
        ProcessCpu("postgres", 0.01, 100.0, ours=False),
    ],
    our_cpu_us_per_request=200.0,
    client_cpu_s=0.1,
    seconds=10.0,
    persisted_s=0.25,
    timeline=[LoadSecond(10, 10.0, 50.0)] * 10,
)


def result_of(
    scenario: Scenario = SCENARIOS["quiet"], *, rounds: list[Step] | None = None, calibration_ms: float = 5.0
) -> BenchResult:
    """One bench, with `rounds` of which nothing was sold twice."""
    rounds = rounds or [STEP] * 3
    baseline = [latencies([0.001])] * len(rounds)
    return BenchResult(
        scenario=scenario,
        machine=Machine(
            cpus=2, python="3.11", broker="embedded", load_average=0.5, calibration_ms=[calibration_ms] * len(rounds)
        ),
        warm_up_p50_ms=[10.0, 10.0, 10.0],
        warm=True,
        rounds=rounds,
        baseline=baseline,
        figures=figures_of(scenario, rounds, baseline),
        checks=checks_of(scenario, rounds, Oversold(0, 0)),
        goals=goals_of(scenario, rounds),
    )


def measurement_of(name: str = "kernel", *, values: list[float] | None = None, size: int = 10) -> Measurement:
    """A bench that is no scenario, with one figure and a chart of it."""
    cost = Figure(name="CPU", unit="µs a command", values=values or [30.0, 31.0, 32.0])
    return Measurement(
        name=name,
        about="commands are decided",
        load={"commands": size},
        machine=result_of().machine,
        figures=[cost],
        checks=[BenchCheck("every command was decided once", holds=True)],
        goals=[BenchCheck("at most 25 µs a command", holds=False, detail="31 µs")],
        charts=[rounds_chart(name, [cost], lambda _: True)],
    )


def suite_of(*benches: BenchResult, measurements: Sequence[Measurement] = ()) -> SuiteResult:
    """A run of the suite."""
    took_s = {one.name: 90.0 for one in measurements}
    return SuiteResult(
        made_at="2026-11-29T10:00:00Z", benches=list(benches), measurements=list(measurements), took_s=took_s
    )


def with_figure(bench: BenchResult, name: str, values: list[float]) -> BenchResult:
    """The bench with other values of one figure."""
    figures: list[Figure] = [replace(each, values=values) if each.name == name else each for each in bench.figures]
    return replace(bench, figures=figures)
