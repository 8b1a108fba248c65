"""The report on the platform and a baseline: above 1 the platform is better."""

from ops.proof.bench.baselines.bench import (
    BaselinesOptions,
    BaselinesReport,
    BaselinesRound,
    figures_of,
    measurement,
    report,
)
from ops.proof.bench.baselines.terms import Baseline
from ops.proof.bench.drop import DropOptions, DropReport, Step
from ops.statistics import Latencies, ProcessCpu
from tests.harness.bench_results import result_of


def step(rate: float, *, outcomes_per_s: float, p99_ms: float, our_us: float, service_us: float, lost: int = 0) -> Step:
    cpu = [ProcessCpu("api", our_us / 1e4, 0, ours=True), ProcessCpu("postgres", service_us / 1e4, 0, ours=False)]
    return Step(
        rate=rate,
        requests=100,
        outcomes_per_s=outcomes_per_s,
        latency=Latencies(count=100, p50_ms=1, p95_ms=2, p99_ms=p99_ms, max_ms=4),
        outcomes={"held": 100},
        expected=100,
        persisted=100 - lost,
        notified=100,
        caught_up_s=0,
        cpu=cpu,
        our_cpu_us_per_request=our_us,
        client_cpu_s=0,
    )


def drop(options: DropOptions, *steps: Step, limit_rate: float | None = None, oversold: int = 0) -> DropReport:
    return DropReport(options=options, steps=list(steps), limit_rate=limit_rate, oversold=oversold)


def test_ratios_say_how_many_times_as_well_the_platform_does() -> None:
    options = DropOptions(ramp=True)
    ours = [step(rate, outcomes_per_s=3_000, p99_ms=20, our_us=200, service_us=100) for rate in (1_000, 1_500)]
    theirs = [
        step(1_000, outcomes_per_s=600, p99_ms=80, our_us=500, service_us=400),
        step(1_500, outcomes_per_s=600, p99_ms=8_000, our_us=500, service_us=400),
    ]
    platform = drop(options, *ours, limit_rate=1_500)
    compared = report(Baseline.ROW_LOCKS, options, platform, drop(options, *theirs))
    assert compared.passed
    assert compared.limit_rate == 1_000
    ratios = compared.ratios
    assert (ratios.outcomes_per_s, ratios.p99, ratios.limit_rate) == (5.0, 4.0, 1.5)
    assert (ratios.cpu_of_our_processes, ratios.cpu_of_everything) == (2.5, 3.0)


SOUND = step(100, outcomes_per_s=100, p99_ms=1, our_us=1, service_us=1)
LOST = step(100, outcomes_per_s=100, p99_ms=1, our_us=1, service_us=1, lost=1)


def compared_with(theirs: Step, oversold: int = 0, *, ours: Step = SOUND, ours_oversold: int = 0) -> BaselinesReport:
    options = DropOptions()
    platform = drop(options, ours, oversold=ours_oversold)
    one = report(Baseline.REDIS_COUNTER, options, platform, drop(options, theirs, oversold=oversold))
    rounds = [BaselinesRound(platform=platform, baselines=[one])]
    return BaselinesReport(
        options=BaselinesOptions(drop=options, baselines=[Baseline.REDIS_COUNTER]),
        machine=result_of().machine,
        rounds=rounds,
        figures=figures_of([Baseline.REDIS_COUNTER], rounds),
    )


def test_what_was_lost_or_sold_twice_fails_it() -> None:
    assert compared_with(SOUND).passed
    assert compared_with(SOUND).rounds[0].baselines[0].ratios.limit_rate is None
    sold_twice = compared_with(SOUND, 1), compared_with(SOUND, ours_oversold=1)
    for broken in (*sold_twice, compared_with(LOST), compared_with(SOUND, ours=LOST)):
        assert not broken.passed
        assert not measurement(broken).passed


def test_a_measurement_says_what_a_baseline_does_not_do() -> None:
    found = measurement(compared_with(SOUND))
    assert "It has no payments" in found.checks[1].detail
    assert "any record on disk" in found.checks[1].detail
    names = {figure.name for figure in found.figures}
    assert {"outcomes, platform", "p99, redis-counter", "all CPU, redis-counter"} <= names
