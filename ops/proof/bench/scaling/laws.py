"""The cost laws: what grows, over which sizes, and the verdict about the measured costs. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from statistics import median
from typing import NamedTuple

import msgspec

from ops.proof.bench.mix import PLACES_MEAN, Layout
from ops.proof.bench.suite.figures import BenchCheck, Figure
from ops.proof.bench.suite.measurement import Curves

GROWTH_MAX = 1.3
ROOM = 1.15  # places for each requested place, so that no command meets a sold-out section
EVENTS, SEATS = 8, 1_000
PER_COMMAND = "µs a command"


class Law(StrEnum):
    """What grows while the cost of a command must not."""

    SEATS = "seats"
    EVENTS = "events"
    HOLDS = "holds"
    FACTS = "facts"


class LawSizes(NamedTuple):
    """What a law is about, and the sizes of a full and of a quick run."""

    about: str
    full: tuple[int, ...]
    quick: tuple[int, ...]


LAWS = {
    Law.SEATS: LawSizes("seats a section", (100, 1_000, 10_000), (100, 1_000, 10_000)),
    Law.EVENTS: LawSizes("events on sale", (1, 10, 100, 1_000), (1, 30, 1_000)),
    Law.HOLDS: LawSizes("holds pending", (0, 5_000, 50_000), (0, 5_000)),
    Law.FACTS: LawSizes("facts behind", (0, 100_000, 1_000_000), (0, 20_000)),
}


class MeasuredCost(msgspec.Struct, frozen=True, kw_only=True):
    """CPU in microseconds for each measured command.

    `kernel`, `valkey` and `broker` are of its decision; `read_side` and `postgres` of its rows, messages and totals.
    """

    kernel: float
    valkey: float
    broker: float
    read_side: float
    postgres: float

    @property
    def whole(self) -> float:
        """All but the broker, whose growth is its own."""
        return round(self.kernel + self.valkey + self.read_side + self.postgres, 2)


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One run at one size. `sound`: each command has its reply, and each reservation its row."""

    law: Law
    size: int
    round: int
    commands: int
    cost: MeasuredCost
    sound: bool


def layout_of(law: Law, size: int, commands: int) -> Layout:
    """Events and sections for a law at a size, with room for every measured command and every pending hold."""
    events = size if law is Law.EVENTS else EVENTS
    seats = size if law is Law.SEATS else SEATS
    asked = (commands + holds_of(law, size)) * PLACES_MEAN * ROOM
    return Layout(events, max(1, math.ceil(asked / (events * seats))), seats)


def holds_of(law: Law, size: int) -> int:
    """The holds that are pending before the measured commands."""
    return size if law is Law.HOLDS else 0


def figures_of(points: Sequence[Point]) -> list[Figure]:
    """The cost of the kernel, of all but the broker, and of the broker, at each size of each law."""
    return [
        Figure(
            name=f"{part}, {size:,} {LAWS[law].about}",
            unit=PER_COMMAND,
            values=[value_of(point.cost, part) for point in of_size],
        )
        for law, sizes in by_size(points).items()
        for size, of_size in sizes.items()
        for part in PARTS
    ]


def goals_of(points: Sequence[Point]) -> list[BenchCheck]:
    """A verdict for each law, of the kernel and of all but the broker."""
    goals = []
    for law, sizes in by_size(points).items():
        for part in ("kernel", "whole"):
            growth = growth_of(sizes, part)
            worst = max(growth.values(), default=1.0)
            first, last = min(sizes), max(sizes)
            goals.append(
                BenchCheck(
                    f"{part}: flat from {first:,} to {last:,} {LAWS[law].about}",
                    worst <= GROWTH_MAX,
                    ", ".join(f"{size:,}: {ratio:.2f} times" for size, ratio in growth.items()),
                )
            )
    return goals


def growth_of(sizes: Mapping[int, Sequence[Point]], part: str) -> dict[int, float]:
    """How many times as much a command costs at each larger size as at the smallest one.

    It is the median of the rounds' ratios: a machine that is slow for one round is slow for both sizes of it."""
    first, *later = sorted(sizes)
    base = {point.round: value_of(point.cost, part) for point in sizes[first]}
    return {
        size: round(median(value_of(point.cost, part) / base[point.round] for point in sizes[size]), 3)
        for size in later
    }


def charts_of(points: Sequence[Point]) -> list[Curves]:
    """One chart for each law."""
    return [
        Curves(
            title=f"CPU of a command by {LAWS[law].about}",
            x_name=LAWS[law].about,
            y_name=PER_COMMAND,
            labels=[f"{size:,}" for size in sizes],
            series={
                name: [median(value_of(point.cost, part) for point in of_size) for of_size in sizes.values()]
                for part, name in PARTS.items()
            },
        )
        for law, sizes in by_size(points).items()
    ]


def by_size(points: Sequence[Point]) -> dict[Law, dict[int, list[Point]]]:
    """The rounds of each size of each law, sizes in order."""
    found: dict[Law, dict[int, list[Point]]] = {}
    for point in sorted(points, key=lambda one: (list(Law).index(one.law), one.size, one.round)):
        found.setdefault(point.law, {}).setdefault(point.size, []).append(point)
    return found


PARTS = {"kernel": "kernel", "whole": "all but the broker", "broker": "broker"}


def value_of(cost: MeasuredCost, part: str) -> float:
    """One of PARTS."""
    return {"kernel": cost.kernel, "whole": cost.whole, "broker": cost.broker}[part]
