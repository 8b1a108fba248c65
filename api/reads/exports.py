"""Exports, written while the client reads them: lists as CSV, a person's data. Bounded in number and in memory.

Guarantee: an export of any length has one page of rows in memory. A slow client slows only its own export. Users and
networks have shares of the running exports (api.fairness.pools.EXPORTS).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
CSV = "text/csv; charset=utf-8; header=present"


def csv_line(cells: Iterable[object]) -> str:
    """A line of RFC 4180. A text that a spreadsheet reads as a formula gets an apostrophe in front."""
    out = io.StringIO()
    csv.writer(out).writerow([_harmless(cell) for cell in cells])
    return out.getvalue()


def _harmless(cell: object) -> object:
    if not isinstance(cell, str):
        return "" if cell is None else cell
    return f"'{cell}" if cell.lstrip(" \u00a0\ufeff\n").startswith(FORMULAS) else cell
