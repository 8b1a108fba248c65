"""In the middle of a drop the read side is killed, replaced by its branches, and paused past its session. Every fact
has its effects once, and a process that has lost its partitions writes nothing more.
"""

from __future__ import annotations

import random

from ops.proof.checker import wait_until_settled
from pipelines.flows import READ_SIDE_BRANCHES, Flow
from tests.harness.faults import ALL_PARTITIONS, HOLD_TTL_S, PER_SECOND, RESUMED_S
from tests.harness.flows import eventually
from tests.harness.pausable import Where
from tests.harness.stage import Stage


def test_the_read_side_is_killed_at_random_moments(stage: Stage) -> None:
    """kill -9 of the read side at random moments of a drop, twice."""
    rng, read_side, drop = random.Random(30), stage.read_side, stage.drop(hold_ttl_s=HOLD_TTL_S)
    before = read_side.deaths
    with drop.rush(PER_SECOND) as crowd:
        for _ in range(2):
            crowd.wait_sent(rng.randint(20, 150))
            read_side.kill()
            read_side.start().wait_ready()
    assert read_side.deaths - before == 2
    stage.settled()


def test_the_branches_take_over_in_the_middle_of_a_drop_and_give_back(stage: Stage) -> None:
    """The read side is killed, its branches run apart, one of them is killed, and the read side goes on for all."""
    read_side, drop = stage.read_side, stage.drop(hold_ttl_s=HOLD_TTL_S)
    with drop.rush(PER_SECOND) as crowd:
        crowd.wait_sent(100)
        read_side.kill()
        apart = {one.name: one for one in stage.crew.start(*READ_SIDE_BRANCHES)}
        crowd.wait_sent(150)
        apart[Flow.NOTIFICATIONS].kill()  # it falls behind the others
        crowd.wait_sent(100)
        assert [apart[name].stop() for name in (Flow.PROJECTIONS, Flow.MONITORING)] == [0, 0]
        read_side.start().wait_ready()
        crowd.wait_sent(100)
    stage.settled()


def test_a_read_side_that_was_paused_past_its_session_ends(stage: Stage) -> None:
    """It is paused with a batch in its hands. Its successor applies the same facts and later ones; then it goes on, and
    its transaction finds other positions than those where its batch began."""
    heir, drop = stage.read_side, stage.drop(hold_ttl_s=HOLD_TTL_S)
    assert heir.stop() == 0
    zombie = stage.crew.one(Flow.READ_SIDE, number=2, pausable=True)
    with drop.rush(PER_SECOND) as crowd:
        crowd.wait_sent(50)
        zombie.pause(Where.BEFORE)
        taken_over = heir.log_text().count(ALL_PARTITIONS)
        heir.start().wait_ready()
        eventually(lambda: heir.log_text().count(ALL_PARTITIONS) > taken_over, "the successor has all partitions", 40)
        crowd.wait_sent(100)
    wait_until_settled(stage.settings, timeout_s=40)
    zombie.resume()
    assert zombie.wait_end(RESUMED_S) == 1, zombie.last_lines()
    assert "fenced" in zombie.last_lines().lower(), zombie.last_lines()
    stage.settled()
