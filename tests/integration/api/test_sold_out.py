"""What an API process knows of sold-out ticket types decides how requests go to the log, and is soon forgotten."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from api.auth.keys import Key, KeyRing, generate_pem
from api.http.problem import Problem
from api.log import sold_out as module
from api.log import writer as writer_module
from api.log.sold_out import SoldOutRequests
from api.log.writer import LogWriter
from connectors.settings import Settings
from pipelines.history.receipts import read, record_digest
from schemas import commands as c
from schemas.codec import Codec
from schemas.facts import Reason
from schemas.replies import Reply
from schemas.requests_in_turn import REQUESTS_MAX
from tests.harness.flows import command_records
from tests.harness.words import EVENT, FLOOR, STALLS, reserve

LONG_S = 60.0
OTHER_EVENT = "44444444-4444-4444-8444-444444444444"


@pytest.fixture
def key(tmp_path: Path) -> Key:
    path = tmp_path / "jwt.pem"
    path.write_bytes(generate_pem())
    return KeyRing.load(path).current


def opened(settings: Settings, key: Key, *, on: bool = True) -> tuple[LogWriter, SoldOutRequests]:
    writer = LogWriter(settings, reply_to="nobody", key=key, written=lambda *_: None)
    return writer, SoldOutRequests(writer, on=on)


def request(writer: LogWriter, rid: str, event_id: str = EVENT) -> c.ReserveTickets:
    of = reserve(rid=rid)
    return c.ReserveTickets(
        event_id=event_id,
        user_id=of.user_id,
        command_id=writer.next_id(),
        reservation_id=rid,
        ticket_type_id=of.ticket_type_id,
        quantity=1,
        seats=[],
        fingerprint=1,
    )


def answer(outcome: str, reason: str = "", *, duplicate: bool = False) -> Reply:
    return Reply(
        command_id="c",
        event_id=EVENT,
        partition=0,
        offset=0,
        outcome=outcome,
        reason=reason,
        detail="",
        duplicate=duplicate,
        reservation=None,
    )


SOLD_OUT = answer("refused", Reason.SOLD_OUT)


async def test_requests_of_one_event_share_a_record_in_the_order_of_their_arrival(settings: Settings, key: Key) -> None:
    writer, together = opened(settings, key)
    sent = [request(writer, f"r{number}", (EVENT, OTHER_EVENT)[number % 2]) for number in range(5)]
    submissions = [together.send(one) for one in sent]
    for one in submissions:
        one.time_out()  # none waits for the outcome, which does not come here
    async with asyncio.timeout(LONG_S):
        assert [await one.future for one in submissions] == [None] * 5
    records = {record.key(): record for record in command_records(settings)}
    for event_id, own in ((EVENT, submissions[::2]), (OTHER_EVENT, submissions[1::2])):
        record = records[event_id.encode()]
        command = Codec().decode(record.value())
        assert isinstance(command, c.ReserveInTurn)
        assert command.command_ids == [one.command.command_id for one in own]
        assert {(one.partition, one.offset) for one in own} == {(record.partition(), record.offset())}
        digest = record_digest(event_id.encode(), record.value() or b"")
        assert {read(one.receipt(), {key.kid: key.public}).digest for one in own} == {digest}
    assert writer.unacked == writer.hurried == 0
    writer.close()


async def test_a_full_record_does_not_wait_for_the_window(
    settings: Settings, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EDGE_WINDOW_S", LONG_S * 10)
    writer, together = opened(settings, key)
    submissions = [together.send(request(writer, f"r{number}")) for number in range(REQUESTS_MAX + 1)]
    for one in submissions:
        one.time_out()
    async with asyncio.timeout(LONG_S):
        assert [await one.future for one in submissions[:-1]] == [None] * REQUESTS_MAX
    assert not submissions[-1].answered
    together.close_window()  # as at the end of the process
    async with asyncio.timeout(LONG_S):
        assert await submissions[-1].future is None
    writer.close()


async def test_more_requests_than_may_wait_are_turned_away(
    settings: Settings, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "IN_FLIGHT_MAX", 3)
    writer, together = opened(settings, key)
    for number in range(3):
        together.send(request(writer, f"r{number}"))
    with pytest.raises(Problem) as refused:
        together.send(request(writer, "r3"))
    assert refused.value.status == 503
    together.close_window()
    writer.close()


async def test_only_an_expected_refusal_waits_for_others(settings: Settings, key: Key) -> None:
    writer, together = opened(settings, key)
    assert not together.expects(reserve(2)), "nothing is known"
    together.learn(reserve(2), SOLD_OUT, together=False)
    assert together.expects(reserve(2))
    assert together.expects(reserve(4))
    assert not together.expects(reserve(1)), "one place may be left"
    assert not together.expects(reserve(2, of=FLOOR))
    assert not together.expects(reserve(seats=["A-1", "A-2"])), "named seats go alone"
    together.learn(reserve(1), answer("accepted"), together=False)
    assert together.expects(reserve(2)), "the place that was left is sold"
    together.learn(reserve(3), answer("accepted"), together=True)
    assert not together.expects(reserve(4)), "places are free"
    writer.close()


@pytest.mark.parametrize(
    "taught",
    [
        answer("refused", Reason.SOLD_OUT, duplicate=True),
        answer("refused", Reason.LIMIT_EXCEEDED),
        answer("refused", Reason.SEAT_TAKEN),
        answer("accepted"),
        answer("pending"),
    ],
)
async def test_other_answers_teach_nothing(settings: Settings, key: Key, taught: Reply) -> None:
    writer, together = opened(settings, key)
    together.learn(reserve(1), taught, together=False)
    assert not together.expects(reserve(1))
    writer.close()


async def test_what_was_learned_is_forgotten_soon_and_is_bounded(
    settings: Settings, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, together = opened(settings, key)
    monkeypatch.setattr(module, "EDGE_TYPES_MAX", 1)
    together.learn(reserve(1), SOLD_OUT, together=False)
    together.learn(reserve(1, of=FLOOR), SOLD_OUT, together=False)
    assert (together.expects(reserve(1, of=STALLS)), together.expects(reserve(1, of=FLOOR))) == (False, True)
    monkeypatch.setattr(module, "EDGE_KNOWN_S", 0.0)
    together.learn(reserve(1, of=FLOOR), SOLD_OUT, together=False)
    assert not together.expects(reserve(1, of=FLOOR))
    writer.close()


async def test_a_process_where_it_is_off_learns_nothing(settings: Settings, key: Key) -> None:
    writer, together = opened(settings, key, on=False)
    together.learn(reserve(1), SOLD_OUT, together=False)
    assert not together.expects(reserve(1))
    writer.close()
