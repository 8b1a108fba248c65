"""Records to bytes and back: Confluent's wire format (0x00, 4-byte schema id, Avro body).

Guarantee: decoding never raises for bad bytes. It checks the size, takes the writer's schema by its id, and returns the
record, or an `Undecodable` with the reason. `avro_reader` and `avro_writer` do the work, or their compiled twins: only
this module selects.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import fastavro

from schemas import twins
from schemas.avro_reader import COMMAND_BYTES_MAX as COMMAND_BYTES_MAX
from schemas.avro_reader import ENVELOPE_FIELDS as ENVELOPE_FIELDS
from schemas.avro_reader import HEADER_BYTES as HEADER_BYTES
from schemas.avro_reader import ID_CHARS_MAX as ID_CHARS_MAX
from schemas.avro_reader import RECORD_BYTES_MAX as RECORD_BYTES_MAX
from schemas.avro_reader import TIME_US_MAX as TIME_US_MAX
from schemas.avro_reader import Decoded
from schemas.avro_reader import Undecodable as Undecodable
from schemas.commands import COMMANDS, Command
from schemas.facts import FACTS, Envelope, Fact
from schemas.notifications import NOTIFICATIONS, Notification
from schemas.terms import defaults

if twins.compiled("schemas.native_reader", "schemas.native_writer"):
    from schemas.native_reader import NativeReader as Reader
    from schemas.native_reader import read_all
    from schemas.native_writer import NativeWriter as Writer

    DECODER = "compiled"
else:  # there was no C compiler when this was installed
    from schemas.avro_reader import Reader, read_all
    from schemas.avro_writer import Writer

    DECODER = "plain"

MAGIC = 0
MANIFEST = Path(__file__).parent / "avro" / "manifest.json"
LAST_SCHEMA_OF_RULES = {1: 31, 2: 90, 3: 119}
"""By former version of the rules: the last id in the manifest of that time. Its facts were written with ids up to
it."""


class UnknownSchema(KeyError):
    """There is no schema for a record type of this name: the manifest and the record types disagree."""


class Codec:
    """Encodes with the newest schema of each record type, decodes by the id in the bytes.

    `ids` maps "circle.facts.TicketsHeld" to its id in a schema registry. `writers` has every schema of our records in
    the registry, by id. Without both, the manifest's ids are used.

    `encoders` are `encode` and `encode_fact` by type of record, for loops over many records.
    """

    def __init__(
        self, ids: Mapping[str, int] | None = None, writers: Mapping[int, dict[str, Any]] | None = None
    ) -> None:
        known, former, earlier = _records(), _former_schemas(), _earlier_schemas()
        newest = {name: schemas[-1] for name, _, schemas in known}
        if ids is None:
            entries = _manifest()
            ids = {_full_name(entry["schema"]): entry["id"] for entry in entries}
            writers = {entry["id"]: entry["schema"] for entry in entries}
        others: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        for schema_id, written in (writers or {}).items():
            if _is_flat(written):
                others.setdefault(_full_name(written), []).append((schema_id, written))
        self._writers = others
        self.encoders: dict[type[Any], Callable[..., bytes]] = {}
        self._readers: dict[bytes, Reader] = {}  # by the header of their records
        self._records: dict[bytes, type[Any]] = {}  # the record types, by the same
        self._former: dict[int, dict[type[Any], Callable[..., bytes]]] = {rules: {} for rules in LAST_SCHEMA_OF_RULES}
        self._earlier: dict[type[Any], dict[bytes, tuple[Callable[..., bytes], dict[str, Any]]]] = {}
        for name, record, _ in known:
            schema: Any = fastavro.parse_schema(newest[name])
            sources = [Envelope.__struct_fields__] if issubclass(record, Fact) else []
            header = header_of(ids[name])
            self.encoders[record] = Writer(newest[name], header, *sources, record.__struct_fields__).write
            self._readers[header] = Reader(record, schema)
            self._records[header] = record
            for rules, of_its_day in former.get(name, {}).items():
                same = [schema_id for schema_id, other in others.get(name, ()) if other == of_its_day]
                if same:
                    self._former[rules][record] = _encoder_of(min(same), of_its_day)
            for schema_id, other in others.get(name, ()) if issubclass(record, Fact) else ():
                if other in earlier[name]:
                    encoder = _encoder_of(schema_id, other)
                    self._earlier.setdefault(record, {})[header_of(schema_id)] = encoder, _absent(record, other)
            for other_id, other in others.get(name, ()):
                if header_of(other_id) not in self._readers:
                    self._readers[header_of(other_id)] = Reader(record, fastavro.parse_schema(other), schema)
                    self._records[header_of(other_id)] = record

    def encode(self, record: Command | Notification) -> bytes:
        """The bytes of a command or a notification."""
        return self.encoders[type(record)](record)

    def encode_fact(self, envelope: Envelope, fact: Fact) -> bytes:
        """The bytes of a fact at its place on the log. Equal facts at equal places have equal bytes."""
        return self.encoders[type(fact)](envelope, fact)

    def encode_fact_under(self, rules_version: int, envelope: Envelope, fact: Fact) -> bytes:
        """The bytes of a fact as that version of the rules wrote them: with the schema of that time.

        Later fields are not written: decisions by those rules leave them None.
        """
        of_its_day = self._former.get(rules_version, {}).get(type(fact))
        return (of_its_day or self.encoders[type(fact)])(envelope, fact)

    def encode_fact_as(self, header: bytes, envelope: Envelope, fact: Fact) -> bytes | None:
        """The bytes as an earlier build under today's rules wrote them, with the schema whose id is in `header`.

        None if no build had that schema under today's rules, or if the fact says more than it can: a field that the
        schema lacks has neither None nor the value that a record without it means.
        """
        encode, absent = self._earlier.get(type(fact), {}).get(header, (None, {}))
        if encode is None or any(getattr(fact, name) not in (None, meant) for name, meant in absent.items()):
            return None
        return encode(envelope, fact)

    def encode_fields(self, name: str, schema: Mapping[str, Any], fields: Mapping[str, Any]) -> bytes:
        """The bytes of a record by its full name, as a writer with the schema `schema` wrote them.

        Raises UnknownSchema when no writer here has that schema.
        """
        shape = (schema.get("doc"), schema["fields"])
        known = [found for found in self._writers.get(name, ()) if (found[1].get("doc"), _plain(found[1])) == shape]
        if not known:
            raise UnknownSchema(f"{name}: no schema with the fields {[field['name'] for field in schema['fields']]}")
        schema_id, written = known[-1]
        body = io.BytesIO()
        body.write(header_of(schema_id))
        fastavro.schemaless_writer(body, fastavro.parse_schema(written), dict(fields))
        return body.getvalue()

    def decode(self, value: bytes | None) -> Decoded:
        """The record in `value`, or the reason why there is none. Never raises for bad bytes."""
        reader = None if value is None else self._readers.get(value[:HEADER_BYTES])
        return self._unread(value) if reader is None or value is None else reader.read(value)

    def envelope_of(self, value: bytes | None) -> Envelope | None:
        """The envelope of the fact in `value`, in a fraction of the time of `decode`: the fact itself is not read.

        None if there is no envelope. Bytes that have one may still be Undecodable behind it.
        """
        reader = None if value is None else self._readers.get(value[:HEADER_BYTES])
        return None if reader is None or value is None else reader.envelope(value)

    def schema_of(self, value: bytes | None) -> tuple[int, dict[str, Any]] | None:
        """The id and the writer's schema that a record names; None if it names none that is known here."""
        header = (value or b"")[:HEADER_BYTES]
        if header not in self._readers:
            return None
        schema_id = int.from_bytes(header[1:], "big")
        known = (found for schemas in self._writers.values() for found in schemas if found[0] == schema_id)
        return next(known, None)

    def ids_of(self, schema: Mapping[str, Any]) -> list[int]:
        """The ids that this schema of one of our record types has here; none if it is not known here."""
        return [schema_id for schema_id, known in self._writers.get(_full_name(schema), ()) if known == schema]

    def headers_of(self, *records: type[Any]) -> frozenset[bytes]:
        """The first HEADER_BYTES of all values that decode to these record types, by any of their schemas."""
        return frozenset(header for header, record in self._records.items() if record in records)

    def decode_all(self, records: list[tuple[int, bytes | None]]) -> list[tuple[int, Decoded]]:
        """`decode` of each value, with the offset that came with it."""
        return read_all(records, self._readers, self._unread)

    def _unread(self, value: bytes | None) -> Undecodable:
        """Why no reader can read it."""
        if value is None:
            return Undecodable("no value (a tombstone)")
        if len(value) > RECORD_BYTES_MAX:
            return Undecodable(f"{len(value)} bytes, more than {RECORD_BYTES_MAX}")
        if len(value) < HEADER_BYTES or value[0] != MAGIC:
            return Undecodable("does not begin with 0x00 and a 4-byte schema id")
        return Undecodable(f"schema id {int.from_bytes(value[1:HEADER_BYTES], 'big')} is not known here")


@cache
def own_codec() -> Codec:
    """The codec by the manifest's ids. A codec keeps no state between records, so the process shares one."""
    return Codec()


def header_of(schema_id: int) -> bytes:
    """The first HEADER_BYTES of a record with this schema id."""
    return bytes([MAGIC]) + schema_id.to_bytes(HEADER_BYTES - 1, "big")


def _plain(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A schema's fields as a container file has them."""
    parsed: Any = fastavro.parse_schema(schema)
    fields: list[dict[str, Any]] = parsed["fields"]
    return fields


def _encoder_of(schema_id: int, schema: dict[str, Any]) -> Callable[..., bytes]:
    """The encoder of a fact by one of its schemas."""
    names = tuple(field["name"] for field in schema["fields"])
    return Writer(schema, header_of(schema_id), names[:ENVELOPE_FIELDS], names[ENVELOPE_FIELDS:]).write


def own_schemas() -> dict[str, list[dict[str, Any]]]:
    """Every schema that each record type has had, by its full name, the newest last."""
    return {name: schemas for name, _, schemas in _records()}


def _records() -> list[tuple[str, type[Any], list[dict[str, Any]]]]:
    """Each record type with its full name and its schemas. Raises UnknownSchema if the manifest has none."""
    families = (("commands", COMMANDS), ("facts", FACTS), ("notifications", NOTIFICATIONS))
    records = {f"circle.{family}.{record.__name__}": record for family, types in families for record in types}
    schemas: dict[str, list[dict[str, Any]]] = {}
    for entry in _manifest():
        schemas.setdefault(_full_name(entry["schema"]), []).append(entry["schema"])
    missing = records.keys() - schemas.keys()
    if missing:
        raise UnknownSchema(f"not in {MANIFEST.name}: {', '.join(sorted(missing))}; run python -m schemas.generate")
    return [(name, record, schemas[name]) for name, record in records.items()]


def _former_schemas() -> dict[str, dict[int, dict[str, Any]]]:
    """By the full name of a fact whose schema has grown, and by a former version of the rules: the schema of that time.

    A fact that is newer than those rules has its first schema there.
    """
    entries: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for entry in _manifest():
        if entry["schema"]["namespace"] == "circle.facts":
            entries.setdefault(_full_name(entry["schema"]), []).append((entry["id"], entry["schema"]))
    return {
        name: {
            rules: max((entry for entry in of_name if entry[0] <= last), default=of_name[0], key=itemgetter(0))[1]
            for rules, last in LAST_SCHEMA_OF_RULES.items()
        }
        for name, of_name in entries.items()
        if len(of_name) > 1
    }


def _earlier_schemas() -> dict[str, list[dict[str, Any]]]:
    """By the full name of a fact, its schemas without the newest that a build under today's rules may have had."""
    entries: dict[str, list[dict[str, Any]]] = {}
    for entry in _manifest():
        entries.setdefault(_full_name(entry["schema"]), []).append(entry)
    last = max(LAST_SCHEMA_OF_RULES.values())
    found: dict[str, list[dict[str, Any]]] = {}
    for name, of_name in entries.items():
        first = max((entry["id"] for entry in of_name if entry["id"] <= last), default=0)
        found[name] = [entry["schema"] for entry in of_name[:-1] if entry["id"] >= first]
    return found


def _absent(record: type[Fact], schema: dict[str, Any]) -> dict[str, Any]:
    """The fields that a record has and its earlier schema has not, each with what a record without it means."""
    written = {field["name"] for field in schema["fields"]}
    meant = {} if record.DEFINITION is None else defaults(record.DEFINITION)
    return {name: meant.get(name) for name in record.__struct_fields__ if name not in written}


def _manifest() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(MANIFEST.read_text())["schemas"]
    return entries


def _is_flat(schema: Any) -> bool:
    """Whether this is a record of texts, whole numbers and lists of texts. Other schemas from outside could make a
    decoder use far more memory than the bytes suggest."""
    if not isinstance(schema, dict) or not {"name", "namespace", "fields"} <= schema.keys():
        return False
    plain: list[Any] = ["string", "int", "long", {"type": "array", "items": "string"}]
    kinds = [field.get("type") for field in schema["fields"] if isinstance(field, dict)]
    return len(kinds) == len(schema["fields"]) and all(kind in plain or _is_optional(kind, plain) for kind in kinds)


def _is_optional(kind: Any, plain: list[Any]) -> bool:
    return isinstance(kind, list) and len(kind) == 2 and kind[0] == "null" and kind[1] in plain


def _full_name(schema: Mapping[str, Any]) -> str:
    return f"{schema['namespace']}.{schema['name']}"
