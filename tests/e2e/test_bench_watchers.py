"""The watchers bench delivers each change to each stream. No figure is asserted."""

from __future__ import annotations

import json

import pytest

from ops.cli.main import run

SMALL = ["--streams", "25", "--changes", "2", "--rounds", "2", "--rate", "40", "--seconds", "2", "--warm-up-s", "4"]


@pytest.mark.long
def test_each_stream_gets_each_change_and_drops_are_measured_with_and_without_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["bench", "watchers", *SMALL, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    for figures in report["rounds"]:
        assert figures["delivered"] == figures["latency"]["count"] == 50
        assert len(figures["last_s"]) == 2
        assert figures["opened_s"] > 0
        assert figures["followed"] == figures["gaps"]["count"] == 25
        assert 0 < figures["gaps"]["max_ms"] <= 2_000
        assert {process["name"] for process in figures["cpu"]} >= {"api", "read-side"}
    for drop in [*(one["drop"] for one in report["rounds"]), *report["alone"]]:
        assert (drop["due"], drop["latency"]["count"], drop["outcomes"]) == (80, 80, {"held": 80})
        assert {process["name"] for process in drop["cpu"]} >= {"api", "reservations-1", "read-side"}
    names = [figure["name"] for figure in report["figures"]]
    assert {"p50", "p99", "slowest stream", "news p99", "reservation p99, watched", "reservation p99, alone"} <= {
        *names
    }
    assert all(check["holds"] for check in report["checks"])
    assert len(report["goals"]) == 2
    assert report["warm_up"]["p50_ms"]
