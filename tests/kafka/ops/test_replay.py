"""Replay on Apache Kafka: transactions, the broker's own timestamps, and a log that moves to fresh topics."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import TopicPartition
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.auth.keys import Key, KeyRing
from api.log import event_log
from connectors import kafka
from connectors.kafka import StopFlag, consumer
from connectors.postgres import Database
from connectors.settings import Settings
from connectors.topics import describe_topics
from ops.archive import export as archive
from ops.archive import imports as importing
from ops.progress import ProgressBars
from ops.proof.bench.history import HistoryWriter
from ops.rebuild.projections import go_back, rebuild
from ops.run.services.stack import Stack
from ops.shadow.shadow import shadow
from ops.verify.verify import VerifyOptions, VerifyReport, verify
from pipelines.configuration import settings_from_env
from pipelines.history.receipts import Receipt, issue, record_digest
from pipelines.monitoring.survey import Survey
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.placement import partition_of
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_line import Circle, command_line
from tests.harness.flows import Process, everything, read, write
from tests.harness.impatient import stopped_at_random
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
    with ProgressBars(quiet=True) as progress:
        return verify(settings, VerifyOptions(postgres=False, redis=False), progress)


def stamped_by(settings: Settings) -> str:
    """The clock of the commands' timestamps."""
    topics = describe_topics(settings, partitions=settings.partitions)
    return {one.name: one.config for one in topics}[COMMANDS]["message.timestamp.type"]


def shadowed_and_made_anew(settings: Settings) -> None:
    """The same program in a shadow decides alike, and rows come from the facts alone, without the transactions'
    markers."""
    with ProgressBars(quiet=True) as progress:
        report = shadow(settings, "same", progress, stop=StopFlag())
        assert (report.commands, report.same, report.different) == (72, 72, 0), report.differences
        generation = rebuild(settings, progress, promote=True)
        assert (generation.from_empty, generation.facts, generation.promoted) == (True, 72, True)
        before = go_back(settings, progress, promote=True)  # the former tables were empty
        assert (before.ok, before.facts, before.promoted) == (True, 72, True)
        assert (go_back(settings, progress).ok, before.positions) == (True, generation.positions)


def watched(settings: Settings) -> None:
    """A transaction's marker at the end of a partition counts as no lag."""
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
    """Reading begins where the event was made; with a wrong time, at the beginning."""
    home = partition_of(EVENT, settings.partitions)
    everything = list(event_log.facts_of(settings, EVENT, home))
    made_ms = everything[0][1].envelope.log_time // 1_000
    assert list(event_log.facts_of(settings, EVENT, home, since_ms=made_ms)) == everything
    monkeypatch.setattr(event_log, "CLOCKS_APART_MS", 0)
    later_ms = everything[-1][1].envelope.log_time // 1_000
    assert list(event_log.facts_of(settings, EVENT, home, since_ms=later_ms)) == everything


def asked_about(circle: Circle, settings: Settings, tmp_path: Path) -> None:
    """Explanations, earlier seat maps, what-if and receipts work on this log."""
    home = partition_of(EVENT, settings.partitions)
    code, found = circle("explain", R2, "--event", EVENT, "--json")
    assert (code, found["decisions"][0]["outcome"], found["decisions"][0]["quantity"]) == (0, "held", 1)
    first = next(
        message
        for message in everything(settings, COMMANDS)
        if message.partition() == home and message.key() == EVENT.encode() and message.offset() >= 3
    )
    code, then = circle("seats", EVENT, "--at", f"{home}-{first.offset()}", "--json")
    assert (code, sum(row["seats"].count("h") for row in then["sections"][0]["rows"])) == (0, 2)
    code, other = circle("replay", "what-if", EVENT, "--set", "max_tickets_per_user=1", "--json")
    assert (code, other["as_it_was"]["refused"], other["what_if"]["refused"]) == (0, {}, {"limit-exceeded": 1})
    key = Key.of(Ed25519PrivateKey.generate())
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps(KeyRing([key]).jwks()))
    mine = Receipt(home, first.offset() or 0, record_digest(first.key(), first.value() or b""))
    (token,) = issue([mine], key.private, key.kid)
    code, held = circle("verify", "--receipt", token, "--keys", str(keys), "--json")
    assert (code, held["holds"], held["command"]) == (0, True, "ReserveTickets")


def played_elsewhere(circle: Circle, directory: Path) -> None:
    """The recorded drop is replayed against another cluster, faster."""
    with Stack("embedded") as stack:
        other = settings_from_env(stack.fresh())
        worker = Process.start("reservations", other)
        to = ("--to", other.kafka_bootstrap_servers, "--speed", "600")
        code, found = circle("replay", "load", str(directory), *to, "--json")
        assert (code, found["report"]["decided"], found["report"]["facts"]["TicketsHeld"]) == (0, 72, 6)
        assert worker.terminate() == 0


def test_a_log_verifies_moves_to_fresh_topics_and_verifies_again(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_from_env(stack.fresh())
    circle = command_line(settings, monkeypatch, capsys)
    decided(settings)
    asked_about(circle, settings, tmp_path)
    before = verified(settings)
    assert before.ok, before.partitions
    assert before.facts == 72
    shadowed_and_made_anew(settings)
    watched(settings)
    found_by_time(settings, monkeypatch)
    log = tmp_path / "log"
    with ProgressBars(quiet=True) as progress:
        archive.export(settings, log, progress, topics=[COMMANDS, FACTS], within=archive.Span(), pseudonymise=False)
        played_elsewhere(circle, log)
    fresh = settings_from_env(stack.fresh())
    monkeypatch.setattr(importing, "BAR_EVERY", 10)
    _, stops = stopped_at_random(lambda progress: importing.load(fresh, log, progress), batches=(3, 7))
    assert stops > 1
    after = verified(fresh)
    assert after.ok, after.partitions
    assert [(one.through, one.digest) for one in after.partitions] == [
        (one.through, one.digest) for one in before.partitions
    ]
    assert stamped_by(fresh) == "LogAppendTime"  # as it was before the import


def test_a_forged_fact_at_the_end_is_found(stack: Stack) -> None:
    settings = settings_from_env(stack.fresh())
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


def test_the_past_that_the_benches_make_up_keeps_its_own_time(stack: Stack) -> None:
    settings, decode = settings_from_env(stack.fresh()), Codec().decode
    with ProgressBars(quiet=True) as progress:
        written = HistoryWriter(settings, seed=1).write(300, progress.bar("facts", 300))
    asked = {one.offset(): 1_000 * one.timestamp()[1] for one in everything(settings, COMMANDS)}
    told = [one for message in everything(settings, FACTS) if isinstance(one := decode(message.value()), RecordedFact)]
    assert (len(asked), len(told)) == (written.commands, written.facts)
    assert {one.envelope.offset: one.envelope.log_time for one in told} == asked
    assert stamped_by(settings) == "LogAppendTime"
