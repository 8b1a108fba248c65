"""Tests explain themselves: each file says which rule it holds, and the harness has a map that names every module."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import tests.harness
from tests.unit.docs.pages import ROOT

SENTENCE_CHARS_MIN = 30  # shorter ones repeat the file's name
FILES = sorted((ROOT / "tests").rglob("*.py"))


def silent(files: list[Path]) -> list[str]:
    """The files with code but without a docstring, or with one that is no sentence."""
    found = []
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said = (ast.get_docstring(tree) or "").strip()
        if tree.body and (len(said) < SENTENCE_CHARS_MIN or not re.search(r"[.:…)`]$", said)):
            found.append(path.name)
    return found


def test_each_file_of_tests_says_which_rule_it_holds() -> None:
    assert len(FILES) > 200
    assert silent(FILES) == []


def test_a_file_that_says_nothing_is_found(tmp_path: Path) -> None:
    texts = {
        "none": "import ast\n",
        "short": '"""Tests."""\nimport ast\n',
        "title": '"""About the seats that a hold has taken"""\n',
        "good": '"""No seat is held twice, in any order of the holds."""\n',
        "empty": "",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert silent([tmp_path / name for name in texts]) == ["none", "short", "title"]


def test_the_map_of_the_harness_names_every_module_once_in_order() -> None:
    lines = [line for line in (tests.harness.__doc__ or "").splitlines()[2:] if line]
    named = [re.fullmatch(r"(\w+) +(\S.*\.)", line) for line in lines]
    assert all(named), "a line is a module's name and one sentence"
    modules = sorted(path.stem for path in (ROOT / "tests/harness").glob("*.py") if path.stem != "__init__")
    assert [line.group(1) for line in named if line] == modules
