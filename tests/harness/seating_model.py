"""Best available seats by looking at every choice: sets and loops, nothing shared with the code under test.

The rules (issue and design): contiguous; no single seat left alone where avoidable; front rows first; middle outwards,
the left one of two; split only when nothing contiguous is left, and then the largest blocks there are.
"""

from __future__ import annotations


def best_available(rows: int, width: int, free: set[str], quantity: int) -> list[str] | None:
    """The labels that should be chosen among `free`, or None when fewer are free."""
    if len(free) < quantity:
        return None
    grid = {(row, seat) for row in range(rows) for seat in range(width) if label(row, seat) in free}
    chosen: list[tuple[int, int]] = []
    block = quantity
    while len(chosen) < quantity:
        block = min(block, quantity - len(chosen))
        best = _best_block(rows, width, grid, block)
        if best is None:
            block -= 1
            continue
        chosen += best
        grid -= set(best)
    return [label(row, seat) for row, seat in chosen]


def label(row: int, seat: int) -> str:
    letters = ""
    rest = row
    while True:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[rest % 26] + letters
        rest = rest // 26 - 1
        if rest < 0:
            return f"{letters}-{seat + 1}"


def _best_block(rows: int, width: int, grid: set[tuple[int, int]], size: int) -> list[tuple[int, int]] | None:
    choices = []
    for row in range(rows):
        for start in range(width - size + 1):
            block = [(row, seat) for seat in range(start, start + size)]
            if grid.issuperset(block):
                rest = grid.difference(block)
                alone = any(
                    beside in rest and (row, beside[1] - 1) not in rest and (row, beside[1] + 1) not in rest
                    for beside in ((row, start - 1), (row, start + size))
                )
                off_middle = abs((start + start + size) - width)
                choices.append((alone, row, off_middle, start, block))
    return min(choices)[-1] if choices else None
