"""A task ends although its first cancellation was lost; a task that never ends is named after a bounded time."""

from __future__ import annotations

import asyncio

from connectors.cancellation import cancel_all


async def test_a_task_that_loses_its_first_cancellation_ends_with_the_second() -> None:
    heard = list[str]()

    async def loses_one() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("lost")
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(loses_one()), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)
    assert await cancel_all(tasks, within_s=30) == set()
    assert all(task.cancelled() for task in tasks)
    assert heard == ["lost"]


async def test_an_ended_task_and_none_at_all_need_no_time() -> None:
    ended = asyncio.create_task(asyncio.sleep(0))
    await ended
    assert await cancel_all([ended], within_s=0) == set()
    assert await cancel_all([], within_s=0) == set()


async def test_a_task_that_ignores_every_cancellation_is_returned_in_time() -> None:
    may_end = asyncio.Event()

    async def ignores() -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(ignores())
    await asyncio.sleep(0)
    assert await cancel_all([task], within_s=0) == {task}
    may_end.set()
    await task
