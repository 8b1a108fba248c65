"""A source that closes takes no new partitions: the broker gives them to another member."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, ConsumerGroupState

from connectors.kafka import BatchSource, Gate, StopFlag, admin, consumer
from connectors.settings import Settings
from ops.run.services.process import wait_for
from schemas.topics import FACTS

GROUP = "closing"


class Owner:
    """An owner of partitions that notes its calls."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def assigned(self, consumer: Consumer, partitions: list[int]) -> Mapping[int, int | None]:
        self.told.append("assigned")
        return dict.fromkeys(partitions)

    def revoked(self, partitions: list[int]) -> None:
        self.told.append("revoked")


def test_what_is_assigned_while_the_source_closes_is_not_taken(settings: Settings) -> None:
    """A worker that is stopped as soon as it joins: its partitions came, but no poll has taken them."""
    client, asked, owner = consumer(settings, group=GROUP), admin(settings), Owner()
    source = BatchSource(client, topic=FACTS, owner=owner, gate=Gate(), stop=StopFlag())
    partition = source.build("source", 0, 1)

    def stable() -> bool:
        return asked.describe_consumer_groups([GROUP])[GROUP].result().state is ConsumerGroupState.STABLE

    assert wait_for(stable, timeout_s=20) is None
    partition.close()
    assert "assigned" not in owner.told
