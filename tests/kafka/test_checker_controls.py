"""The fence, on the broker that has one: without it, the checker must find the paused worker's facts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.run.services.stack import Stack
from tests.harness import switches


@pytest.mark.timeout(180)
def test_without_the_fence_a_paused_workers_facts_are_visible_and_found(stack: Stack, tmp_path: Path) -> None:
    report = switches.without_the_fence(stack, tmp_path / "logs")
    assert {"position-twice", "position-told-differently"} & report.by_rule.keys(), report.text()
