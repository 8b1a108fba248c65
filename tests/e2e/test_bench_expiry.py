"""The expiry bench sees every hold end and every place free again. No figure is asserted."""

from __future__ import annotations

import json

import pytest

from ops.cli.main import run


@pytest.mark.long
def test_every_hold_runs_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "expiry", "--holds", "203", "--rounds", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (figures,) = report["rounds"]
    assert figures["holds"] == figures["expired"] == figures["free"] == 203
    assert figures["persisted_s"] >= figures["decided_s"] >= 0
    assert {process["name"] for process in figures["cpu"]} >= {"reservations-1", "read-side", "postgres"}
