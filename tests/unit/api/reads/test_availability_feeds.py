"""Watchers of an event who look at about the same time share one reading of its availability; later ones get news."""

from __future__ import annotations

import asyncio

from api.reads.availability_feeds import SHARED_S, AvailabilityFeeds, WatchedAvailability
from api.shapes.events import AvailabilityOut, EventAvailabilityOut
from schemas.ids import EventId, TicketTypeId

EVENT, STALLS = EventId("e"), TicketTypeId("stalls")


def availability(left: int) -> WatchedAvailability:
    item = AvailabilityOut(STALLS, total=10, available=left, held=10 - left, sold=0, blocked=0, waiting=0)
    return WatchedAvailability(EventAvailabilityOut(EVENT, [item], "redis"))


async def test_watchers_of_a_moment_share_a_reading_and_a_later_one_has_news() -> None:
    now, left = [100.0], [10]
    feeds = AvailabilityFeeds(lambda: now[0])

    async def read() -> WatchedAvailability:
        left[0] -= 1
        await asyncio.sleep(0)
        return availability(left[0])

    first = await asyncio.gather(*(feeds.get(EVENT, read, lambda: 5) for _ in range(1_000)))
    now[0] += SHARED_S * 0.9
    again = await feeds.get(EVENT, read, lambda: 6)
    assert {id(one) for one in first} == {id(again)}
    assert again.position == 5, "a watcher with this reading waits for what comes after 5"
    now[0] += SHARED_S * 0.2
    later = await feeds.get(EVENT, read, lambda: 6)
    assert (later.position, later.value.whole.items[0].available) == (6, 8)
