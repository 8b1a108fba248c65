"""Faults in the middle of a drop, on the embedded broker: after each fault the checker finds no error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.run.services.stack import Stack
from tests.harness import faults
from tests.harness.stage import Stage

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def stage(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(stack, tmp_path_factory.mktemp("workers"), strict=False)
    try:
        yield made.start()
    finally:
        made.close()


def test_a_foreign_lock_is_respected_recorded_and_replayed_without_redis(stage: Stage) -> None:
    faults.foreign_lock(stage)


def test_unreadable_records_are_put_aside_and_everything_behind_them_goes_on(stage: Stage) -> None:
    faults.unreadable_records(stage)


def test_the_worker_is_killed_ten_times_at_random_moments(stage: Stage) -> None:
    faults.killed_again_and_again(stage)


def test_the_worker_is_killed_with_a_backlog_in_its_hands(stage: Stage) -> None:
    faults.killed_at_work(stage)


def test_two_workers_share_one_is_killed_and_one_is_paused_past_its_session(stage: Stage) -> None:
    faults.two_share_one_dies_one_is_paused(stage)


def test_a_second_worker_joins_and_leaves_under_load(stage: Stage) -> None:
    faults.one_joins_and_leaves(stage)


def test_redis_is_flushed_in_the_middle_of_a_drop(stage: Stage) -> None:
    faults.redis_flushed(stage)


def test_postgres_is_stopped_and_started_in_the_middle_of_a_drop(stage: Stage) -> None:
    faults.postgres_restarted(stage)
