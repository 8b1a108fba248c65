"""An API process is killed while requests wait for their record: each key has one outcome, before and after."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from tests.harness.api_process import api_process
from tests.harness.latecomers import latecomers, told
from tests.harness.stage import Stage


def test_the_api_is_killed_within_the_window_of_requests_for_a_sold_out_event(stage: Stage, tmp_path: Path) -> None:
    """kill -9 of the API process while latecomers ask. Another process gives each of their keys the answer that it had,
    or its first one."""
    drop = stage.drop()
    with latecomers(stage.settings, tmp_path) as (api, crowd):
        people = [api.person(str(uuid4())) for _ in range(6)]
        with crowd.asking(people):
            crowd.wait_until(60)
            api.process.kill()
            api.process.wait()
            crowd.wait_until(len(crowd.asked) + 12)
        unanswered = [key for key, (_, answer) in crowd.asked.items() if answer is None]
        assert unanswered, "the process was killed while people asked"
        with api_process(stage.settings, tmp_path) as other:
            drop.told += told(crowd.ask_again(other.http))
    stage.settled(no_holds=False)
