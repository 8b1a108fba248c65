"""The compiled encoders write the same bytes as a general Avro writer, for every record type and any values."""

import io
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.flat_encoder import LONG_MAX, LONG_MIN, compile_encoder, encode_long
from schemas.generate import FAMILIES, avro_schema

RECORDS = [(family, record) for family, records in FAMILIES.items() for record in records]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(LONG_MIN, LONG_MAX),
}


def values_of(avro_type: Any) -> st.SearchStrategy[Any]:
    if isinstance(avro_type, list):
        return st.none() | values_of(avro_type[1])
    if isinstance(avro_type, dict):
        return st.lists(st.text(), max_size=5)
    return VALUES[avro_type]


@pytest.mark.parametrize(("family", "record"), RECORDS, ids=lambda value: getattr(value, "__name__", value))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_bytes_are_those_of_a_general_writer(family: str, record: type[msgspec.Struct], data: Any) -> None:
    schema = avro_schema(family, record)
    names = tuple(field["name"] for field in schema["fields"])
    fields = {field["name"]: data.draw(values_of(field["type"])) for field in schema["fields"]}
    source = msgspec.defstruct("Source", [(name, object) for name in names])(**fields)
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), fields)
    assert compile_encoder(schema, b"head", [names])(source) == b"head" + buffer.getvalue()


def test_a_number_beyond_64_bits_is_refused() -> None:
    with pytest.raises(OverflowError, match="does not fit an Avro long"):
        encode_long(LONG_MAX + 1)


def test_fields_in_another_order_are_refused_by_name() -> None:
    schema = {"name": "Pair", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}]}
    with pytest.raises(TypeError, match="Pair: the fields are"):
        compile_encoder(schema, b"", [("b", "a")])


def test_a_nested_record_is_refused_by_field() -> None:
    schema = {"name": "Deep", "fields": [{"name": "inner", "type": {"type": "record"}}]}
    with pytest.raises(TypeError, match=r"Deep\.inner"):
        compile_encoder(schema, b"", [("inner",)])
