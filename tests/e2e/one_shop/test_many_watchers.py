"""More watchers of an event than a group has: each gets the state at once, and then the changes its caller may see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any

import httpx
import msgspec
import pytest

from api.http.stream_groups import GROUP_MAX
from tests.harness.plain_http import PLAIN
from tests.harness.shop import SEATED, OnSale, Person, Shop, done

pytestmark = pytest.mark.timeout(120)
WATCHERS = GROUP_MAX + 8  # from one address, within its share
NEWS_S = 20.0


class Watcher:
    """Reads one stream, and waits for a state."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()
        self.states: list[dict[str, int]] = []

    async def sees(self, places: dict[str, int]) -> None:
        """Return when the free places by ticket type are `places`."""
        async with asyncio.timeout(NEWS_S):
            async for line in self._lines:
                items = _items(line)
                if items is not None:
                    self.states.append({one["id"]: one["available"] for one in items})
                    if self.states[-1] == places:
                        return
        raise AssertionError("the stream ended")


def _items(line: str) -> list[dict[str, Any]] | None:
    data: dict[str, Any] = msgspec.json.decode(line.removeprefix("data: ")) if line.startswith("data: ") else {}
    return data.get("items")


@asynccontextmanager
async def watching(shop: Shop, event: OnSale, person: Person | None = None) -> AsyncIterator[Watcher]:
    async with (
        httpx.AsyncClient(base_url=shop.url, timeout=NEWS_S, verify=PLAIN) as client,
        client.stream("GET", f"/v1/events/{event.id}/stream", headers=person.headers if person else {}) as answer,
    ):
        assert answer.status_code == 200
        yield Watcher(answer)


async def all_see(watchers: list[Watcher], places: dict[str, int]) -> None:
    await asyncio.gather(*(watcher.sees(places) for watcher in watchers))


async def test_each_of_many_watchers_gets_each_change_also_after_others_have_left(shop: Shop) -> None:
    event, buyer = await asyncio.to_thread(on_sale, shop), await asyncio.to_thread(shop.person)
    hidden = await asyncio.to_thread(hide, event)
    before = {event.seated: 40, event.general: 100}
    async with AsyncExitStack() as stay, AsyncExitStack() as leave:
        staying = [await stay.enter_async_context(watching(shop, event)) for _ in range(WATCHERS // 2)]
        leaving = [await leave.enter_async_context(watching(shop, event)) for _ in range(WATCHERS // 2)]
        owner = await stay.enter_async_context(watching(shop, event, event.organizer))
        await all_see([*staying, *leaving], before)
        await owner.sees(before | {hidden: 40})

        await asyncio.to_thread(hold, buyer, event)
        await all_see([*staying, *leaving], before | {event.general: 99})
        await owner.sees(before | {event.general: 99, hidden: 40})

        await leave.aclose()
        late = await stay.enter_async_context(watching(shop, event))
        await late.sees(before | {event.general: 99})
        await asyncio.to_thread(hold, buyer, event)
        await all_see([*staying, late], before | {event.general: 98})
        await owner.sees(before | {event.general: 98, hidden: 40})
    for one in staying:
        assert all(state != then for then, state in pairwise(one.states)), "no state was sent twice"


def on_sale(shop: Shop) -> OnSale:
    return shop.event(shop.organizer())


def hide(event: OnSale) -> str:
    """A further ticket type of the event, which only its organizer sees."""
    body, path = SEATED | {"name": "Backstage", "hidden": True}, f"/v1/events/{event.id}/ticket-types"
    return str(done(event.organizer.post(path, prefer="wait=20", json=body), 201)["id"])


def hold(buyer: Person, event: OnSale) -> None:
    done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
