"""The replay bench runs, and counts right. No figure is asserted: reported figures are of another machine."""

import inspect
import json

import pytest

from ops.cli.bench import replay
from ops.cli.main import run


@pytest.mark.long
def test_replay_bench_reads_folds_and_verifies_all_that_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "replay", "--sizes", "300", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["reference_ms"] > 0
    assert report["python"].startswith(("3.11.", "3.12."))
    assert report["decoder"] in ("compiled", "plain")
    (size,) = report["sizes"]
    assert size["facts"] >= 300
    assert [one["what"] for one in size["best"]] == ["read", "fold", "verify"]
    assert {one["facts"] for one in size["best"]} == {size["facts"]}


def test_its_sizes_are_those_of_the_design_where_none_are_said() -> None:
    assert inspect.signature(replay).parameters["sizes"].default == "100000,300000,1000000"


def test_sizes_that_are_no_numbers_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "replay", "--sizes", "many"]) == 2
    assert "--sizes" in capsys.readouterr().err


@pytest.mark.long
def test_resume_bench_has_a_worker_take_over_what_was_projected(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(
            ["bench", "resume", "--facts", "400", "--orders-per-event", "60", "--asked", "3", "--rounds", "2", "--json"]
        )
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert (report["asked"], report["replies"]) == (3, 3)
    assert report["facts"] >= 400
    assert report["events"] >= 3
    assert [one["replies"] for one in report["rounds"]] == [3, 3]
    assert report["event_reservations"] >= 30
