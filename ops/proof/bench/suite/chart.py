"""A line chart as SVG, without any library: one line for each series, a y axis from 0, a legend. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 48, 44
COLOURS = ("#1f5fa8", "#c2571a", "#2f7d4f", "#7a4fa3")
TICKS = 4


def line_chart(
    title: str, x_name: str, y_name: str, series: Mapping[str, Sequence[float]], *, labels: Sequence[str] = ()
) -> str:
    """The series over 0, 1, 2, … in one picture, or over `labels` at even distances."""
    count = max((len(values) for values in series.values()), default=0)
    top = rounded_up(max((max(values, default=0.0) for values in series.values()), default=0.0))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(number: int, value: float) -> str:
        return f"{LEFT + wide * number / max(1, count - 1):.1f},{TOP + high * (1 - value / top):.1f}"

    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {box}><title>{escape(title)}</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="18" font-size="14" fill="#222222">{escape(title)}</text>',
        f'<text x="{LEFT + wide / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle" fill="#444444">{escape(x_name)}</text>',
        f'<text x="{LEFT}" y="{TOP - 8}" fill="#444444">{escape(y_name)}</text>',
    ]
    for tick in range(TICKS + 1):
        value, y = top * tick / TICKS, TOP + high * (1 - tick / TICKS)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#444444">{value:,.4g}</text>')
    for number, label in _ticks(count, labels):
        x, anchor = LEFT + wide * number / max(1, count - 1), _anchor(number, count)
        parts.append(
            f'<text x="{x:.0f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}" fill="#444444">{escape(label)}</text>'
        )
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(place(at, value) for at, value in enumerate(values))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(
            f'<text x="{WIDTH - RIGHT}" y="{18 + 14 * number}" text-anchor="end" fill="{colour}">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _ticks(count: int, labels: Sequence[str]) -> list[tuple[int, str]]:
    """The numbers of the labelled points with their labels: all `labels`, else the first and the last number."""
    return list(enumerate(labels)) or [(0, "0"), (max(0, count - 1), str(max(0, count - 1)))]


def _anchor(number: int, count: int) -> str:
    return "start" if number == 0 else "end" if number >= count - 1 else "middle"


def rounded_up(value: float) -> float:
    """The next number with one digit that is not below `value`; 1.0 for 0."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return math.ceil(value / unit) * unit
