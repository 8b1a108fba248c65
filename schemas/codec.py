"""Records to bytes and back: Confluent's wire format (0x00, 4-byte schema id, Avro body).

Guarantee: decoding never raises for bad bytes. It returns the record or an `Undecodable` that says why, after a size
check, with the writer's schema pinned by its id; nothing in the bytes chooses how much memory is used beyond that.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro

from schemas.commands import COMMANDS, Command
from schemas.facts import FACTS, Envelope, Fact, RecordedFact
from schemas.flat_encoder import compile_encoder
from schemas.notifications import NOTIFICATIONS, Notification

RECORD_BYTES_MAX = 256 * 1024  # four times a command: a fact repeats its command's fields
COMMAND_BYTES_MAX = 64 * 1024  # the API's body limit
INT_MIN, INT_MAX = -(2**31), 2**31 - 1
MAGIC = 0
HEADER_BYTES = 5
MANIFEST = Path(__file__).parent / "avro" / "manifest.json"
ENVELOPE_FIELDS = len(Envelope.__struct_fields__)


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Bytes that are no record of ours, and why."""

    error: str


class UnknownSchema(KeyError):
    """No schema for a record type under that name: the manifest and the record types disagree."""


class Codec:
    """Encodes with the newest schema of each record type, decodes by the id in the bytes.

    `ids` maps "circle.facts.TicketsHeld" to the id a schema registry gave it; without it, the manifest's ids hold.
    """

    def __init__(self, ids: dict[str, int] | None = None) -> None:
        records: dict[str, type[Any]] = {}
        for family, types in (("commands", COMMANDS), ("facts", FACTS), ("notifications", NOTIFICATIONS)):
            records |= {f"circle.{family}.{record.__name__}": record for record in types}
        manifest = json.loads(MANIFEST.read_text())["schemas"]
        newest = {_full_name(entry["schema"]): entry for entry in manifest}
        missing = records.keys() - newest.keys()
        if missing:
            raise UnknownSchema(f"not in {MANIFEST.name}: {', '.join(sorted(missing))}; run python -m schemas.generate")
        self._encoders: dict[type[Any], Callable[..., bytes]] = {}
        self._readers: dict[int, tuple[Any, Any, type[Any], bool, list[str]]] = {}
        for name, record in records.items():
            reader = fastavro.parse_schema(newest[name]["schema"])
            schema_id = (ids or {}).get(name, newest[name]["id"])
            is_fact = issubclass(record, Fact)
            sources = [Envelope.__struct_fields__] if is_fact else []
            self._encoders[record] = compile_encoder(
                newest[name]["schema"],
                bytes([MAGIC]) + schema_id.to_bytes(4, "big"),
                [*sources, record.__struct_fields__],
            )
            # Facts are ours; a command's writer may be anyone, and fastavro reads 64 bits for an int.
            ints = [] if is_fact else [field["name"] for field in newest[name]["schema"]["fields"] if _is_int(field)]
            self._readers[schema_id] = (reader, None, record, is_fact, ints)
            for entry in manifest:
                if _full_name(entry["schema"]) == name and entry["id"] not in self._readers and ids is None:
                    writer = fastavro.parse_schema(entry["schema"])
                    self._readers[entry["id"]] = (writer, reader, record, is_fact, ints)

    def encode(self, record: Command | Notification) -> bytes:
        """The bytes of a command or a notification."""
        return self._encoders[type(record)](record)

    def encode_fact(self, envelope: Envelope, fact: Fact) -> bytes:
        """The bytes of a fact at its place on the log. Equal facts at equal places have equal bytes."""
        return self._encoders[type(fact)](envelope, fact)

    def decode(self, value: bytes | None) -> Command | RecordedFact | Notification | Undecodable:
        """The record in `value`, or why there is none. Never raises for bad bytes."""
        if value is None:
            return Undecodable("no value (a tombstone)")
        if len(value) > RECORD_BYTES_MAX:
            return Undecodable(f"{len(value)} bytes, more than {RECORD_BYTES_MAX}")
        if len(value) < HEADER_BYTES or value[0] != MAGIC:
            return Undecodable("does not begin with 0x00 and a 4-byte schema id")
        schema_id = int.from_bytes(value[1:HEADER_BYTES], "big")
        known = self._readers.get(schema_id)
        if known is None:
            return Undecodable(f"schema id {schema_id} is not known here")
        writer, reader, record, is_fact, ints = known
        if len(value) > COMMAND_BYTES_MAX and issubclass(record, Command):
            return Undecodable(f"{len(value)} bytes, more than {COMMAND_BYTES_MAX}")
        body = io.BytesIO(value)
        body.seek(HEADER_BYTES)
        try:
            fields: dict[str, Any] = fastavro.schemaless_reader(body, writer, reader)  # type: ignore[assignment]
        except Exception as error:  # noqa: BLE001 — fastavro raises what its readers meet: EOFError, ValueError …
            return Undecodable(f"not an Avro {record.__name__}: {type(error).__name__}: {error}")
        if body.tell() != len(value):
            return Undecodable(f"{len(value) - body.tell()} bytes after the Avro {record.__name__}")
        if is_fact:
            values = list(fields.values())
            return RecordedFact(Envelope(*values[:ENVELOPE_FIELDS]), record(*values[ENVELOPE_FIELDS:]))
        for name in ints:
            number = fields[name]
            if number is not None and not INT_MIN <= number <= INT_MAX:
                return Undecodable(f"{record.__name__}.{name} is {number}, beyond 32 bits")
        decoded: Command | Notification = record(*fields.values())
        return decoded


def _full_name(schema: dict[str, Any]) -> str:
    return f"{schema['namespace']}.{schema['name']}"


def _is_int(field: dict[str, Any]) -> bool:
    return field["type"] in ("int", ["null", "int"])
