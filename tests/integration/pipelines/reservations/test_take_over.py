"""A partition is taken over from an owner that died within a transaction: the open transaction must hide nothing."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaException, TopicPartition

from connectors.kafka import consumer, end_transactions, transactional_producer
from connectors.postgres import Database
from connectors.settings import Settings
from pipelines.reservations.core.state import EventState
from pipelines.reservations.loader import PartitionLoader
from pipelines.reservations.partition import Partition
from pipelines.reservations.snapshot_store import SnapshotStore
from pipelines.reservations.wiring import GROUP
from schemas.codec import Codec
from schemas.topics import FACTS


class NoInstaller:
    def install(self, partition: Partition, states: list[EventState]) -> None:
        assert not states

    def distrust(self, partition: Partition) -> None:
        """Do nothing: this test needs no Redis."""


def loader(settings: Settings, store: SnapshotStore, name: str) -> PartitionLoader:
    return PartitionLoader(
        partitions={},
        store=store,
        codec=Codec(),
        installer=NoInstaller(),
        facts_reader=lambda: consumer(settings, group=None, **{"enable.partition.eof": True}),
        transactional_id=name,
        end_transactions=lambda former: end_transactions(settings, former),
        in_place=lambda _, found: found,
    )


def test_the_successor_ends_what_a_dead_owner_left_open(settings: Settings) -> None:
    database = Database(settings.postgres_url)
    store, client = SnapshotStore(database), consumer(settings, group=GROUP)
    dead = transactional_producer(settings, "dead")
    dead.init_transactions(10)
    loader(settings, store, "dead").assigned(client, [0])
    dead.begin_transaction()
    dead.produce(FACTS, b"left open", b"e", 0)
    dead.flush(10)
    alive = transactional_producer(settings, "alive")
    alive.init_transactions(10)
    loader(settings, store, "alive").assigned(client, [0])
    alive.begin_transaction()
    alive.produce(FACTS, b"decided after it", b"e", 0)
    alive.commit_transaction(10)
    reader = consumer(settings, group=None)
    reader.assign([TopicPartition(FACTS, 0, 0)])
    seen: list[bytes | None] = []
    while b"decided after it" not in seen:
        record = reader.poll(10)
        assert record is not None, "the open transaction of the dead owner hides it"
        seen.append(record.value())
    with pytest.raises(KafkaException):
        dead.commit_transaction(10)
    reader.close()
    client.close()
    database.close()


def test_an_owner_that_gave_its_partition_back_is_left_in_peace(settings: Settings) -> None:
    database = Database(settings.postgres_url)
    store, client = SnapshotStore(database), consumer(settings, group=GROUP)
    first = transactional_producer(settings, "first")
    first.init_transactions(10)
    former = loader(settings, store, "first")
    former.assigned(client, [0])
    former.revoked([0])
    loader(settings, store, "second").assigned(client, [0])
    first.begin_transaction()
    first.produce(FACTS, b"still alive", b"e", 1)
    first.commit_transaction(10)
    client.close()
    database.close()


def test_giving_back_late_takes_nothing_from_the_successor(settings: Settings) -> None:
    database = Database(settings.postgres_url)
    store = SnapshotStore(database)
    assert store.raise_epoch(3, "first") == (1, "")
    assert store.raise_epoch(3, "second") == (2, "first")
    store.give_back(3, 1)
    assert store.raise_epoch(3, "third") == (3, "second")
    store.give_back(3, 3)
    assert store.raise_epoch(3, "fourth") == (4, "")
    database.close()
