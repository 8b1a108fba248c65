"""Writes the reference pages, or says with `--check` which of them are old.

Each page is a table of what the code defines. The rules for Prometheus and the dashboards for Grafana are made so, too.
A test holds page and code equal, so a page is never corrected by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ops.reference import alerts, commands, limits, settings, system
from ops.reference.dashboards import DASHBOARDS, dashboard

DIRECTORY = Path(__file__).parents[1] / "docs" / "reference"
RULES = "../../prometheus/rules.yml"
PAGES: dict[str, Callable[[], str]] = {
    "alerts.md": alerts.page,
    RULES: alerts.prometheus_rules,
    "commands.md": commands.page,
    "limits.md": limits.page,
    "metrics.md": system.metrics,
    "routes.md": system.routes,
    "settings.md": settings.page,
    "topics.md": system.topics,
} | {f"../../grafana/dashboards/{name}.json": partial(dashboard, name) for name in DASHBOARDS}


def old_pages() -> list[str]:
    """The pages that are not what the code says now."""
    return [name for name, write in PAGES.items() if _text(name) != write()]


def _text(name: str) -> str:
    path = DIRECTORY / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or say with --check which are old (exit 1)."""
    old = old_pages()
    if "--check" in arguments:
        for name in old:
            print(f"{DIRECTORY.name}/{name} is old: run python -m ops.reference", file=sys.stderr)
        return 1 if old else 0
    DIRECTORY.mkdir(exist_ok=True)
    for name in old:
        (DIRECTORY / name).write_text(PAGES[name](), encoding="utf-8")
    return 0
