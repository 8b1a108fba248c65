"""A seat that another seller has locked is not sold here, the fact says why, and a replay needs no lock."""

from __future__ import annotations

from contextlib import closing
from functools import partial

from ops.proof.checker import wait_until_settled
from pipelines.reservations.seat_locks import ForeignLocks
from schemas import facts as f
from tests.harness.faults import outcomes, reserve_best, reserve_seats
from tests.harness.stage import Stage


def test_a_foreign_lock_is_respected_recorded_and_replayed_without_redis(stage: Stage) -> None:
    """A seat with a foreign lock is not sold, and the fact says why. After the lock it is sold. Replay needs no
    Redis."""
    drop = stage.drop(events=1, rows=1, hold_ttl_s=3_600)
    event, user = drop.events[0], drop.users[0]
    wait_until_settled(stage.settings, timeout_s=30)
    changed = partial(stage.reservations.figure, "circle_claims_refused_total", cause="foreign")
    assert changed() == 0
    with closing(ForeignLocks(stage.settings.redis_url)) as locks:
        assert locks.take(event, ["seats/A-5", "seats/A-6"], owner="box office", seconds=600) == 2
        refused = reserve_seats(drop, event, user, ["A-5"])
        best = reserve_best(drop, event, user, 2)
        facts = outcomes(stage, event)
        turned_down = facts[refused]
        assert isinstance(turned_down, f.ReservationRejected)
        assert (turned_down.reason, turned_down.detail) == ("seat-taken", "locked by another seller: A-5")
        assert changed() >= 1, "a lock that the worker did not know is counted"
        granted = facts[best]
        assert isinstance(granted, f.TicketsHeld)
        assert not {"A-5", "A-6"} & set(granted.seats)
        assert locks.free(event, ["seats/A-5"], owner="box office") == 1
        sold = reserve_seats(drop, event, user, ["A-5"])
        assert isinstance(outcomes(stage, event)[sold], f.TicketsHeld)
        stage.settled(no_holds=False)
        assert locks.free(event, ["seats/A-6"], owner="box office") == 1
