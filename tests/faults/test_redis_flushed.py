"""Redis guards and shows, and holds no truth: when it loses everything, nothing is sold twice."""

from __future__ import annotations

import redis

from tests.harness.faults import HOLD_TTL_S, PER_SECOND
from tests.harness.flows import eventually
from tests.harness.stage import PARTITIONS, Stage


def test_redis_is_flushed_in_the_middle_of_a_drop(stage: Stage) -> None:
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
