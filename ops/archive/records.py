"""The form of records in Avro container files, and pseudonyms for users. Pure.

Guarantee: a record that is read from an archive has the bytes of the record that was written. A record whose fields
would not give the same bytes is stored as bytes: it cannot be decoded, or another schema than today's wrote it. Where
the schemas have other ids, a record has the id of its own schema there, and else the same bytes.

With pseudonyms, a secret key replaces each user id and payment token, in every field that has one. Equal ones stay
equal, so the log still verifies. The key is thrown away, so there is no way back. An unreadable record becomes a record
without a value, and the fact about it says what it would say about such a record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, get_args, get_type_hints
from uuid import UUID

import fastavro
import msgspec

from schemas import cloudevents
from schemas import facts as f
from schemas.codec import ENVELOPE_FIELDS, HEADER_BYTES, MANIFEST, Codec, Undecodable
from schemas.commands import COMMANDS as COMMAND_TYPES
from schemas.commands import AddStaff, Command, RemoveStaff
from schemas.facts import FACTS as FACT_TYPES
from schemas.facts import Envelope, RecordedFact
from schemas.ids import SubjectId, UserId
from schemas.notifications import NOTIFICATIONS as NOTIFICATION_TYPES
from schemas.notifications import Notification
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS

FAMILIES = {COMMANDS: "circle.commands", FACTS: "circle.facts", NOTIFICATIONS: "circle.notifications"}
TYPES: dict[str, type[Any]] = {
    f"{family}.{record.__name__}": record
    for family, records in (
        ("circle.commands", COMMAND_TYPES),
        ("circle.facts", FACT_TYPES),
        ("circle.notifications", NOTIFICATION_TYPES),
    )
    for record in records
}
NO_VALUE = Codec().decode(None)
TOKEN = "payment_token"  # noqa: S105  # a field's name
OF_A_USER = frozenset({AddStaff.__name__, RemoveStaff.__name__})  # the subject of a repeated one is the user
Header = tuple[str, bytes | None]
Stored = dict[str, Any]


class Archived(msgspec.Struct, frozen=True):
    """A record of any topic."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]


def schema_of(topic: str) -> dict[str, Any]:
    """The schema of a topic's files: the record's place, and its value as one of the topic's record types."""
    entries = json.loads(MANIFEST.read_text())["schemas"]
    newest = {f"{entry['schema']['namespace']}.{entry['schema']['name']}": entry["schema"] for entry in entries}
    types = [schema for name, schema in newest.items() if name.startswith(FAMILIES[topic] + ".")]
    header = {
        "type": "record",
        "name": "Header",
        "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}],
    }
    return {
        "type": "record",
        "name": "Record",
        "namespace": "circle.archive",
        "doc": f"A record of {topic}.",
        "fields": [
            {"name": "offset", "type": "long"},
            {"name": "timestamp_ms", "type": "long"},
            {"name": "key", "type": ["null", "bytes"]},
            {"name": "headers", "type": {"type": "array", "items": header}},
            {"name": "value", "type": ["null", "bytes", *types]},
        ],
    }


def stored(record: Archived, codec: Codec) -> Stored:
    """The record in the form of the files."""
    return {
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": record.key,
        "headers": [{"name": name, "value": value} for name, value in record.headers],
        "value": _fields(record.value, codec),
    }


def former_schemas(of_file: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The record types of a file that have another schema today, by full name."""
    branches = next(field["type"] for field in of_file["fields"] if field["name"] == "value")
    there = {branch["name"]: branch for branch in branches if isinstance(branch, dict)}
    entries = json.loads(MANIFEST.read_text())["schemas"]
    newest: dict[str, Any] = {
        f"{entry['schema']['namespace']}.{entry['schema']['name']}": entry["schema"] for entry in entries
    }
    today: dict[str, Any] = {name: fastavro.parse_schema(newest[name]) for name in there if name in TYPES}
    return {
        name: branch for name, branch in there.items()
        if name in today and (branch.get("doc"), branch["fields"]) != (today[name].get("doc"), today[name]["fields"])
    }  # fmt: skip


def restored(
    found: Stored,
    codec: Codec,
    former: Mapping[str, dict[str, Any]] | None = None,
    other_headers: Mapping[bytes, bytes] | None = None,
) -> Archived:
    """The written record with its bytes. `former` has the schema of that time, for types that have another today.

    `other_headers` has the first HEADER_BYTES that replace others, for schemas that have another id here.
    """
    value = found["value"]
    if isinstance(value, tuple):
        name, fields = value
        of_its_day = (former or {}).get(name)
        value = _encoded(name, fields, codec) if of_its_day is None else codec.encode_fields(name, of_its_day, fields)
    elif value is not None and other_headers:
        value = other_headers.get(value[:HEADER_BYTES], value[:HEADER_BYTES]) + value[HEADER_BYTES:]
    headers = [(header["name"], header["value"]) for header in found["headers"]]
    return Archived(
        offset=found["offset"], timestamp_ms=found["timestamp_ms"], key=found["key"], value=value, headers=headers
    )


def _fields(value: bytes | None, codec: Codec) -> Any:
    decoded = codec.decode(value)
    if isinstance(decoded, Undecodable):
        return value
    fields: dict[str, Any]
    if isinstance(decoded, RecordedFact):
        name = f"circle.facts.{type(decoded.fact).__name__}"
        fields = {**msgspec.structs.asdict(decoded.envelope), **msgspec.structs.asdict(decoded.fact)}
    else:
        family = "commands" if isinstance(decoded, Command) else "notifications"
        name, fields = f"circle.{family}.{type(decoded).__name__}", msgspec.structs.asdict(decoded)
    return (name, fields) if encoded(decoded, codec) == value else value


def _encoded(name: str, fields: dict[str, Any], codec: Codec) -> bytes:
    record = TYPES[name]
    if issubclass(record, f.Fact):
        values = list(fields.values())
        return codec.encode_fact(Envelope(*values[:ENVELOPE_FIELDS]), record(*values[ENVELOPE_FIELDS:]))
    return codec.encode(record(**fields))


def encoded(decoded: Command | RecordedFact | Notification, codec: Codec) -> bytes:
    """The bytes of a decoded record."""
    if isinstance(decoded, RecordedFact):
        return codec.encode_fact(decoded.envelope, decoded.fact)
    return codec.encode(decoded)


class OtherNames:
    """Gives users pseudonyms from a key that is thrown away."""

    def __init__(self, key: bytes, codec: Codec) -> None:
        self._key, self._codec = key, codec
        self._known: dict[str, str] = {}

    def renamed(self, record: Archived, topic: str) -> Archived:
        """The record with pseudonyms in value and key. Keeps only the headers about the record itself."""
        key = record.key
        if topic == NOTIFICATIONS and key is not None:
            key = self.name(key.decode("utf-8", "replace")).encode()
        headers = [header for header in record.headers if cloudevents.is_attribute(header[0])]
        return Archived(
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
            key=key,
            value=self._value(record.value),
            headers=headers,
        )

    def name(self, text: str) -> str:
        """The pseudonym of a user or a token. "" is the platform itself, and stays ""."""
        if not text:
            return text
        known = self._known.get(text)
        if known is None:
            digest = blake2b(text.encode(), digest_size=16, key=self._key).digest()
            known = self._known[text] = str(UUID(bytes=digest, version=4))
        return known

    def _value(self, value: bytes | None) -> bytes | None:
        decoded = self._codec.decode(value)
        if isinstance(decoded, Undecodable):
            return None
        if isinstance(decoded, RecordedFact):
            fact = decoded.fact
            if isinstance(fact, f.CommandUnreadable):
                assert isinstance(NO_VALUE, Undecodable)
                fact = f.CommandUnreadable(NO_VALUE.error)
            if isinstance(fact, f.CommandDuplicated | f.CommandRefused) and _is_of_a_user(fact, decoded.envelope):
                fact = msgspec.structs.replace(fact, subject_id=SubjectId(self.name(fact.subject_id)))
            return self._codec.encode_fact(decoded.envelope, self._struct(fact))
        return self._codec.encode(self._struct(decoded))

    def _struct(self, record: Any) -> Any:
        changes: dict[str, str | list[str]] = {}
        for name in PERSONAL[type(record)]:
            value = getattr(record, name)
            if value:
                changes[name] = [self.name(one) for one in value] if isinstance(value, list) else self.name(value)
        return msgspec.structs.replace(record, **changes) if changes else record


def personal_fields(record: type[Any]) -> tuple[str, ...]:
    """The fields of a record type with a user's id, or with a list of them, and its payment token."""
    hints = get_type_hints(record)
    return tuple(name for name in record.__struct_fields__ if name == TOKEN or _names_a_user(hints[name]))


def _names_a_user(hint: Any) -> bool:
    return hint is UserId or any(_names_a_user(one) for one in get_args(hint))


def _is_of_a_user(fact: f.CommandDuplicated | f.CommandRefused, at: Envelope) -> bool:
    """Whether the subject of a repeated or refused command is a user, and not the event or a part of it."""
    subject: str = fact.subject_id
    return subject != at.event_id and (fact.command_type in OF_A_USER or subject == fact.user_id)


PERSONAL: Mapping[type[Any], tuple[str, ...]] = {record: personal_fields(record) for record in TYPES.values()}
