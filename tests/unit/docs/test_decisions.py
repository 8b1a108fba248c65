"""The decisions: numbered without a gap, indexed, of one form; dependencies as they are pinned."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.unit.docs.pages import ROOT, rows, text_of

ADR = ROOT / "ops/docs/adr"
FILES = sorted(path.name for path in ADR.glob("[0-9]*.md"))
INDEX = text_of("ops/docs/adr/README.md")


def test_the_index_has_every_decision_under_its_title() -> None:
    listed = [re.findall(r"\[(\d{4})\]\(([^)]+)\)", cells[0])[0] + (cells[1],) for cells in rows(INDEX)]
    there = [(name[:4], name, text_of(f"ops/docs/adr/{name}").split("\n")[0].split(": ", 1)[1]) for name in FILES]
    assert listed == there


def test_numbers_run_without_a_gap() -> None:
    assert [int(name[:4]) for name in FILES] == list(range(1, len(FILES) + 1))
    assert all(re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name) for name in FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_decision_has_the_form_and_is_one_page(name: str) -> None:
    text = text_of(f"ops/docs/adr/{name}")
    assert text.startswith(f"# {name[:4]}: ")
    assert re.search(r"^Status: (accepted|superseded by \[\d{4}\]\([^)]+\)), \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    for heading in ("Context", "Decision", "Consequences"):
        assert f"\n## {heading}\n" in text
    assert len(text.splitlines()) <= 70, "one page"


def test_every_runtime_dependency_has_its_reason() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    pinned = {re.split(r"[\[=]", one)[0] for one in project["dependencies"]}
    listed = {cells[0].split(" ")[0]: cells[1] for cells in rows(text_of("ops/docs/adr/0017-dependencies.md"))}
    assert set(listed) == pinned
    assert all(listed.values())
    tools = text_of("ops/docs/adr/0017-dependencies.md").split("For the tests and the house:")[1]
    for one in project["optional-dependencies"]["dev"]:
        name = re.split(r"[\[=]", one)[0]
        spoken = "type stubs" if name.startswith("types-") or name.endswith("-stubs") else name.removeprefix("pytest-")
        assert spoken in tools, f"{name} is not told"


def test_every_dependency_is_pinned_exactly() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    everything = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert [one for one in everything if not re.fullmatch(r"[a-z0-9-]+(\[\w+\])?==[\w.]+", one)] == []
