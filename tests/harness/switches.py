"""The checker's negative controls on the running platform: without a guard, it must find the damage."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from confluent_kafka import Producer

from ops.proof.checker import Report, wait_until_settled
from ops.proof.checker.reading import reader, records
from ops.proof.full_check import check
from ops.run.services.stack import Stack
from pipelines.reservations.seat_locks import ForeignLocks
from schemas import facts as f
from schemas.facts import RecordedFact
from schemas.topics import FACTS
from tests.harness import faults
from tests.harness.flows import eventually
from tests.harness.pausable import Where
from tests.harness.stage import PARTITIONS, Stage

REVOKED = "action=partitions.revoked"


def without_the_lock(stack: Stack, logs: Path) -> Report:
    """A foreign owner's seat is sold, because the worker ignores the locks."""
    stage = Stage(stack, logs, strict=False)
    with stage.crew:
        stage.reservations = stage.crew.one("reservations", switches="no-lock")
        drop = stage.drop(events=1, rows=1, hold_ttl_s=3_600)
        wait_until_settled(stage.settings, postgres=False)
        event = drop.events[0]
        with closing(ForeignLocks(stage.settings.redis_url)) as locks:
            locks.take(event, ["seats/A-5"], owner="box office", seconds=600)
        key = faults.reserve_seats(drop, event, drop.users[0], ["A-5"])
        assert isinstance(faults.outcomes(stage, event)[key], f.TicketsHeld)
        return check(stage.settings, postgres=False, told=drop.told)


def facts_told_again(stack: Stack, logs: Path, *, switches: str) -> Report:
    """Early facts come a second time, as after a redelivery: a projection that applies them goes back in time."""
    stage = Stage(stack, logs, strict=False)
    with stage.crew:
        stage.reservations = stage.crew.one("reservations")
        stage.crew.one("projections", switches=switches)
        drop = stage.drop(events=2, rows=2, hold_ttl_s=3_600)
        keys = [(event, faults.reserve_best(drop, event, drop.users[0], 1)) for event in drop.events]
        for event, key in keys:
            drop.release(event, key, drop.users[0])
        drop.flush()
        wait_until_settled(stage.settings, inbox=False, payments=False)
        again = _held(stage)
        assert len(again) == len(keys)
        producer = Producer({"bootstrap.servers": stage.settings.kafka_bootstrap_servers})
        for partition, value in again:
            producer.produce(FACTS, value, b"key", partition)
        producer.flush(10)
        # Later facts show that they were read.
        for event in drop.events:
            drop.tick(event)
        drop.flush()
        wait_until_settled(stage.settings, inbox=False, payments=False)
        return check(stage.settings, told=drop.told, inbox=False)


def _held(stage: Stage) -> list[tuple[int, bytes]]:
    client = reader(stage.settings)
    try:
        return [
            (partition, value)
            for partition in range(PARTITIONS)
            for message in records(client, FACTS, partition)
            if (value := message.value()) is not None
            and isinstance(recorded := stage.drops[-1].codec.decode(value), RecordedFact)
            and isinstance(recorded.fact, f.TicketsHeld)
        ]
    finally:
        client.close()


def without_the_fence(stack: Stack, logs: Path) -> Report:
    """A paused worker comes back and writes commands' facts that its successor has decided already: its facts are
    visible."""
    stage = Stage(stack, logs, strict=True)
    with stage.crew:
        zombie = stage.crew.one("reservations", number=1, switches="no-fence", pausable=True)
        heir = stage.crew.one("reservations", number=2, switches="no-fence")
        stage.reservations, stage.others = zombie, [heir]
        drop = stage.drop(hold_ttl_s=3_600, rows=26, events=8)
        faults.pause_past_its_session(stage, drop, zombie, heir, Where.BEFORE)
        before, revoked = facts_on_the_log(stage), zombie.log_text().count(REVOKED)
        zombie.resume()
        eventually(lambda: facts_on_the_log(stage) > before, "the paused worker's facts are visible")
        # Redis is the second fence: it refuses a worker that installs an event, or claims seats, and this ends the
        # worker. If it does neither before it learns that its session is over, it joins again.
        eventually(
            lambda: not zombie.alive or zombie.log_text().count(REVOKED) > revoked, "it is refused or joins again"
        )
        assert zombie.exit_code in (None, 1), zombie.last_lines()
        return check(stage.settings, strict=True, postgres=False, show=False, told=drop.told)


def facts_on_the_log(stage: Stage) -> int:
    """The number of facts that a committed reader sees."""
    client = reader(stage.settings)
    try:
        return sum(1 for partition in range(PARTITIONS) for _ in records(client, FACTS, partition))
    finally:
        client.close()
