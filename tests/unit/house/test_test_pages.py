"""Tests explain themselves: each file says which rule it holds, and the harness has a map that names every module."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import tests.harness
from tests.unit.docs.pages import ROOT, tree_of

SENTENCE_CHARS_MIN = 30  # shorter ones repeat the file's name
RULE_WORDS_MIN = 8  # fewer words are a topic: a rule says what holds for it
TITLE = re.compile(r"(unit )?tests? (of|for|that|whether)\b", re.IGNORECASE)
FILES = sorted((ROOT / "tests").rglob("*.py"))


def rule_of(path: Path) -> str:
    """The first paragraph of a file's docstring; "" when it has none."""
    said = ast.get_docstring(tree_of(path.read_text(encoding="utf-8"))) or ""
    return " ".join(said.partition("\n\n")[0].split())


def topics(files: list[Path]) -> list[str]:
    """The files whose docstring names a topic instead of a rule, or the rule of an earlier file."""
    found, rules = [], set[str]()
    for path in files:
        rule = rule_of(path)
        if len(rule.split()) < RULE_WORDS_MIN or TITLE.match(rule) or rule in rules:
            found.append(path.name)
        rules.add(rule)
    return found


def silent(files: list[Path]) -> list[str]:
    """The files with code but without a docstring, or with one that is no sentence."""
    found = []
    for path in files:
        tree = tree_of(path.read_text(encoding="utf-8"))
        said = (ast.get_docstring(tree) or "").strip()
        if tree.body and (len(said) < SENTENCE_CHARS_MIN or not re.search(r"[.:…)`]$", said)):
            found.append(path.name)
    return found


def test_each_file_of_tests_says_which_rule_it_holds() -> None:
    assert len(FILES) > 200
    assert silent(FILES) == []


def test_each_file_of_tests_has_a_rule_of_its_own_and_no_mere_topic() -> None:
    assert topics([path for path in FILES if path.name.startswith("test_")]) == []


def test_a_file_that_names_a_topic_is_found(tmp_path: Path) -> None:
    texts = {
        "topic": "The outcomes of a hold.",
        "tests": "Tests that no seat is held twice, in any order of the holds.",
        "good": "No seat is held twice, in any order\nof the holds.\n\nSee above.",
        "again": "No seat is held twice, in any order of the holds.",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(f'"""{text}"""\n', encoding="utf-8")
    assert topics([tmp_path / name for name in texts]) == ["topic", "tests", "again"]


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
