"""The walk through the house leads along names that exist, through at most fifteen files, and never turns back."""

from __future__ import annotations

import ast
import re

import pytest

from tests.unit.docs.pages import ROOT, text_of

FILES_MAX = 15
WALKS = {
    heading: re.findall(r"^\d+\. `([\w.]+)` in \[([\w/.]+)\]\(\.\./\.\./([\w/.]+)\)", text, re.MULTILINE)
    for heading, text in re.findall(
        r"^## (.+?)\n(.*?)(?=^## |\Z)", text_of("ops/docs/walk.md"), re.MULTILINE | re.DOTALL
    )
}
STEPS = [step for steps in WALKS.values() for step in steps]


def names_in(file: str) -> set[str]:
    """Every function and class at the top of a file, and every method as `Class.method`."""
    names = set()
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return names


def test_the_page_has_the_three_walks_and_every_numbered_line_is_a_step() -> None:
    assert list(WALKS) == ["From POST to a hold", "From confirm to tickets", "From a fact to a mail"]
    assert len(STEPS) == len(re.findall(r"^\d+\. ", text_of("ops/docs/walk.md"), re.MULTILINE))


@pytest.mark.parametrize(("name", "shown", "file"), STEPS)
def test_each_name_on_the_walk_is_where_the_walk_says(name: str, shown: str, file: str) -> None:
    assert shown == file
    assert name in names_in(file)


@pytest.mark.parametrize("walk", WALKS)
def test_a_walk_opens_at_most_fifteen_files_and_none_twice(walk: str) -> None:
    files = [file for _, _, file in WALKS[walk]]
    assert len(files) <= FILES_MAX
    assert len(set(files)) == len(files)
