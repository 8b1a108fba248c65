"""Records to bytes and back, and the results for bytes that are no records."""

from __future__ import annotations

import io
import json
import typing
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.reservations.core.decide import step
from pipelines.reservations.core.state import At, EventState
from schemas import codec as codec_module
from schemas import commands as c
from schemas import facts as f
from schemas.codec import (
    COMMAND_BYTES_MAX,
    HEADER_BYTES,
    ID_CHARS_MAX,
    MANIFEST,
    RECORD_BYTES_MAX,
    TIME_US_MAX,
    Codec,
    Undecodable,
    UnknownSchema,
    own_schemas,
)
from schemas.command_reading import command_in
from schemas.commands import COMMANDS
from schemas.facts import FACTS, Envelope, Fact, RecordedFact
from schemas.field_types import is_int32, plain
from schemas.ids import LogTime
from schemas.notifications import NOTIFICATIONS
from tests.harness.words import T, create, folded, on_sale, reserve

CODEC = Codec()
ENVELOPE = Envelope(
    event_id="event", partition=3, offset=41, index=0, count=1, log_time=T, rules_version=f.RULES_VERSION
)
PLAIN = (*COMMANDS, *NOTIFICATIONS)


def values_of(record: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Any record of this type that its schema allows, for a command also its fields' limits."""
    hints = msgspec.structs.fields(record)
    limited = issubclass(record, c.Command)
    return st.builds(record, *[_value_of(field.name, field.type, limited) for field in hints])


def _value_of(name: str, hint: Any, limited: bool) -> st.SearchStrategy[Any]:
    characters = st.characters(exclude_characters="\0" if limited else "", codec="utf-8")
    if plain(hint) is str:
        return st.text(characters, max_size=20)
    if hint is int and limited and name.endswith("_at"):
        return st.integers(0, TIME_US_MAX)
    if hint is int or is_int32(hint):
        bits = 31 if is_int32(hint) else 63
        return st.integers(-(2**bits), 2**bits - 1)
    if typing.get_origin(hint) is list:
        return st.lists(st.text(characters, max_size=8), max_size=5)
    inner = next(arm for arm in hint.__args__ if arm is not type(None))
    return st.none() | _value_of(name, inner, limited)


# --- round trips --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", PLAIN, ids=lambda record: record.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_commands_and_notifications_come_back_as_they_were(record: type[Any], data: st.DataObject) -> None:
    value = data.draw(values_of(record))
    assert CODEC.decode(CODEC.encode(value)) == value


@pytest.mark.parametrize("record", FACTS, ids=lambda record: record.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_facts_come_back_with_their_place(record: type[Fact], data: st.DataObject) -> None:
    envelope, fact = data.draw(values_of(Envelope)), data.draw(values_of(record))
    assert CODEC.decode(CODEC.encode_fact(envelope, fact)) == RecordedFact(envelope, fact)


def test_equal_facts_at_equal_places_have_equal_bytes() -> None:
    one, other = Codec(), Codec()
    fact = f.SeatLocksObserved(["a/1"], [])
    assert one.encode_fact(ENVELOPE, fact) == other.encode_fact(ENVELOPE, f.SeatLocksObserved(["a/1"], []))


def test_a_record_is_framed_as_confluents_wire_format() -> None:
    value = CODEC.encode(c.Tick("event", "", "id"))
    ids = {entry["schema"]["name"]: entry["id"] for entry in json.loads(MANIFEST.read_text())["schemas"]}
    assert value[0] == 0
    assert int.from_bytes(value[1:5], "big") == ids["Tick"]


def test_the_body_is_avro_that_anyone_can_read_with_the_schema_file() -> None:
    schema = fastavro.schema.load_schema(str(MANIFEST.parent / "facts" / "TicketsHeld.avsc"))
    fact = f.TicketsHeld(
        reservation_id="r",
        user_id="u",
        ticket_type_id="t",
        quantity=2,
        seats=["A-1", "A-2"],
        amount_minor=5_000,
        currency="EUR",
        expires_at=T,
        fingerprint=-7,
    )
    body: Any = fastavro.schemaless_reader(io.BytesIO(CODEC.encode_fact(ENVELOPE, fact)[HEADER_BYTES:]), schema, None)
    assert body == msgspec.structs.asdict(ENVELOPE) | msgspec.structs.asdict(fact)


def test_a_registrys_ids_go_before_the_manifests() -> None:
    ids = {name: 9_000 + number for number, name in enumerate(own_schemas(), 1)}
    ids["circle.commands.Tick"] = 9_001 + len(ids)
    named = Codec(ids)
    value = named.encode(c.Tick("event", "", "id"))
    assert int.from_bytes(value[1:5], "big") == ids["circle.commands.Tick"]
    assert named.decode(value) == c.Tick("event", "", "id")
    assert isinstance(CODEC.decode(value), Undecodable)


def test_a_version_that_only_the_registry_has_is_read_when_it_is_flat() -> None:
    """A newer program has added fields: its records are read without them."""
    tick = own_schemas()["circle.commands.Tick"][-1]
    newer = tick | {"fields": [*tick["fields"], {"name": "note", "type": ["null", "string"], "default": None}]}
    deep = tick | {"fields": [*tick["fields"], {"name": "more", "type": {"type": "array", "items": "null"}}]}
    ids = {name: number for number, name in enumerate(own_schemas(), 1)}
    registered = Codec(ids, {901: newer, 902: deep})
    body = io.BytesIO()
    fastavro.schemaless_writer(
        body, fastavro.parse_schema(newer), msgspec.structs.asdict(c.Tick("event", "", "id")) | {"note": "new"}
    )
    assert registered.decode(b"\0" + (901).to_bytes(4, "big") + body.getvalue()) == c.Tick("event", "", "id")
    assert registered.decode(b"\0" + (902).to_bytes(4, "big")) == Undecodable("schema id 902 is not known here")


# --- what is no record --------------------------------------------------------------------------------------------

GOOD = CODEC.encode(reserve(seats=["A-1", "A-2"]))


def error_of(value: bytes | None) -> str:
    decoded = CODEC.decode(value)
    assert isinstance(decoded, Undecodable)
    return decoded.error


def test_a_tombstone_is_undecodable() -> None:
    assert error_of(None) == "no value (a tombstone)"


@pytest.mark.parametrize("value", [b"", b"\0", GOOD[:4], b"\1" + GOOD[1:], b'{"event_id": "x"}'])
def test_what_is_not_framed_is_undecodable(value: bytes) -> None:
    assert error_of(value) == "does not begin with 0x00 and a 4-byte schema id"


def test_an_unknown_schema_id_is_undecodable_and_named() -> None:
    assert error_of(b"\0\0\0\xff\xff" + GOOD[5:]) == "schema id 65535 is not known here"


@pytest.mark.parametrize("cut", range(HEADER_BYTES, len(GOOD)))
def test_a_record_cut_short_anywhere_is_undecodable(cut: int) -> None:
    assert error_of(GOOD[:cut]).startswith("not an Avro ReserveTickets: ")


def test_bytes_behind_a_record_are_undecodable() -> None:
    assert error_of(GOOD + b"\0\0") == "2 bytes after the Avro ReserveTickets"


def test_a_text_that_is_not_utf8_is_undecodable() -> None:
    assert error_of(GOOD.replace(b"A-1", b"\xff-1")).startswith("not an Avro ReserveTickets: ")


def test_a_record_beyond_its_size_is_undecodable_before_it_is_read() -> None:
    assert error_of(b"\0" * (RECORD_BYTES_MAX + 1)) == f"{RECORD_BYTES_MAX + 1} bytes, more than {RECORD_BYTES_MAX}"
    long = CODEC.encode(create(description="x" * COMMAND_BYTES_MAX))
    assert error_of(long) == f"{len(long)} bytes, more than {COMMAND_BYTES_MAX}"
    assert isinstance(CODEC.decode(CODEC.encode(create(description="x" * (COMMAND_BYTES_MAX - 400)))), c.CreateEvent)


@pytest.mark.parametrize("items", [b"\x80\x80\x80\x80\x80\x80\x80\x80\x40", b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"])
def test_an_array_that_claims_to_be_huge_takes_no_memory(items: bytes) -> None:
    head, _, tail = GOOD.partition(b"\x04\x06A-1\x06A-2\x00")
    assert tail, "the seats' place in the record has moved"
    assert error_of(head + items + b"\x06A-1\x00" + tail).startswith("not an Avro ReserveTickets: ")


@pytest.mark.parametrize("quantity", [2**31, -(2**31) - 1, 2**62])
def test_an_int_beyond_32_bits_is_undecodable(quantity: int) -> None:
    """The rules would answer it with a rejection, which fits no column."""
    command = reserve(quantity)
    assert error_of(CODEC.encode(command)) == f"ReserveTickets.quantity is {quantity}, beyond 32 bits"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (create(title="a\0b"), "CreateEvent.title has U+0000 in it"),
        (reserve(seats=["A-1", "\0"]), "ReserveTickets.seats has U+0000 in it"),
        (c.UpdateEvent("event", "user", "command", venue="\0"), "UpdateEvent.venue has U+0000 in it"),
        (c.Tick("\0", "", "tick"), "Tick.event_id has U+0000 in it"),
        (c.Tick("e" * (ID_CHARS_MAX + 1), "", "tick"), "Tick.event_id has 129 characters, more than 128"),
        (reserve(of="t" * 3_000), "ReserveTickets.ticket_type_id has 3000 characters, more than 128"),
        (create(starts_at=-1), "CreateEvent.starts_at is -1, beyond the calendar"),
        (create(ends_at=2**62), f"CreateEvent.ends_at is {2**62}, beyond the calendar"),
        (
            c.UpdateEvent("event", "user", "command", sales_open_at=TIME_US_MAX + 1),
            f"UpdateEvent.sales_open_at is {TIME_US_MAX + 1}, beyond the calendar",
        ),
    ],
)
def test_a_command_that_could_not_be_stored_is_undecodable(command: c.Command, error: str) -> None:
    """A stranger on the log may write it: its id fits no index, its time no calendar, its U+0000 no text."""
    assert error_of(CODEC.encode(command)) == error


def test_ids_and_times_at_their_limits_can_be_read() -> None:
    longest = "\U0001f3ab" * ID_CHARS_MAX
    for command in (reserve(of=longest), create(starts_at=0, ends_at=TIME_US_MAX), c.UpdateEvent("e", "u", "c")):
        assert CODEC.decode(CODEC.encode(command)) == command


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda body: GOOD[:HEADER_BYTES] + body))
def test_random_bytes_never_raise(value: bytes) -> None:
    assert CODEC.decode(value) is not None


def random_ids() -> st.SearchStrategy[bytes]:
    highest = max(entry["id"] for entry in json.loads(MANIFEST.read_text())["schemas"])
    return st.integers(0, highest + 1).map(lambda number: b"\0" + number.to_bytes(4, "big"))


@settings(max_examples=400, deadline=None)
@given(random_ids(), st.binary(max_size=120))
def test_random_bodies_under_any_schema_never_raise(head: bytes, body: bytes) -> None:
    CODEC.decode(head + body)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_can_be_read_can_be_decided_and_written(data: st.DataObject) -> None:
    """A forged record cannot stop the flow after the decoder: the bytes of its facts can be read again."""
    value = bytearray(CODEC.encode(data.draw(st.one_of(*[values_of(record) for record in COMMANDS]))))
    for _ in range(data.draw(st.integers(0, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    command = command_in(CODEC, bytes(value), 0, None)  # as the flow reads it
    if isinstance(command, c.Command):
        for state in (EventState(command.event_id), folded(*on_sale())):
            facts = step(state, command, At(0, 0, LogTime(T)))
            assert facts
            for fact in facts:
                assert CODEC.decode(CODEC.encode_fact(ENVELOPE, fact)) == RecordedFact(ENVELOPE, fact)


def test_a_fact_about_the_longest_command_can_be_read_again() -> None:
    name = "x" * (COMMAND_BYTES_MAX - 400)
    for command in (reserve(seats=[name]), create(title=name)):
        assert len(CODEC.encode(command)) <= COMMAND_BYTES_MAX
        fact = step(folded(*on_sale()), command, At(0, 0, LogTime(T)))[0]
        assert CODEC.decode(CODEC.encode_fact(ENVELOPE, fact)) == RecordedFact(ENVELOPE, fact)


def test_a_record_type_without_its_schema_stops_the_start(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = json.loads(MANIFEST.read_text())
    manifest["schemas"] = [entry for entry in manifest["schemas"] if entry["schema"]["name"] != "Tick"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(codec_module, "MANIFEST", tmp_path / "manifest.json")
    with pytest.raises(UnknownSchema, match=r"circle\.commands\.Tick"):
        Codec()


def test_former_schemas_of_a_record_are_still_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An optional field was added: old records keep their writer's schema, and the new field is null."""
    manifest = json.loads(MANIFEST.read_text())
    newest = [entry for entry in manifest["schemas"] if entry["schema"]["name"] == "UpdateEvent"][-1]
    fields = [field for field in newest["schema"]["fields"] if field["name"] != "max_tickets_per_user"]
    former = {"id": newest["id"], "schema": newest["schema"] | {"fields": fields}}
    manifest["schemas"] = [entry for entry in manifest["schemas"] if entry is not newest]
    manifest["schemas"] += [former, newest | {"id": 999}]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(codec_module, "MANIFEST", tmp_path / "manifest.json")
    body = io.BytesIO()
    record = c.UpdateEvent("event", "user", "id", title="T")
    fastavro.schemaless_writer(body, fastavro.parse_schema(former["schema"]), msgspec.structs.asdict(record))
    old = b"\0" + newest["id"].to_bytes(4, "big") + body.getvalue()
    renewed = Codec()
    assert renewed.decode(old) == record
    assert int.from_bytes(renewed.encode(record)[1:5], "big") == 999
