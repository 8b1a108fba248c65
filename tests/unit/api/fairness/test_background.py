"""Work in threads: off the event loop, and bounded."""

from __future__ import annotations

import asyncio
import threading

import pytest

from api.fairness.background import Background
from api.fairness.owner import Lane, Who
from api.fairness.pools import DRAWING, SCANS
from api.fairness.shares import FairShare
from api.http.problem import Problem

ADA = Who("ada", ("n",))


def share(*, line: int) -> FairShare:
    """One thread."""
    return FairShare(name="test", places=1, user=1, network=1, line=line, user_line=line, network_line=line)


async def test_the_loop_goes_on_while_a_thread_works() -> None:
    background = Background(share(line=1), "things")
    going_on = threading.Event()
    work = asyncio.create_task(background.run(lambda: going_on.wait(10), ADA))
    await asyncio.sleep(0)
    going_on.set()  # only a free event loop reaches this line
    assert await work is True
    background.close()


async def test_who_does_not_fit_is_told_to_come_again() -> None:
    background = Background(share(line=1), "things")
    going_on = threading.Event()
    waiting = [asyncio.create_task(background.run(lambda: going_on.wait(10), ADA)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Problem, match="you have too many things under way") as refused:
        await background.run(lambda: True, ADA)
    assert (refused.value.status, refused.value.headers["retry-after"]) == (429, "1")
    going_on.set()
    await asyncio.gather(*waiting)
    assert await background.run(lambda: 1) == 1
    background.close()


async def test_an_error_reaches_who_asked_and_frees_the_place() -> None:
    background = Background(share(line=0), "things")
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await background.run(lambda: 1 // 0)
    background.close()


async def test_a_caller_that_goes_away_does_not_give_back_a_thread_that_still_works() -> None:
    background = Background(share(line=0), "things")
    going_on = threading.Event()
    work = asyncio.create_task(background.run(lambda: going_on.wait(10)))
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    with pytest.raises(Problem):
        await background.run(lambda: True)
    going_on.set()
    while background.busy:
        await asyncio.sleep(0)
    assert await background.run(lambda: 1) == 1
    background.close()


async def test_beside_eighty_drawings_of_one_holder_another_draws_next_and_every_batch_of_a_door_is_read() -> None:
    drawing, scans, order = Background(DRAWING, "drawings"), Background(SCANS, "batches of scans"), list[str]()
    going_on = threading.Event()

    async def draw(user: str) -> None:
        await drawing.run(lambda: going_on.wait(10), Who(user, ("n",), Lane.HEAVY))
        order.append(user)

    greedy = [asyncio.create_task(draw("eve")) for _ in range(80)]
    await asyncio.sleep(0)
    modest = asyncio.create_task(draw("ada"))
    door = Who("staff", ("n",), Lane.DOOR)
    assert await asyncio.gather(*(scans.run(lambda: "read", door) for _ in range(15))) == ["read"] * 15
    going_on.set()
    ended = await asyncio.gather(*greedy, return_exceptions=True)
    await modest
    refused = [error for error in ended if isinstance(error, Problem)]
    assert {(error.status, error.slug) for error in refused} == {(429, "too-many-at-once")}
    assert len(refused) == 80 - 1 - DRAWING.user_line
    assert order.index("ada") <= 2
    drawing.close()
    scans.close()
