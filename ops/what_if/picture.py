"""Two seat maps side by side as an SVG, with the figures beneath. Pure; no font, script or file from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from pipelines.history.seat_map import FREE, HELD, LOCKED, SOLD, SectionMap

SEAT, GAP, MARGIN, LINE = 6, 1, 24, 18
WIDTH_MIN = 320
COLOURS = {FREE: "#e5e7eb", HELD: "#f59e0b", SOLD: "#059669", LOCKED: "#6b7280"}
NAMES = {FREE: "free", HELD: "held", SOLD: "sold", LOCKED: "another seller's"}
FONT = 'font-family="system-ui, sans-serif" font-size="12" fill="#111827"'


def svg(
    title: str,
    halves: Sequence[tuple[str, Sequence[SectionMap]]],
    figures: Sequence[tuple[str, str, str, str]],
) -> str:
    """The picture. `figures` are rows of a name and its value in each half and their difference."""
    widths = [max([WIDTH_MIN, *(_width(section) for section in sections)]) for _, sections in halves]
    parts: list[str] = [_text(MARGIN, MARGIN, title, bold=True)]
    x, bottom = MARGIN, 0
    for (name, sections), width in zip(halves, widths, strict=True):
        y = MARGIN + LINE
        parts.append(_text(x, y, name, bold=True))
        for section in sections:
            y += LINE
            caption = f"{section.name}: {section.sold:,} sold, {section.held:,} held, {section.available:,} free"
            parts.append(_text(x, y, caption))
            y += LINE // 2
            parts += _seats(section, x, y)
            y += len(section.rows) * (SEAT + GAP) + LINE // 2
        bottom = max(bottom, y)
        x += width + MARGIN
    y = bottom + LINE
    at = MARGIN
    for letter, colour in COLOURS.items():
        parts.append(f'<rect x="{at}" y="{y - SEAT - 2}" width="{SEAT + 2}" height="{SEAT + 2}" fill="{colour}"/>')
        parts.append(_text(at + SEAT + 8, y, NAMES[letter]))
        at += 110
    for row in figures:
        y += LINE
        parts += [_text(MARGIN + column, y, text) for column, text in zip((0, 180, 300, 420), row, strict=True)]
    height, total = y + MARGIN, max(x, 560)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" width="{total}" height="{height}">'
    return "\n".join([head, f'<rect width="{total}" height="{height}" fill="#ffffff"/>', *parts, "</svg>", ""])


def _seats(section: SectionMap, x: int, y: int) -> Iterator[str]:
    """Neighbours of one kind are one rectangle: a picture of 50,000 seats stays small."""
    for number, row in enumerate(section.rows):
        at = 0
        for letter, run in groupby(row.seats):
            length = len(list(run))
            width = length * (SEAT + GAP) - GAP
            left, top = x + at * (SEAT + GAP), y + number * (SEAT + GAP)
            yield f'<rect x="{left}" y="{top}" width="{width}" height="{SEAT}" fill="{COLOURS[letter]}"/>'
            at += length


def _width(section: SectionMap) -> int:
    return max((len(row.seats) for row in section.rows), default=0) * (SEAT + GAP)


def _text(x: int, y: int, text: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{y}" {FONT}{weight}>{escape(text)}</text>'
