"""A name says what is in it: no module, class, function, constant or member is called by a word that the glossary has
retired. Neither is a file of tests.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT, SOURCES, rows, section, text_of, tree_of

RETIRED = rows(section(text_of("GLOSSARY.md"), "Retired words"))
WORDS = {word.strip() for words, _instead in RETIRED for word in words.split(",")}


NO_PART = {"told", "untold"}
"""No part of a constant or a member either: `NOT_TOLD` is as much of a riddle as `TOLD`."""


def names_in(tree: ast.Module) -> Iterator[str]:
    """The classes and functions that a module offers to others."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name


def capitals_in(tree: ast.Module) -> Iterator[str]:
    """The constants of a module, and the members of its enumerations."""
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(name, ast.Name) and name.id.isupper():
                    yield name.id


def is_retired_capital(name: str) -> bool:
    words = name.strip("_").lower()
    return words in WORDS or bool(NO_PART & set(words.split("_")))


def is_retired_stem(path: Path) -> bool:
    """Whether a file of tests is called by a retired word, or begins with one. `_here` means another broker."""
    stem = path.stem.removeprefix("test_").removesuffix("_here")
    return any(stem == word or stem.startswith(f"{word}_") for word in WORDS)


def snake(name: str) -> str:
    """A class's name as a module of the same words would have it: `SetAside` is `set_aside`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def retired_names(root: Path) -> list[str]:
    """Every retired name below a folder: a folder's or a module's path, or a path with the class or function in it."""
    found = {str(path) for path in root.rglob("*") if path.is_dir() and path.name in WORDS}
    for path in root.rglob("*.py"):
        if path.stem in WORDS:
            found.add(str(path))
        tree = tree_of(path.read_text(encoding="utf-8"))
        found |= {f"{path}: {name}" for name in names_in(tree) if snake(name) in WORDS}
        found |= {f"{path}: {name}" for name in capitals_in(tree) if is_retired_capital(name)}
    return sorted(found)


@pytest.mark.parametrize("top", SOURCES)
def test_no_module_class_public_function_constant_or_member_has_a_retired_name(top: str) -> None:
    assert retired_names(ROOT / top) == []


def test_no_file_of_tests_has_a_retired_name() -> None:
    paths = list((ROOT / "tests").rglob("*.py"))
    assert len(paths) > 100
    assert [str(path.relative_to(ROOT)) for path in paths if is_retired_stem(path)] == []


@pytest.mark.parametrize("name", ["test_kept.py", "test_found_here.py", "test_kept_data_directory.py"])
def test_a_file_of_tests_with_a_retired_name_is_found(name: str) -> None:
    assert is_retired_stem(Path(name))
    assert not is_retired_stem(Path(name.replace("test_", "test_events_")))


def test_each_retired_name_is_found_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "past").mkdir()
    (tmp_path / "told.py").write_text("def _shown(): ...\ndef past_of(): ...\nclass Clock:\n    def past(self): ...\n")
    (tmp_path / "fine.py").write_text(
        "class Shelf: ...\nasync def kept(): ...\nclass SettingAside: ...\n"
        "A, _TOLD = 1, 2\nKEPT_S: int = 3\nclass Kind:\n    NOT_TOLD = 4\n    Told = 5\n"
    )
    assert [name.removeprefix(f"{tmp_path}/") for name in retired_names(tmp_path)] == [
        "fine.py: NOT_TOLD", "fine.py: SettingAside", "fine.py: Shelf", "fine.py: _TOLD", "fine.py: kept", "past",
        "told.py",
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
