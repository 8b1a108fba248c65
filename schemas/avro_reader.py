"""Reads Avro: the bytes of a record become the record, or the reason why there is none.

Guarantee: reading never raises for bad bytes. A returned command can be stored: its texts have no U+0000, its ids fit
every index, its times are in the calendar. Sizes are checked first, so the bytes cannot make the reader use much more
memory than their own length.

This is the plain reader, by fastavro. `native_reader.pyx` is its compiled twin, with the same results; `codec.py`
selects.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import fastavro

from schemas.commands import Command
from schemas.facts import Envelope, Fact, RecordedFact
from schemas.notifications import Notification

RECORD_BYTES_MAX = 256 * 1024  # four times a command: a fact repeats its command's fields
COMMAND_BYTES_MAX = 64 * 1024  # the API's body limit
ID_CHARS_MAX = 128  # ours are UUIDs of 36; four of them fit an entry of an index, of which PostgreSQL takes 2,704 bytes
TIME_US_MAX = 253_402_300_799_999_999  # the last microsecond of the year 9999, where calendars end
INT_MIN, INT_MAX = -(2**31), 2**31 - 1
HEADER_BYTES = 5
ENVELOPE_FIELDS = len(Envelope.__struct_fields__)


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Bytes that are no record of ours, and the reason."""

    error: str


Decoded = Command | RecordedFact | Notification | Undecodable


class Reader:
    """Reads records that were written with one schema, as records of the newest schema.

    `written` and `newest` are parsed by fastavro; `newest` is None if it equals `written`.
    """

    def __init__(self, record: type[Any], written: Any, newest: Any = None) -> None:
        self._record, self._written, self._newest = record, written, newest
        schema = newest or written
        self._is_fact = issubclass(record, Fact)
        # fastavro gives the fields in the order of their writer.
        self._names = None if newest is None else [field["name"] for field in newest["fields"]]
        self._envelope = _envelope_of(written) if self._is_fact and begins_with_envelope(written, schema) else None
        # Only our processes write facts; anyone may write a command, and fastavro reads 64 bits for an int.
        self._ints = [] if self._is_fact else [field["name"] for field in schema["fields"] if _is_int(field)]
        self._limits = _limits_of(schema) if issubclass(record, Command) else None

    def read(self, value: bytes) -> Decoded:
        """The record in `value` (with its header), or the reason why there is none."""
        size = len(value)
        if size > RECORD_BYTES_MAX:
            return Undecodable(f"{size} bytes, more than {RECORD_BYTES_MAX}")
        if size > COMMAND_BYTES_MAX and self._limits is not None:
            return Undecodable(f"{size} bytes, more than {COMMAND_BYTES_MAX}")
        body = io.BytesIO(value)
        body.seek(HEADER_BYTES)
        record = self._record
        try:
            fields: dict[str, Any] = fastavro.schemaless_reader(body, self._written, self._newest)  # type: ignore[assignment]
        except Exception as error:  # noqa: BLE001 — fastavro raises what its readers meet: EOFError, ValueError …
            return Undecodable(f"not an Avro {record.__name__}: {type(error).__name__}: {error}")
        if body.tell() != size:
            return Undecodable(f"{size - body.tell()} bytes after the Avro {record.__name__}")
        values = list(fields.values()) if self._names is None else [fields[name] for name in self._names]
        if self._is_fact:
            return RecordedFact(Envelope(*values[:ENVELOPE_FIELDS]), record(*values[ENVELOPE_FIELDS:]))
        wrong = self._beyond_limits(fields)
        if wrong:
            return Undecodable(f"{record.__name__}.{wrong}")
        decoded: Command | Notification = record(*values)
        return decoded

    def envelope(self, value: bytes) -> Envelope | None:
        """The envelope of the fact in `value`, without the fact; None if there is no envelope.

        The rest of the bytes does not count: bytes that `read` refuses may have one.
        """
        if self._envelope is None:
            decoded = self.read(value)
            return decoded.envelope if isinstance(decoded, RecordedFact) else None
        body = io.BytesIO(value)
        body.seek(HEADER_BYTES)
        try:
            fields: dict[str, Any] = fastavro.schemaless_reader(body, self._envelope, None)  # type: ignore[assignment]
        except Exception:  # noqa: BLE001 — as in `read`, whose error says what is wrong
            return None
        return Envelope(*fields.values())

    def _beyond_limits(self, fields: dict[str, Any]) -> str:
        for name in self._ints:
            number = fields[name]
            if number is not None and not INT_MIN <= number <= INT_MAX:
                return f"{name} is {number}, beyond 32 bits"
        return self._limits.broken_by(fields) if self._limits is not None else ""


def read_all(
    records: list[tuple[int, bytes | None]],
    readers: dict[bytes, Reader],
    otherwise: Callable[[bytes | None], Decoded],
) -> list[tuple[int, Decoded]]:
    """Each value as a record, with the number that came with it.

    `readers` has the readers by the header of their schema. `otherwise` reads a value with another header.
    """
    found = []
    for number, value in records:
        reader = None if value is None else readers.get(value[:HEADER_BYTES])
        found.append((number, otherwise(value) if reader is None or value is None else reader.read(value)))
    return found


@dataclass(frozen=True, slots=True)
class _Limits:
    """The limits of a command's fields, for every writer, so that everything that is made of them can be stored."""

    texts: tuple[str, ...]
    lists: tuple[str, ...]
    ids: tuple[str, ...]
    times: tuple[str, ...]
    joined: Callable[[dict[str, Any]], tuple[str, ...]]

    def broken_by(self, fields: dict[str, Any]) -> str:
        """The field that is beyond its limit, and how; "" when none is. One test, when nothing is wrong."""
        if "\0" in "".join(self.joined(fields)):
            return f"{next(name for name in self.texts if chr(0) in (fields[name] or ''))} has U+0000 in it"
        for name in self.lists:
            if "\0" in "".join(fields[name]):
                return f"{name} has U+0000 in it"
        for name in self.ids:
            text = fields[name]
            if text is not None and len(text) > ID_CHARS_MAX:
                return f"{name} has {len(text)} characters, more than {ID_CHARS_MAX}"
        for name in self.times:
            time = fields[name]
            if time is not None and not 0 <= time <= TIME_US_MAX:
                return f"{name} is {time}, beyond the calendar"
        return ""


def _limits_of(schema: dict[str, Any]) -> _Limits:
    """The limits of a command's fields, by their types and the endings of their names."""
    kinds = {field["name"]: field["type"] for field in schema["fields"]}
    texts = tuple(name for name, kind in kinds.items() if kind in ("string", ["null", "string"]))
    optional = any(kinds[name] != "string" for name in texts)
    pick = itemgetter(*texts)  # at least two: event_id and user_id
    return _Limits(
        texts=texts,
        lists=tuple(name for name, kind in kinds.items() if kind == {"type": "array", "items": "string"}),
        ids=tuple(name for name in texts if name.endswith("_id") and name != "command_id"),
        times=tuple(
            name for name, kind in kinds.items() if name.endswith("_at") and kind in ("long", ["null", "long"])
        ),
        joined=(lambda fields: tuple(text or "" for text in pick(fields))) if optional else pick,
    )


def begins_with_envelope(written: dict[str, Any], newest: dict[str, Any]) -> bool:
    """Whether records of the schema `written` begin with the envelope that the facts of this build begin with."""
    before, after = (
        [(field["name"], field["type"]) for field in schema["fields"][:ENVELOPE_FIELDS]] for schema in (written, newest)
    )
    return before == after


def _envelope_of(schema: dict[str, Any]) -> Any:
    return fastavro.parse_schema({"type": "record", "name": "Envelope", "fields": schema["fields"][:ENVELOPE_FIELDS]})


def _is_int(field: dict[str, Any]) -> bool:
    return field["type"] in ("int", ["null", "int"])
