"""Avro decoders for flat records of the usual shape: one regular expression for each schema, compiled when it is met.

Guarantee: what the expression matches has one meaning in Avro, and that is what is returned; for anything else the
answer is None, and the general reader has to look. Every length is bounded by the expression, so nothing in the bytes
chooses how much is read or kept. The tests compare both readers over records, changed records and random bytes.

The usual shape: texts are printable ASCII, ids of 36 characters, other texts of at most TEXT_CHARS_MAX; lists have at
most LIST_MAX short items; times are after 1978 or 0; an int has at most 14 bits. A command of that shape is within
every limit of the codec. Bytes are matched as Latin-1 text, one character a byte, so that a group of ASCII is a string
already, and the group of a number the key of a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

TEXT_CHARS_MAX = 63  # one byte of length
ITEM_CHARS_MAX = 15  # lengths below any printable character: where an item ends cannot be mistaken
LIST_MAX = 20  # twice an order
CACHED_MAX = 50_000  # numbers and lists that were met: the choices of neighbouring seats in the largest sections

SHARED = frozenset({"event_id", "ticket_type_id", "currency", "reason"})  # texts that many records have in common

Part = tuple[Callable[..., Any], tuple[str, ...]]
"""What makes a value, and the names of the fields it takes."""

_CHAR, _MORE, _LAST = "[ -\x7f]", "[\x80-\xff]", "[\x00-\x7f]"
_EVEN = "[" + "".join(map(chr, range(0x80, 0x100, 2))) + "]"  # the first of several bytes of what is not negative
_EVEN_LAST = "[" + "".join(re.escape(chr(byte)) for byte in range(0, 0x80, 2)) + "]"
_SIZE = "[" + "".join(re.escape(chr(2 * size)) for size in range(1, ITEM_CHARS_MAX + 1)) + "]"
_ID = f"H({_CHAR}{{36}})"
_TEXT = "(" + "|".join(re.escape(chr(2 * size)) + f"{_CHAR}{{{size}}}" for size in range(TEXT_CHARS_MAX + 1)) + ")"


def _bits(text: str) -> int:
    """The bits of a varint, zigzag still; 0 of nothing."""
    return sum((ord(byte) & 0x7F) << 7 * place for place, byte in enumerate(text))


def _signed(text: str) -> int:
    bits = _bits(text)
    return (bits >> 1) ^ -(bits & 1)


def _texts(text: str) -> list[str]:
    """The items of a list, from its count on. ValueError when that is not what they are."""
    items, at = [], 1
    while at < len(text):
        size = ord(text[at])
        end = at + 1 + (size >> 1)
        if size & 1 or end > len(text):
            raise ValueError(f"an item of {size / 2} characters")
        items.append(_SAME[text[at + 1 : end]])
        at = end
    if text and ord(text[0]) != 2 * len(items):
        raise ValueError(f"{len(items)} items, said to be {ord(text[0]) / 2}")
    return items


def _ids(text: str) -> list[str]:
    """The ids of a list, from its count on. ValueError when there are more or fewer."""
    if not text:
        return []
    found = text[2:].split("H")  # as many as there are only if no id has an H in it
    if ord(text[0]) != 2 * len(found) or len(text) != 1 + 37 * len(found):
        raise ValueError(f"{len(found)} ids in {len(text)} characters, said to be {ord(text[0]) / 2}")
    return found


class _Met(dict[str, Any]):
    """What was made of some bytes, by these bytes. Bounded: when it is full, it begins anew."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make

    def __missing__(self, text: str) -> Any:
        made = self._make(text)
        if len(self) >= CACHED_MAX:
            self.clear()
        self[text] = made
        return made


_SAME = _Met(str)  # of equal texts the first one
_PAIRS = [(chr(one), one) for one in range(0x80)] + [
    (chr(one) + chr(two), one & 0x7F | (two & 0x7F) << 7) for one in range(0x80, 0x100) for two in range(0x100)
]
_ENDED = [(text, bits) for text, bits in _PAIRS if ord(text[-1]) < 0x80]  # those that are a whole number
# Texts alone are their keys, a group that is not there is "": Python then looks them up in half the time. Where any
# pair of bytes may come next, as in a time, a table of pairs is slower than two tables of bytes, which stay in the
# processor's nearest cache.
_TABLES: dict[str, Any] = {
    "INT": {text: (bits >> 1) ^ -(bits & 1) for text, bits in _ENDED},
    "LONG": _Met(_signed),
    "LOW": {"": 0} | {text: bits >> 1 for text, bits in _ENDED if not bits & 1},  # bits 1 to 13 of what is not negative
    "MID": {"": 0} | {text: bits << 13 for text, bits in _PAIRS},
    "HIGH": _Met(lambda text: _bits(text) << 27),  # of times: a new one every two minutes
    **{
        f"BYTE{place}": {"": 0} | {chr(one): (one & 0x7F) << 7 * place >> 1 for one in range(0x100)}
        for place in range(4)
    },
    "ITEMS": _Met(_texts),
    "IDS": _SAME,
    "TEXTS": _Met(lambda text: _SAME[text[1:]]),
    "ids": _ids,
}

# By kind of field: what its bytes look like, and its value, of the groups a, b …
_SHAPES: dict[str, tuple[str, str]] = {
    "id": (_ID, "{a}"),
    "id or none": (f"(?:{_ID}|\x00)", "{a} or ''"),
    "shared id": (_ID, "IDS[{a}]"),
    "text": (_TEXT, "{a}[1:]"),
    "shared text": (_TEXT, "TEXTS[{a}]"),
    "int": (f"({_MORE}?{_LAST})", "INT[{a}]"),
    "long": (f"({_MORE}{{0,8}}{_LAST}|{_MORE}{{9}}[\x00\x01])", "LONG[{a}]"),
    "counter": (
        f"(?:({_EVEN_LAST}|{_EVEN}{_LAST})|({_EVEN})({_MORE})(?:({_MORE}?{_LAST})|({_MORE}{{2}})({_MORE}{{0,3}}{_LAST})))",
        "LOW[{a}] + BYTE0[{b}] + BYTE1[{c}] + MID[{d}] + MID[{e}] + HIGH[{f}]",
    ),
    "time": (
        f"(?:({_EVEN})({_MORE})({_MORE})({_MORE})({_MORE}{{3}}{_LAST})|\x00)",
        "BYTE0[{a}] + BYTE1[{b}] + BYTE2[{c}] + BYTE3[{d}] + HIGH[{e}]",
    ),
    "items": (f"(?:([\x02-\x7e](?:{_SIZE}{_CHAR}++){{1,{LIST_MAX}}}+)\x00|\x00)", "ITEMS[{a}][:]"),
    "ids": (f"(?:([\x02-\x7e](?:H{_CHAR}{{36}}){{1,{LIST_MAX}}}+)\x00|\x00)", "ids({a})"),
}
_KINDS = {
    "reservation_id": "id",
    "attempt_id": "id",
    "user_id": "id or none",  # nobody's: a tick's
    "offset": "counter",
    "log_time": "time",
    "ticket_ids": "ids",
    **{name: "shared id" if name.endswith("_id") else "shared text" for name in SHARED},
}


def compile_decoder(
    schema: dict[str, Any],
    skip: int,
    parts: list[Part],
    whole: Callable[..., Any] | None = None,
) -> Callable[[bytes], Any]:
    """A function of a record's bytes, the first `skip` of which are not looked at.

    Its value is that of `whole`, which takes those of the parts (that of the one part without it), or None when the
    record is not of the usual shape.
    A field that `schema` does not have is None, as if it had never been written; one that nobody takes is dropped.
    """
    pattern, values, groups = "(?s)." + f"{{{skip}}}", {}, 0
    for field in schema["fields"]:
        shape, values[field["name"]], count = _shape(field["name"], field["type"], groups)
        pattern, groups = pattern + shape, groups + count
    made = [
        f"part{number}({', '.join(values.get(name, 'None') for name in names)})"
        for number, (_, names) in enumerate(parts)
    ]
    scope: dict[str, Any] = _TABLES | {f"part{number}": part for number, (part, _) in enumerate(parts)}
    scope |= {"match": re.compile(pattern).fullmatch, "whole": whole}
    value = made[0] if whole is None else f"whole({', '.join(made)})"
    source = f"""def decode(value):
    found = match(str(value, "latin-1"))
    if found is None:
        return None
    {"".join(f"g{number}, " for number in range(groups))} = found.groups("")
    try:
        return {value}
    except ValueError:
        return None
"""
    exec(compile(source, f"<decoder of {schema['name']}>", "exec"), scope)  # noqa: S102 — our own text, from our schema
    decoder: Callable[[bytes], Any] = scope["decode"]
    return decoder


def _shape(name: str, avro_type: Any, first: int) -> tuple[str, str, int]:
    """The expression of a field, its value, and how many groups that has, from group `first` on."""
    match avro_type:
        case "string":
            kind = _KINDS.get(name, "text")
        case "int":
            kind = "int"
        case "long":
            kind = _KINDS.get(name, "time" if name.endswith("_at") else "long")
        case {"type": "array", "items": "string"}:
            kind = _KINDS.get(name, "items")
        case ["null", inner]:
            shape, value, count = _shape(name, inner, first + 1)
            return f"(?:\x00|(\x02){shape})", f"({value} if g{first} else None)", count + 1
        case other:
            raise TypeError(f"{name} is {other}, which a flat record does not have")
    shape, value = _SHAPES[kind]
    count = re.compile(shape).groups
    return shape, value.format(*(), **{letter: f"g{first + at}" for at, letter in enumerate("abcdef"[:count])}), count


def decode_all(
    records: list[tuple[int, bytes | None]],
    usual: dict[bytes, Callable[[bytes], Any]],
    header: int,
    most: int,
    otherwise: Callable[[bytes | None], Any],
) -> list[tuple[int, Any]]:
    """Each value decoded, with the number that stood beside it.

    `usual` has the decoders by the first `header` bytes. What is longer than `most` bytes, or none of theirs, or that
    its decoder answers None to, is for `otherwise`.
    """
    found = []
    for number, value in records:
        record = None
        if value is not None and len(value) <= most:
            decode = usual.get(value[:header])
            if decode is not None:
                record = decode(value)
        found.append((number, otherwise(value) if record is None else record))
    return found
