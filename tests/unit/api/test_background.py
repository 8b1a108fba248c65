"""Work in threads: off the event loop, and bounded."""

from __future__ import annotations

import asyncio
import threading

import pytest

from api.background import Background
from api.problem import Problem


async def test_the_loop_goes_on_while_a_thread_works() -> None:
    background = Background("test", threads=1, queue_max=2, full="full")
    going_on = threading.Event()
    work = asyncio.create_task(background.run(lambda: going_on.wait(10)))
    await asyncio.sleep(0)
    going_on.set()  # only a loop that is not held up comes here
    assert await work is True
    background.close()


async def test_who_does_not_fit_is_told_to_come_again() -> None:
    background = Background("test", threads=1, queue_max=2, full="too much waits")
    going_on = threading.Event()
    waiting = [asyncio.create_task(background.run(lambda: going_on.wait(10))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Problem, match="too much waits") as refused:
        await background.run(lambda: True)
    assert (refused.value.status, refused.value.headers["retry-after"]) == (503, "1")
    going_on.set()
    await asyncio.gather(*waiting)
    assert await background.run(lambda: 1) == 1
    background.close()


async def test_an_error_reaches_who_asked_and_frees_the_place() -> None:
    background = Background("test", threads=1, queue_max=1, full="full")
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await background.run(lambda: 1 // 0)
    background.close()
