"""No step makes a round trip to a service for each record: 2,000 commands cost far fewer."""

from __future__ import annotations

import time

import pytest
import redis

from connectors import kafka
from connectors.settings import Settings
from ops.proof.bench.mix import Layout, Mix
from schemas.codec import Codec
from schemas.commands import ReserveTickets
from schemas.topics import COMMANDS
from tests.harness.flows import Process, eventually, rows_of

COMMANDS_WRITTEN = 2_000
# A batch is a few round trips, and so is every poll meanwhile. One for each record would be four times as many.
ROUND_TRIPS_MAX = COMMANDS_WRITTEN // 4


@pytest.fixture
def reservations(settings: Settings) -> int:
    """Commands on the log, before any worker reads them. Returns the number of those that ask for places."""
    mix = Mix(Layout(events=4, sections=2, seats=500), now_us=time.time_ns() // 1_000, seed=1)
    codec, producer = Codec(), kafka.producer(settings)
    commands = [*mix.setup(), *mix.load(COMMANDS_WRITTEN)]
    for command in commands:
        producer.produce(COMMANDS, codec.encode(command), command.event_id.encode())
    assert producer.flush(30) == 0
    return sum(isinstance(command, ReserveTickets) for command in commands)


def test_a_batch_is_a_few_round_trips_however_many_records_it_has(settings: Settings, reservations: int) -> None:
    assert reservations > COMMANDS_WRITTEN * 0.9
    with redis.Redis.from_url(settings.redis_url) as client, rows_of(settings) as query:

        def spent() -> tuple[int, int]:
            """The requests to Redis, and the transactions of PostgreSQL, which does not count statements."""
            query("SELECT pg_stat_force_next_flush()")
            commits = query("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")[0][0]
            return client.info("stats")["total_reads_processed"], commits

        looks = 0

        def all_is_told() -> bool:
            nonlocal looks
            looks += 1
            counts = "SELECT (SELECT count(*) FROM reservations), (SELECT count(*) FROM notifications)"
            rows, messages = query(counts)[0]
            return bool(rows == reservations and messages >= reservations)

        before = spent()
        processes = [Process.start(name, settings) for name in ("reservations", "projections", "notifications")]
        eventually(all_is_told, "every outcome has its row and its message")
        after = spent()
        assert [process.terminate() for process in processes] == [0, 0, 0]
    assert after[0] - before[0] < ROUND_TRIPS_MAX
    assert after[1] - before[1] - looks < ROUND_TRIPS_MAX
