"""Markdown that all reference pages have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

WRITTEN = "This page is written from the code (`python -m ops.reference`)."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def text(plain: str) -> str:
    """A plain text, with Markdown's own characters kept as they are."""
    return plain.replace("*", "\\*").replace("<", "\\<")


def joined(names: Iterable[str]) -> str:
    """Names in backticks, with commas between and "and" before the last."""
    *first, last = [f"`{name}`" for name in names]
    return f"{', '.join(first)} and {last}" if first else last
