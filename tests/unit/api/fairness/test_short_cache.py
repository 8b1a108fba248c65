"""Cached answers: one query for many callers, for a moment; a failure is not cached, and memory is bounded."""

from __future__ import annotations

import asyncio

import pytest

from api.fairness.short_cache import ShortCache


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Source:
    def __init__(self) -> None:
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()

    async def ask(self) -> int:
        self.asked += 1
        await self.open.wait()
        return self.asked


async def test_an_answer_is_kept_for_so_long_and_no_longer() -> None:
    clock, source = Clock(), Source()
    kept = ShortCache[int](1.0, 10, clock)
    assert [await kept.get("a", source.ask) for _ in range(3)] == [1, 1, 1]
    clock.now = 0.99
    assert await kept.get("a", source.ask) == 1
    clock.now = 1.0
    assert await kept.get("a", source.ask) == 2


async def test_many_who_ask_at_once_cost_one_question() -> None:
    source, kept = Source(), ShortCache[int](1.0, 10)
    source.open.clear()
    waiting = [asyncio.create_task(kept.get("a", source.ask)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    source.open.set()
    assert await asyncio.gather(*waiting[1:]) == [1] * 19
    assert source.asked == 1


async def test_a_failure_is_told_and_not_kept() -> None:
    source, kept = Source(), ShortCache[int](1.0, 10)

    async def fail() -> int:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        await kept.get("a", fail)
    assert await kept.get("a", source.ask) == 1


async def test_the_oldest_of_too_many_goes() -> None:
    source, kept = Source(), ShortCache[int](1.0, 2)
    for key in "abca":
        await kept.get(key, source.ask)
    assert source.asked == 4
    await kept.get("c", source.ask)
    assert source.asked == 4
