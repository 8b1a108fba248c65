"""The schema files agree with the record types, and every published schema can read the others' records."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from schemas import generate
from schemas.codec import Codec, Undecodable
from schemas.commands import COMMANDS
from schemas.facts import FACTS, RecordedFact
from schemas.generate import AVRO_DIR, MANIFEST
from schemas.notifications import NOTIFICATIONS
from schemas.topics import all_topics
from tests.unit.docs.pages import ROOT

ENTRIES: list[dict[str, Any]] = json.loads(MANIFEST.read_text())["schemas"]
PUBLISHED: list[dict[str, Any]] = json.loads((ROOT / "tests/data/published-schemas.json").read_text())
"""Id, full name and SHA-256 of each schema that a log may have. An entry is added with a schema, and never changes."""
FAMILIES = {"commands": COMMANDS, "facts": FACTS, "notifications": NOTIFICATIONS}
FAMILY_OF_TOPIC = {"tickets.commands": "commands", "tickets.facts": "facts", "notifications.outbound": "notifications"}
CODEC = Codec()
SAMPLES: dict[str, Any] = {"string": "text", "int": 7, "long": 7, "null": None}


def sample(schema: dict[str, Any]) -> dict[str, Any]:
    """A record of the schema with every field set."""
    return {field["name"]: _sample(field["type"]) for field in schema["fields"]}


def _sample(avro_type: Any) -> Any:
    if isinstance(avro_type, list):
        return _sample(avro_type[-1])
    return ["text"] if isinstance(avro_type, dict) else SAMPLES[avro_type]


def reads(reader: dict[str, Any], writer: dict[str, Any]) -> None:
    """Raises fastavro's error when `reader` cannot read what `writer` wrote."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(writer), sample(writer))
    body.seek(0)
    fastavro.schemaless_reader(body, fastavro.parse_schema(writer), fastavro.parse_schema(reader))


def test_the_files_are_what_the_record_types_say() -> None:
    stale = [path.name for path, text in generate.render().items() if not path.exists() or path.read_text() != text]
    assert stale == [], "run python -m schemas.generate"


def test_there_is_no_file_without_its_record_type() -> None:
    assert set(AVRO_DIR.rglob("*.avsc")) == {path for path in generate.render() if path.suffix == ".avsc"}


def test_every_topic_has_its_schemas() -> None:
    topics = {topic.name for topic in all_topics(8) if not topic.name.endswith(".dead-letters")}
    assert topics == FAMILY_OF_TOPIC.keys()
    for family in FAMILY_OF_TOPIC.values():
        names = {path.stem for path in (AVRO_DIR / family).glob("*.avsc")}
        assert names == {record.__name__ for record in FAMILIES[family]}


def test_every_file_is_a_flat_record_of_its_family_with_a_doc() -> None:
    for path in AVRO_DIR.rglob("*.avsc"):
        schema = json.loads(path.read_text())
        assert (schema["type"], schema["name"]) == ("record", path.stem)
        assert schema["namespace"] == f"circle.{path.parent.name}"
        assert schema["doc"]
        for field in schema["fields"]:
            inner = field["type"] if isinstance(field["type"], list) else [field["type"]]
            assert all(one == {"type": "array", "items": "string"} or one in SAMPLES for one in inner), field


def test_ids_are_given_once_and_never_below_one() -> None:
    ids = [entry["id"] for entry in ENTRIES]
    assert len(set(ids)) == len(ids)
    assert min(ids) >= 1
    for name in {entry["schema"]["name"] for entry in ENTRIES}:
        own = [entry["id"] for entry in ENTRIES if entry["schema"]["name"] == name]
        assert own == sorted(own), f"{name}: the newest schema must stand last"


def published(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries of a manifest as they are pinned, by id."""
    found = []
    for entry in entries:
        schema = entry["schema"]
        text = json.dumps(schema, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        name, digest = f"{schema['namespace']}.{schema['name']}", hashlib.sha256(text.encode()).hexdigest()
        found.append({"id": entry["id"], "name": name, "sha256": digest})
    return sorted(found, key=lambda one: one["id"])


def unpublished(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pinned schemas that a manifest has lost or changed."""
    has = published(entries)
    return [one for one in PUBLISHED if one not in has]


def test_no_published_schema_is_deleted_or_changed() -> None:
    assert unpublished(ENTRIES) == []


def test_each_schema_up_to_the_last_published_one_is_pinned() -> None:
    """A newer one is pinned in the commit that adds it, at the latest in the next."""
    last = PUBLISHED[-1]["id"]
    assert [one for one in published(ENTRIES) if one["id"] <= last] == PUBLISHED


def test_a_deleted_and_a_changed_schema_are_found() -> None:
    first, *others = ENTRIES
    pinned = published([first])
    assert unpublished(others) == pinned
    assert unpublished([first | {"id": 9_999}, *others]) == pinned
    assert unpublished([first | {"schema": first["schema"] | {"doc": "Another text."}}, *others]) == pinned
    fields = first["schema"]["fields"]
    assert unpublished([first | {"schema": first["schema"] | {"fields": fields[:-1]}}, *others]) == pinned


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry['schema']['name']}-{entry['id']}")
def test_our_own_codec_reads_what_each_published_schema_has_written(entry: dict[str, Any]) -> None:
    schema, written = entry["schema"], sample(entry["schema"])
    body = io.BytesIO(b"\0" + entry["id"].to_bytes(4, "big"))
    body.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), written)
    found = CODEC.decode(body.getvalue())
    assert not isinstance(found, Undecodable)
    parts = (found.envelope, found.fact) if isinstance(found, RecordedFact) else (found,)
    assert type(parts[-1]).__name__ == schema["name"]
    read = {name: getattr(part, name) for part in parts for name in part.__struct_fields__}
    assert {name: read[name] for name in written} == written
    assert isinstance(CODEC.decode(body.getvalue()[:-1]), Undecodable)


@pytest.mark.parametrize("name", sorted({entry["schema"]["name"] for entry in ENTRIES}))
def test_every_schema_of_a_record_reads_every_other_backward_and_forward(name: str) -> None:
    versions = [entry["schema"] for entry in ENTRIES if entry["schema"]["name"] == name]
    for reader, writer in itertools.product(versions, repeat=2):
        reads(reader, writer)


@pytest.mark.parametrize(
    ("change", "breaks"),
    [
        ({"name": "extra", "type": "string"}, "backward"),
        ({"name": "extra", "type": ["null", "string"], "default": None}, ""),
        ({"name": "subject_id", "type": "long"}, "both"),
    ],
)
def test_the_check_itself_finds_what_breaks(change: dict[str, Any], breaks: str) -> None:
    """Negative control: a required field, and a field of another type, cannot be read."""
    old = next(entry["schema"] for entry in ENTRIES if entry["schema"]["name"] == "CommandDuplicated")
    fields = [field for field in old["fields"] if field["name"] != change["name"]]
    new = old | {"fields": [*fields, change]}
    if not breaks:
        reads(new, old)
        reads(old, new)
        return
    with pytest.raises(Exception, match=r"No default value|mismatch|schema"):
        reads(new, old)


def test_a_changed_record_gets_a_new_id_and_keeps_its_former_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = json.loads(MANIFEST.read_text())
    former = [entry for entry in entries["schemas"] if entry["schema"]["name"] == "Tick"]
    tick = former[-1]
    tick["schema"]["doc"] = "An older text."
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(entries))
    monkeypatch.setattr(generate, "MANIFEST", manifest)
    found = json.loads(generate.render()[manifest])["schemas"]
    ticks = [entry for entry in found if entry["schema"]["name"] == "Tick"]
    assert [entry["id"] for entry in ticks] == [
        *(entry["id"] for entry in former),
        max(entry["id"] for entry in entries["schemas"]) + 1,
    ]
    assert ticks[:-1] == former


def test_the_check_mode_names_what_is_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main(["--check"]) == 0
    monkeypatch.setattr(generate, "AVRO_DIR", tmp_path / "avro")
    monkeypatch.setattr(generate, "MANIFEST", tmp_path / "avro" / "manifest.json")
    assert generate.main(["--check"]) == 1
    assert "out of date: avro/commands/CreateEvent.avsc" in capsys.readouterr().out
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
