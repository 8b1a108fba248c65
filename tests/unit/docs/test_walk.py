"""The walk through the house leads along names that exist, through at most fifteen files, and never turns back."""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath

import pytest

from ops.migrations.tables import DERIVED_TABLES, KEPT_TABLES, OUTBOUND_TABLES
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS
from tests.unit.docs.pages import ROOT, text_of, tree_of

FILES_MAX = 15
HANDED_OVER = re.compile(r"^→ `([\w.]+)`$", re.MULTILINE)
LINK = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")
STEP = re.compile(r"^\d+\. ((?:`[\w.]+`(?:,| and)? )+)in\s+\[([\w/.]+)\]\(\.\./\.\./([\w/.]+)\):\s", re.MULTILINE)
WALKS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text_of("ops/docs/walk.md"), re.MULTILINE | re.DOTALL))
NAMES = [
    (name, shown, file)
    for text in WALKS.values()
    for names, shown, file in STEP.findall(text)
    for name in re.findall(r"`([\w.]+)`", names)
]


def names_in(file: str) -> set[str]:
    """Every function and class at the top of a file, and every method as `Class.method`."""
    names = set()
    for node in tree_of((ROOT / file).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return names


def files_of(text: str) -> list[str]:
    """Every file that a text leads to, numbered or not, in its order."""
    return [target.removeprefix("../../") for _, target in LINK.findall(text)]


def returns_in(files: list[str]) -> list[str]:
    """The files in folders that were left before. A folder is left by a file that is neither in it nor inside it."""
    left: set[PurePosixPath] = set()
    found: list[str] = []
    here: set[PurePosixPath] = set()
    for file in files:
        folder = PurePosixPath(file).parent
        around = {folder, *folder.parents}
        left |= here - around
        found += [file] if folder in left else []
        here = {one for one in here if one in around} | {folder}
    return found


def test_the_page_has_the_three_walks_and_each_link_is_a_numbered_step() -> None:
    assert list(WALKS) == ["From POST to a hold", "From confirm to tickets", "From a fact to a mail"]
    for walk, text in WALKS.items():
        steps = STEP.findall(text)
        assert [file for _, _, file in steps] == files_of(text), f"{walk}: a link that is no step"
        numbers = [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
        assert numbers == list(range(1, len(steps) + 1)), walk


@pytest.mark.parametrize(("name", "shown", "file"), NAMES)
def test_each_name_on_the_walk_is_where_the_walk_says(name: str, shown: str, file: str) -> None:
    assert shown == file
    assert name in names_in(file)


@pytest.mark.parametrize("walk", WALKS)
def test_a_walk_opens_at_most_fifteen_files_and_none_twice(walk: str) -> None:
    files = files_of(WALKS[walk])
    assert len(files) <= FILES_MAX
    assert len(set(files)) == len(files)


@pytest.mark.parametrize("walk", WALKS)
def test_between_two_hand_overs_a_walk_comes_to_no_folder_that_it_has_left(walk: str) -> None:
    legs = HANDED_OVER.split(WALKS[walk])[::2]
    assert [returns_in(files_of(leg)) for leg in legs] == [[] for _ in legs]


@pytest.mark.parametrize("walk", WALKS)
def test_work_is_handed_over_by_a_topic_or_a_table(walk: str) -> None:
    arrows = HANDED_OVER.findall(WALKS[walk])
    assert len(arrows) == WALKS[walk].count("→")
    assert set(arrows) <= {COMMANDS, FACTS, NOTIFICATIONS, *DERIVED_TABLES, *OUTBOUND_TABLES, *KEPT_TABLES}


def test_a_return_is_found_and_a_folder_inside_is_none() -> None:
    assert returns_in(["a/b/x.py", "a/b/c/y.py", "a/b/c/d/z.py", "a/b/c/w.py", "a/b/v.py"]) == []
    assert returns_in(["a/b/x.py", "a/c/y.py", "a/b/z.py"]) == ["a/b/z.py"]
    assert returns_in(["a/b/c/x.py", "a/b/y.py", "a/b/c/z.py"]) == ["a/b/c/z.py"]
    assert returns_in(["a/x.py", "b/y.py", "a/c/z.py", "a/w.py"]) == ["a/w.py"]
