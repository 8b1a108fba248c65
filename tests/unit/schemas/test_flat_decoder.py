"""What the decoders of the usual shape read is what the general reader reads, and they read what they are made for.

The same for the expressions and for what was compiled: with a C compiler it has to be there.
"""

from __future__ import annotations

import random
import shutil
import sys
import sysconfig
import tracemalloc
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec as codec_module
from schemas import facts as f
from schemas import flat_decoder
from schemas.codec import HEADER_BYTES, TIME_US_MAX, USUAL_BYTES_MAX, Codec, Undecodable
from schemas.commands import COMMANDS, Command, CreateEvent
from schemas.facts import FACTS, Envelope, Fact, RecordedFact
from schemas.flat_decoder import CACHED_MAX, _Met
from schemas.flat_encoder import encode_long
from schemas.generate import INT_FIELDS
from schemas.notifications import NOTIFICATIONS
from tests.harness.words import T, reserve

try:
    from schemas import native_decoder
except ImportError:
    compiler = shutil.which(sysconfig.get_config_var("CC").split()[0])
    headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    assert not (compiler and headers), "make setup did not compile native_decoder"
    native_decoder = None  # type: ignore[assignment]

needs_native = pytest.mark.skipif(native_decoder is None, reason="no C compiler or no Python.h: not compiled")
PLAIN = (*COMMANDS, *NOTIFICATIONS)
CODEC = Codec()
ENVELOPE = Envelope(
    event_id=str(uuid.UUID(int=7)), partition=3, offset=70_000, index=0, count=1, log_time=T, rules_version=1
)
HELD = f.TicketsHeld(*[str(uuid.UUID(int=n)) for n in range(3)], 2, ["A-1", "AA-12"], 8_500, "EUR", T + 10**9, -(2**62))


class Met:
    """Codecs that decode by one kind of decoder: they make that of a record type when they first see one."""

    def __init__(self, module: Any) -> None:
        self.codec, self._compile, self.decode_all = Codec(), module.compile_decoder, module.decode_all

    def decode(self, value: bytes) -> Any:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(codec_module, "compile_decoder", self._compile)
            return self.codec.decode(value)

    def usual(self, value: bytes) -> Any:
        """By the decoder of the usual shape alone."""
        self.decode(value)
        return self.codec._usual[value[:HEADER_BYTES]](value)


BOTH = {"expressions": Met(flat_decoder)}
if native_decoder is not None:
    BOTH["native"] = Met(native_decoder)


@pytest.fixture(params=["expressions", pytest.param("native", marks=needs_native)])
def met(request: pytest.FixtureRequest) -> Met:
    return BOTH[request.param]


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


def usual_bytes(record: type[Any], data: st.DataObject) -> bytes:
    value = data.draw(usual_values(record))
    if issubclass(record, Fact):
        return CODEC.encode_fact(data.draw(usual_values(Envelope)), value)
    return CODEC.encode(value)


@pytest.mark.parametrize("record", [*PLAIN, *FACTS], ids=lambda record: record.__name__)
def test_a_usual_record_needs_no_general_reader_and_is_the_same(record: type[Any], met: Met) -> None:
    @settings(max_examples=8, deadline=None)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        value = usual_bytes(record, data)
        found = met.usual(value)
        assert found is not None
        assert found == CODEC.decode_generally(value)

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
    general = CODEC.decode_generally(value)
    for met in BOTH.values():
        one = met.decode(value)
        if isinstance(general, Undecodable):
            assert isinstance(one, Undecodable)
        assert one == general


@pytest.mark.parametrize("record", [*PLAIN, *FACTS], ids=lambda record: record.__name__)
def test_of_a_record_that_was_cut_or_changed_nothing_else_is_read(record: type[Any]) -> None:
    @settings(max_examples=8, deadline=None)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        value = usual_bytes(record, data)
        for end in range(HEADER_BYTES, len(value)):
            assert_same(value[:end])
        for at in range(HEADER_BYTES, len(value)):
            byte = data.draw(st.integers(0, 255))
            changed = value[:at] + bytes([byte]) + value[at + 1 :]
            general = CODEC.decode_generally(changed)
            for met in BOTH.values():
                found = met.usual(changed)
                assert found is None or found == general

    check()


@pytest.mark.parametrize("time", [-1, 0, TIME_US_MAX, TIME_US_MAX + 1])
def test_a_time_beyond_the_calendar_is_no_time_of_a_command(met: Met, time: int) -> None:
    draft = CreateEvent(*["x"] * 7, T, T + 1, "UTC", T, time, 60, 4)
    found = met.decode(CODEC.encode(draft))
    assert found == (draft if 0 <= time <= TIME_US_MAX else CODEC.decode_generally(CODEC.encode(draft)))
    assert isinstance(found, Undecodable) == (not 0 <= time <= TIME_US_MAX)


@pytest.mark.parametrize(
    "number", [2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, -(2**63)], ids=lambda number: f"{number:#x}"
)
def test_an_int_of_more_bits_than_it_may_have_is_left_to_the_general_reader(number: int) -> None:
    value = CODEC.encode(reserve(quantity=77))
    head, sign, tail = value.partition(bytes([2 * 77, 1]))
    assert sign
    assert_same(head + encode_long(number) + tail)


@pytest.mark.parametrize("varint", [b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x00", b"\x80\x00", b"\xff" * 9 + b"\x01"])
def test_a_number_of_too_many_bits_or_bytes_is_left_to_the_general_reader(varint: bytes) -> None:
    value = CODEC.encode_fact(ENVELOPE, HELD)
    head, sign, tail = value.partition(encode_long(HELD.fingerprint))
    assert sign
    assert_same(head + varint + tail)


def test_a_text_that_says_it_is_longer_than_the_record_is_not_read(met: Met) -> None:
    value = CODEC.encode_fact(ENVELOPE, HELD)
    for end in range(HEADER_BYTES + 1):
        assert met.usual(value)
        assert met.codec._usual[value[:HEADER_BYTES]](value[:end]) is None
    for size in (encode_long(2**63 - 1), encode_long(-1), encode_long(-(2**63))):
        changed = value[:HEADER_BYTES] + size + value[HEADER_BYTES + 1 :]
        assert met.usual(changed) is None


def test_many_records_are_decoded_as_each_of_them(met: Met) -> None:
    fact = CODEC.encode_fact(ENVELOPE, HELD)
    long = CODEC.encode(msgspec.structs.replace(reserve(), user_id="x" * USUAL_BYTES_MAX))
    short = [b"", *(fact[:size] for size in range(1, HEADER_BYTES + 1))]
    odd = [None, *short, fact[:-1], fact + b"x", b"\0\xff\xff\xff\xff" + fact[HEADER_BYTES:], long]
    values = [*(value for value in RECORDS if met.usual(value) is not None), *odd]
    asked: list[bytes | None] = []

    def otherwise(value: bytes | None) -> object:
        asked.append(value)
        return met.codec.decode(value)

    together = met.decode_all(list(enumerate(values, 7)), met.codec._usual, HEADER_BYTES, USUAL_BYTES_MAX, otherwise)
    assert together == [(number, met.codec.decode(value)) for number, value in enumerate(values, 7)]
    assert asked == odd
    assert CODEC.decode_all([(3, None), (4, fact)]) == [(3, CODEC.decode(None)), (4, RecordedFact(ENVELOPE, HELD))]


@needs_native
def test_decoding_keeps_nothing() -> None:
    met = BOTH["native"]
    values = [*RECORDS, *(value[:-1] for value in RECORDS)]
    for value in values:
        met.decode(value)

    def decode_all() -> None:
        for value in values:
            met.usual(value)

    decode_all()
    tracemalloc.start()
    try:
        decode_all()
        before, nones = tracemalloc.get_traced_memory()[0], sys.getrefcount(None)
        for _ in range(50):
            decode_all()
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
        assert abs(sys.getrefcount(None) - nones) < 200
    finally:
        tracemalloc.stop()


@needs_native
def test_texts_that_are_shared_are_bounded() -> None:
    met = BOTH["native"]

    def seat(number: int) -> str:
        value = CODEC.encode_fact(ENVELOPE, msgspec.structs.replace(HELD, seats=[f"S-{number}"]))
        found: str = met.usual(value).fact.seats[0]
        return found

    first = seat(0)
    assert seat(0) is first
    for number in range(1, native_decoder.SHARED_MAX + 1):
        seat(number)
    assert seat(0) == first
    assert seat(0) is not first


@pytest.mark.parametrize(
    "items", [b"\x02\x06A-1\x06A-2", b"\x06\x06A-1\x06A-2", b"\x03\x06A-1\x06A-2", b"\x04\x05A-1\x06A-2"]
)
def test_a_list_of_more_or_fewer_items_than_it_says_is_left_to_the_general_reader(items: bytes) -> None:
    value = CODEC.encode(reserve(seats=["A-1", "A-2"]))
    head, good, tail = value.partition(b"\x04\x06A-1\x06A-2")
    assert good
    assert_same(head + items + tail)


def test_lists_that_were_met_before_are_not_shared(met: Met) -> None:
    value = CODEC.encode_fact(ENVELOPE, HELD)
    one, other = met.decode(value), met.decode(value)
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


def test_a_record_of_usual_texts_and_unusual_size_is_left_to_the_general_reader(met: Met) -> None:
    value = CODEC.encode(reserve(seats=["A-1"] * USUAL_BYTES_MAX))
    command = met.decode(value)
    assert isinstance(command, Command)
    assert command == CODEC.decode_generally(value)
