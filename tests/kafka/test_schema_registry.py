"""A real schema registry accepts our schemas and refuses other ones of our records, and the platform writes its ids."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from connectors import schema_registry
from connectors.kafka import consumer
from connectors.schema_registry import COMPATIBILITY, codec_of
from connectors.settings import Settings
from schemas.codec import own_schemas
from schemas.commands import Tick
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_line import command_line
from tests.harness.registries import Apicurio
from tests.harness.shop import done, open_shop

TICK = "circle.commands.Tick"


@pytest.fixture(scope="module")
def registry() -> Iterator[Apicurio]:
    with Apicurio() as running:
        yield running


def test_circle_topics_apply_fills_the_registry_once(
    registry: Apicurio, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    circle = command_line(settings, monkeypatch, capsys)
    monkeypatch.setenv("CIRCLE_SCHEMA_REGISTRY_URL", registry.url)
    expected = {name: len(schemas) for name, schemas in own_schemas().items()}
    with httpx.Client(base_url=registry.url) as http:
        code, planned = circle("topics", "apply", "--dry-run", "--json")
        assert (code, {one["subject"]: one["missing"] for one in planned["schemas"]}) == (0, expected)
        assert http.get("subjects").json() == []
        code, applied = circle("topics", "apply", "--json")
        assert (code, {one["subject"]: one["missing"] for one in applied["schemas"]}) == (0, expected)
        assert sorted(http.get("subjects").json()) == sorted(expected)
        tick = next(one for one in applied["schemas"] if one["subject"] == TICK)
        assert json.loads(http.get(f"schemas/ids/{tick['newest_id']}").json()["schema"]) == own_schemas()[TICK][-1]
    again = circle("topics", "apply", "--json")[1]["schemas"]
    assert {one["missing"] for one in again} == {0}
    assert [one["newest_id"] for one in again] == [one["newest_id"] for one in applied["schemas"]]


def test_our_schemas_are_registered_once_and_guarded(registry: Apicurio) -> None:
    settings = Settings(schema_registry_url=registry.url)
    value = codec_of(settings).encode(Tick("event", "", "id"))
    schema_registry.ask.cache_clear()
    assert codec_of(settings).encode(Tick("event", "", "id")) == value
    with httpx.Client(base_url=registry.url) as http:
        assert sorted(http.get("subjects").json()) == sorted(own_schemas())
        assert http.get(f"config/{TICK}").json() == {"compatibilityLevel": COMPATIBILITY}
        number = int.from_bytes(value[1:5], "big")
        assert json.loads(http.get(f"schemas/ids/{number}").json()["schema"]) == own_schemas()[TICK][-1]
        tick = own_schemas()[TICK][-1]
        without = tick | {"fields": [field for field in tick["fields"] if field["name"] != "event_id"]}
        refused = http.post(f"subjects/{TICK}/versions", json={"schema": json.dumps(without)})
        assert refused.status_code == 409, "a field that must be there was taken out"


def test_the_platform_writes_the_registry_s_ids_and_verifies(registry: Apicurio) -> None:
    with open_shop(CIRCLE_SCHEMA_REGISTRY_URL=registry.url) as (platform, shop):
        event = shop.event(shop.organizer())
        done(shop.person().reserve(event.id, ticket_type_id=event.seated, quantity=2), 201)
        known = set(schema_registry.ask(registry.url).writers)
        assert ids_on(platform.settings, COMMANDS) | ids_on(platform.settings, FACTS) <= known
        assert ids_on(platform.settings, FACTS)
        verified = subprocess.run(
            [sys.executable, "-m", "ops.cli.main", "verify"],
            env=platform.env,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert verified.returncode == 0, verified.stdout + verified.stderr


def ids_on(settings: Settings, topic: str) -> set[int]:
    """The schema ids of a topic's records."""
    client = consumer(settings, group=None, **{"enable.partition.eof": True})
    found: set[int] = set()
    try:
        for partition in range(settings.partitions):
            client.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            while (record := client.poll(10)) is not None and record.error() is None:
                found.add(int.from_bytes((record.value() or b"")[1:5], "big"))
    finally:
        client.close()
    return found
