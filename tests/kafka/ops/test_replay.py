"""Replay on Apache Kafka: transactions, the broker's own timestamps, and a log that moves to fresh topics."""

from __future__ import annotations

from pathlib import Path

import msgspec
from confluent_kafka import TopicPartition

from connectors import kafka
from connectors.kafka import consumer
from connectors.settings import Settings
from connectors.topics import describe_topics
from ops.load.progress import Progress
from ops.replay import archive
from ops.replay.verify import VerifyOptions, VerifyReport, verify
from ops.services.stack import Stack
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.placement import partition_of
from schemas.topics import COMMANDS, FACTS
from tests.harness.flows import Process, read, write
from tests.harness.words import BOB, EVENT, R2, add_type, create, publish, release, reserve

EVENTS = [EVENT, "33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"]


def decided(settings: Settings) -> None:
    """Small drops, decided by the real worker in real transactions."""
    codec, producer = Codec(), kafka.producer(settings)
    worker = Process.start("reservations", settings)
    told = 0
    for _ in range(4):  # more than one batch, so that there are transaction markers between the facts
        for event in EVENTS:
            for command in (create(), add_type(), publish(), reserve(2), reserve(1, rid=R2, by=BOB), release()):
                mine = msgspec.structs.replace(command, event_id=event)
                producer.produce(COMMANDS, codec.encode(mine), event.encode())
                told += 1
        assert producer.flush(30) == 0
        read(settings, FACTS, settings.partitions, told)
    assert worker.terminate() == 0


def verified(settings: Settings) -> VerifyReport:
    with Progress(quiet=True) as progress:
        return verify(settings, VerifyOptions(postgres=False, redis=False), progress)


def test_a_log_verifies_moves_to_fresh_topics_and_verifies_again(stack: Stack, tmp_path: Path) -> None:
    settings = Settings.from_env(stack.fresh())
    decided(settings)
    before = verified(settings)
    assert before.ok, before.partitions
    assert before.facts == 72
    with Progress(quiet=True) as progress:
        archive.export(
            settings, tmp_path, progress, topics=[COMMANDS, FACTS], within=archive.Span(), pseudonymise=False
        )
        fresh = Settings.from_env(stack.fresh())
        archive.load(fresh, tmp_path, progress)
    after = verified(fresh)
    assert after.ok, after.partitions
    assert [(one.through, one.digest) for one in after.partitions] == [
        (one.through, one.digest) for one in before.partitions
    ]
    config = {one.name: one.config for one in describe_topics(fresh.kafka_bootstrap_servers, partitions=8)}[COMMANDS]
    assert config["message.timestamp.type"] == "LogAppendTime"  # as it was before the import


def test_a_forged_fact_at_the_end_is_found(stack: Stack) -> None:
    settings = Settings.from_env(stack.fresh())
    decided(settings)
    home = partition_of(EVENT, settings.partitions)
    codec = Codec()
    reader = consumer(settings, group=None)
    reader.assign([TopicPartition(FACTS, home, 0)])
    found = [codec.decode(message.value()) for message in reader.consume(24, 10)]
    reader.close()
    held = next(one for one in found if isinstance(one, RecordedFact) and type(one.fact).__name__ == "TicketsHeld")
    forged = codec.encode_fact(held.envelope, msgspec.structs.replace(held.fact, seats=["C-5", "C-6"]))
    write(settings, FACTS, [(home, forged, [])])
    (one,) = [divergence for part in verified(settings).partitions for divergence in part.divergences]
    assert one.kind == "told-differently"
    assert one.position.startswith(f"{home}-{held.envelope.offset}-")
