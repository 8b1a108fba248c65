"""Requests for missing events are refused before the log; requests for events that may exist never are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from api.fairness.limits import EVENTS_ABSENT_MAX, EVENTS_ABSENT_S, EVENTS_KNOWN_MAX
from api.http.problem import unavailable
from api.log.watermarks import Watermarks
from api.reads.existence import PUBLIC, Existence

EVENT = "11111111-1111-4111-8111-111111111111"


class World:
    """PostgreSQL's rows, the log's end, the clock, and the questions to them."""

    def __init__(self) -> None:
        self.rows: set[str] = set()
        self.drafts: dict[str, str] = {}
        self.end: int | None = 0
        self.now = 0.0
        self.asked = 0
        self.away = False
        self.watermarks = Watermarks(self.positions)
        self.watermarks.advance(0, 0)
        self.events = Existence(
            draft_of=self.draft_of, end_of=self.end_of, watermarks=self.watermarks, partitions=1, clock=lambda: self.now
        )

    async def positions(self) -> Iterable[tuple[int, int]]:
        return []

    async def draft_of(self, event_id: str) -> str | None:
        self.asked += 1
        if self.away:
            raise unavailable("postgres", "gone")
        return self.drafts.get(event_id, PUBLIC if event_id in self.rows else None)

    async def end_of(self, _: int) -> int | None:
        return self.end


async def test_an_event_without_a_row_is_absent_once_the_log_is_projected_to_its_end() -> None:
    world = World()
    world.end = 5
    world.watermarks.advance(0, 4)
    assert await world.events.is_absent(EVENT)


async def test_an_event_whose_row_is_on_its_way_is_not_absent() -> None:
    world = World()
    world.end = 5
    world.watermarks.advance(0, 3)
    asked = asyncio.create_task(world.events.is_absent(EVENT))
    await asyncio.sleep(0.01)
    world.rows.add(EVENT)
    world.watermarks.advance(0, 4)
    assert not await asked


async def test_nothing_is_refused_while_postgres_the_broker_or_the_projection_is_away() -> None:
    world = World()
    world.away = True
    assert not await world.events.is_absent(EVENT)
    world = World()
    world.end = None
    assert not await world.events.is_absent(EVENT)


async def test_a_projection_that_is_behind_lets_the_log_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.reads.existence.PROJECTION_WAIT_MAX_S", 0.01)
    world = World()
    world.end = 5
    assert not await world.events.is_absent(EVENT)  # after PROJECTION_WAIT_MAX_S


async def test_a_partition_that_was_never_projected_lets_the_log_decide_at_once() -> None:
    world = World()
    world.events._watermarks = Watermarks(world.positions)
    world.end = 0
    assert not await world.events.is_absent(EVENT)


async def test_an_event_that_was_just_made_is_known_before_its_row() -> None:
    world = World()
    assert await world.events.is_absent(EVENT)
    world.events.made(EVENT)
    assert not await world.events.is_absent(EVENT)
    assert world.asked == 3  # twice for the first question alone


async def test_a_draft_is_there_for_its_organizer_and_for_administrators_alone() -> None:
    world = World()
    world.drafts[EVENT] = "organizer"
    assert await world.events.is_absent(EVENT, "stranger")
    assert not await world.events.is_absent(EVENT, "organizer")
    assert not await world.events.is_absent(EVENT, None)
    assert await world.events.is_absent(EVENT, "stranger")
    world.events.made(EVENT)
    assert await world.events.is_absent(EVENT, "stranger")
    del world.drafts[EVENT]
    world.rows.add(EVENT)
    assert not await world.events.is_absent(EVENT, "stranger"), "published"


async def test_a_draft_that_may_have_been_published_is_for_the_log_to_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.reads.existence.PROJECTION_WAIT_MAX_S", 0.01)
    world = World()
    world.drafts[EVENT], world.end = "organizer", 5
    assert not await world.events.is_absent(EVENT, "stranger")


async def test_what_is_made_while_it_is_looked_for_is_there() -> None:
    world = World()

    async def end_of(_: int) -> int:
        world.events.made(EVENT)
        return 0

    world.events._end_of = end_of
    assert not await world.events.is_absent(EVENT)


async def test_absence_is_remembered_for_a_moment_and_for_so_many_events() -> None:
    world = World()
    assert await world.events.is_absent(EVENT)
    world.rows.add(EVENT)
    assert await world.events.is_absent(EVENT)
    world.now += EVENTS_ABSENT_S
    assert not await world.events.is_absent(EVENT)
    world = World()
    for number in range(EVENTS_ABSENT_MAX + 10):
        assert await world.events.is_absent(f"event-{number}")
    for number in range(EVENTS_KNOWN_MAX + 10):
        world.events.made(f"made-{number}")
    assert (len(world.events._absent), len(world.events._known)) == (EVENTS_ABSENT_MAX, EVENTS_KNOWN_MAX)
