"""The demo at a small size: it sells out and finds no error; without the lock step it finds the damage."""

import json
from typing import Any

import pytest

from ops.cli.main import run

ENCORE_TICKETS = 3  # two bought, and one of them given back, offered and bought
ENCORE_MINOR = 3_400 + 4_250
SMALL = ["demo", "--buyers", "300", "--seats", "120", "--hold-ttl", "3", "--json"]


def small_demo(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = run(SMALL)
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.timeout(240)
def test_demo_sells_out_and_finds_nothing_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = small_demo(capsys)
    report = document["report"]
    assert (code, document["passed"], report["findings"]) == (0, True, [])
    assert report["sold"] == report["seats"] == report["checked"]["tickets_rows"] - ENCORE_TICKETS == 120
    assert report["oversold"] == report["lost"] == report["duplicates"] == 0
    assert report["outcomes"]["held"] > 0
    assert report["outcomes"]["sold-out"] > 0
    assert report["payments"]["confirmed"] > 0
    assert report["checked"]["SeatLocksObserved"] > 0
    assert report["captured_minor"] - report["refunded_minor"] == 120 * 4_250 + ENCORE_MINOR
    assert [line.partition(":")[0] for line in report["encore"]] == [
        "promo code ENCORE", "waiting list", "transfer", "door", "second scan",
    ]  # fmt: skip


@pytest.mark.timeout(240)
def test_demo_fails_when_the_lock_step_is_taken_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIRCLE_TEST_SWITCHES", "no-lock")
    code, document = small_demo(capsys)
    assert code == 1
    assert any("box office" in finding for finding in document["report"]["findings"])


def test_demo_refuses_a_crowd_that_may_not_fill_the_house(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--buyers", "10", "--seats", "20"]) == 2
    assert "--buyers" in capsys.readouterr().err
