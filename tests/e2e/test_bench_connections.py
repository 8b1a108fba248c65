"""The connections bench opens what it was asked for, and every new connection has its answer. No figure is asserted."""

from __future__ import annotations

import json

import pytest

from ops.cli.main import run


@pytest.mark.long
def test_each_new_connection_has_its_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "connections", "--connections", "120", "--rate", "60", "--addresses", "3", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["options"] == {"connections": 120, "rate": 60.0, "addresses": 3, "keep": False}
    assert report["statuses"] == {"201": 120}
    assert report["unanswered"] == {}
    assert report["latency"]["count"] == 120
    assert report["opened_s"] >= 119 / 60
    assert report["latency"]["p50_ms"] > 0


def test_its_report_names_each_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "connections", "--connections", "30", "--rate", "60", "--keep"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "30 at 60/s from 5 addresses, kept open" in printed
    assert "status 201" in printed
    assert printed.endswith("every connection has an answer")


def test_too_many_connections_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "connections", "--connections", "40001"]) == 2
    assert "--connections" in capsys.readouterr().err
