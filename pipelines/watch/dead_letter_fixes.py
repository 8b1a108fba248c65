"""Applies a fix to a dead letter, and reads as much of a broken record as possible. Pure.

Guarantee: a fixed letter is a whole record of a type of the same topic, within its limits. No fact can be fixed: its
position is its identity, and a decision is never edited.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import fastavro
import msgspec

from schemas.codec import HEADER_BYTES, MAGIC, MANIFEST, Codec, Undecodable
from schemas.commands import COMMANDS as COMMAND_TYPES
from schemas.commands import Command, ReserveInTurn
from schemas.notifications import NOTIFICATIONS as NOTIFICATION_TYPES
from schemas.notifications import Notification
from schemas.requests_in_turn import flaw_of
from schemas.topics import COMMANDS, NOTIFICATIONS

TYPES: dict[str, dict[str, type[Any]]] = {
    COMMANDS: {record.__name__: record for record in COMMAND_TYPES},
    NOTIFICATIONS: {record.__name__: record for record in NOTIFICATION_TYPES},
}
TYPE = "type"  # the key of the record's type in an edited file; the other keys are its fields
NULL = "null"


class CannotMend(ValueError):
    """The result of the fix is no record of ours. The message names the field and the cause."""


class Partly(NamedTuple):
    """The readable part: the record's type ("" when unreadable), its fields, and the field where reading stopped."""

    record: str
    fields: dict[str, Any]
    stopped_at: str


class FixedLetter(NamedTuple):
    """A corrected record that can go back to its topic."""

    key: str
    value: bytes
    record: str
    changed: list[str]


def partly(value: bytes | None) -> Partly:
    """Read one field after the other, and stop at the first unreadable one."""
    if value is None or len(value) < HEADER_BYTES or value[0] != MAGIC:
        return Partly("", {}, "")
    schema_id = int.from_bytes(value[1:HEADER_BYTES], "big")
    for entry in json.loads(MANIFEST.read_text())["schemas"]:
        if entry["id"] == schema_id:
            return _fields(entry["schema"], value)
    return Partly("", {}, "")


def _fields(schema: dict[str, Any], value: bytes) -> Partly:
    body = io.BytesIO(value)
    body.seek(HEADER_BYTES)
    fields: dict[str, Any] = {}
    for field in schema["fields"]:
        try:
            fields[field["name"]] = fastavro.schemaless_reader(body, fastavro.parse_schema(field["type"]), None)
        except Exception:  # noqa: BLE001 — fastavro raises what its readers meet: EOFError, ValueError …
            return Partly(schema["name"], fields, field["name"])
    return Partly(schema["name"], fields, "" if body.tell() == len(value) else "bytes after the last field")


def fixed_letter(
    codec: Codec, topic: str, value: bytes | None, *, changes: Mapping[str, str], edited: Mapping[str, Any] | None
) -> FixedLetter:
    """The record in `value` with changed fields (given as text), or the record in `edited`. Raises CannotMend."""
    types = TYPES.get(topic)
    if types is None:
        raise CannotMend(f"a record of {topic} is not mended: its position is its identity")
    before = codec.decode(value)
    if edited is not None:
        record, fields = _edited(types, edited)
    elif isinstance(before, Undecodable):
        raise CannotMend(f"these bytes are no record ({before.error}): give a whole one with --file")
    else:
        record, fields = type(before), msgspec.structs.asdict(before)
    for name, text in changes.items():
        if name not in fields:
            raise CannotMend(f"{record.__name__} has no field {name}; it has {', '.join(fields)}")
        fields[name] = _read(text, fields[name], record, name)
    made = _made(record, fields)
    if isinstance(made, ReserveInTurn) and (flaw := flaw_of(made)):
        raise CannotMend(flaw)
    encoded = codec.encode(made)
    again = codec.decode(encoded)
    if isinstance(again, Undecodable):
        raise CannotMend(again.error)
    old = {} if isinstance(before, Undecodable) else msgspec.structs.asdict(before)
    changed = [name for name, new in msgspec.structs.asdict(made).items() if old.get(name, ...) != new]
    key = made.event_id if isinstance(made, Command) else made.user_id
    return FixedLetter(key, encoded, record.__name__, changed)


def _edited(types: Mapping[str, type[Any]], edited: Mapping[str, Any]) -> tuple[type[Any], dict[str, Any]]:
    name = edited.get(TYPE)
    if name not in types:
        raise CannotMend(f'"{TYPE}" is {name!r}; it has to be one of {", ".join(sorted(types))}')
    return types[str(name)], {key: value for key, value in edited.items() if key != TYPE}


def _read(text: str, old: Any, record: type[Any], name: str) -> Any:
    """A value from the command line in the field's type. Commas separate the items of a list."""
    if text == NULL and any(field.name == name and not field.required for field in msgspec.structs.fields(record)):
        return None
    if not isinstance(old, list):
        return text
    # An item may be empty only where the place in the list counts.
    return [part for part in text.split(",") if part or record is ReserveInTurn]


def _made(record: type[Any], fields: Mapping[str, Any]) -> Command | Notification:
    unknown = sorted(fields.keys() - set(record.__struct_fields__))
    if unknown:
        raise CannotMend(f"{record.__name__} has no field {', '.join(unknown)}")
    try:
        made: Command | Notification = msgspec.convert(dict(fields), record, strict=False)
    except msgspec.ValidationError as error:
        raise CannotMend(f"{record.__name__}: {error}") from None
    return made
