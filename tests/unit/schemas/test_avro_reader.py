"""The plain reader and its compiled twin read the same records and give the same errors.

The compiled reader reads every record type, at any usual length; the exceptions are here, with their reasons.
"""

from __future__ import annotations

import io
import random
import sys
import tracemalloc
import typing
import uuid
from collections.abc import Iterator
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import avro_reader
from schemas import codec as codec_module
from schemas import facts as f
from schemas.avro_writer import encode_long, encode_string
from schemas.codec import COMMAND_BYTES_MAX, HEADER_BYTES, ID_CHARS_MAX, TIME_US_MAX, Codec, Undecodable
from schemas.commands import COMMANDS, CreateEvent
from schemas.facts import FACTS, Envelope, Fact, RecordedFact
from schemas.field_types import is_int32, plain
from schemas.notifications import NOTIFICATIONS
from tests.harness.native import native_reader, needs_native, without_twins
from tests.harness.words import T, reserve

PLAIN = (*COMMANDS, *NOTIFICATIONS)
ENVELOPE = Envelope(
    event_id=str(uuid.UUID(int=7)), partition=3, offset=70_000, index=0, count=1, log_time=T, rules_version=1
)
HELD = f.TicketsHeld(
    reservation_id=str(uuid.UUID(int=0)),
    user_id=str(uuid.UUID(int=1)),
    ticket_type_id=str(uuid.UUID(int=2)),
    quantity=2,
    seats=["A-1", "AA-12"],
    amount_minor=8_500,
    currency="EUR",
    expires_at=T + 10**9,
    fingerprint=-(2**62),
)
HELD_BYTES = Codec().encode_fact(ENVELOPE, HELD)


def codec_with(reader: Any) -> Codec:
    """A codec with this reader: the plain one or its twin."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(codec_module, "Reader", reader)
        return Codec()


READERS: dict[str, Any] = {"plain": avro_reader.Reader}
if native_reader is not None:
    READERS["compiled"] = native_reader.NativeReader
CODECS = {way: codec_with(reader) for way, reader in READERS.items()}
CODEC = CODECS["plain"]
MODULES = {"plain": avro_reader, "compiled": native_reader}


@pytest.fixture(params=["plain", pytest.param("compiled", marks=needs_native)])
def way(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def values_of(record: type[msgspec.Struct], texts: st.SearchStrategy[str], items: int) -> st.SearchStrategy[Any]:
    """Records with ids like ours, and other texts from `texts`."""
    fields = msgspec.structs.fields(record)
    return st.builds(record, *[_value_of(field.name, field.type, texts, items) for field in fields])


def _value_of(name: str, hint: Any, texts: st.SearchStrategy[str], items: int) -> st.SearchStrategy[Any]:
    if plain(hint) is str:
        return st.uuids().map(str) if name.endswith("_id") else texts
    if hint is int and (name == "log_time" or name.endswith("_at")):
        return st.sampled_from([0, T, TIME_US_MAX]) | st.integers(0, TIME_US_MAX)
    if hint is int or is_int32(hint):
        bits = 31 if is_int32(hint) else 63
        return st.integers(-(2**bits), 2**bits - 1)
    if typing.get_origin(hint) is list:
        return st.lists(texts, min_size=items, max_size=items)
    inner = next(arm for arm in hint.__args__ if arm is not type(None))
    return st.none() | _value_of(name, inner, texts, items)


_CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")
TYPICAL = (st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40), 2)
LONG = (st.sampled_from(['{"title":"Été à l’Olympia"}' * 15, "x" * 1_000, "é" * 500]), 10)
ODD = (st.text(_CHARACTERS) | st.just("\0"), 3)


def bytes_of(record: type[Any], data: st.DataObject, kind: tuple[st.SearchStrategy[str], int]) -> bytes:
    value = data.draw(values_of(record, *kind))
    if issubclass(record, Fact):
        return CODEC.encode_fact(data.draw(values_of(Envelope, *kind)), value)
    return CODEC.encode(value)


def compiled(value: bytes) -> Any:
    """The result of the compiled reader alone; None when it leaves the record to the plain one."""
    return CODECS["compiled"]._readers[value[:HEADER_BYTES]].read_compiled(value)


def assert_same(value: bytes) -> None:
    plain, envelope = CODEC.decode(value), CODEC.envelope_of(value)
    for way, codec in CODECS.items():
        assert codec.decode(value) == plain
        assert codec.envelope_of(value) == envelope
        assert MODULES[way].read_all([(7, value)], codec._readers, codec._unread) == [(7, plain)]


@needs_native
@pytest.mark.parametrize("kind", [TYPICAL, LONG], ids=["typical", "long"])
@pytest.mark.parametrize("record", [*PLAIN, *FACTS], ids=lambda record: record.__name__)
def test_every_record_type_takes_the_compiled_way(record: type[Any], kind: tuple[st.SearchStrategy[str], int]) -> None:
    @settings(max_examples=4, deadline=None)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        value = bytes_of(record, data, kind)
        found = compiled(value)
        assert found is not None
        assert found == CODEC.decode(value)

    check()


@needs_native
def test_every_schema_there_has_been_takes_the_compiled_way() -> None:
    left_out = []
    for header, reader in CODECS["compiled"]._readers.items():
        schema = CODEC._readers[header]._written
        values = {"string": b"\x02x", "int": b"\x02", "long": b"\x02"}
        body = b"".join(
            b"\0" if isinstance(field["type"], list | dict) else values[field["type"]] for field in schema["fields"]
        )
        if reader.read_compiled(header + body) is None:
            left_out.append((header, schema["name"]))
        assert_same(header + body)
    assert left_out == []


@pytest.mark.parametrize("record", FACTS, ids=lambda record: record.__name__)
def test_the_envelope_of_every_fact_is_that_of_the_whole_record(record: type[Fact], way: str) -> None:
    @settings(max_examples=8, deadline=None)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        value = bytes_of(record, data, TYPICAL)
        whole = CODEC.decode(value)
        assert isinstance(whole, RecordedFact)
        assert CODECS[way].envelope_of(value) == whole.envelope
        if way == "compiled":
            assert CODECS[way]._readers[value[:HEADER_BYTES]].envelope_compiled(value) == whole.envelope

    check()


@pytest.mark.parametrize("record", PLAIN, ids=lambda record: record.__name__)
def test_only_facts_have_an_envelope(record: type[Any], way: str) -> None:
    @settings(max_examples=2, deadline=None)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        assert CODECS[way].envelope_of(bytes_of(record, data, TYPICAL)) is None

    check()


def test_an_envelope_is_read_from_its_last_byte_on(way: str) -> None:
    event_id, *numbers = msgspec.structs.astuple(ENVELOPE)
    end = HEADER_BYTES + len(encode_string(event_id) + b"".join(map(encode_long, numbers)))
    for size in range(len(HELD_BYTES) + 1):
        assert CODECS[way].envelope_of(HELD_BYTES[:size]) == (ENVELOPE if size >= end else None)
    assert CODECS[way].envelope_of(HELD_BYTES[:end] + b"\xff" * COMMAND_BYTES_MAX) == ENVELOPE


def test_fields_in_another_order_are_read_by_their_names(way: str) -> None:
    newest = CODEC._readers[HELD_BYTES[:HEADER_BYTES]]._written
    turned = {"type": "record", "name": newest["name"], "fields": newest["fields"][::-1]}
    written: Any = fastavro.parse_schema(turned)
    body = io.BytesIO()
    fields = {**msgspec.structs.asdict(HELD), **msgspec.structs.asdict(ENVELOPE)}
    fastavro.schemaless_writer(body, written, fields)
    value, reader = HELD_BYTES[:HEADER_BYTES] + body.getvalue(), READERS[way](f.TicketsHeld, written, newest)
    assert reader.read(value) == RecordedFact(ENVELOPE, HELD)
    assert reader.envelope(value) == ENVELOPE
    assert reader.envelope(value[:-1]) is None  # the envelope is last here: only the whole record has one


LEFT_TO_THE_PLAIN_READER = {
    "U+0000 in a text": CODEC.encode(msgspec.structs.replace(reserve(), user_id="a\0")),
    "U+0000 in a fact's text": CODEC.encode_fact(ENVELOPE, msgspec.structs.replace(HELD, currency="\0")),
    "U+0000 in a list": CODEC.encode(reserve(seats=["A-1", "\0"])),
    "a text that is not UTF-8": HELD_BYTES.replace(b"A-1", b"A-\xff"),
    "an id of more bytes than a command's may have characters": CODEC.encode_fact(
        ENVELOPE, msgspec.structs.replace(HELD, user_id="x" * (ID_CHARS_MAX + 1))
    ),
    "a time beyond the calendar": CODEC.encode_fact(msgspec.structs.replace(ENVELOPE, log_time=TIME_US_MAX + 1), HELD),
    "a record that is larger than a command": CODEC.encode_fact(
        ENVELOPE, msgspec.structs.replace(HELD, seats=["A-1"] * COMMAND_BYTES_MAX)
    ),
    "a list in two blocks": HELD_BYTES.replace(b"\x04\x06A-1\x0aAA-12", b"\x02\x06A-1\x02\x0aAA-12"),
    "a list whose block says its bytes": HELD_BYTES.replace(b"\x04\x06A-1\x0aAA-12", b"\x03\x14\x06A-1\x0aAA-12"),
    "an int beyond 32 bits": CODEC.encode_fact(msgspec.structs.replace(ENVELOPE, partition=2**31), HELD),
    "bytes behind the record": HELD_BYTES + b"x",
    "a record that was cut": HELD_BYTES[:-1],
}


@needs_native
@pytest.mark.parametrize("reason", LEFT_TO_THE_PLAIN_READER)
def test_what_cannot_take_the_compiled_way_is_read_as_the_plain_reader_reads_it(reason: str) -> None:
    value = LEFT_TO_THE_PLAIN_READER[reason]
    assert value != HELD_BYTES
    assert compiled(value) is None
    assert_same(value)


@pytest.mark.parametrize("record", [*PLAIN, *FACTS], ids=lambda record: record.__name__)
def test_of_a_record_that_was_cut_or_changed_both_readers_say_the_same(record: type[Any]) -> None:
    @settings(max_examples=4, deadline=None)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        value = bytes_of(record, data, ODD)
        assert_same(value)
        for at in range(HEADER_BYTES, len(value)):
            assert_same(value[:at])
            assert_same(value[:at] + bytes([data.draw(st.integers(0, 255))]) + value[at + 1 :])

    check()


def encoded_all() -> Iterator[bytes]:
    chance = random.Random(1)
    for seats in ([], ["A-1"], ["A-1", "A-2", "BB-10"], ["é"], ["x" * 16]):
        yield CODEC.encode_fact(ENVELOPE, msgspec.structs.replace(HELD, seats=seats))
        yield CODEC.encode(reserve(seats=seats))
    for number in range(-3, 70):
        offset = max(0, 2**number - 1) if number > 0 else -number
        envelope = msgspec.structs.replace(ENVELOPE, offset=min(offset, 2**63 - 1), log_time=min(offset, 2**63 - 1))
        fingerprint = chance.randrange(-(2**63), 2**63)
        yield CODEC.encode_fact(envelope, msgspec.structs.replace(HELD, fingerprint=fingerprint))


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


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(CODEC._readers)) | st.binary(max_size=6), st.binary(max_size=200))
def test_random_bytes_mean_the_same_to_both_readers(head: bytes, body: bytes) -> None:
    assert_same(head + body)


@pytest.mark.parametrize("time", [-1, 0, TIME_US_MAX, TIME_US_MAX + 1])
def test_a_time_beyond_the_calendar_is_no_time_of_a_command(way: str, time: int) -> None:
    draft = CreateEvent(
        event_id="x",
        user_id="x",
        command_id="x",
        title="x",
        description="x",
        category_id="x",
        venue="x",
        starts_at=T,
        ends_at=T + 1,
        timezone="UTC",
        sales_open_at=T,
        sales_close_at=time,
        hold_ttl_s=60,
        max_tickets_per_user=4,
    )
    found = CODECS[way].decode(CODEC.encode(draft))
    assert found == (draft if 0 <= time <= TIME_US_MAX else CODEC.decode(CODEC.encode(draft)))
    assert isinstance(found, Undecodable) == (not 0 <= time <= TIME_US_MAX)


@pytest.mark.parametrize(
    "number", [2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, -(2**63)], ids=lambda number: f"{number:#x}"
)
def test_an_int_of_more_bits_than_it_may_have_is_the_same_to_both_readers(number: int) -> None:
    value = CODEC.encode(reserve(quantity=77))
    head, sign, tail = value.partition(bytes([2 * 77, 1]))
    assert sign
    assert_same(head + encode_long(number) + tail)


@pytest.mark.parametrize("varint", [b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x00", b"\x80\x00", b"\xff" * 9 + b"\x01"])
def test_a_number_of_too_many_bits_or_bytes_is_the_same_to_both_readers(varint: bytes) -> None:
    head, sign, tail = HELD_BYTES.partition(encode_long(HELD.fingerprint))
    assert sign
    assert_same(head + varint + tail)


@pytest.mark.parametrize("size", [2**63 - 1, -1, -(2**63), 2**31, COMMAND_BYTES_MAX])
def test_a_text_that_says_it_is_longer_than_the_record_is_not_read(way: str, size: int) -> None:
    changed = HELD_BYTES[:HEADER_BYTES] + encode_long(size) + HELD_BYTES[HEADER_BYTES + 1 :]
    assert isinstance(CODECS[way].decode(changed), Undecodable)
    assert_same(changed)


@pytest.mark.parametrize(
    "items", [b"\x02\x06A-1\x06A-2", b"\x06\x06A-1\x06A-2", b"\x03\x06A-1\x06A-2", b"\x04\x05A-1\x06A-2"]
)
def test_a_list_of_more_or_fewer_items_than_it_says_is_the_same_to_both_readers(items: bytes) -> None:
    value = CODEC.encode(reserve(seats=["A-1", "A-2"]))
    head, good, tail = value.partition(b"\x04\x06A-1\x06A-2")
    assert good
    assert_same(head + items + tail)


def test_many_records_are_decoded_as_each_of_them(way: str) -> None:
    codec = CODECS[way]
    short = [b"", *(HELD_BYTES[:size] for size in range(1, HEADER_BYTES))]
    unknown = [None, *short, b"\0\xff\xff\xff\xff" + HELD_BYTES[HEADER_BYTES:]]
    values = [*RECORDS, *unknown, *LEFT_TO_THE_PLAIN_READER.values(), HELD_BYTES[:HEADER_BYTES]]
    asked: list[bytes | None] = []

    def otherwise(value: bytes | None) -> Any:
        asked.append(value)
        return codec.decode(value)

    together = MODULES[way].read_all(list(enumerate(values, 7)), codec._readers, otherwise)
    assert together == [(number, CODEC.decode(value)) for number, value in enumerate(values, 7)]
    assert asked == unknown


def test_lists_that_were_met_before_are_not_shared(way: str) -> None:
    one, other = CODECS[way].decode(HELD_BYTES), CODECS[way].decode(HELD_BYTES)
    assert isinstance(one, RecordedFact)
    assert isinstance(other, RecordedFact)
    assert isinstance(one.fact, f.TicketsHeld)
    one.fact.seats.append("Z-9")
    assert other.fact == HELD


@needs_native
def test_reading_keeps_nothing() -> None:
    readers = CODECS["compiled"]._readers
    values = [*RECORDS, *(value[:-1] for value in RECORDS)]

    def read_all() -> None:
        for value in values:
            readers[value[:HEADER_BYTES]].read_compiled(value)
            readers[value[:HEADER_BYTES]].envelope_compiled(value)

    read_all()
    tracemalloc.start()
    try:
        read_all()
        before, nones = tracemalloc.get_traced_memory()[0], sys.getrefcount(None)
        for _ in range(50):
            read_all()
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
        assert abs(sys.getrefcount(None) - nones) < 200
    finally:
        tracemalloc.stop()


@needs_native
def test_texts_that_are_shared_are_short_and_bounded() -> None:
    def seat(label: str) -> str:
        found: str = compiled(CODEC.encode_fact(ENVELOPE, msgspec.structs.replace(HELD, seats=[label]))).fact.seats[0]
        return found

    longest = "x" * native_reader.SHARED_BYTES_MAX
    assert seat(longest) is seat(longest)
    assert seat(longest + "x") is not seat(longest + "x")
    first = seat("S-0")
    for number in range(1, native_reader.SHARED_MAX + 1):
        seat(f"S-{number}")
    assert seat("S-0") == first
    assert seat("S-0") is not first


def test_the_compiled_twins_are_used_where_they_are() -> None:
    assert (codec_module.DECODER == "compiled") == (native_reader is not None)
    assert Codec().decode_all([(3, None), (4, HELD_BYTES)]) == [(3, CODEC.decode(None)), (4, CODEC.decode(HELD_BYTES))]


def test_without_compiled_twins_the_plain_ones_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    module = without_twins(codec_module, monkeypatch)
    assert module.DECODER == "plain"
    assert module.Codec().encode_fact(ENVELOPE, HELD) == HELD_BYTES
    assert module.Codec().decode(HELD_BYTES) == RecordedFact(ENVELOPE, HELD)
