"""The row-lock bench runs both, and counts right. No figure is asserted."""

import json

import pytest

from ops.cli.main import run


def test_both_answer_every_request_and_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "row-locks", "--rate", "60", "--seconds", "2", "--events", "2", "--buyers", "20"]
    assert run([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (ours,), (theirs,) = report["platform"]["steps"], report["row_locks"]
    assert ours["requests"] == theirs["requests"] == 120
    for step in (ours, theirs):
        assert step["persisted"] == step["notified"] == step["expected"] == 120
        assert step["outcomes"]["held"] > 0
        assert step["outcomes"]["sold-out"] > 0
    assert report["oversold"] == 0
    assert {one["name"] for one in theirs["cpu"]} == {"row-locks", "postgres"}
    assert report["ratios"]["cpu_of_everything"] > 0
