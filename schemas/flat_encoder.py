"""Avro encoders for flat records, compiled once for each schema: half of the time of a general writer.

Guarantee: the bytes are those of the Avro 1.12 specification's binary encoding, for records whose fields are string,
int, long, an array of strings, or null-or-one-of-these. The tests compare every record type with fastavro.

The one writer of facts encodes each of them on the hot path; that is why this exists. A record of ASCII alone is put
together as one Latin-1 text, one character a byte, and becomes bytes at once; any other one piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
_CHUNK_BITS = 14  # two bytes of seven bits each
_CHUNK = 1 << _CHUNK_BITS
_MORE = [bytes((chunk & 0x7F | 0x80, chunk >> 7 | 0x80)) for chunk in range(_CHUNK)]
_LAST = [bytes((chunk,)) if chunk < 0x80 else bytes((chunk & 0x7F | 0x80, chunk >> 7)) for chunk in range(_CHUNK)]

_MORE_TEXT = [piece.decode("latin-1") for piece in _MORE]
_LAST_TEXT = [piece.decode("latin-1") for piece in _LAST]
_LOW = _CHUNK - 1
_ONCE = frozenset({"offset", "fingerprint"})  # another number in every record
REMEMBERED_MAX = 4_000  # numbers of one schema


def encode_long(number: int) -> bytes:
    """A zigzag varint. Raises OverflowError outside 64 bits."""
    if not LONG_MIN <= number <= LONG_MAX:
        raise OverflowError(f"{number} does not fit an Avro long")
    rest = (number << 1) ^ (number >> 63)
    if rest < _CHUNK:
        return _LAST[rest]
    encoded = b""
    while rest >= _CHUNK:
        encoded += _MORE[rest & (_CHUNK - 1)]
        rest >>= _CHUNK_BITS
    return encoded + _LAST[rest]


def encode_string(text: str) -> bytes:
    """UTF-8 bytes after their number."""
    encoded = text.encode()
    size = len(encoded) << 1
    return (_LAST[size] if size < _CHUNK else encode_long(len(encoded))) + encoded


def encode_strings(texts: list[str]) -> bytes:
    """One block of strings and the end of the array."""
    if not texts:
        return b"\x00"
    return encode_long(len(texts)) + b"".join([encode_string(text) for text in texts]) + b"\x00"


def _long_text(number: int) -> str:
    """`encode_long` as Latin-1 text."""
    rest = (number << 1) ^ (number >> 63)
    if 0 <= rest < _CHUNK:
        return _LAST_TEXT[rest]
    if not LONG_MIN <= number <= LONG_MAX:
        raise OverflowError(f"{number} does not fit an Avro long")
    more, last = _MORE_TEXT, _LAST_TEXT
    if rest < 1 << 28:
        return more[rest & _LOW] + last[rest >> 14]
    if rest < 1 << 42:
        return f"{more[rest & _LOW]}{more[rest >> 14 & _LOW]}{last[rest >> 28]}"
    if rest < 1 << 56:
        return f"{more[rest & _LOW]}{more[rest >> 14 & _LOW]}{more[rest >> 28 & _LOW]}{last[rest >> 42]}"
    high = f"{more[rest >> 28 & _LOW]}{more[rest >> 42 & _LOW]}{last[rest >> 56]}"
    return f"{more[rest & _LOW]}{more[rest >> 14 & _LOW]}{high}"


class _Longs(dict[int, str]):
    """`_long_text` of numbers that come again: sizes, counts, a batch's times. Bounded: it begins anew."""

    def __missing__(self, number: int) -> str:
        if len(self) >= REMEMBERED_MAX:
            self.clear()
        text = self[number] = _long_text(number)
        return text


def _optional(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    return lambda value: b"\x00" if value is None else b"\x02" + encode(value)


def compile_encoder(schema: dict[str, Any], header: bytes, sources: list[tuple[str, ...]]) -> Callable[..., bytes]:
    """A function of as many objects as `sources` has field lists: their attributes, in order, are the record's fields.

    Raises TypeError, naming the field, for a schema that is not flat, or whose fields are not those of `sources`.
    """
    names = [field["name"] for field in schema["fields"]]
    if names != [name for source in sources for name in source]:
        raise TypeError(f"{schema['name']}: the fields are {names}, not those of {sources}")
    owners = [f"o{number}" for number, source in enumerate(sources) for _ in source]
    arguments = ", ".join(f"o{number}" for number in range(len(sources)))
    fields = [(field, f"{owner}.{field['name']}") for field, owner in zip(schema["fields"], owners, strict=True)]
    piecemeal = _compile_piecemeal(schema["name"], header, fields, arguments)
    return _compile_ascii(schema["name"], header, fields, arguments, piecemeal)


def _compile_ascii(
    name: str, header: bytes, fields: list[tuple[dict[str, Any], str]], arguments: str, otherwise: Callable[..., bytes]
) -> Callable[..., bytes]:
    """The record as one text; `otherwise` when a text in it is not ASCII."""
    scope: dict[str, Any] = {"H": header.decode("latin-1"), "LONG": _long_text, "M": _Longs(), "otherwise": otherwise}
    lines, parts, checks = [], ["{H}"], []
    for number, (field, value) in enumerate(fields):
        local = f"v{number}"
        lines.append(f"    {local} = {value}")
        match field["type"]:
            case "string":
                checks.append(f"{local}.isascii()")
                parts.append(f"{{M[len({local})]}}{{{local}}}")
            case {"type": "array"}:
                checks.append(f"''.join({local}).isascii()")
                items = f"''.join([M[len(item)] + item for item in {local}])"
                parts.append(f"{{M[len({local})] + {items} if {local} else ''}}\\0")
            case ["null", "string"]:
                checks.append(f"({local} is None or {local}.isascii())")
                parts.append(f"{{NONE if {local} is None else SOME + M[len({local})] + {local}}}")
            case ["null", _]:
                parts.append(f"{{NONE if {local} is None else SOME + M[{local}]}}")
            case _:
                parts.append(f"{{LONG({local})}}" if field["name"] in _ONCE else f"{{M[{local}]}}")
    scope |= {"NONE": "\0", "SOME": "\2"}
    unusual = f"    if not ({' and '.join(checks)}):\n        return otherwise({arguments})" if checks else ""
    text = "".join(parts)
    source = "\n".join([f"def encode({arguments}):", *lines, unusual, f"    return f\"{text}\".encode('latin-1')"])
    exec(compile(source, f"<encoder of {name}>", "exec"), scope)  # noqa: S102 — our own text, from our schema
    encoder: Callable[..., bytes] = scope["encode"]
    return encoder


def _compile_piecemeal(
    name: str, header: bytes, fields: list[tuple[dict[str, Any], str]], arguments: str
) -> Callable[..., bytes]:
    scope: dict[str, Any] = {"H": header, "L": encode_long, "T": encode_strings, "LAST": _LAST}
    lines, parts = [], ["H"]
    for number, (field, value) in enumerate(fields):
        match field["type"]:
            case "string":
                lines.append(f"    s{number} = {value}.encode(); n{number} = len(s{number})")
                parts += [f"LAST[n{number} * 2] if n{number} < {_CHUNK // 2} else L(n{number})", f"s{number}"]
            case "int" | "long":
                lines.append(f"    i{number} = {value}")
                parts.append(f"LAST[i{number} << 1] if 0 <= i{number} < {_CHUNK // 2} else L(i{number})")
            case {"type": "array", "items": "string"}:
                parts.append(f"T({value})")
            case ["null", "string"]:
                scope[f"F{number}"] = _optional(encode_string)
                parts.append(f"F{number}({value})")
            case ["null", "int" | "long"]:
                scope[f"F{number}"] = _optional(encode_long)
                parts.append(f"F{number}({value})")
            case other:
                raise TypeError(f"{name}.{field['name']} is {other}, which a flat record does not have")
    source = "\n".join([f"def encode({arguments}):", *lines, f"    return b''.join(({', '.join(parts)},))"])
    exec(compile(source, f"<encoder of {name}>", "exec"), scope)  # noqa: S102 — our own text, from our schema
    encoder: Callable[..., bytes] = scope["encode"]
    return encoder
