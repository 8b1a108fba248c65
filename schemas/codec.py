"""Records to bytes and back: Confluent's wire format (0x00, 4-byte schema id, Avro body).

Guarantee: decoding never raises for bad bytes. It returns the record or an `Undecodable` that says why, after a size
check, with the writer's schema pinned by its id; nothing in the bytes chooses how much memory is used beyond that.
A command that is returned can be stored: no U+0000 in its texts, ids no index is too small for, times of a calendar.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import fastavro

from schemas.commands import COMMANDS, Command
from schemas.facts import FACTS, Envelope, Fact, RecordedFact
from schemas.flat_decoder import Part
from schemas.flat_encoder import compile_encoder
from schemas.notifications import NOTIFICATIONS, Notification

try:
    from schemas.native_decoder import compile_decoder, decode_all

    DECODER = "compiled"
except ImportError:  # there was no C compiler when this was installed
    from schemas.flat_decoder import compile_decoder, decode_all

    DECODER = "expressions"

RECORD_BYTES_MAX = 256 * 1024  # four times a command: a fact repeats its command's fields
COMMAND_BYTES_MAX = 64 * 1024  # the API's body limit
ID_CHARS_MAX = 128  # ours are UUIDs of 36; four of them fit an entry of an index, of which PostgreSQL takes 2,704 bytes
USUAL_BYTES_MAX = 2_048  # a record that is larger is not of the usual shape
TIME_US_MAX = 253_402_300_799_999_999  # the last microsecond of the year 9999, where calendars end
INT_MIN, INT_MAX = -(2**31), 2**31 - 1
MAGIC = 0
HEADER_BYTES = 5
MANIFEST = Path(__file__).parent / "avro" / "manifest.json"
ENVELOPE_FIELDS = len(Envelope.__struct_fields__)
LAST_SCHEMA_OF_RULES = {1: 31, 2: 90}
"""By former version of the rules, the manifest's last id of its day: what its facts were written with."""


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Bytes that are no record of ours, and why."""

    error: str


class UnknownSchema(KeyError):
    """No schema for a record type under that name: the manifest and the record types disagree."""


class Codec:
    """Encodes with the newest schema of each record type, decodes by the id in the bytes.

    `ids` maps "circle.facts.TicketsHeld" to the id a schema registry gave it, and `writers` has every schema of our
    records that it knows, by id; without them, the manifest's ids hold.
    """

    def __init__(
        self, ids: Mapping[str, int] | None = None, writers: Mapping[int, dict[str, Any]] | None = None
    ) -> None:
        known, former = _records(), _former_schemas()
        newest = {name: schemas[-1] for name, _, schemas in known}
        if ids is None:
            entries = _manifest()
            ids = {_full_name(entry["schema"]): entry["id"] for entry in entries}
            writers = {entry["id"]: entry["schema"] for entry in entries}
        others: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        for schema_id, schema in (writers or {}).items():
            if _is_flat(schema):
                others.setdefault(_full_name(schema), []).append((schema_id, schema))
        self._writers = others
        self._encoders: dict[type[Any], Callable[..., bytes]] = {}
        self._readers: dict[int, tuple[Any, Any, type[Any], bool, list[str]]] = {}
        self._usual: dict[bytes, Callable[[bytes], Any]] = {}  # by the bytes of the wire format's header
        self._limits: dict[type[Any], _Limits] = {}
        self._former: dict[int, dict[type[Any], Callable[..., bytes]]] = {rules: {} for rules in LAST_SCHEMA_OF_RULES}
        for name, record, _ in known:
            reader = fastavro.parse_schema(newest[name])
            schema_id = ids[name]
            is_fact = issubclass(record, Fact)
            sources = [Envelope.__struct_fields__] if is_fact else []
            self._encoders[record] = compile_encoder(
                newest[name],
                bytes([MAGIC]) + schema_id.to_bytes(4, "big"),
                [*sources, record.__struct_fields__],
            )
            # Facts are ours; a command's writer may be anyone, and fastavro reads 64 bits for an int.
            ints = [] if is_fact else [field["name"] for field in newest[name]["fields"] if _is_int(field)]
            if issubclass(record, Command):
                self._limits[record] = _limits_of(newest[name])
            self._readers[schema_id] = (reader, None, record, is_fact, ints)
            for rules, of_its_day in former.get(name, {}).items():
                written = [schema_id for schema_id, schema in others.get(name, ()) if schema == of_its_day]
                if written:
                    self._former[rules][record] = _encoder_of(min(written), of_its_day)
            for other_id, schema in others.get(name, ()):
                if other_id not in self._readers:
                    self._readers[other_id] = (fastavro.parse_schema(schema), reader, record, is_fact, ints)

    def encode(self, record: Command | Notification) -> bytes:
        """The bytes of a command or a notification."""
        return self._encoders[type(record)](record)

    def encode_fact(self, envelope: Envelope, fact: Fact) -> bytes:
        """The bytes of a fact at its place on the log. Equal facts at equal places have equal bytes."""
        return self._encoders[type(fact)](envelope, fact)

    def encode_fact_under(self, rules_version: int, envelope: Envelope, fact: Fact) -> bytes:
        """The bytes as they were written under that version of the rules: with the schema of its day.

        Of fields that were added since, nothing is written: whoever decides by those rules leaves them None.
        """
        of_its_day = self._former.get(rules_version, {}).get(type(fact))
        return (of_its_day or self._encoders[type(fact)])(envelope, fact)

    def encode_fields(self, name: str, schema: Mapping[str, Any], fields: Mapping[str, Any]) -> bytes:
        """The bytes of a record by its full name, as a writer whose schema of it was `schema` wrote them.

        Raises UnknownSchema when nobody here knows that schema.
        """
        shape = (schema.get("doc"), schema["fields"])
        known = [found for found in self._writers.get(name, ()) if (found[1].get("doc"), _plain(found[1])) == shape]
        if not known:
            raise UnknownSchema(f"{name}: no schema with the fields {[field['name'] for field in schema['fields']]}")
        schema_id, written = known[-1]
        body = io.BytesIO()
        body.write(bytes([MAGIC]) + schema_id.to_bytes(4, "big"))
        fastavro.schemaless_writer(body, fastavro.parse_schema(written), dict(fields))
        return body.getvalue()

    def decode(self, value: bytes | None) -> Command | RecordedFact | Notification | Undecodable:
        """The record in `value`, or why there is none. Never raises for bad bytes."""
        if value is None:
            return Undecodable("no value (a tombstone)")
        usual = self._usual.get(value[:HEADER_BYTES])
        if usual is not None and len(value) <= USUAL_BYTES_MAX:
            found = usual(value)
            if found is not None:
                return found  # type: ignore[no-any-return]
        return self.decode_generally(value)

    def decode_all(
        self, records: list[tuple[int, bytes | None]]
    ) -> list[tuple[int, Command | RecordedFact | Notification | Undecodable]]:
        """`decode` of each record's value, with the offset that stood beside it."""
        return decode_all(records, self._usual, HEADER_BYTES, USUAL_BYTES_MAX, self.decode)

    def decode_generally(self, value: bytes) -> Command | RecordedFact | Notification | Undecodable:
        """`decode` for every shape of record, in three times the time."""
        if len(value) > RECORD_BYTES_MAX:
            return Undecodable(f"{len(value)} bytes, more than {RECORD_BYTES_MAX}")
        if len(value) < HEADER_BYTES or value[0] != MAGIC:
            return Undecodable("does not begin with 0x00 and a 4-byte schema id")
        schema_id = int.from_bytes(value[1:HEADER_BYTES], "big")
        known = self._readers.get(schema_id)
        if known is None:
            return Undecodable(f"schema id {schema_id} is not known here")
        writer, reader, record, is_fact, ints = known
        if value[:HEADER_BYTES] not in self._usual:
            self._usual[value[:HEADER_BYTES]] = _usual_decoder(writer, reader, record, is_fact)
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
        wrong = self._beyond_limits(record, fields, ints)
        if wrong:
            return Undecodable(f"{record.__name__}.{wrong}")
        decoded: Command | Notification = record(*fields.values())
        return decoded

    def _beyond_limits(self, record: type[Any], fields: dict[str, Any], ints: list[str]) -> str:
        for name in ints:
            number = fields[name]
            if number is not None and not INT_MIN <= number <= INT_MAX:
                return f"{name} is {number}, beyond 32 bits"
        limits = self._limits.get(record)
        return limits.broken_by(fields) if limits is not None else ""


def _plain(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A schema's fields as a container file has them."""
    parsed: Any = fastavro.parse_schema(schema)
    fields: list[dict[str, Any]] = parsed["fields"]
    return fields


def _encoder_of(schema_id: int, schema: dict[str, Any]) -> Callable[..., bytes]:
    """The encoder of a fact by one of its schemas."""
    names = tuple(field["name"] for field in schema["fields"])
    header = bytes([MAGIC]) + schema_id.to_bytes(4, "big")
    return compile_encoder(schema, header, [names[:ENVELOPE_FIELDS], names[ENVELOPE_FIELDS:]])


@dataclass(frozen=True, slots=True)
class _Limits:
    """What the fields of a command may hold, whoever wrote it, so that whatever is made of them can be stored."""

    texts: tuple[str, ...]
    lists: tuple[str, ...]
    ids: tuple[str, ...]
    times: tuple[str, ...]
    joined: Callable[[dict[str, Any]], tuple[str, ...]]

    def broken_by(self, fields: dict[str, Any]) -> str:
        """The field that is beyond its limit, and how; "" when none is. One look, when nothing is wrong."""
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
    pick = itemgetter(*texts)  # two at least: event_id and user_id
    return _Limits(
        texts=texts,
        lists=tuple(name for name, kind in kinds.items() if kind == {"type": "array", "items": "string"}),
        ids=tuple(name for name in texts if name.endswith("_id") and name != "command_id"),
        times=tuple(
            name for name, kind in kinds.items() if name.endswith("_at") and kind in ("long", ["null", "long"])
        ),
        joined=(lambda fields: tuple(text or "" for text in pick(fields))) if optional else pick,
    )


def _usual_decoder(writer: Any, reader: Any, record: type[Any], is_fact: bool) -> Callable[[bytes], Any]:
    """The decoder of a writer's schema. Where a former schema says something else of a field, it is never usual."""
    newest = {field["name"]: field["type"] for field in (reader or writer)["fields"]}
    for field in writer["fields"]:
        if newest.get(field["name"], field["type"]) not in (field["type"], ["null", field["type"]]):
            return lambda _value: None
    own: Part = (record, record.__struct_fields__)
    if is_fact:
        return compile_decoder(writer, HEADER_BYTES, [(Envelope, Envelope.__struct_fields__), own], RecordedFact)
    return compile_decoder(writer, HEADER_BYTES, [own])


def own_schemas() -> dict[str, list[dict[str, Any]]]:
    """Every schema there has been of each record type, by its full name, the newest last."""
    return {name: schemas for name, _, schemas in _records()}


def _records() -> list[tuple[str, type[Any], list[dict[str, Any]]]]:
    """Each record type with its full name and its schemas. Raises UnknownSchema where the manifest has none."""
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
    """By the full name of a fact whose schema has grown, and by a former version of the rules: the schema of its day.

    A fact that is younger than those rules has its first schema there.
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


def _manifest() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(MANIFEST.read_text())["schemas"]
    return entries


def _is_flat(schema: Any) -> bool:
    """Whether this is a record of texts, whole numbers and lists of texts: what else may come from outside could make
    a decoder use far more memory than the bytes suggest."""
    if not isinstance(schema, dict) or not {"name", "namespace", "fields"} <= schema.keys():
        return False
    plain: list[Any] = ["string", "int", "long", {"type": "array", "items": "string"}]
    kinds = [field.get("type") for field in schema["fields"] if isinstance(field, dict)]
    return len(kinds) == len(schema["fields"]) and all(kind in plain or _is_optional(kind, plain) for kind in kinds)


def _is_optional(kind: Any, plain: list[Any]) -> bool:
    return isinstance(kind, list) and len(kind) == 2 and kind[0] == "null" and kind[1] in plain


def _full_name(schema: dict[str, Any]) -> str:
    return f"{schema['namespace']}.{schema['name']}"


def _is_int(field: dict[str, Any]) -> bool:
    return field["type"] in ("int", ["null", "int"])
