"""The drop bench runs the whole path, and counts right. No figure is asserted."""

import json
import os
import threading
from pathlib import Path

import pytest

from connectors.errors import CircleError
from connectors.settings import Settings
from ops.cli.main import NICENESS, run
from ops.proof.bench.replay_under_load import REPLAYS, replaying
from ops.proof.bench.watching import watching
from ops.run.services.process import free_port, wait_for


@pytest.mark.long
def test_drop_bench_persists_and_notifies_every_outcome_alone_and_beside_a_replay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [
        "bench",
        "drop",
        "--rate",
        "60",
        "--seconds",
        "2",
        "--events",
        "2",
        "--buyers",
        "20",
        "--warm-up-s",
        "2",
    ]
    assert run([*arguments, "--beside", "projections", "--rounds", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    alone, beside = report["steps"]
    for step in (alone, beside):
        assert step["requests"] == 120
        assert step["outcomes"]["held"] > 0
        assert step["outcomes"]["sold-out"] > 0
        assert step["persisted"] == step["notified"] == step["expected"] == 120
        names = {one["name"] for one in step["cpu"]}
        assert names >= {"api", "reservations-1", "read-side", "postgres"}
    replay = report["beside"]
    assert replay["alone_p99_ms"] == [alone["latency"]["p99_ms"]]
    assert replay["beside_p99_ms"] == [beside["latency"]["p99_ms"]]
    assert report["p99_ratio"] == round(replay["beside_p99_ms"][0] / replay["alone_p99_ms"][0], 2)
    own = os.getpriority(os.PRIO_PROCESS, 0)  # the gate may run this with less priority itself
    assert (replay["niceness"], replay["diverged"]) == (min(19, own + NICENESS), 0)


@pytest.mark.long
def test_drop_bench_runs_in_rounds_with_a_baseline_and_gives_costs_for_a_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load = ["--rate", "60", "--seconds", "2", "--events", "2", "--buyers", "20", "--warm-up-s", "2"]
    assert run(["bench", "drop", *load, "--rounds", "2", "--json"]) == 0
    text = capsys.readouterr().out
    report = json.loads(text)
    assert len(report["rounds"]) == len(report["baseline"]) == len(report["machine"]["calibration_ms"]) == 2
    assert {check["name"] for check in report["checks"]} >= {"nothing is lost", "nothing is sold twice"}
    assert [step["outcomes"]["held"] > 0 for step in report["rounds"]] == [True, True]
    file = tmp_path / "drop.json"
    file.write_text(text)
    assert run(["size", "--requests", "1000", "--measured", str(file)]) == 0


@pytest.mark.long
def test_drop_bench_says_what_watching_costs(capsys: pytest.CaptureFixture[str]) -> None:
    load = ["--rate", "60", "--seconds", "2", "--events", "2", "--buyers", "20", "--warm-up-s", "2"]
    assert run(["bench", "drop", *load, "--rounds", "1", "--json", "--beside", "watching"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = report["beside"]
    assert [found["alone_cpu_us"], found["beside_cpu_us"]] == [
        [step["our_cpu_us_per_request"]] for step in report["steps"]
    ]
    assert found["runs"] >= 1


def test_watching_that_fails_is_said() -> None:
    with pytest.raises(CircleError, match="watching the platform failed: ConnectError"), \
         watching(f"http://127.0.0.1:{free_port()}", "token", ()):  # fmt: skip
        assert wait_for(lambda: not any(one.name == "watcher" for one in threading.enumerate()), timeout_s=30) is None


@pytest.mark.parametrize("replay", REPLAYS)
def test_a_replay_beside_it_is_a_command_that_there_is(replay: str) -> None:
    assert run([*REPLAYS[replay], "--help"]) == 0


def test_a_replay_beside_it_that_fails_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REPLAYS, "verify", ("verify", "--no-such-option"))
    with pytest.raises(CircleError, match="--no-such-option` under load ended with 2"), \
         replaying(settings, "verify") as found:  # fmt: skip
        assert wait_for(lambda: bool(found.failed), timeout_s=60) is None


def test_only_companions_that_there_are_go_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "drop", "--beside", "shadows"]) == 2
    assert "--beside: one of verify, projections, watching; got 'shadows'" in capsys.readouterr().err
