"""The position of a reader of tickets.facts, as it is stored with the effects of the facts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

PROJECTIONS = "projections"  # the name of the rows' positions, from which workers load their state


class AppliedPosition(msgspec.Struct, frozen=True, gc=False):
    """A partition's position: the last applied fact, (-1, -1) for none, and the record to go on from.

    `next_offset` is the offset in tickets.facts of the first record that is not applied; None before the first.
    """

    offset: int = -1
    index: int = -1
    next_offset: int | None = None
    log_time: int = 0


def applied_position(row: Iterable[Any] | None) -> AppliedPosition:
    """A row ("offset", "index", next_offset, log_time) of projection_positions; None if there is no row yet."""
    if row is None:
        return AppliedPosition()
    offset, index, next_offset, log_time = row
    return AppliedPosition(offset, index, next_offset if next_offset >= 0 else None, log_time)
