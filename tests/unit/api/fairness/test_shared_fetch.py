"""Many callers for the same thing cost two fetches at most: the running one, and one for all later callers."""

from __future__ import annotations

import asyncio

import pytest

from api.fairness.shared_fetch import SharedFetch


class Source:
    """Gives 1, 2, 3 …, each when the test releases it."""

    def __init__(self) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()

    async def fetch(self) -> int:
        self.begun += 1
        number = self.begun
        await self.go_on.wait()
        return number


async def test_three_hundred_watchers_who_came_meanwhile_share_the_next_fetch() -> None:
    coalesced, source = SharedFetch[int](), Source()
    first = asyncio.create_task(coalesced.get("e", source.fetch))
    while not source.begun:
        await asyncio.sleep(0)
    others = [asyncio.create_task(coalesced.get("e", source.fetch)) for _ in range(300)]
    await asyncio.sleep(0)
    assert source.begun == 1
    source.go_on.set()
    assert await first == 1
    assert set(await asyncio.gather(*others)) == {2}  # begun after they asked
    assert source.begun == 2
    assert await coalesced.get("e", source.fetch) == 3  # nothing is cached


async def test_keys_do_not_wait_for_each_other() -> None:
    coalesced, slow, quick = SharedFetch[int](), Source(), Source()
    waiting = asyncio.create_task(coalesced.get("slow", slow.fetch))
    quick.go_on.set()
    assert await coalesced.get("quick", quick.fetch) == 1
    slow.go_on.set()
    assert await waiting == 1


async def test_an_error_is_told_to_all_who_share_it_and_the_next_fetch_is_made() -> None:
    coalesced, source = SharedFetch[int](), Source()

    async def fails() -> int:
        await source.fetch()
        raise OSError("gone")

    asked = [asyncio.create_task(coalesced.get("e", fails)) for _ in range(3)]
    await asyncio.sleep(0)
    source.go_on.set()
    assert all(isinstance(error, OSError) for error in await asyncio.gather(*asked, return_exceptions=True))
    assert await coalesced.get("e", source.fetch) == 3


async def test_who_goes_away_takes_the_answer_from_nobody() -> None:
    coalesced, source = SharedFetch[int](), Source()
    one, other = (asyncio.create_task(coalesced.get("e", source.fetch)) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    source.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await one
    assert await other == 2
