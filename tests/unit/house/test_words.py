"""A name says what is in it: no module, class or public function is called by a word that the glossary has retired."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT, SOURCES, rows, section, text_of

RETIRED = rows(section(text_of("GLOSSARY.md"), "Retired words"))
WORDS = {word.strip() for words, _instead in RETIRED for word in words.split(",")}


def names_in(tree: ast.Module) -> Iterator[str]:
    """The classes and functions that a module offers to others."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name


def snake(name: str) -> str:
    """A class's name as a module of the same words would have it: `SetAside` is `set_aside`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def retired_names(root: Path) -> list[str]:
    """Every retired name below a folder: a folder's or a module's path, or a path with the class or function in it."""
    found = {str(path) for path in root.rglob("*") if path.is_dir() and path.name in WORDS}
    for path in root.rglob("*.py"):
        if path.stem in WORDS:
            found.add(str(path))
        for name in names_in(ast.parse(path.read_text(encoding="utf-8"))):
            if snake(name) in WORDS:
                found.add(f"{path}: {name}")
    return sorted(found)


@pytest.mark.parametrize("top", SOURCES)
def test_no_module_class_or_public_function_has_a_retired_name(top: str) -> None:
    assert retired_names(ROOT / top) == []


def test_each_retired_name_is_found_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "past").mkdir()
    (tmp_path / "told.py").write_text("def _shown(): ...\ndef past_of(): ...\nclass Clock:\n    def past(self): ...\n")
    (tmp_path / "fine.py").write_text("class Shelf: ...\nasync def kept(): ...\nclass SettingAside: ...\n")
    assert [name.removeprefix(f"{tmp_path}/") for name in retired_names(tmp_path)] == [
        "fine.py: SettingAside", "fine.py: Shelf", "fine.py: kept", "past", "told.py",
    ]  # fmt: skip


def test_each_retired_word_has_one_to_say_instead_and_stands_there_once() -> None:
    listed = [word.strip() for words, _instead in RETIRED for word in words.split(",")]
    assert len(listed) == len(WORDS) >= 13
    assert all(re.fullmatch(r"[a-z_]+", word) for word in listed)
    assert [words for words, instead in RETIRED if not instead or set(instead.split(", ")) & WORDS] == []


def test_the_words_of_the_first_cleaning_stay_retired() -> None:
    assert {
        "told", "shown", "kept", "settled", "mended", "past", "beside", "outside", "direct", "lives", "shelf",
        "patience", "singly",
    } <= WORDS  # fmt: skip
