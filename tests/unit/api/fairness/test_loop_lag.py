"""What a process waits for its own loop is known while it is used, and costs an idle process nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from api.fairness.loop_lag import IDLE_S, PERIOD_S, LoopLag
from tests.harness.virtual_time import compute, now, run


async def used(observe: Callable[[float], None] = lambda _: None) -> LoopLag:
    lag = LoopLag(now, observe)
    lag.use(now())
    await asyncio.sleep(5 * PERIOD_S)
    return lag


def test_a_loop_that_only_waits_has_none() -> None:
    async def scenario() -> None:
        lag = await used()
        assert lag.seconds(now()) == pytest.approx(0.0, abs=1e-9)

    run(scenario())


def test_a_turn_counts_while_it_goes_on_and_for_what_is_looked_at_in_the_next_two() -> None:
    async def scenario() -> None:
        lag = await used()
        compute(0.3)
        assert 0.3 - PERIOD_S <= lag.seconds(now()) <= 0.3
        await asyncio.sleep(1.5 * PERIOD_S)
        assert 0.3 - PERIOD_S <= lag.seconds(now()) <= 0.3
        await asyncio.sleep(3 * PERIOD_S)
        assert lag.seconds(now()) == pytest.approx(0.0, abs=1e-9)

    run(scenario())


def test_after_its_last_use_it_measures_no_more() -> None:
    async def scenario() -> None:
        lag = await used()
        await asyncio.sleep(IDLE_S + 2 * PERIOD_S)
        compute(0.3)
        assert lag.seconds(now()) == 0.0
        lag.use(now())
        assert lag.seconds(now()) == 0.0
        compute(0.3)
        assert lag.seconds(now()) == pytest.approx(0.3 - PERIOD_S)

    run(scenario())


def test_each_late_timer_is_observed() -> None:
    seen = list[float]()

    async def scenario() -> None:
        await used(seen.append)
        seen.clear()
        compute(0.3)
        await asyncio.sleep(2.5 * PERIOD_S)

    run(scenario())
    assert seen[0] >= 0.3 - PERIOD_S
    assert seen[1:] == pytest.approx([0.0] * len(seen[1:]), abs=1e-9)
    assert len(seen) > 1
