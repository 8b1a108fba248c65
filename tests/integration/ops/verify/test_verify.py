"""`circle verify` on real services: agreement, a fact changed by hand, changed rows and claims."""

from __future__ import annotations

from dataclasses import replace

import asyncpg
import msgspec
import pytest
import redis

from connectors import kafka
from connectors.errors import ServiceUnreachable
from connectors.log_reader import NoSuchPartition
from connectors.postgres import Connection, Database
from connectors.settings import Settings
from ops.progress import ProgressBars
from ops.verify.verify import VerifyOptions, VerifyReport, follow, verify
from pipelines.reservations.snapshot_store import SnapshotStore
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.placement import partition_of
from schemas.topics import COMMANDS
from tests.harness.command_line import Circle
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.flows import Flow, Process, eventually, projections, read, rows_of
from tests.harness.words import BOB, EVENT, R2, add_type, create, publish, release, reserve

LOG_ALONE = VerifyOptions(postgres=False, redis=False)


def run(settings: Settings, options: VerifyOptions = LOG_ALONE) -> VerifyReport:
    with ProgressBars(quiet=True) as progress:
        return verify(settings, options, progress)


def logs(commands: int = 300, partitions: int = 3) -> list[BothLogs]:
    made = [BothLogs(partition=number, seed=31) for number in range(partitions)]
    for log in made:
        log.take(commands)
    return made


def test_a_log_is_verified_through_its_last_command(settings: Settings) -> None:
    made = logs()
    write_both(settings, made)
    report = run(settings)
    assert report.ok, report.partitions
    assert [one.through for one in report.partitions[:3]] == [299, 299, 299]
    assert report.facts == sum(len(log.facts) for log in made)


def test_a_fact_changed_by_hand_in_a_copy_of_the_log_is_found_and_named(settings: Settings) -> None:
    made = logs(200, 2)
    facts = [one for log in made for one in log.facts]
    number = next(at for at, one in enumerate(facts) if type(one.fact).__name__ == "TicketsHeld" and one.fact.seats)
    held = facts[number]
    facts[number] = RecordedFact(held.envelope, msgspec.structs.replace(held.fact, amount_minor=1))
    write_both(settings, made, facts)
    report = run(settings)
    (one,) = [found for part in report.partitions for found in part.divergences]
    at = held.envelope
    assert (one.kind, one.position) == ("fact-differs", f"{at.partition}-{at.offset}-{at.index}")
    assert f"tickets.facts[{at.partition}]@" in one.record
    assert "amount_minor is 1 on the log" in one.what


def test_one_partition_or_one_event_alone(settings: Settings) -> None:
    log = BothLogs(partition=0, seed=32)
    for command in (create(), add_type(), publish(), reserve(2)):
        log.put(command)
    home = partition_of(EVENT, settings.partitions)
    log = BothLogs(partition=home, seed=32)
    for command in (create(), add_type(), publish(), reserve(2)):
        log.put(command)
    log.take(50)
    write_both(settings, [log])
    alone = run(settings, replace(LOG_ALONE, event_id=EVENT))
    assert (alone.ok, alone.facts, len(alone.partitions)) == (True, 4, 1)
    assert run(settings, replace(LOG_ALONE, partition=home)).facts == len(log.facts)
    with pytest.raises(NoSuchPartition, match="partitions 0 to"):
        run(settings, replace(LOG_ALONE, partition=99))


@pytest.fixture
def drop(settings: Settings) -> Settings:
    """A small drop that the real dataflows have decided and projected."""
    codec, producer = Codec(), kafka.producer(settings)
    commands = [create(), add_type(), publish(), reserve(2), reserve(1, rid=R2, by=BOB), release(R2, by=BOB)]
    worker = Process.start("reservations", settings)
    with Flow(projections, settings):
        for command in commands:
            producer.produce(COMMANDS, codec.encode(command), command.event_id.encode())
        producer.produce(COMMANDS, b"not a command", EVENT.encode())
        assert producer.flush(30) == 0
        with rows_of(settings) as query:
            eventually(
                lambda: query('SELECT 1 FROM projection_positions WHERE "offset" = $1', len(commands)) != [],
                "the last command is projected",
            )
    assert worker.terminate() == 0
    return settings


def test_what_is_read_beside_an_events_rows_is_of_their_position(drop: Settings) -> None:
    """The second query does not see a projection that has gone on after the first."""
    home, seen = partition_of(EVENT, drop.partitions), []

    async def also(connection: Connection) -> None:
        projection = await asyncpg.connect(drop.postgres_url)
        await projection.execute('UPDATE projection_positions SET "offset" = "offset" + 7')
        await projection.close()
        seen.append(await connection.fetchval('SELECT "offset" FROM projection_positions WHERE partition = $1', home))

    database = Database(drop.postgres_url)
    try:
        rows = SnapshotStore(database).load_event(EVENT, home, also=also)
        assert seen == [rows.position.offset]
        assert SnapshotStore(database).load_event(EVENT, home).position.offset == rows.position.offset + 7
    finally:
        database.close()


def test_what_the_dataflows_made_agrees_with_the_log_in_postgres_and_redis(drop: Settings) -> None:
    report = run(drop, VerifyOptions())
    assert report.ok, report.partitions
    (home,) = [one for one in report.partitions if one.through >= 0]
    assert (home.partition, home.through, home.undecided) == (partition_of(EVENT, drop.partitions), 6, 0)
    assert (home.postgres_events, home.redis_events, home.not_compared) == (1, 1, [])


def test_rows_and_claims_that_were_tampered_with_are_found(drop: Settings, circle: Circle) -> None:
    with rows_of(drop) as query:
        query("UPDATE reservations SET amount_minor = 1 WHERE status = 'held'")
    client = redis.Redis.from_url(drop.redis_url, decode_responses=True)
    client.hset(f"circle:{{{EVENT}}}:claims", "stalls/C-6", "s|somebody|0|1|0")
    client.close()
    report = run(drop, VerifyOptions())
    found = {one.kind: one.what for part in report.partitions for one in part.divergences}
    assert found.keys() == {"postgres", "redis"}
    assert "amount_minor is 5000 by the log, 1 in Postgres" in found["postgres"]
    assert "stalls/C-6" in found["redis"]
    code, text = circle("verify", "--event", EVENT)
    assert code == 1
    assert "DIVERGED: 2 divergences" in text
    assert circle("verify", "--no-postgres", "--no-redis")[0] == 0
    assert circle("verify", "--partition", "99")[0] == 2


def test_commands_that_nobody_has_decided_yet_are_no_divergence(drop: Settings) -> None:
    producer = kafka.producer(drop)
    producer.produce(COMMANDS, Codec().encode(reserve(1, rid="later")), EVENT.encode())
    assert producer.flush(30) == 0
    report = run(drop, VerifyOptions())
    assert report.ok, report.partitions
    assert [one.undecided for one in report.partitions if one.through >= 0] == [1]
    with redis.Redis.from_url(drop.redis_url) as client:  # as a worker leaves it that dies before its commit
        client.hset(f"circle:{{{EVENT}}}:claims", "stalls/C-6", "h|later|0|1|9")
    report = run(drop, VerifyOptions())
    assert report.ok, report.partitions
    (not_compared,) = [one.not_compared for one in report.partitions if one.through >= 0]
    assert not_compared == [f"event {EVENT}: Redis may be ahead, commands are not decided yet"]


def test_following_sees_new_facts_as_they_come(settings: Settings) -> None:
    log = BothLogs(partition=0, seed=33)
    log.take(100)
    write_both(settings, [log])
    seen: list[int] = []
    rounds = 0

    def told(runs: list) -> None:
        nonlocal rounds
        rounds += 1
        seen.append(sum(one.verifier.commands for one in runs))
        if rounds == 1:
            more = BothLogs(partition=1, seed=34)
            more.take(100)
            write_both(settings, [more])

    assert follow(settings, LOG_ALONE, told=told, stop=lambda: bool(seen) and seen[-1] == 200, interval_s=0.05)
    assert seen[-1] == 200


def test_a_broker_that_is_not_there_is_said_so(settings: Settings) -> None:
    nowhere = replace(settings, kafka_bootstrap_servers="127.0.0.1:1")
    with pytest.raises(ServiceUnreachable):
        run(nowhere)
    with pytest.raises(ServiceUnreachable):
        run(replace(settings, redis_url="redis://127.0.0.1:1/0"), VerifyOptions(postgres=False))
    assert read(settings, COMMANDS, 1, 0) == []
