"""Long answers that are written while they are read: lists as CSV, a person's data. Bounded in number and in memory.

Guarantee: an export holds one page of rows, whatever its length; a client that reads slowly slows its own export alone.
One user has EXPORTS_OF_USER_MAX under way, a process EXPORTS_MAX; who comes then gets 503 with Retry-After.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from api.limits import EXPORTS_MAX, EXPORTS_OF_USER_MAX
from api.problem import busy

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
CSV = "text/csv; charset=utf-8; header=present"


class Exports:
    """Those that are under way in this process."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    @contextmanager
    def one(self, user_id: str) -> Iterator[None]:
        """Raises Problem busy (503)."""
        if self._of[user_id] >= EXPORTS_OF_USER_MAX or self._of.total() >= EXPORTS_MAX:
            raise busy("too many exports are under way")
        self._of[user_id] += 1
        try:
            yield
        finally:
            self._of[user_id] -= 1
            if not self._of[user_id]:
                del self._of[user_id]


def csv_line(cells: Iterable[object]) -> str:
    """A line of RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    out = io.StringIO()
    csv.writer(out).writerow([_harmless(cell) for cell in cells])
    return out.getvalue()


def _harmless(cell: object) -> object:
    if not isinstance(cell, str):
        return "" if cell is None else cell
    return f"'{cell}" if cell.lstrip(" \u00a0\ufeff\n").startswith(FORMULAS) else cell
