"""The read-side bench writes every fact of its log into rows, messages and totals. No figure is asserted."""

from __future__ import annotations

import json

import pytest

from ops.cli.main import run


@pytest.mark.long
def test_each_round_reads_a_log_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "readside", "--facts", "600", "--rounds", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    for figures in report["rounds"]:
        assert figures["facts"] >= 600
        assert figures["rows"] == figures["reservations"] > 100
        assert figures["messages"] > 100
        assert {process["name"] for process in figures["cpu"]} >= {"read-side", "postgres"}
    assert {"facts", "facts a core of the read side", "CPU of read-side"} <= {
        figure["name"] for figure in report["figures"]
    }
    assert len(report["machine"]["calibration_ms"]) == 2


def test_a_foreign_broker_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "readside", "--broker", "broker.example:9092"]) == 2
    assert "empties its topics" in capsys.readouterr().err
