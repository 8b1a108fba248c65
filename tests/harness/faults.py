"""Faults in the middle of a drop, and the conditions that must hold after it. The bodies of the fault tests, which run
on the embedded broker (tests/e2e) and on Apache Kafka (tests/kafka).
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import redis
from confluent_kafka import Producer

from ops.proof.checker import NotSettled, wait_until_settled
from ops.proof.checker.reading import reader, records
from pipelines.reservations.seat_locks import ForeignLocks
from schemas import commands as c
from schemas import facts as f
from schemas.facts import RecordedFact
from schemas.ids import fingerprint
from schemas.topics import COMMANDS, FACTS
from tests.harness.drop import Drop
from tests.harness.flows import eventually
from tests.harness.http_crowd import http_crowd
from tests.harness.pausable import Where
from tests.harness.stage import PARTITIONS, Stage
from tests.harness.workers import Worker

KILLS = 10
PER_SECOND = 250
HOLD_TTL_S = 2
# The largest record that a topic takes: with our own headers, its dead letter and its fact would be too large.
LARGEST, LARGE_HEADERS = 1_000_000, [("traceparent", b"t" * 40_000), ("other", b"o" * 5_000)]
NO_DATE_MS = 1 << 50  # beyond the year 9999; a broker that stamps records itself ignores it
RESUMED_S = 25.0  # above the watchdog's limit for a transaction
HANGS = "action=process.hangs what=transaction"
ALL_PARTITIONS = f'partitions="{list(range(PARTITIONS))}"'  # the log line about a worker's assigned partitions


def killed_again_and_again(stage: Stage) -> None:
    """kill -9 of the reservations worker at random moments of a drop, ten times."""
    rng = random.Random(2026)
    drop = stage.drop(hold_ttl_s=HOLD_TTL_S)
    worker = stage.reservations
    before = worker.deaths
    with drop.rush(PER_SECOND) as crowd:
        for _ in range(KILLS):
            crowd.wait_sent(rng.randint(20, 150))
            worker.kill()
            worker.start()
            if rng.random() < 0.8:  # else it would be killed again while it loads
                worker.wait_ready()
    worker.wait_ready()
    assert worker.deaths - before == KILLS
    report = stage.settled()
    assert report.counts["TicketsHeld"] > 100


def killed_at_work(stage: Stage) -> None:
    """The same with a backlog, so that every kill hits a batch that is being decided, locked or committed."""
    rng = random.Random(11)
    drop = stage.drop(hold_ttl_s=3_600, events=4, rows=26)
    worker = stage.reservations
    for _ in range(3):
        with backlog(drop, 2_500):
            start = stage.committed()
            eventually(lambda start=start: stage.committed() > start, "the worker goes on")  # type: ignore[misc]
            time.sleep(rng.random() * 0.05)  # anywhere within a batch: this is the random moment, not a wait
            worker.kill()
        worker.start()
        worker.wait_ready()
    stage.settled(no_holds=False)


@contextmanager
def backlog(drop: Drop, acts: int) -> Iterator[None]:
    """While the block runs, more commands are written than the workers can read."""
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(drop.blast, acts)
        yield
        written.result()


def two_share_one_dies_one_is_paused(stage: Stage) -> None:
    """Two workers share the partitions. One is killed; later it is paused past its session, and its batch is fenced."""
    drop = stage.drop(hold_ttl_s=HOLD_TTL_S, events=16)  # so that each worker has some
    heir = stage.reservations
    with drop.rush(PER_SECOND) as crowd:
        second = stage.crew.one("reservations", number=2, pausable=True)
        crowd.wait_sent(100)
        second.kill()
        crowd.wait_sent(200)
        second.start()  # under its own name: the broker ends the transaction that it died in
    second.wait_ready()
    stage.settled()
    # A producer that was fenced during its pause reports this, or a fatal error. The embedded broker may not answer the
    # commit of a fenced producer: then the watchdog ends the process, also without a commit.
    ends = ("fenced", "fatal error") if stage.strict else ("fenced", "fatal error", HANGS)
    for where in Where:
        second.ensure()  # the successor may have ended a transaction of its new life as well
        pause_past_its_session(stage, drop, second, heir, where)
        second.resume()

        def ended() -> bool:
            heir.revive()  # on the embedded broker it may have to load the paused worker's facts again
            return not second.alive

        eventually(ended, f"the worker that was paused {where.name.lower()} its batch ends", RESUMED_S)
        assert second.exit_code == 1, second.last_lines()
        assert any(word in second.last_lines().lower() for word in ends), second.last_lines()
        stage.ensure_running()
    second.ensure()
    stage.settled()
    assert second.stop() == 0


def pause_past_its_session(stage: Stage, drop: Drop, zombie: Worker, heir: Worker, where: Where) -> None:
    """SIGSTOP in the middle of a batch, while all workers have a backlog, until the other one has taken over."""
    taken_over = heir.log_text().count(ALL_PARTITIONS)
    with backlog(drop, 4_000):
        zombie.pause(where)
    wait_taken_over(stage, heir, taken_over)


def wait_taken_over(stage: Stage, heir: Worker, before: int) -> None:
    """Until the paused worker's session is over and the other one has its partitions.

    If the broker ends abandoned transactions, also until the other one has decided everything: the embedded broker
    hides all records after an open transaction until the paused worker is back.
    """
    eventually(lambda: heir.log_text().count(ALL_PARTITIONS) > before, "the other worker has all partitions", 40)
    if stage.strict:
        try:
            wait_until_settled(stage.settings, timeout_s=40, postgres=False)
        except NotSettled as error:
            raise AssertionError(f"{error}; the other worker: {heir.last_lines()}") from error


def one_joins_and_leaves(stage: Stage) -> None:
    """A second worker joins in the middle of the load, takes its share, and leaves again."""
    drop = stage.drop(hold_ttl_s=HOLD_TTL_S)
    with drop.rush(PER_SECOND) as crowd:
        crowd.wait_sent(50)
        second = stage.crew.one("reservations", number=3)
        assert "partitions.assigned" in second.log_text()
        crowd.wait_sent(200)
        assert second.stop() == 0, second.last_lines()
        crowd.wait_sent(200)
    stage.settled()


def redis_flushed(stage: Stage) -> None:
    """Redis loses everything, twice, in the middle of a drop: no seat is sold twice, and Redis has the right claims
    again."""
    drop = stage.drop(hold_ttl_s=HOLD_TTL_S)
    with drop.rush(PER_SECOND) as crowd, redis.Redis.from_url(stage.settings.redis_url) as client:
        for _ in range(2):
            crowd.wait_sent(100)
            client.flushall()
        crowd.wait_sent(150)
        marks = [f"circle:installed:{partition}" for partition in range(PARTITIONS)]
        eventually(lambda: client.mget(marks) == [b"done"] * PARTITIONS, "every event is shown again, old ones too")
    assert stage.reservations.alive
    stage.settled()


def postgres_restarted(stage: Stage) -> None:
    """PostgreSQL is stopped and started in the middle of a drop: sales go on, projections catch up."""
    drop = stage.drop(hold_ttl_s=HOLD_TTL_S)
    with drop.rush(PER_SECOND) as crowd:
        crowd.wait_sent(100)
        stage.stack.postgres.stop()
        decided = stage.committed()
        crowd.wait_sent(250)
        eventually(lambda: stage.committed() > decided + 100, "sales go on without PostgreSQL")
        stage.stack.postgres.start()
        crowd.wait_sent(50)
    stage.ensure_running()
    stage.settled()


def broker_restarted(stage: Stage, scratch: Path) -> None:
    """The broker is killed and started again: every acknowledged record is there, and sales go on. Meanwhile requests
    over HTTP get 503; afterwards each of their keys has one outcome."""
    drop = stage.drop(hold_ttl_s=HOLD_TTL_S)
    with http_crowd(stage.settings, scratch) as people, drop.rush(PER_SECOND) as crowd:
        crowd.wait_sent(150)
        stage.stack.kafka.kill()
        try:
            people.are_turned_away()
        finally:
            stage.stack.kafka.start()
        crowd.wait_sent(100, timeout_s=90)
        stage.ensure_running()
        crowd.wait_sent(100, timeout_s=90)
        drop.told += people.have_one_outcome_each(stage.ensure_running)
    stage.ensure_running()
    stage.settled(timeout_s=90)


def foreign_lock(stage: Stage) -> None:
    """A seat with a foreign lock is not sold, and the fact says why. After the lock it is sold. Replay needs no
    Redis."""
    drop = stage.drop(events=1, rows=1, hold_ttl_s=3_600)
    event, user = drop.events[0], drop.users[0]
    wait_until_settled(stage.settings, timeout_s=30)
    with closing(ForeignLocks(stage.settings.redis_url)) as locks:
        assert locks.take(event, ["seats/A-5", "seats/A-6"], owner="box office", seconds=600) == 2
        refused = reserve_seats(drop, event, user, ["A-5"])
        best = reserve_best(drop, event, user, 2)
        facts = outcomes(stage, event)
        turned_down = facts[refused]
        assert isinstance(turned_down, f.ReservationRejected)
        assert (turned_down.reason, turned_down.detail) == ("seat-taken", "locked by another seller: A-5")
        granted = facts[best]
        assert isinstance(granted, f.TicketsHeld)
        assert not {"A-5", "A-6"} & set(granted.seats)
        assert locks.free(event, ["seats/A-5"], owner="box office") == 1
        sold = reserve_seats(drop, event, user, ["A-5"])
        assert isinstance(outcomes(stage, event)[sold], f.TicketsHeld)
        stage.settled(no_holds=False)
        assert locks.free(event, ["seats/A-6"], owner="box office") == 1


def reserve_seats(drop: Drop, event: str, user: str, seats: list[str]) -> str:
    return reserve_best(drop, event, user, len(seats), seats)


def reserve_best(drop: Drop, event: str, user: str, quantity: int, seats: list[str] | None = None) -> str:
    """One request, acknowledged. Returns the reservation's id."""
    drop.sent_keys += 1
    key = f"direct-{event[:8]}-{drop.sent_keys}"
    named = seats or []
    digest = fingerprint("seats", quantity, named)
    drop.send(
        c.ReserveTickets(
            event_id=event,
            user_id=user,
            command_id=key,
            reservation_id=key,
            ticket_type_id="seats",
            quantity=quantity,
            seats=named,
            fingerprint=digest,
        )
    )
    drop.flush()
    return key


def outcomes(stage: Stage, event: str) -> dict[str, f.Fact]:
    """The last fact of each reservation of an event, once everything is decided."""
    wait_until_settled(stage.settings, timeout_s=30, postgres=False)
    codec, client = stage.drops[-1].codec, reader(stage.settings)
    found: dict[str, f.Fact] = {}
    try:
        for partition in range(PARTITIONS):
            for message in records(client, FACTS, partition):
                recorded = codec.decode(message.value())
                if isinstance(recorded, RecordedFact) and recorded.envelope.event_id == event:
                    subject = getattr(recorded.fact, "reservation_id", "")
                    if subject:
                        found[subject] = recorded.fact
    finally:
        client.close()
    return found


def unreadable_records(stage: Stage) -> None:
    """Unreadable records go to the dead letters with their origin; all later records go on."""
    drop = stage.drop(hold_ttl_s=HOLD_TTL_S)
    garbage = [b"", b"garbage", b"\0\0\0\0\1cut short", b"\0\0\0\xff\xff", b"{}" * 40_000, b"x" * LARGEST, None]
    raw = Producer({"bootstrap.servers": stage.settings.kafka_bootstrap_servers, "message.max.bytes": 1_048_576})
    before = stage.settled(no_holds=False).counts["unreadable"] if len(stage.drops) > 1 and stage.drops[0].told else 0
    with drop.rush(PER_SECOND) as crowd:
        for value in garbage:
            crowd.wait_sent(15)
            for event in drop.events:
                raw.produce(COMMANDS, value, event.encode(), headers=LARGE_HEADERS, timestamp=NO_DATE_MS)
            assert raw.flush(10) == 0
        crowd.wait_sent(50)
    report = stage.settled()
    assert report.counts["unreadable"] - before == len(garbage) * len(drop.events)
    assert report.counts["dead_letters"] >= report.counts["unreadable"]
    assert report.counts["CommandUnreadable"] == report.counts["unreadable"]
