"""Each baseline with a store of its own answers every request of the drop over HTTP. No figure is asserted.

The platform's half is `circle bench drop`, which tests/e2e/test_bench_drop.py runs.
"""

from __future__ import annotations

import pytest

from ops.cli.bench_reports import show_baselines
from ops.progress import ProgressBars
from ops.proof.bench.baselines import bench
from ops.proof.bench.baselines.bench import BaselinesOptions, BaselinesReport, BaselinesRound
from ops.proof.bench.baselines.terms import Baseline
from ops.proof.bench.drop import DropOptions, DropReport
from ops.run.services.process import run_coroutine
from tests.harness.bench_results import result_of
from tests.unit.ops.proof.bench.baselines.test_bench_report import step

DROP = DropOptions(rate=120, seconds=1, events=2, buyers=20, warm_up_s=1)
STORES = {
    Baseline.ROW_LOCKS: "postgres",
    Baseline.CONDITIONAL_UPDATE: "postgres",
    Baseline.REDIS_COUNTER: "valkey",
}


def options(name: Baseline, *, durable: bool = False) -> BaselinesOptions:
    return BaselinesOptions(drop=DROP, baselines=[name], durable=durable)


@pytest.mark.parametrize("name", STORES)
def test_a_baseline_answers_every_request_and_is_compared(name: Baseline, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBars(quiet=True) as progress:
        theirs = run_coroutine(bench.run_baseline(name, options(name), progress))
    assert (theirs.oversold, theirs.passed) == (0, True)
    (step_of_theirs,) = theirs.steps
    assert step_of_theirs.requests == step_of_theirs.persisted == step_of_theirs.notified == 120
    assert step_of_theirs.outcomes["held"] > 0
    assert step_of_theirs.outcomes["sold-out"] > 0
    assert {one.name for one in step_of_theirs.cpu} == {name.value, STORES[name]}

    ours = step(DROP.rate, outcomes_per_s=120, p99_ms=10, our_us=100, service_us=100)
    platform = DropReport(options=DROP, steps=[ours], limit_rate=None, oversold=0)
    compared = bench.report(name, DROP, platform, theirs)
    assert compared.ratios.cpu_of_everything > 0
    rounds = [BaselinesRound(platform=platform, baselines=[compared])]
    report = BaselinesReport(
        options=options(name),
        machine=result_of().machine,
        rounds=rounds,
        figures=bench.figures_of([name], rounds),
    )
    assert bench.measurement(report).passed
    show_baselines(report)
    shown = capsys.readouterr().out
    assert "times as well" in shown
    assert "It has no payments" in shown
    assert shown.endswith("nothing was lost or sold twice\n")


def test_a_durable_baseline_sells_as_well() -> None:
    name = Baseline.CONDITIONAL_UPDATE
    with ProgressBars(quiet=True) as progress:
        theirs = run_coroutine(bench.run_baseline(name, options(name, durable=True), progress))
    assert (theirs.oversold, theirs.passed) == (0, True)
