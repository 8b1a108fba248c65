"""The plain writer and its compiled twin write the same bytes as a general Avro writer, for every record type."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import avro_writer
from schemas.field_types import LONG_MAX, LONG_MIN
from schemas.generate import FAMILIES, avro_schema
from tests.harness.native import native_writer, needs_native

RECORDS = [(family, record) for family, records in FAMILIES.items() for record in records]
WRITERS = {"plain": avro_writer.Writer}
if native_writer is not None:
    WRITERS["compiled"] = native_writer.NativeWriter
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(codec="utf-8")) | st.integers(0, 5_000).map("é".__mul__),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(LONG_MIN, LONG_MAX),
}
ANY = (
    st.none()
    | st.text(max_size=3)
    | st.integers(-(2**70), 2**70)
    | st.lists(st.text(max_size=3) | st.integers(), max_size=3)
)


@pytest.fixture(params=["plain", pytest.param("compiled", marks=needs_native)])
def writer(request: pytest.FixtureRequest) -> Any:
    return WRITERS[request.param]


def values_of(avro_type: Any) -> st.SearchStrategy[Any]:
    if isinstance(avro_type, list):
        return st.none() | values_of(avro_type[1])
    if isinstance(avro_type, dict):
        return st.lists(VALUES["string"], max_size=5)
    return VALUES[avro_type]


def source_of(fields: dict[str, Any]) -> Any:
    return msgspec.defstruct("Source", [(name, object) for name in fields])(**fields)


@pytest.mark.parametrize(("family", "record"), RECORDS, ids=lambda value: getattr(value, "__name__", value))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_bytes_are_those_of_a_general_writer(family: str, record: type[msgspec.Struct], data: Any) -> None:
    schema = avro_schema(family, record)
    fields = {field["name"]: data.draw(values_of(field["type"])) for field in schema["fields"]}
    names, buffer = tuple(fields), io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), fields)
    half = data.draw(st.integers(1, len(names)))
    for writer in WRITERS.values():
        assert writer(schema, b"head", names).write(source_of(fields)) == b"head" + buffer.getvalue()
        two = writer(schema, b"head", names[:half], names[half:])
        assert two.write(source_of(fields), source_of(fields)) == b"head" + buffer.getvalue()


@needs_native
@pytest.mark.parametrize(("family", "record"), RECORDS, ids=lambda value: getattr(value, "__name__", value))
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_the_compiled_writer_takes_every_record_type_whatever_its_values(
    family: str, record: type[msgspec.Struct], data: Any
) -> None:
    schema = avro_schema(family, record)
    fields = {field["name"]: data.draw(values_of(field["type"])) for field in schema["fields"]}
    assert native_writer.NativeWriter(schema, b"head", tuple(fields)).write_compiled(source_of(fields)) is not None


@needs_native
@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["string", "int", "long", {"type": "array", "items": "string"}]),
    st.booleans(),
    ANY | st.just("\ud800"),
)
def test_both_writers_say_the_same_of_a_value_of_another_type(kind: Any, optional: bool, value: Any) -> None:
    schema = {"name": "Odd", "fields": [{"name": "a", "type": ["null", kind] if optional else kind}]}
    assert said(native_writer.NativeWriter, schema, value) == said(avro_writer.Writer, schema, value)


def said(writer: Any, schema: dict[str, Any], value: Any) -> tuple[type[Exception], str] | bytes:
    try:
        written: bytes = writer(schema, b"head", ("a",)).write(source_of({"a": value}))
    except (AttributeError, TypeError, OverflowError, UnicodeError) as error:
        return type(error), str(error)
    return written


@pytest.mark.parametrize("number", [LONG_MIN - 1, LONG_MAX + 1])
def test_a_number_beyond_64_bits_is_refused(writer: Any, number: int) -> None:
    schema = {"name": "One", "fields": [{"name": "a", "type": "long"}]}
    with pytest.raises(OverflowError, match="does not fit an Avro long"):
        writer(schema, b"", ("a",)).write(source_of({"a": number}))


def test_fields_in_another_order_are_refused_by_name(writer: Any) -> None:
    schema = {"name": "Pair", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}]}
    with pytest.raises(TypeError, match="Pair: the fields are"):
        writer(schema, b"", ("b", "a"))


def test_a_nested_record_is_refused_by_field(writer: Any) -> None:
    schema = {"name": "Deep", "fields": [{"name": "inner", "type": {"type": "record"}}]}
    with pytest.raises(TypeError, match=r"Deep\.inner"):
        writer(schema, b"", ("inner",))
