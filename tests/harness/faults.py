"""The shared parts of the fault tests in tests/faults: brokers, a backlog, a pause past the session, a buyer's request
and its outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from ops.proof.checker import NotSettled, wait_until_settled
from ops.proof.checker.reading import reader, records
from schemas import commands as c
from schemas import facts as f
from schemas.facts import RecordedFact
from schemas.ids import fingerprint
from schemas.topics import FACTS
from tests.harness.drop import Drop
from tests.harness.flows import eventually
from tests.harness.pausable import Where
from tests.harness.stage import PARTITIONS, Stage
from tests.harness.workers import Worker

# The brokers of the fault tests. `make test` runs the embedded cases, `make test-kafka` those on Apache Kafka.
EMBEDDED = pytest.param("embedded", marks=[pytest.mark.e2e, pytest.mark.timeout(300)])
APACHE = pytest.param("apache", marks=[pytest.mark.kafka, pytest.mark.timeout(240)])
PER_SECOND = 250
HOLD_TTL_S = 2
RESUMED_S = 25.0  # above the watchdog's limit for a transaction
HANGS = "action=process.hangs what=transaction"
ALL_PARTITIONS = f'partitions="{list(range(PARTITIONS))}"'  # the log line about a worker's assigned partitions


@contextmanager
def backlog(drop: Drop, acts: int) -> Iterator[None]:
    """While the block runs, more commands are written than the workers can read."""
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(drop.blast, acts)
        yield
        written.result()


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
