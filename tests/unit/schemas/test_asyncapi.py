"""The AsyncAPI document names every topic and record, with the schema and the headers that records really have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from schemas import cloudevents
from schemas.asyncapi import FAMILY_OF, FILE, PARTITIONS
from schemas.generate import AVRO_DIR, FAMILIES, main, render
from schemas.topics import DEAD_LETTER_SUFFIX, all_topics

DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
MESSAGES = DOCUMENT["components"]["messages"]


def test_the_file_is_what_the_records_say() -> None:
    assert render()[FILE] == FILE.read_text()


def test_a_file_that_was_changed_by_hand_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    changed = AVRO_DIR.parent / "asyncapi.json"
    wanted = render()
    monkeypatch.setattr("schemas.generate.render", lambda: wanted | {changed: wanted[changed] + "\n"})
    assert main(["--check"]) == 1
    assert "asyncapi.json" in capsys.readouterr().out


@pytest.mark.parametrize("topic", all_topics(PARTITIONS), ids=lambda topic: topic.name)
def test_every_topic_is_a_channel_with_its_configuration(topic: Any) -> None:
    channel = DOCUMENT["channels"][topic.name]
    binding = channel["bindings"]["kafka"]
    assert (binding["topic"], binding["partitions"]) == (topic.name, topic.partitions)
    assert binding["topicConfiguration"]["retention.ms"] == topic.retention_ms
    assert topic.key in channel["description"]
    named = {message["$ref"].rpartition("/")[2] for message in channel["messages"].values()}
    if topic.name.endswith(DEAD_LETTER_SUFFIX):
        assert named == {"dead-letter"}
    else:
        family = FAMILY_OF[topic.name]
        assert named == {f"{family}.{record.__name__}" for record in FAMILIES[family]}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_record_has_its_own_avro_schema(family: str) -> None:
    for record in FAMILIES[family]:
        payload = MESSAGES[f"{family}.{record.__name__}"]["payload"]
        assert payload["schema"] == json.loads((AVRO_DIR / family / f"{record.__name__}.avsc").read_text())
        fastavro.parse_schema(payload["schema"])
        assert payload["schemaFormat"].startswith("application/vnd.apache.avro")


@pytest.mark.parametrize(
    ("family", "source"),
    [("commands", cloudevents.API), ("facts", cloudevents.RESERVATIONS), ("notifications", cloudevents.NOTIFICATIONS)],
)
def test_the_headers_are_those_that_writers_send(family: str, source: str) -> None:
    written = dict(cloudevents.headers(source, "id", "Tick", "2026-05-01T20:00:00Z"))
    schema = DOCUMENT["components"]["schemas"][f"{family}-headers"]
    assert set(schema["required"]) == set(written)
    for name, value in written.items():
        described = schema["properties"][name]
        assert described.get("const", value) == value
        assert value in described.get("enum", [value])
