"""Whenever a worker is killed, nothing that was asked is lost and nothing is decided twice."""

from __future__ import annotations

import random
import time
from pathlib import Path
from uuid import uuid4

from ops.verify.receipt import check
from tests.harness.faults import HOLD_TTL_S, PER_SECOND, backlog
from tests.harness.flows import eventually
from tests.harness.latecomers import latecomers, told
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


def test_the_worker_is_killed_while_people_ask_for_a_sold_out_event(stage: Stage, tmp_path: Path) -> None:
    """kill -9 of the worker, three times, while latecomers ask. Who got 202 proves the place of the request by the
    receipt of its record; and each key has one refusal."""
    drop, worker = stage.drop(), stage.reservations
    with latecomers(stage.settings, tmp_path) as (api, crowd):
        with crowd.asking([api.person(str(uuid4())) for _ in range(6)], prefer="wait=1"):
            for _ in range(3):
                crowd.wait_until(len(crowd.asked) + 30)
                worker.kill()
                crowd.wait_until(len(crowd.asked) + 12)  # these get 202, after a second
                worker.start()
                worker.wait_ready()
            crowd.wait_until(len(crowd.asked) + 30)
        accepted = [
            answer.json() for _, answer in crowd.asked.values() if answer is not None and answer.status_code == 202
        ]
        assert accepted, "somebody had to wait for the worker"
        keys = tmp_path / "keys.json"
        keys.write_bytes(api.http.get("/.well-known/jwks.json").content)
        receipts = [check(stage.settings, one["receipt"], keys) for one in accepted]
        assert all(found.holds for found in receipts)
        together = [(one, found) for one, found in zip(accepted, receipts, strict=True) if found.reservation_ids]
        assert together, "some of them shared a record"
        assert all(one["id"] in found.reservation_ids for one, found in together)
        drop.told += told(crowd.ask_again())
    stage.settled(no_holds=False)
