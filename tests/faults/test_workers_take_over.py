"""Workers share the partitions. A worker that joins takes a share, one that leaves or dies gives it back, and one that
was away too long commits nothing more.
"""

from __future__ import annotations

from tests.harness.faults import HANGS, HOLD_TTL_S, PER_SECOND, RESUMED_S, pause_past_its_session
from tests.harness.flows import eventually
from tests.harness.pausable import Where
from tests.harness.stage import Stage


def test_two_workers_share_one_is_killed_and_one_is_paused_past_its_session(stage: Stage) -> None:
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


def test_a_second_worker_joins_and_leaves_under_load(stage: Stage) -> None:
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
