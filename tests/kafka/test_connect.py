"""Kafka Connect, as it comes, reads our records with a registry that `circle topics apply` has filled."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import msgspec
import pytest

from connectors.kafka import producer
from connectors.schema_registry import apply_schemas, codec_of
from connectors.settings import Settings
from schemas.facts import RecordedFact
from schemas.topics import FACTS
from tests.harness.command_logs import BothLogs
from tests.harness.flows import eventually
from tests.harness.kafka_connect import KafkaConnect
from tests.harness.registries import Apicurio

pytestmark = pytest.mark.timeout(400)
PARTITION = 2


@pytest.fixture
def registry() -> Iterator[Apicurio]:
    with Apicurio() as running:
        yield running


def test_every_fact_is_read_with_its_fields(registry: Apicurio, settings: Settings) -> None:
    settings = dataclasses.replace(settings, schema_registry_url=registry.url)
    apply_schemas(settings)
    codec, log = codec_of(settings), BothLogs(partition=PARTITION, seed=5)
    log.take(300)
    client = producer(settings)
    for one in log.facts:
        client.produce(FACTS, codec.encode_fact(one.envelope, one.fact), one.envelope.event_id.encode(), PARTITION)
    client.flush(30)
    own = f"http://{registry.address}/apis/registry/v2"
    with KafkaConnect(brokers=settings.kafka_bootstrap_servers, registry=own, topic=FACTS) as connect:
        eventually(lambda: len(connect.values) >= len(log.facts) or failed(connect), "all facts are read", 120)
        assert not failed(connect), connect.tasks()
        read = connect.values
    assert read == [as_connect_prints(one) for one in log.facts]
    kinds = {type(one.fact).__name__ for one in log.facts}
    assert {"EventCreated", "TicketTypeAdded", "TicketsHeld", "ReservationRejected", "PaymentRequested"} <= kinds


def as_connect_prints(recorded: RecordedFact) -> str:
    """All fields of a fact, as a record of Connect prints them: in the schema's order, without those that are null."""
    fields = msgspec.structs.asdict(recorded.envelope) | msgspec.structs.asdict(recorded.fact)
    return f"Struct{{{','.join(f'{name}={printed(value)}' for name, value in fields.items() if value is not None)}}}"


def printed(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def failed(connect: KafkaConnect) -> bool:
    return any(task["state"] == "FAILED" for task in connect.tasks())
