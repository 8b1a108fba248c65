"""What a batch sends: the plain way and its compiled twin give the same records and the same replies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.reservations import batch as batch_module
from pipelines.reservations import outgoing
from pipelines.reservations.batch import Batch
from pipelines.reservations.core.state import EventState
from pipelines.reservations.outgoing import PASSED_ON_BYTES_MAX, Headers, RawRecord, ReplyAddress
from pipelines.reservations.partition import Partition
from schemas.codec import Codec
from schemas.commands import Command
from schemas.facts import ReservationRejected, TicketsHeld
from schemas.ids import LogTime
from schemas.replies import Reply, ReplyMessage, ReservationView, decode_replies
from tests.harness.native import native_outgoing, needs_native, without_twins
from tests.harness.words import (
    ALICE,
    BOB,
    ORGANIZER,
    R1,
    R2,
    R3,
    STALLS,
    T,
    add_type,
    confirm,
    create,
    declined,
    dispute,
    paid,
    publish,
    release,
    reserve,
    tick,
)

CODEC = Codec()
OPEN = [create(), add_type(), publish()]
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        reserve,
        st.integers(0, 11),
        st.lists(st.sampled_from(["A-1", "B-6", "Z-9"]), max_size=2),
        by=st.sampled_from([ALICE, BOB, ORGANIZER]),
        rid=st.sampled_from([R1, R2, R3]),
        of=st.sampled_from([STALLS, "nowhere"]),
        fingerprint=st.integers(1, 2),
        mailbox=st.none() | st.just(7),
    ),
    st.builds(confirm, st.sampled_from([R1, R2]), by=st.sampled_from([ALICE, BOB])),
    st.builds(paid, st.sampled_from([R1, R2])),
    st.builds(declined, st.sampled_from([R1, R2])),
    st.builds(release, st.sampled_from([R1, R2]), by=st.sampled_from([ALICE, BOB])),
    st.sampled_from([tick(), dispute(), publish(BOB), create()]),
)
ADDRESSES: st.SearchStrategy[Headers | None] = st.none() | st.lists(
    st.tuples(
        st.sampled_from(["reply_to", "reply_key", "traceparent", "ce_id"]),
        st.none()
        | st.sampled_from(["one", "two", ""])
        | st.sampled_from(
            [b"one", b"\xff", b"", b"k" * 22, b"x" * PASSED_ON_BYTES_MAX, b"x" * (PASSED_ON_BYTES_MAX + 1)]
        ),
    ),
    max_size=4,
)
RECORDS = st.lists(
    st.tuples(
        COMMANDS.map(CODEC.encode) | st.sampled_from([None, b"", b"garbage"]),
        ADDRESSES,
        st.sampled_from([None, b"", b"event", b"x" * (PASSED_ON_BYTES_MAX + 1)]),
        st.integers(0, 90_000),  # milliseconds since the first one: holds run out on the way
    ),
    max_size=12,
)


def decided(records: list[Any], *, opened: bool = True) -> tuple[Batch, dict[str, EventState]]:
    """A batch after its decision. With `opened`, its first commands put the event on sale."""
    opening = [(CODEC.encode(command), None, b"event", 0) for command in (OPEN if opened else [])]
    batch = Batch(
        [
            RawRecord(
                partition=3, offset=70 + n, timestamp_ms=T // 1_000 + after_ms, key=key, value=value, headers=headers
            )
            for n, (value, headers, key, after_ms) in enumerate(opening + records)
        ]
    )
    batch.place(CODEC, {3: Partition(3, 1, LogTime(0), set())})
    states = {event_id: EventState(event_id) for event_id in batch.events()}
    batch.decide(states)
    return batch, states


def told(messages: dict[ReplyAddress, ReplyMessage]) -> dict[ReplyAddress, list[Reply]]:
    return {address: decode_replies(message.encoded()) for address, message in messages.items()}


@needs_native
@settings(max_examples=300, deadline=None)
@given(RECORDS, st.booleans())
def test_both_ways_send_the_same_records_and_replies(records: list[Any], opened: bool) -> None:
    batch, states = decided(records, opened=opened)
    assert list(native_outgoing.encoded(batch.facts(), CODEC)) == list(outgoing.encoded(batch.facts(), CODEC))
    ways = [way.replies(batch.facts(), states) for way in (native_outgoing, outgoing)]
    assert told(ways[0]) == told(ways[1])


@needs_native
@settings(deadline=None)
@given(ADDRESSES)
def test_both_ways_pass_on_the_same_headers(headers: Headers | None) -> None:
    assert native_outgoing.passed_on(headers) == outgoing.passed_on(headers)


@needs_native
def test_the_twin_makes_the_reply_to_a_hold_and_to_a_refusal_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Headers = [("reply_to", b"one")]
    commands = [reserve(2, rid=R1), reserve(11, rid=R2, by=BOB), reserve(1, seats=["A-3"], rid=R3, mailbox=9)]
    batch, states = decided([(CODEC.encode(command), asked, b"event", 0) for command in commands])
    facts = [fact for _, placed, facts in batch.facts() for fact in facts if placed.at.offset >= 73]
    assert [type(fact) for fact in facts] == [TicketsHeld, ReservationRejected, ReservationRejected]
    expected = outgoing.replies(batch.facts(), states)
    monkeypatch.setattr(native_outgoing, "reply_to", None)  # it would raise
    found = told(native_outgoing.replies(batch.facts(), states))
    assert found == told(expected)
    assert all(reply.reservation is not None for reply in found["one", b""])


@needs_native
def test_a_view_has_exactly_the_fields_that_the_twin_fills() -> None:
    own = {"event_id", "ticket_ids"}
    assert [name for name in ReservationView.__struct_fields__ if name not in own] == list(native_outgoing.VIEWED)


def test_the_compiled_twin_is_used_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = native_outgoing is not None
    assert ("compiled" if compiled else "plain") == batch_module.ENCODER
    assert (batch_module.encoded is outgoing.encoded) == (not compiled)
    plain = without_twins(batch_module, monkeypatch)
    assert (plain.ENCODER, plain.encoded, plain.replies) == ("plain", outgoing.encoded, outgoing.replies)
    assert plain.passed_on is outgoing.passed_on
