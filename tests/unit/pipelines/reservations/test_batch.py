"""A batch's outgoing facts: for every record they fit on the topic, with times of the calendar."""

from __future__ import annotations

import pytest

from pipelines.reservations.batch import Batch
from pipelines.reservations.core.state import EventState
from pipelines.reservations.outgoing import PASSED_ON_BYTES_MAX, EncodedFact, Headers, RawRecord
from pipelines.reservations.partition import Partition
from schemas.codec import Codec
from schemas.commands import PublishEvent, RecordDispute
from schemas.facts import CommandUnreadable, RecordedFact
from schemas.ids import TIME_MS_MAX, LogTime, stamped
from schemas.replies import decode_replies
from tests.harness.words import R2, confirmed, dispute, folded, held, on_sale, payment_requested, tick

CODEC = Codec()


def fact_of(*, key: bytes | None = b"event", headers: Headers | None = None, timestamp_ms: int = 5) -> EncodedFact:
    """The fact of an unreadable record."""
    batch = Batch(
        [RawRecord(partition=0, offset=7, timestamp_ms=timestamp_ms, key=key, value=b"garbage", headers=headers)]
    )
    batch.place(CODEC, {0: Partition(0, 1, LogTime(3_000), set())})
    batch.decide({event_id: EventState(event_id) for event_id in batch.events()})
    (fact,) = batch.encoded(CODEC)
    return fact


def log_time_of(fact: EncodedFact) -> int:
    recorded = CODEC.decode(fact.value)
    assert isinstance(recorded, RecordedFact)
    assert isinstance(recorded.fact, CommandUnreadable)
    return recorded.envelope.log_time


def test_a_trace_and_where_to_reply_are_passed_on() -> None:
    headers: Headers = [
        ("traceparent", b"00-1"), ("reply_to", "channel"), ("reply_key", b"k"), ("other", b"x"), ("traceparent", None),
    ]  # fmt: skip
    passed = fact_of(headers=headers).headers[6:]
    assert passed == [("traceparent", b"00-1"), ("reply_to", "channel"), ("reply_key", b"k"), ("traceparent", None)]


def test_replies_go_to_whoever_asked_each_process_under_its_own_key() -> None:
    keys = (b"k" * 22, b"l" * 22, b"too short")
    headers: list[Headers] = [[("reply_to", "one"), ("reply_key", key)] for key in keys]
    batch = Batch(
        [
            RawRecord(
                partition=0,
                offset=offset,
                timestamp_ms=5,
                key=b"event",
                value=CODEC.encode(PublishEvent("event", "ada", f"c{offset}")),
                headers=asked,
            )
            for offset, asked in enumerate([*headers, [("reply_to", "two")], None])
        ]
    )
    batch.place(CODEC, {0: Partition(0, 1, LogTime(3_000), set())})
    batch.decide({event_id: EventState(event_id) for event_id in batch.events()})
    replies = {to: decode_replies(message.encoded()) for to, message in batch.replies().items()}
    assert {to: [one.command_id for one in found] for to, found in replies.items()} == {
        ("one", keys[0]): ["c0"], ("one", keys[1]): ["c1"], ("one", b""): ["c2"], ("two", b""): ["c3"],
    }  # fmt: skip


def test_a_batch_knows_its_first_and_next_offset_on_each_partition() -> None:
    batch = Batch(
        [
            RawRecord(partition=partition, offset=offset, timestamp_ms=5, key=None, value=b"", headers=None)
            for partition, offset in ((1, 7), (0, 3), (1, 8), (0, 4), (1, 9))
        ]
    )
    assert (batch.first_offsets, batch.next_offsets) == ({0: 3, 1: 7}, {0: 5, 1: 10})


def test_what_is_too_long_to_be_ours_is_not_passed_on() -> None:
    long = b"x" * (PASSED_ON_BYTES_MAX + 1)
    fact = fact_of(key=long, headers=[("traceparent", long), ("reply_to", long[1:])])
    assert fact.headers[6:] == [("reply_to", long[1:])]
    assert fact.key == long[1:]


def test_a_record_without_a_key_has_a_fact_without_one() -> None:
    assert fact_of(key=None).key is None
    assert fact_of(key=b"").key is None


def test_a_timestamp_beyond_the_calendar_moves_no_log_time() -> None:
    assert log_time_of(fact_of(timestamp_ms=5)) == 5_000
    for timestamp_ms in (-1, TIME_MS_MAX + 1, 1 << 62):
        assert log_time_of(fact_of(timestamp_ms=timestamp_ms)) == 3_000
    assert stamped(TIME_MS_MAX) == TIME_MS_MAX * 1_000


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (dispute(payment="pay-9"), "the reservation was not paid for by payment pay-9"),
        (dispute(rid=R2), "a payment for no reservation"),
        (dispute(), None),
    ],
    ids=["of another payment", "of no reservation", "of the reservation's payment"],
)
def test_a_dispute_that_is_of_nothing_here_is_set_aside(command: RecordDispute, why: str | None) -> None:
    commands = [tick(), command, tick()]
    batch = Batch(
        [
            RawRecord(partition=0, offset=7 + n, timestamp_ms=5, key=b"event", value=CODEC.encode(one), headers=[])
            for n, one in enumerate(commands)
        ]
    )
    batch.place(CODEC, {0: Partition(0, 1, LogTime(3_000), set())})
    state = folded(*on_sale(), held(["A-1"]), payment_requested(), confirmed(["A-1"]))
    batch.decide({state.event_id: state})
    error = f"dispute dp-1 (open) of payment {command.payment_id} is of nothing here: {why}"
    assert batch.strays == ([(1, error)] if why else [])
    assert (batch.unreadable, batch.failed) == ([], [])
