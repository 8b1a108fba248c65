"""Three copies of a topic are worth something only if two of them have each acknowledged record."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors import topics
from connectors.topics import TopicState, planned
from schemas.topics import all_topics

(SPEC, *_) = all_topics(4)
IN_SYNC = "min.insync.replicas"


def existing(copies: int, in_sync: str) -> TopicState:
    return TopicState(
        name=SPEC.name, partitions=SPEC.partitions, replication=copies, config={**SPEC.config, IN_SYNC: in_sync}
    )


@pytest.mark.parametrize(("copies", "in_sync"), [(1, None), (2, None), (3, "2")])
def test_a_new_topic_with_three_copies_needs_two_of_them(copies: int, in_sync: str | None) -> None:
    missing = TopicState(name=SPEC.name, partitions=0, replication=0, config={})
    assert planned(SPEC, missing, copies).config.get(IN_SYNC) == in_sync


@pytest.mark.parametrize(
    ("copies", "before", "change", "config"),
    [
        (3, "1", "configured", {IN_SYNC: "2"}),
        (3, "2", "unchanged", {}),
        (4, "3", "unchanged", {}),
        (2, "1", "unchanged", {}),  # with two of two, the loss of one broker would stop the sale
        (1, "1", "unchanged", {}),
    ],
)
def test_an_existing_topic_is_made_as_safe_and_never_less(
    copies: int, before: str, change: str, config: dict[str, str]
) -> None:
    plan = planned(SPEC, existing(copies, before), 1)
    assert (plan.change, plan.config) == (change, config)


def test_a_broker_that_does_not_say_is_left_as_it_is() -> None:
    state = TopicState(name=SPEC.name, partitions=SPEC.partitions, replication=3, config=dict(SPEC.config))
    assert planned(SPEC, state, 3).change == "unchanged"


class Leaders:
    """A client of the broker that gets this answer from each leader."""

    def __init__(self, error: int | None) -> None:
        self.error, self.looks = error, 0

    def list_offsets(self, asked: Mapping[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        self.looks += 1
        answers: dict[Any, Future[Any]] = {partition: Future() for partition in asked}
        for answer in answers.values():
            if self.error is None:
                answer.set_result(None)
            else:
                answer.set_exception(KafkaException(KafkaError(self.error)))
        return answers


def test_a_client_that_remembers_a_deleted_topics_leaders_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    stale, fresh = Leaders(KafkaError.UNKNOWN_LEADER_EPOCH), Leaders(None)
    monkeypatch.setattr(topics, "admin", lambda cluster: fresh)
    missing = TopicState(name=SPEC.name, partitions=0, replication=0, config={})
    topics._wait_until_served(stale, "127.0.0.1:1", [planned(SPEC, missing, 1)])  # type: ignore[arg-type]
    assert (stale.looks, fresh.looks) == (1, 1)
