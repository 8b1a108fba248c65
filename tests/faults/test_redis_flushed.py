"""Redis guards and shows, and holds no truth: when it loses everything, nothing is sold twice."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import redis

from tests.harness.faults import HOLD_TTL_S, PER_SECOND
from tests.harness.flows import eventually
from tests.harness.latecomers import latecomers, told
from tests.harness.shop import unique
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
    assert stage.reservations.figure("circle_claims_refused_total", cause="lost") > 0, "what was lost is counted"
    stage.settled()


def test_redis_is_flushed_while_people_ask_for_a_sold_out_event(stage: Stage, tmp_path: Path) -> None:
    """What the API knows of sold-out types does not come from Redis: latecomers are refused, each key once, and a place
    that is released after the flush is sold."""
    drop = stage.drop()
    with (
        latecomers(stage.settings, tmp_path) as (api, crowd),
        redis.Redis.from_url(stage.settings.redis_url) as client,
    ):
        with crowd.asking([api.person(str(uuid4())) for _ in range(6)]):
            for _ in range(3):
                crowd.wait_until(len(crowd.asked) + 30)
                client.flushall()
            crowd.wait_until(len(crowd.asked) + 30)
        drop.told += told(crowd.ask_again())
        client.flushall()
        crowd.release()
        assert crowd.ask(api.person(str(uuid4())), unique()).status_code == 201
    stage.settled(no_holds=False)
