"""What the decoder of the usual shape reads is what the general reader reads, and it reads what it is made for."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import facts as f
from schemas.codec import HEADER_BYTES, USUAL_BYTES_MAX, Codec, Undecodable
from schemas.commands import COMMANDS, Command
from schemas.facts import FACTS, Envelope, Fact, RecordedFact
from schemas.flat_decoder import CACHED_MAX, _Met
from schemas.generate import INT_FIELDS
from schemas.notifications import NOTIFICATIONS
from tests.harness.words import T, reserve

PLAIN = (*COMMANDS, *NOTIFICATIONS)
CODEC = Codec()
ENVELOPE = Envelope(str(uuid.UUID(int=7)), 3, 70_000, 0, 1, T, 1)
HELD = f.TicketsHeld(*[str(uuid.UUID(int=n)) for n in range(3)], 2, ["A-1", "AA-12"], 8_500, "EUR", T + 10**9, -(2**62))


def codec_that_met(*values: bytes) -> Codec:
    """It makes the decoder of a record type when it first sees one."""
    codec = Codec()
    for value in values:
        codec.decode(value)
    return codec


def usual_values(record: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    return st.builds(record, *[_usual(field.name, field.type) for field in msgspec.structs.fields(record)])


def _usual(name: str, hint: Any) -> st.SearchStrategy[Any]:
    if hint is str:
        texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7F), max_size=63)
        return st.uuids().map(str) if name.endswith("_id") else texts
    if hint is int and (name == "log_time" or name.endswith("_at")):
        return st.just(0) | st.integers(300_000_000_000_000, 30_000_000_000_000_000)
    if hint is int and name in INT_FIELDS:
        return st.integers(-(2**13), 2**13 - 1)
    if hint is int:
        bits = st.integers(0, 62)
        sizes = bits.flatmap(lambda size: st.integers(0, 2**size))
        return st.integers(0, 2**47 - 1) if name == "offset" else sizes | st.integers(-(2**63), 2**63 - 1)
    if hint == list[str]:
        ids = st.uuids().map(str)
        items = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7F), min_size=1, max_size=15)
        return st.lists(ids if name == "ticket_ids" else items, max_size=20)
    inner = next(arm for arm in hint.__args__ if arm is not type(None))
    return st.none() | _usual(name, inner)


def usual_bytes(codec: Codec, record: type[Any], data: st.DataObject) -> bytes:
    value = data.draw(usual_values(record))
    if issubclass(record, Fact):
        return codec.encode_fact(data.draw(usual_values(Envelope)), value)
    return codec.encode(value)


@pytest.mark.parametrize("record", [*PLAIN, *FACTS], ids=lambda record: record.__name__)
def test_a_usual_record_needs_no_general_reader_and_is_the_same(record: type[Any]) -> None:
    @settings(max_examples=8, deadline=None)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        value = usual_bytes(CODEC, record, data)
        general = CODEC.decode_generally(value)
        found = CODEC._usual[value[:HEADER_BYTES]](str(value, "latin-1"))
        assert found is not None
        assert found == general

    check()


def encoded_all() -> Iterator[bytes]:
    chance, codec = random.Random(1), Codec()
    for seats in ([], ["A-1"], ["A-1", "A-2", "BB-10"], ["é"], ["x" * 16]):
        yield codec.encode_fact(ENVELOPE, msgspec.structs.replace(HELD, seats=seats))
        yield codec.encode(reserve(seats=seats))
    for number in range(-3, 70):
        offset = max(0, 2**number - 1) if number > 0 else -number
        envelope = msgspec.structs.replace(ENVELOPE, offset=min(offset, 2**63 - 1), log_time=min(offset, 2**63 - 1))
        fingerprint = chance.randrange(-(2**63), 2**63)
        yield codec.encode_fact(envelope, msgspec.structs.replace(HELD, fingerprint=fingerprint))


RECORDS = list(encoded_all())
MET = codec_that_met(*RECORDS)


@settings(max_examples=800, deadline=None)
@given(st.sampled_from(RECORDS), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
def test_changed_bytes_mean_the_same_to_both_readers(value: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(value)
    for at, byte in changes:
        changed[HEADER_BYTES + at % (len(value) - HEADER_BYTES)] = byte
    assert_same(bytes(changed))


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(RECORDS), st.integers(0, 400), st.binary(max_size=12), st.integers(0, 12))
def test_bytes_put_in_or_cut_out_mean_the_same_to_both_readers(value: bytes, at: int, more: bytes, cut: int) -> None:
    at = HEADER_BYTES + at % (len(value) - HEADER_BYTES)
    assert_same(value[:at] + more + value[at + cut :])


def assert_same(value: bytes) -> None:
    one, other = MET.decode(value), MET.decode_generally(value)
    if isinstance(other, Undecodable):
        assert isinstance(one, Undecodable)
    assert one == other


@pytest.mark.parametrize(
    "items", [b"\x02\x06A-1\x06A-2", b"\x06\x06A-1\x06A-2", b"\x03\x06A-1\x06A-2", b"\x04\x05A-1\x06A-2"]
)
def test_a_list_of_more_or_fewer_items_than_it_says_is_left_to_the_general_reader(items: bytes) -> None:
    value = MET.encode(reserve(seats=["A-1", "A-2"]))
    head, good, tail = value.partition(b"\x04\x06A-1\x06A-2")
    assert good
    assert_same(head + items + tail)


def test_lists_that_were_met_before_are_not_shared() -> None:
    value = MET.encode_fact(ENVELOPE, HELD)
    one, other = MET.decode(value), MET.decode(value)
    assert isinstance(one, RecordedFact)
    assert isinstance(other, RecordedFact)
    assert isinstance(one.fact, f.TicketsHeld)
    one.fact.seats.append("Z-9")
    assert other.fact == HELD


def test_what_is_remembered_is_bounded() -> None:
    met = _Met(lambda text: text)
    for number in range(CACHED_MAX + 1_000):
        assert met[str(number)] == str(number)
    assert len(met) <= CACHED_MAX


def test_a_record_of_usual_texts_and_unusual_size_is_left_to_the_general_reader() -> None:
    value = MET.encode(reserve(seats=["A-1"] * USUAL_BYTES_MAX))
    command = MET.decode(value)
    assert isinstance(command, Command)
    assert command == MET.decode_generally(value)
