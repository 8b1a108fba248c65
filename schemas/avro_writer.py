"""Writes Avro: a record becomes its bytes.

Guarantee: the bytes are those of the Avro 1.12 specification's binary encoding, for records whose fields are string,
int, long, an array of strings, or null-or-one-of-these; an array is one block. Equal records have equal bytes.

This is the plain writer. `native_writer.pyx` is its compiled twin, with the same bytes and errors; `codec.py` selects.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from schemas.field_types import LONG_MAX, LONG_MIN

_TWO_BYTES = 1 << 14
_MORE = [bytes((bits & 0x7F | 0x80, bits >> 7 | 0x80)) for bits in range(_TWO_BYTES)]
_LAST = [bytes((bits,)) if bits < 0x80 else bytes((bits & 0x7F | 0x80, bits >> 7)) for bits in range(_TWO_BYTES)]


class Writer:
    """Writes records with one schema: first `header`, then the attributes of objects, one object for each field list of
    `sources`.

    Raises TypeError, which names the field, for a schema that is not flat or has other fields than `sources`.
    """

    def __init__(self, schema: dict[str, Any], header: bytes, *sources: tuple[str, ...]) -> None:
        names = [field["name"] for field in schema["fields"]]
        if names != [name for source in sources for name in source]:
            raise TypeError(f"{schema['name']}: the fields are {names}, not those of {sources}")
        self._header = header
        self._pick = [_picker(source) for source in sources]
        self._encode = [_encoder(f"{schema['name']}.{field['name']}", field["type"]) for field in schema["fields"]]

    def write(self, *owners: Any) -> bytes:
        """The bytes of one record. Raises OverflowError for a number of more than 64 bits."""
        values = [value for pick, owner in zip(self._pick, owners, strict=True) for value in pick(owner)]
        encoded = [encode(value) for encode, value in zip(self._encode, values, strict=True)]
        return self._header + b"".join(encoded)


def encode_long(number: int) -> bytes:
    """A zigzag varint. Raises OverflowError outside 64 bits."""
    if 0 <= number < _TWO_BYTES >> 1:
        return _LAST[number << 1]
    if not LONG_MIN <= number <= LONG_MAX:
        raise OverflowError(f"{number} does not fit an Avro long")
    rest = (number << 1) ^ (number >> 63)
    encoded = b""
    while rest >= _TWO_BYTES:
        encoded += _MORE[rest & _TWO_BYTES - 1]
        rest >>= 14
    return encoded + _LAST[rest]


def encode_string(text: str) -> bytes:
    """UTF-8 bytes after their number."""
    encoded = text.encode()
    size = len(encoded)
    if size < _TWO_BYTES >> 1:
        return _LAST[size << 1] + encoded
    return encode_long(len(encoded)) + encoded


def encode_strings(texts: list[str]) -> bytes:
    """One block of strings and the end of the array."""
    if not texts:
        return b"\x00"
    return encode_long(len(texts)) + b"".join([encode_string(text) for text in texts]) + b"\x00"


def _picker(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) == 1:
        pick_one = attrgetter(names[0])
        return lambda owner: (pick_one(owner),)
    return attrgetter(*names) if names else lambda _owner: ()


def _encoder(name: str, avro_type: Any) -> Callable[[Any], bytes]:
    match avro_type:
        case "string":
            return encode_string
        case "int" | "long":
            return encode_long
        case {"type": "array", "items": "string"}:
            return encode_strings
        case ["null", inner]:
            encode = _encoder(name, inner)
            return lambda value: b"\x00" if value is None else b"\x02" + encode(value)
        case other:
            raise TypeError(f"{name} is {other}, which a flat record does not have")
