"""Reads the pages of the repository: their text, tables, code blocks, headings and links; and parses its modules."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = ("schemas", "pipelines", "connectors", "sinks", "api", "ops")
PAGES = tuple(
    sorted(
        [
            *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "GLOSSARY.md", "CHANGELOG.md")),
            *(ROOT / "ops/docs").rglob("*.md"),
        ]
    )
)


def text_of(name: str) -> str:
    """A page by its path from the root."""
    return (ROOT / name).read_text()


@cache
def tree_of(text: str) -> ast.Module:
    """The tree of a module's text, parsed once for all tests of a process: change none of it. Raises SyntaxError."""
    return ast.parse(text)


def section(text: str, heading: str) -> str:
    """The text under a heading, up to the next one of its rank or above. Raises AssertionError without the heading."""
    found: list[str] = []
    rank, fenced = 0, False
    for line in text.splitlines(keepends=True):
        fenced ^= line.startswith("```")
        marks = len(line) - len(line.lstrip("#"))
        if marks and not fenced and line[marks : marks + 1] == " ":
            if rank and marks <= rank:
                break
            if line.lstrip("#").strip() == heading:
                rank = marks
                continue
        if rank:
            found.append(line)
    assert rank, f"no heading {heading!r}"
    return "".join(found)


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, without heads and rules."""
    found: list[list[str]] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|") and not set(line) <= set("|-: "):
            following = lines[number + 1] if number + 1 < len(lines) else ""
            if not (following.startswith("|") and set(following) <= set("|-: ")):
                found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def blocks(text: str, language: str) -> list[str]:
    """The fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def code(text: str) -> list[str]:
    """Everything between single backticks, outside of code blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(text: str) -> set[str]:
    """The anchors of a page that links may name."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def source_text() -> str:
    """Every line of ours that is no page and no test."""
    files = (path for top in SOURCES for path in sorted((ROOT / top).rglob("*")))
    return "\n".join(path.read_text() for path in files if path.suffix in {".py", ".sql", ".lua", ".json"})


@cache
def source_words() -> frozenset[str]:
    """Every word of `source_text`; a name is one."""
    return frozenset(re.findall(r"\w+", source_text()))
