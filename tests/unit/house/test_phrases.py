"""Docstrings, comments, messages, mails and pages have no phrase that the glossary has retired.

A message is a text in the code with a blank in it. Texts in tests are inputs, and may say what they want.
"""

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
from tests.unit.docs.pages import PAGES, ROOT, SOURCES, rows, section, text_of, tree_of

PHRASES = [phrase.strip() for cells in rows(section(text_of("GLOSSARY.md"), "Retired phrases"))
           for phrase in cells[0].split(",")]  # fmt: skip
RETIRED = re.compile(rf"\b(?:{'|'.join(PHRASES)})\b", re.IGNORECASE)
# The docstring of a record is a part of its Avro schema, whose id must stay.
RECORDS = {record.__name__ for record in (*COMMANDS, *FACTS)}
HISTORY = {ROOT / "CHANGELOG.md"}
STAYING = {
    # Facts on the log have this detail, and verification compares it with that of the rules.
    "pipelines/reservations/core/rules/offers.py": [
        "the ticket is offered to somebody else; withdraw that offer first"
    ],
}
"""By file: the messages with a retired phrase that stay."""


def without_code(text: str) -> str:
    """The text without fenced blocks, without the code between backticks, and without names of options."""
    return re.sub(r"`[^`]+`|--\w[\w-]*", "", re.sub(r"^\s*```.*?^\s*```$", "", text, flags=re.MULTILINE | re.DOTALL))


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
    yield from docstrings(tree_of(text))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def messages(tree: ast.Module) -> Iterator[str]:
    """The texts with a blank in them, without docstrings. The values of an f-string are left out."""
    passed = {
        id(body[0].value)
        for node in ast.walk(tree)
        if isinstance(body := getattr(node, "body", None), list) and body and isinstance(body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            passed |= {id(part) for part in node.values}
            texts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            text = "".join(map(str, texts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
            text = node.value
        else:
            continue
        if " " in text.strip():
            yield text


def retired_messages(path: Path) -> list[str]:
    """The messages of a module with a retired phrase, in the order of their texts."""
    found = messages(tree_of(path.read_text(encoding="utf-8")))
    return sorted(text for text in found if RETIRED.search(without_code(text)))


def texts_outside_python() -> list[Path]:
    """Templates of mails and of pages, documents, scripts, and the files that start them."""
    kinds = (".txt", ".html", ".typ", ".sh", ".js", ".lua", ".pyx", ".yaml", ".yml", ".css")
    found = [path for top in (*SOURCES, "tests") for path in (ROOT / top).rglob("*") if path.suffix in kinds]
    return sorted([*found, *(ROOT / ".ci").iterdir(), *ROOT.glob("*.y*ml"), ROOT / "Makefile", ROOT / "Dockerfile"])


def retired_in(path: Path) -> list[str]:
    """The retired phrases in a file's prose."""
    if not RETIRED.search(path.read_text(encoding="utf-8")):
        return []
    return [phrase for text in prose_of(path) for phrase in RETIRED.findall(without_code(text))]


@pytest.mark.parametrize("top", [*SOURCES, "tests"])
def test_no_docstring_and_no_comment_has_a_retired_phrase(top: str) -> None:
    # Applied migrations never change, not even in a comment.
    files = [path for path in sorted((ROOT / top).rglob("*")) if path.suffix in {".py", ".sql"}]
    files = [path for path in files if path.parent != ROOT / "ops/migrations/sql"]
    assert {str(path.relative_to(ROOT)): phrases for path in files if (phrases := retired_in(path))} == {}


@pytest.mark.parametrize("top", SOURCES)
def test_no_message_has_a_retired_phrase(top: str) -> None:
    found = {str(path.relative_to(ROOT)): retired_messages(path) for path in sorted((ROOT / top).rglob("*.py"))}
    staying = {place: texts for place, texts in STAYING.items() if place.startswith(f"{top}/")}
    assert {place: texts for place, texts in found.items() if texts} == staying


def test_no_mail_no_document_and_no_script_has_a_retired_phrase() -> None:
    files = texts_outside_python()
    assert len(files) > 100
    texts = {path: path.read_text(encoding="utf-8").replace(".ci/beside", "") for path in files}  # the name of a script
    assert {
        str(path.relative_to(ROOT)): found for path, text in texts.items() if (found := RETIRED.findall(text))
    } == {}


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


@pytest.mark.parametrize("phrase", PHRASES)
def test_each_retired_phrase_is_found_in_messages(tmp_path: Path, phrase: str) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        f'"""It says {phrase} here."""\n'
        f'print("It says {phrase}.")\nprint(f"{{name}}: {phrase}")\n'
        f'raise KeyError(f"{phrase} {{name}}" + "as `{phrase}`")\n'
    )
    assert retired_messages(module) == sorted([f"It says {phrase}.", f"{{}}: {phrase}", f"{phrase} {{}}"])


def test_a_word_without_a_blank_is_a_name_and_no_message(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("MODE = 'beside'\nsettings['told'] = report('anew')\n")
    assert retired_messages(module) == []


def test_each_retired_phrase_is_listed_once_with_another_one() -> None:
    listed = rows(section(text_of("GLOSSARY.md"), "Retired phrases"))
    assert len(PHRASES) == len(set(PHRASES)) >= 10
    assert [cells for cells in listed if not cells[1] or RETIRED.search(cells[1])] == []
