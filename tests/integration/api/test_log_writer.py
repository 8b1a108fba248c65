"""A command that is written gets its acknowledgement: soon when a request waits for it, and in any case."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop
from confluent_kafka import KafkaError

from api.auth.keys import Key, KeyRing, generate_pem
from api.http.problem import Problem
from api.log import writer as module
from api.log.writer import LogWriter, Submission
from connectors.settings import Settings
from schemas.commands import Command, Tick
from schemas.replies import Reply

LONG_S = 60.0  # longer than the test: what comes was not waited for so long


@pytest.fixture
def key(tmp_path: Path) -> Key:
    path = tmp_path / "jwt.pem"
    path.write_bytes(generate_pem())
    return KeyRing.load(path).current


class Written:
    """The writes that the log has acknowledged."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self._changed = asyncio.Event()

    def __call__(self, command: Command, partition: int, offset: int) -> None:
        self.commands.append(command)
        self._changed.set()

    async def all(self, count: int) -> None:
        async with asyncio.timeout(LONG_S / 2):
            while len(self.commands) < count:
                self._changed.clear()
                await self._changed.wait()


def send(writer: LogWriter, *, wants_reply: bool) -> Submission:
    return writer.send(Tick("event", "", writer.next_id()), wants_reply=wants_reply)


def reply_to(submission: Submission) -> Reply:
    return Reply(
        command_id=submission.command.command_id,
        event_id="event",
        partition=0,
        offset=0,
        outcome="accepted",
        reason="",
        detail="",
        duplicate=False,
        reservation=None,
    )


async def test_an_acknowledgement_that_nobody_waits_for_comes_all_the_same(settings: Settings, key: Key) -> None:
    written = Written()
    writer = LogWriter(settings, reply_to="nobody", key=key, written=written)
    submissions = [send(writer, wants_reply=True) for _ in range(50)]
    await written.all(50)
    assert writer.unacked == writer.hurried == 0
    assert not any(submission.future.done() for submission in submissions)
    writer.close()


async def test_who_waits_for_an_acknowledgement_does_not_wait_for_the_unhurried_poll(
    settings: Settings, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNHURRIED_POLL_S", LONG_S)
    writer = LogWriter(settings, reply_to="nobody", key=key, written=Written())
    overdue, overtaken = send(writer, wants_reply=True), send(writer, wants_reply=True)
    async with asyncio.timeout(LONG_S / 2):
        assert await send(writer, wants_reply=False).future is None
        overdue.time_out()
        assert await overdue.future is None
        overtaken.replied(reply_to(overtaken))
        assert await overtaken.future is not None
        await overtaken.arrived()
        assert overtaken.receipt()
    assert writer.unacked == writer.hurried == 0
    writer.close()


async def test_nobody_waits_for_an_acknowledgement_that_has_failed(settings: Settings, key: Key) -> None:
    writer = LogWriter(settings, reply_to="nobody", key=key, written=Written())
    lost = send(writer, wants_reply=True)
    lost.replied(reply_to(lost))
    lost.lost(module.not_acknowledged(KafkaError(KafkaError._MSG_TIMED_OUT).str()))
    async with asyncio.timeout(LONG_S / 2):
        await lost.arrived()
    with pytest.raises(Problem, match="not"):
        lost.receipt()
    lost.time_out()
    assert writer.hurried == 0
    writer.close()


@pytest.mark.timeout(method="thread")  # uvloop drops what the handler of a signal raises
@pytest.mark.parametrize("poll_s", [0.0, 0.001])
def test_the_loop_of_the_api_takes_many_hurried_requests(
    settings: Settings, key: Key, monkeypatch: pytest.MonkeyPatch, poll_s: float
) -> None:
    """uvloop gives a call that is due at once another kind of handle, and rounds a millisecond down to that."""
    monkeypatch.setattr(module, "POLL_S", poll_s)

    async def sent() -> None:
        writer = LogWriter(settings, reply_to="nobody", key=key, written=Written())
        async with asyncio.timeout(LONG_S / 2):
            for _ in range(20):
                submissions = [send(writer, wants_reply=False) for _ in range(20)]
                assert [await one.future for one in submissions] == [None] * 20
        assert writer.unacked == writer.hurried == 0
        writer.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(sent())
