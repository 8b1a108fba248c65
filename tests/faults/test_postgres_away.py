"""Sales need no PostgreSQL: they go on without it, and the rows catch up later."""

from __future__ import annotations

from tests.harness.faults import HOLD_TTL_S, PER_SECOND
from tests.harness.flows import eventually
from tests.harness.stage import Stage


def test_postgres_is_stopped_and_started_in_the_middle_of_a_drop(stage: Stage) -> None:
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
