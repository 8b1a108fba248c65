"""The checker on the running platform without its guards: it must find the damage, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.run.services.stack import Stack
from tests.harness import switches
from tests.harness.faults import APACHE


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.mark.timeout(120)
def test_without_the_lock_a_foreign_owners_seat_is_sold_and_found(stack: Stack, logs: Path) -> None:
    report = switches.without_the_lock(stack, logs)
    assert "locked-seat-sold" in report.by_rule, report.text()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("taken_out", ["", "no-dedupe"])
def test_without_the_dedupe_facts_told_again_damage_the_rows_and_are_found(
    stack: Stack, logs: Path, taken_out: str
) -> None:
    report = switches.facts_told_again(stack, logs, switches=taken_out)
    assert report.counts["facts_told_again"] == 2
    assert set(report.by_rule) == ({"postgres"} if taken_out else set()), report.text()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("stack", [APACHE], indirect=True)
def test_without_the_fence_a_paused_workers_facts_are_visible_and_found(stack: Stack, logs: Path) -> None:
    """On the broker that has a fence: the embedded one shows such facts in any case."""
    report = switches.without_the_fence(stack, logs)
    assert {"position-twice", "position-told-differently"} & report.by_rule.keys(), report.text()
