"""Each bench of the suite runs the whole path and counts right, and a run is one page. No figure is asserted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from ops.cli.main import run
from ops.progress import ProgressBars
from ops.proof.bench import catalogue
from ops.proof.bench.suite import runner
from ops.proof.bench.suite.figures import BenchResult
from ops.proof.bench.suite.runner import RunOptions
from ops.proof.bench.suite.scenarios import SCENARIOS, sized
from ops.proof.load.target import LoadTarget, own_platform
from ops.run.services.process import run_coroutine

RATE, SECONDS, OVERLOAD_S = 30.0, 2.0, 1.0
TINY = ["--rate", "30", "--seconds", "1", "--rounds", "1", "--buyers", "20", "--warm-up-s", "1"]


@pytest.fixture(scope="module")
def platform() -> Iterator[LoadTarget]:
    with own_platform(broker="embedded", reservations=1, say=lambda _: None) as target:
        yield target


def bench(name: str, platform: LoadTarget, *, rounds: int = 1) -> BenchResult:
    scenario = sized(SCENARIOS[name], rate=RATE, seconds=SECONDS, overload_s=OVERLOAD_S)
    scenario = replace(scenario, events=min(scenario.events, 5))
    options = RunOptions(rounds=rounds, buyers=20, warm_up_s=1)
    with ProgressBars(quiet=True) as progress:
        return run_coroutine(runner.run(scenario, options, platform, progress))


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_request_has_its_outcome_its_row_and_its_message(name: str, platform: LoadTarget) -> None:
    result = bench(name, platform)
    (step,) = result.rounds
    assert step.requests == result.scenario.requests == sum(step.outcomes.values())
    assert step.expected == step.persisted == step.notified == step.requests
    assert step.latency.count == step.requests
    assert sum(second.outcomes for second in step.timeline) == step.requests
    assert result.baseline[0].count == RATE * result.scenario.seconds
    assert {process.name for process in step.cpu} >= {"api", "reservations-1", "read-side", "postgres"}
    assert [check.name for check in result.checks if not check.holds] == []
    assert sum(second.due for second in step.timeline) == step.requests
    assert sum(sum(second.answers.values()) for second in step.timeline) == step.requests
    assert bool(step.queues) == (name == "overload")
    if step.queues:
        assert all(second.limit > 0 for second in step.queues)
        for name_of_mean in ("answer_ms", "loop_lag_ms", "decided_ms", "persisted_ms"):
            assert any(getattr(second, name_of_mean) > 0 for second in step.queues), step.queues
    assert step.outcomes["held"] >= (1 if name == "stampede" else step.requests * 0.95)


def test_most_answers_of_a_stampede_are_refusals(platform: LoadTarget) -> None:
    (step,) = bench("stampede", platform).rounds
    assert step.outcomes["sold-out"] > 0.8 * step.requests


@pytest.mark.long
def test_every_seat_of_a_sellout_is_sold_in_every_round(platform: LoadTarget) -> None:
    result = bench("sellout", platform, rounds=2)
    assert [step.outcomes for step in result.rounds] == [{"held": result.scenario.requests}] * 2
    assert len(result.machine.calibration_ms) == len(result.baseline) == 2


def test_a_run_is_a_page_with_charts_and_a_result_that_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "all", "--only", "quiet", *TINY, "--out", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [each["scenario"]["name"] for each in report["benches"]] == ["quiet"]
    assert report == json.loads((tmp_path / "result.json").read_text())
    assert "## quiet" in (tmp_path / "page.md").read_text()
    assert "<polyline" in (tmp_path / "quiet-latency.svg").read_text()
    result = str(tmp_path / "result.json")
    assert run(["bench", "compare", result, result]) == 0
    assert "unknown: too few rounds" in capsys.readouterr().out


@pytest.mark.long
def test_the_platform_sells_alike_with_a_plain_loop_in_place_of_bytewax(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "row-locks", "--baseline", "consumer-loop", "--rate", "60", "--seconds", "2"]
    assert run([*arguments, "--events", "2", "--buyers", "20", "--warm-up-s", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (only,) = report["rounds"]
    (theirs,) = only["baselines"]
    for step in (*only["platform"]["steps"], *theirs["steps"]):
        assert step["persisted"] == step["notified"] == step["expected"] == step["requests"] == 120
        assert {process["name"] for process in step["cpu"]} >= {"api", "reservations-1", "read-side"}


def test_only_baselines_that_exist_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "row-locks", "--baseline", "wishes"]) == 2
    assert "--baseline: some of row-locks, conditional-update" in capsys.readouterr().err


@pytest.mark.long
def test_a_small_bench_of_each_other_kind_is_on_the_page_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = {"READ_SIDE_FACTS": 600, "HOLDS": 60, "STREAMS": 10, "CHANGES": 2, "KERNEL_COMMANDS": 600}
    for name, quick in tiny.items():
        monkeypatch.setattr(catalogue, name, catalogue.Size(quick, quick))
    names = ["kernel", "ingress", "readside", "watchers", "expiry"]
    arguments = ["bench", "all", "--only", ",".join(names), "--quick", *TINY, "--out", str(tmp_path)]
    assert run([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in report["measurements"]] == names == list(report["took_s"])
    page = (tmp_path / "page.md").read_text()
    assert all(f"## {name}" in page and (tmp_path / f"{name}-1.svg").exists() for name in names)
    result = str(tmp_path / "result.json")
    assert run(["bench", "compare", result, result]) == 0
    assert "readside: CPU of read-side" in capsys.readouterr().out


@pytest.mark.long
def test_an_overload_reports_its_goals(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "overload", *TINY, "--overload-s", "1"]) == 0
    printed = capsys.readouterr().out
    assert "goodput at 10 times the rate is at least 80% of the peak" in printed
    assert "nothing was lost or sold twice" in printed
