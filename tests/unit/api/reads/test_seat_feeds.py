"""A seat map is read once for all watchers, within a share of the time, and each watcher gets each change once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.reads.seat_feeds import PERIOD, Changes, SeatFeeds, SeatPicture, runs
from api.reads.seat_sections import SeatSection
from schemas.ids import EventId, TicketTypeId

EVENT, STALLS, BOXES = EventId("e"), TicketTypeId("stalls"), TicketTypeId("boxes")
ALL = (STALLS, BOXES)
letters = st.text("hsx.b", min_size=1, max_size=60)


def picture(stalls: str, boxes: str = "..", hidden: bool = False) -> SeatPicture:
    sections = [
        SeatSection(ticket_type_id=key, name=key, rows=1, seats_per_row=len(text), letters=text.encode())
        for key, text in ((STALLS, stalls), (BOXES, boxes))
    ]
    return SeatPicture(sections, {STALLS: False, BOXES: hidden})


def applied(before: str, changes: list[tuple[int, str]]) -> str:
    text = list(before)
    for index, run in changes:
        text[index : index + len(run)] = run
    return "".join(text)


@given(before=letters, data=st.data())
def test_a_watcher_who_applies_the_changes_has_the_map(before: str, data: st.DataObject) -> None:
    after = data.draw(st.text("hsx.b", min_size=len(before), max_size=len(before)))
    found = runs(before.encode(), after.encode())
    assert applied(before, found) == after
    assert sum(len(run) for _, run in found) == sum(old != new for old, new in zip(before, after, strict=True))


def shown(changes: Changes) -> bytes:
    return str(changes).encode()


def test_a_slow_watcher_gets_all_changes_in_one_message() -> None:
    first, second, third = picture("...."), picture("h..."), picture("s..h", "x.")
    assert second.message_since(first, ALL, shown) == shown({STALLS: [(0, "h")]})
    both = shown({STALLS: [(0, "s"), (3, "h")], BOXES: [(0, "x")]})
    assert third.message_since(second, ALL, shown) == third.message_since(first, ALL, shown) == both


def test_who_sees_the_same_shares_a_message_and_none_has_a_section_that_its_watcher_does_not_see() -> None:
    first, second, made = picture("...."), picture("h...", "x."), list[Changes]()

    def message_of(changes: Changes) -> bytes:
        made.append(changes)
        return shown(changes)

    for seen in (ALL, ALL, (STALLS,), (STALLS,)):
        assert (BOXES in str(second.message_since(first, seen, message_of))) == (seen == ALL)
    assert made == [{STALLS: [(0, "h")], BOXES: [(0, "x")]}, {STALLS: [(0, "h")]}]


def test_who_sees_no_section_that_changed_gets_no_message() -> None:
    assert picture("h...").message_since(picture("...."), (BOXES,), shown) == b""


@pytest.mark.parametrize("other", [picture("....."), picture("....", hidden=True)])
def test_another_layout_is_sent_whole(other: SeatPicture) -> None:
    assert other.message_since(picture("...."), ALL, shown) is None


class Clock:
    """A time that moves only by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def reader(clock: Clock, took_s: float, found: list[SeatPicture]) -> Callable[[], asyncio.Future[SeatPicture]]:
    def read() -> asyncio.Future[SeatPicture]:
        clock.now += took_s
        future: asyncio.Future[SeatPicture] = asyncio.get_running_loop().create_future()
        future.set_result(found.pop(0))
        return future

    return read


async def test_all_watchers_share_one_reading() -> None:
    clock, found = Clock(), [picture("."), picture("h"), picture("s")]
    feeds = SeatFeeds(clock)
    read = reader(clock, 0.001, found)
    got = await asyncio.gather(*(feeds.get(EVENT, read, lambda: 0) for _ in range(1_000)))
    assert len({id(one) for one in got}) == 1
    assert len(found) == 2
    clock.now += PERIOD.least_s
    assert (await feeds.get(EVENT, read, lambda: 0)).value is not got[0].value


async def test_a_reading_begins_a_tick_after_the_last_one_began() -> None:
    clock, found = Clock(), [picture("."), picture("h")]
    feeds = SeatFeeds(clock)
    read = reader(clock, PERIOD.least_s * PERIOD.part_max, found)
    began, first = clock.now, await feeds.get(EVENT, read, lambda: 0)
    clock.now = began + PERIOD.least_s - 0.001
    assert feeds.due_s(first) == pytest.approx(0.001, rel=0.01)
    assert (await feeds.get(EVENT, read, lambda: 0)) is first
    clock.now = began + PERIOD.least_s + 0.001  # the reading took no more than its share of the time
    assert (await feeds.get(EVENT, read, lambda: 0)).value is not first.value


async def test_a_watcher_knows_that_a_change_came_after_the_picture_of_another() -> None:
    clock, found, positions = Clock(), [picture("."), picture(".")], iter((5, 6))
    feeds = SeatFeeds(clock)
    read = reader(clock, 0.001, found)
    first = await feeds.get(EVENT, read, lambda: next(positions))
    assert (await feeds.get(EVENT, read, lambda: 6)).position == 5, "this watcher waits for what comes after 5"
    clock.now += 1
    again = await feeds.get(EVENT, read, lambda: next(positions))
    assert (again.position, again.value) == (6, first.value)


async def test_a_large_map_is_read_as_often_as_its_share_of_the_time_allows() -> None:
    clock, found = Clock(), [picture("."), picture("h")]
    feeds = SeatFeeds(clock)
    read = reader(clock, 0.2, found)
    first = await feeds.get(EVENT, read, lambda: 0)
    clock.now += 0.2 / PERIOD.part_max - 0.2 - 0.1
    assert await feeds.get(EVENT, read, lambda: 0) is first
    clock.now += 0.2
    assert (await feeds.get(EVENT, read, lambda: 0)).value is not first.value


async def test_one_slow_reading_does_not_delay_the_next() -> None:
    clock, found = Clock(), [picture("."), picture("h"), picture("s")]
    feeds = SeatFeeds(clock)
    await feeds.get(EVENT, reader(clock, 0.001, found), lambda: 0)
    clock.now += 1
    slow = await feeds.get(EVENT, reader(clock, 0.3, found), lambda: 0)
    assert (await feeds.get(EVENT, reader(clock, 0.001, found), lambda: 0)).value is not slow.value


async def test_a_map_that_is_the_same_stays_the_same_picture() -> None:
    clock, found = Clock(), [picture("h"), picture("h")]
    feeds = SeatFeeds(clock)
    read = reader(clock, 0.0, found)
    first = await feeds.get(EVENT, read, lambda: 0)
    clock.now += 1
    assert (await feeds.get(EVENT, read, lambda: 0)).value is first.value
    assert not found
