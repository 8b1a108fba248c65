"""Replay on Apache Kafka: transactions, the broker's own timestamps, and a log that moves to fresh topics."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from confluent_kafka import TopicPartition

from connectors import event_log, kafka
from connectors.kafka import StopFlag, consumer
from connectors.postgres import Database
from connectors.settings import Settings
from connectors.survey import Survey
from connectors.topics import describe_topics
from ops.load.progress import Progress
from ops.replay import archive, importing
from ops.replay.generation import rebuild
from ops.replay.shadow import shadow
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


def shadowed_and_made_anew(settings: Settings) -> None:
    """The same program in a shadow decides alike, and rows come from the facts alone, between transactions' marks."""
    with Progress(quiet=True) as progress:
        report = shadow(settings, "same", progress, stop=StopFlag())
        assert (report.commands, report.same, report.different) == (72, 72, 0), report.differences
        generation = rebuild(settings, progress, promote=True)
    assert (generation.from_empty, generation.facts, generation.promoted) == (True, 72, True)


def watched(settings: Settings) -> None:
    """A transaction's mark at the end of a partition is nothing that anybody is behind on."""
    database = Database(settings.postgres_url)
    survey = Survey(settings, database)
    try:
        lags = {lag.flow: lag for lag in survey.look().lags}
    finally:
        survey.close()
        database.close()
    assert lags["circle.reservations"].records == 0
    assert lags["circle.projections"].records == 0
    assert lags["circle.payments"].records >= 72
    assert lags["circle.payments"].seconds > 0


def found_by_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading begins where the event was made; when that is told wrongly, at the beginning."""
    home = partition_of(EVENT, settings.partitions)
    everything = list(event_log.facts_of(settings, EVENT, home))
    made_ms = everything[0][1].envelope.log_time // 1_000
    assert list(event_log.facts_of(settings, EVENT, home, since_ms=made_ms)) == everything
    monkeypatch.setattr(event_log, "CLOCKS_APART_MS", 0)
    later_ms = everything[-1][1].envelope.log_time // 1_000
    assert list(event_log.facts_of(settings, EVENT, home, since_ms=later_ms)) == everything


def test_a_log_verifies_moves_to_fresh_topics_and_verifies_again(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.from_env(stack.fresh())
    decided(settings)
    before = verified(settings)
    assert before.ok, before.partitions
    assert before.facts == 72
    shadowed_and_made_anew(settings)
    watched(settings)
    found_by_time(settings, monkeypatch)
    with Progress(quiet=True) as progress:
        archive.export(
            settings, tmp_path, progress, topics=[COMMANDS, FACTS], within=archive.Span(), pseudonymise=False
        )
        fresh = Settings.from_env(stack.fresh())
        importing.load(fresh, tmp_path, progress)
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
