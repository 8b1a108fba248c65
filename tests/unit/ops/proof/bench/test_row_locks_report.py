"""The row-lock bench's report on two runs: above 1 the platform is better."""

from ops.proof.bench.drop import DropOptions, DropReport, Step
from ops.proof.bench.row_locks import report
from ops.proof.load.statistics import Latencies, ProcessCpu


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


def test_ratios_say_how_many_times_as_well_the_platform_does() -> None:
    options = DropOptions(ramp=True)
    ours = [step(rate, outcomes_per_s=3_000, p99_ms=20, our_us=200, service_us=100) for rate in (1_000, 1_500)]
    theirs = [
        step(1_000, outcomes_per_s=600, p99_ms=80, our_us=500, service_us=400),
        step(1_500, outcomes_per_s=600, p99_ms=8_000, our_us=500, service_us=400),
    ]
    platform = DropReport(options=options, steps=ours, limit_rate=1_500)
    compared = report(options, platform, theirs, 0)
    assert compared.passed
    assert compared.row_locks_limit_rate == 1_000
    ratios = compared.ratios
    assert (ratios.outcomes_per_s, ratios.p99, ratios.limit_rate) == (5.0, 4.0, 1.5)
    assert (ratios.cpu_of_our_processes, ratios.cpu_of_everything) == (2.5, 3.0)


def test_what_was_lost_or_sold_twice_fails_it() -> None:
    sound = step(100, outcomes_per_s=100, p99_ms=1, our_us=1, service_us=1)
    platform = DropReport(options=DropOptions(), steps=[sound], limit_rate=None)
    lost = step(100, outcomes_per_s=100, p99_ms=1, our_us=1, service_us=1, lost=1)
    assert report(DropOptions(), platform, [sound], 0).passed
    assert report(DropOptions(), platform, [sound], 0).ratios.limit_rate is None
    assert not report(DropOptions(), platform, [sound], 1).passed
    assert not report(DropOptions(), platform, [lost], 0).passed
