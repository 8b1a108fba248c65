"""The watchers bench delivers each change to each stream. No figure is asserted."""

from __future__ import annotations

import json

import pytest

from ops.cli.main import run


@pytest.mark.long
def test_each_stream_gets_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "watchers", "--streams", "25", "--changes", "2", "--rounds", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    for figures in report["rounds"]:
        assert figures["delivered"] == figures["latency"]["count"] == 50
        assert len(figures["last_s"]) == 2
        assert {process["name"] for process in figures["cpu"]} >= {"api", "read-side"}
    assert [figure["name"] for figure in report["figures"]] == ["p50", "p99", "slowest stream", "our CPU"]
    assert report["opened_s"] > 0
