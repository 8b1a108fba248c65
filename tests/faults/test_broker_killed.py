"""An acknowledged record survives a kill of the broker. A request meanwhile is 503, and its key has one outcome later.

On Apache Kafka alone: the embedded broker keeps its log in memory, so the platform begins an empty log after its death.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.faults import APACHE, HOLD_TTL_S, PER_SECOND
from tests.harness.http_crowd import http_crowd
from tests.harness.stage import Stage


@pytest.mark.parametrize("stack", [APACHE], indirect=True)
def test_the_broker_is_killed_and_started_in_the_middle_of_a_drop(stage: Stage, tmp_path: Path) -> None:
    """The broker is killed and started again: every acknowledged record is there, and sales go on. Meanwhile requests
    over HTTP get 503; afterwards each of their keys has one outcome."""
    drop = stage.drop(hold_ttl_s=HOLD_TTL_S)
    with http_crowd(stage.settings, tmp_path) as people, drop.rush(PER_SECOND) as crowd:
        crowd.wait_sent(150)
        stage.stack.kafka.kill()
        try:
            people.are_turned_away()
        finally:
            stage.stack.kafka.start()
        crowd.wait_sent(100, timeout_s=90)
        stage.ensure_running()
        crowd.wait_sent(100, timeout_s=90)
        drop.told += people.have_one_outcome_each(stage.ensure_running)
    stage.ensure_running()
    stage.settled(timeout_s=90)
