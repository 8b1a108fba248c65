"""A commit has to pass the same checks on its author's machine and at the gate."""

from __future__ import annotations

import re

import yaml

from tests.unit.docs.pages import ROOT, text_of

HOOKS = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"][0]["hooks"]


def test_the_hooks_of_a_commit_run_every_linter_of_the_gate() -> None:
    recipe = text_of("Makefile").partition("\nlint:")[2].partition("\n\n")[0]
    wanted = set(re.findall(r"\$\(BIN\)/([\w-]+)", recipe))
    assert wanted == {"ruff", "mypy", "lint-imports"}
    assert {hook["entry"].split()[0] for hook in HOOKS} == {f".venv/bin/{name}" for name in wanted}
    assert all(hook["language"] == "system" for hook in HOOKS)


def test_each_test_that_the_security_page_names_exists() -> None:
    named = re.findall(r"tests/[\w/]+\.py", text_of("SECURITY.md"))
    assert len(named) >= 8
    assert [name for name in named if not (ROOT / name).is_file()] == []
