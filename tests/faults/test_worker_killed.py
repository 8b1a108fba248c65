"""Whenever a worker is killed, nothing that was asked is lost and nothing is decided twice."""

from __future__ import annotations

import random
import time

from tests.harness.faults import HOLD_TTL_S, PER_SECOND, backlog
from tests.harness.flows import eventually
from tests.harness.stage import Stage

KILLS = 10


def test_the_worker_is_killed_ten_times_at_random_moments(stage: Stage) -> None:
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


def test_the_worker_is_killed_with_a_backlog_in_its_hands(stage: Stage) -> None:
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
