"""Docstrings, comments and pages have no phrase that the glossary has retired."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.commands import COMMANDS
from schemas.facts import FACTS
from tests.unit.docs.pages import PAGES, ROOT, SOURCES, rows, section, text_of

PHRASES = [phrase.strip() for cells in rows(section(text_of("GLOSSARY.md"), "Retired phrases"))
           for phrase in cells[0].split(",")]  # fmt: skip
RETIRED = re.compile(rf"\b(?:{'|'.join(PHRASES)})\b", re.IGNORECASE)
# The docstring of a record is a part of its Avro schema, whose id must stay.
RECORDS = {record.__name__ for record in (*COMMANDS, *FACTS)}
HISTORY = {ROOT / "CHANGELOG.md"}


def without_code(text: str) -> str:
    """The text without fenced blocks and without the code between backticks."""
    return re.sub(r"`[^`]+`", "", re.sub(r"^\s*```.*?^\s*```$", "", text, flags=re.MULTILINE | re.DOTALL))


def docstrings(tree: ast.Module) -> Iterator[str]:
    """Every docstring of a module, except those of records."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if isinstance(node, ast.ClassDef) and node.name in RECORDS:
                continue
            yield ast.get_docstring(node) or ""


def prose_of(path: Path) -> Iterator[str]:
    """The docstrings and comments of a Python file, the comments of an SQL file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".sql":
        yield from re.findall(r"--.*", text)
        return
    yield from docstrings(ast.parse(text))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def retired_in(path: Path) -> list[str]:
    """The retired phrases in a file's prose."""
    return [phrase for text in prose_of(path) for phrase in RETIRED.findall(without_code(text))]


@pytest.mark.parametrize("top", [*SOURCES, "tests"])
def test_no_docstring_and_no_comment_has_a_retired_phrase(top: str) -> None:
    # Applied migrations never change, not even in a comment.
    files = [path for path in sorted((ROOT / top).rglob("*")) if path.suffix in {".py", ".sql"}]
    files = [path for path in files if path.parent != ROOT / "ops/migrations/sql"]
    assert {str(path.relative_to(ROOT)): phrases for path in files if (phrases := retired_in(path))} == {}


@pytest.mark.parametrize("page", sorted(set(PAGES) - HISTORY), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_a_retired_phrase(page: Path) -> None:
    text = page.read_text(encoding="utf-8").partition("## Retired words")[0]
    assert RETIRED.findall(without_code(text)) == []


@pytest.mark.parametrize("phrase", PHRASES)
def test_each_retired_phrase_is_found_in_docstrings_and_comments(tmp_path: Path, phrase: str) -> None:
    module = tmp_path / "module.py"
    module.write_text(f'"""It says {phrase} here, and `{phrase}` as code."""\n# {phrase.capitalize()}, too.\n')
    query = tmp_path / "query.sql"
    query.write_text(f"-- {phrase}\nSELECT '{phrase}';\n")
    assert [found.lower() for path in (module, query) for found in retired_in(path)] == [phrase] * 3


def test_each_retired_phrase_is_listed_once_with_another_one() -> None:
    listed = rows(section(text_of("GLOSSARY.md"), "Retired phrases"))
    assert len(PHRASES) == len(set(PHRASES)) >= 10
    assert [cells for cells in listed if not cells[1] or RETIRED.search(cells[1])] == []
