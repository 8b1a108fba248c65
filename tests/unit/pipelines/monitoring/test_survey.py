"""Monitoring surveys every flow of the platform, and leaves none out."""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.flows import READ_SIDE_BRANCHES
from pipelines.monitoring.survey import COMMITTING, STORING

ROOT = Path(__file__).parents[4]


def test_every_consumer_group_is_watched() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "pipelines").glob("*/wiring.py"))
    lines = [line for line in source.splitlines() if re.match(r"[A-Z_, ]*GROUP = ", line)]
    groups = {name for line in lines for name in re.findall(r'"([^"]+)"', line)}
    groups |= {
        f"circle.{flow}" for flow in READ_SIDE_BRANCHES
    }  # the read side keeps their positions, and none of its own
    watched = {*COMMITTING, *(f"circle.{name}" for name in STORING)}
    assert groups - watched == set(), "say in pipelines/monitoring/survey.py where these keep their position"
    assert watched - groups == set()
