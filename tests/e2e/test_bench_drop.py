"""The drop bench runs the whole path, and counts right. No figure is asserted."""

import json

import pytest

from ops.cli.main import run


def test_drop_bench_persists_and_notifies_every_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "drop", "--rate", "60", "--seconds", "2", "--events", "2", "--buyers", "20"]
    assert run([*arguments, "--json"]) == 0
    (step,) = json.loads(capsys.readouterr().out)["steps"]
    assert step["requests"] == 120
    assert step["outcomes"]["held"] > 0
    assert step["outcomes"]["sold-out"] > 0
    assert step["persisted"] == step["notified"] == step["expected"] == 120
    assert {one["name"] for one in step["cpu"]} >= {"api", "reservations-1", "projections", "notifications", "postgres"}
