"""A process announces its writes to the others: at once when they listen, once a second when none does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
import pytest

from api.log.announcements import Announced, AnnouncedWrite, Announcements
from api.log.watermarks import Memory, PendingReservation
from schemas.commands import ReleaseReservation
from schemas.ids import EventId, ReservationId, UserId


class Channel:
    """What Redis does: each message goes to all who listen."""

    def __init__(self) -> None:
        self.listeners: list[Announcements] = []
        self.messages: list[Announced] = []
        self.changed = asyncio.Event()

    async def publish(self, data: bytes) -> int:
        self.messages.append(msgspec.msgpack.decode(data, type=Announced))
        self.changed.set()
        for listener in self.listeners:
            listener.message(data)
        return len(self.listeners)

    def process(self, name: str) -> tuple[Announcements, Memory]:
        """A process that listens, and has said so."""
        memory = Memory()
        made = Announcements(name, memory, publish=self.publish, recent=nothing, listening=lambda: True)
        self.listeners.append(made)
        made.catch_up()
        return made, memory

    async def announced(self, count: int) -> list[AnnouncedWrite]:
        """The first `count` writes that were announced, as soon as they were."""
        while len(found := [write for message in self.messages for write in message.writes]) < count:
            self.changed.clear()
            await self.changed.wait()
        return found


async def nothing(_since_us: int, _count: int) -> Iterable[tuple[str, PendingReservation]]:
    return []


def release(number: int) -> ReleaseReservation:
    return ReleaseReservation(event_id="e", user_id="ada", command_id="c", reservation_id=f"r{number}")


@pytest.fixture
def waits_long_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that no other one hears waits longer than a test may take."""
    monkeypatch.setattr("api.log.announcements.ALONE_S", 1e6)


@pytest.mark.usefixtures("waits_long_alone")
async def test_others_hear_of_a_write_at_once() -> None:
    channel = Channel()
    first, _ = channel.process("first")
    _, memory = channel.process("second")
    first.written(release(1), 3, 7)
    await channel.announced(1)
    assert memory.last_written("ada") == (3, 7)
    asked = memory.asked("r1")
    assert asked is not None
    assert asked.event_id == "e"
    await first.close()


async def test_a_process_that_nobody_else_hears_announces_its_writes_together() -> None:
    channel = Channel()
    alone, _ = channel.process("alone")
    while not channel.messages:
        await asyncio.sleep(0)
    for number in range(5):
        alone.written(release(number), 0, number)
        await asyncio.sleep(0)
    assert [message.writes for message in channel.messages] == [[]], "it has only said that it listens"
    assert len(await channel.announced(5)) == 5
    assert len(channel.messages) == 2
    await alone.close()


@pytest.mark.usefixtures("waits_long_alone")
async def test_a_process_that_begins_to_listen_hears_at_once_what_waited() -> None:
    channel = Channel()
    alone, _ = channel.process("alone")
    while not channel.messages:
        await asyncio.sleep(0)
    alone.written(release(1), 0, 1)
    await asyncio.sleep(0)
    _, memory = channel.process("newcomer")
    await channel.announced(1)
    assert memory.asked("r1") is not None
    alone.written(release(2), 0, 2)
    await channel.announced(2)
    assert memory.asked("r2") is not None
    await alone.close()


async def test_what_waits_is_announced_before_the_end() -> None:
    channel = Channel()
    alone, _ = channel.process("alone")
    while not channel.messages:
        await asyncio.sleep(0)
    alone.written(release(1), 0, 1)
    await asyncio.sleep(0)
    await alone.close()
    assert [len(message.writes) for message in channel.messages] == [0, 1]


async def test_a_reservation_is_awaited_until_another_process_announces_it() -> None:
    channel = Channel()
    first, _ = channel.process("first")
    _, memory = channel.process("second")
    waiting = [asyncio.create_task(memory.announced(ReservationId("r1"), UserId("ada"), 10)) for _ in range(2)]
    await asyncio.sleep(0)  # both wait now
    first.written(release(1), 3, 7)
    assert await asyncio.gather(*waiting) == [PendingReservation("ada", "e", 3, 7)] * 2
    assert await memory.announced(ReservationId("r1"), UserId("ada"), 0) == PendingReservation("ada", "e", 3, 7)


async def test_another_users_reservation_is_awaited_as_long_as_an_unknown_one() -> None:
    memory, clock = Memory(), asyncio.get_running_loop().time
    memory.reserved(ReservationId("r1"), UserId("ada"), EventId("e"), 3, 7)
    for unknown in ("r1", "r2"):
        began = clock()
        assert await memory.announced(ReservationId(unknown), UserId("eve"), 0.05) is None
        assert clock() - began >= 0.05
