"""Stock readers for people show each record of each topic with all its fields.

Their schemas come from a registry that `circle topics apply` has filled. One is Kafka's console consumer, the other a
Kafka UI in a terminal, Kaskade. The UIs of a browser read the same way: the wire format's id, and the registry's
schema for it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.kafka import producer
from connectors.schema_registry import apply_schemas, codec_of
from connectors.settings import Settings
from pipelines.notifications.compose import compose
from pipelines.notifications.outbound import outgoing
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS
from tests.harness.command_logs import BothLogs
from tests.harness.kafka_console import shown
from tests.harness.kafka_ui import Kaskade
from tests.harness.registries import Apicurio

pytestmark = pytest.mark.timeout(600)
PARTITION = 2
Shown = list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def registry() -> Iterator[Apicurio]:
    with Apicurio() as running:
        yield running


def in_order(records: Shown) -> Shown:
    return sorted(records, key=json.dumps)


def written(settings: Settings) -> dict[str, Shown]:
    """Fills the three topics that a buyer's request goes through. Returns the keys and fields of their records."""
    apply_schemas(settings)
    codec, log = codec_of(settings), BothLogs(partition=PARTITION, seed=5, in_turn=True)
    log.take(300)
    messages = [message for fact in log.facts for message in compose(fact)]
    commands = [command for _, command in log.commands]
    client = producer(settings)
    for command in commands:
        client.produce(COMMANDS, codec.encode(command), command.event_id.encode(), PARTITION)
    for one in log.facts:
        client.produce(FACTS, codec.encode_fact(one.envelope, one.fact), one.envelope.event_id.encode(), PARTITION)
    for message in messages:
        record = outgoing(message, codec)
        client.produce(NOTIFICATIONS, record.value, record.key, PARTITION, headers=record.headers)
    client.flush(30)
    assert "ReserveInTurn" in {type(one).__name__ for one in commands}
    fields = msgspec.structs.asdict
    return {
        COMMANDS: [(str(one.event_id), fields(one)) for one in commands],
        FACTS: [(str(one.envelope.event_id), fields(one.envelope) | fields(one.fact)) for one in log.facts],
        NOTIFICATIONS: [(str(one.user_id), fields(one)) for one in messages],
    }


def test_the_console_shows_every_record_with_all_its_fields(registry: Apicurio, settings: Settings) -> None:
    settings = dataclasses.replace(settings, schema_registry_url=registry.url)
    own = f"http://{registry.address}/apis/registry/v2"
    for topic, records in written(settings).items():
        found = shown(brokers=settings.kafka_bootstrap_servers, registry=own, topic=topic, records=len(records))
        assert in_order(found) == in_order(records), topic


def test_a_stock_kafka_ui_shows_a_record_of_each_topic(registry: Apicurio, settings: Settings, tmp_path: Path) -> None:
    settings = dataclasses.replace(settings, schema_registry_url=registry.url)
    for topic, records in written(settings).items():
        brokers, (key, fields) = settings.kafka_bootstrap_servers, records[0]
        with closing(Kaskade(brokers=brokers, registry=registry.url, topic=topic, folder=tmp_path)) as ui:
            ui.open_first_record(key)
            for name, value in fields.items():
                ui.until(f'"{name}"')
                if isinstance(value, str) and '"' not in value:  # JSON in a text goes over several lines of the screen
                    ui.until(f'"{value}"')
