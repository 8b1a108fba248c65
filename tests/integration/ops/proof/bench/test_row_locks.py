"""The row-lock bench's own half: the baseline answers every request, and is compared. No figure is asserted.

The platform's half is `circle bench drop`, which tests/e2e/test_bench_drop.py runs.
"""

import pytest

from ops.cli.bench_reports import show_row_locks
from ops.proof.bench.drop import DropOptions, DropReport
from ops.proof.bench.row_locks import run
from ops.proof.load.progress import ProgressBars
from ops.run.services.process import run_coroutine
from tests.unit.ops.proof.bench.test_row_locks_report import step

OPTIONS = DropOptions(rate=120, seconds=1, events=2, buyers=20)


def test_the_baseline_answers_every_request_and_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    ours = step(OPTIONS.rate, outcomes_per_s=120, p99_ms=10, our_us=100, service_us=100)
    platform = DropReport(options=OPTIONS, steps=[ours], limit_rate=None)
    with ProgressBars(quiet=True) as progress:
        report = run_coroutine(run(OPTIONS, platform, progress))
    assert report.passed
    assert report.oversold == 0
    (theirs,) = report.row_locks
    assert theirs.requests == theirs.persisted == theirs.notified == theirs.expected == 120
    assert theirs.outcomes["held"] > 0
    assert theirs.outcomes["sold-out"] > 0
    assert {one.name for one in theirs.cpu} == {"row-locks", "postgres"}
    assert report.ratios.cpu_of_everything > 0
    show_row_locks(report)
    shown = capsys.readouterr().out
    assert "times as well" in shown
    assert shown.endswith("nothing was lost or sold twice\n")
