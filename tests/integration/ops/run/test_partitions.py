"""A platform on one machine has as few partitions as its workers need, and keeps those of a topic that is there."""

from __future__ import annotations

import pytest

from connectors.settings import Settings
from connectors.topics import apply_topics
from ops.run.platform import partitions_for
from ops.run.services.stack import Stack
from pipelines.configuration import settings_from_env


def test_topics_that_are_there_keep_their_count(settings: Settings) -> None:
    apply_topics(settings, partitions=5, recreate=True)
    assert partitions_for(settings, 1) == 5
    assert partitions_for(settings, 9) == 5


@pytest.mark.parametrize(("reservations", "partitions"), [(1, 2), (2, 2), (3, 3)])
def test_without_topics_there_is_a_partition_for_each_worker_and_two_at_least(
    stack: Stack, reservations: int, partitions: int
) -> None:
    stack.kafka.restart(kill=True)  # the embedded broker loses its topics
    assert partitions_for(settings_from_env(stack.env), reservations) == partitions
