"""Deadlines come in order, for any order of additions, and a look at them removes none."""

from __future__ import annotations

import random

import pytest

from pipelines.reservations.core.deadlines import Deadlines


def _deadlines(standing: dict[str, int]) -> Deadlines:
    """The deadlines of `standing`, which has a time for each id."""
    return Deadlines(
        lambda time, key: standing.get(key) == time, lambda: ((time, key) for key, time in standing.items())
    )


@pytest.mark.parametrize("seed", range(60))
def test_deadlines_are_due_as_if_sorted(seed: int) -> None:
    chance = random.Random(seed)
    standing: dict[str, int] = {}
    deadlines = _deadlines(standing)
    now = 0
    for _ in range(300):
        match chance.choice(["add", "add", "move", "end", "look", "drop"]):
            case "add":  # mostly in order, often at one time
                key = f"{chance.randrange(10**6):06}"
                standing[key] = now + 10 + chance.choice([0, 0, 0, 1, -7])
                deadlines.add(standing[key], key)
            case "move" if standing:
                key = chance.choice(sorted(standing))
                standing[key] += chance.choice([5, -3])
                deadlines.add(standing[key], key)
            case "end" if standing:
                del standing[chance.choice(sorted(standing))]
            case "look":
                now += chance.randrange(4)
                limit = chance.randrange(1, 6)
                due = sorted((time, key) for key, time in standing.items() if time <= now)
                for _ in range(2):
                    assert deadlines.due(now, limit) == [key for _, key in due][:limit]
            case "drop":
                deadlines.drop_stale()
                assert deadlines.next() == min(standing.values(), default=None)


@pytest.mark.parametrize("seed", range(20))
def test_the_first_deadline_stands_while_every_end_is_told(seed: int) -> None:
    chance = random.Random(seed)
    standing: dict[str, int] = {}
    deadlines = _deadlines(standing)
    for now in range(300):
        if chance.random() < 0.5 or not standing:
            key = f"{chance.randrange(10**6):06}"
            standing[key] = now + 10 + chance.choice([0, 0, 0, 1, -7])
            deadlines.add(standing[key], key)
        else:
            key = chance.choice(sorted(standing))
            if chance.random() < 0.3:
                standing[key] += chance.choice([5, -3])
                deadlines.add(standing[key], key)
            else:
                del standing[key]
            deadlines.ended(key)
        assert deadlines.next() == min(standing.values(), default=None)


def test_nothing_is_kept_before_somebody_asks() -> None:
    standing = {"a": 7, "b": 5, "c": 9}
    deadlines = _deadlines(standing)
    deadlines.add(3, "long ended")
    assert deadlines.due(8, 9) == ["b", "a"]
    standing["d"] = 6
    deadlines.add(6, "d")
    assert deadlines.due(8, 9) == ["b", "d", "a"]
