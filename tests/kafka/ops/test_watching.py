"""Watching a platform on Apache Kafka: members of groups, and offsets by time, which the embedded broker lacks."""

from __future__ import annotations

import time
from pathlib import Path

from connectors.kafka import producer
from connectors.settings import Settings
from pipelines.watch.consumer_groups import groups
from pipelines.watch.record_search import Criteria, Search
from schemas.topics import NOTIFICATIONS
from tests.harness.flows import eventually
from tests.harness.workers import Worker


def test_members_are_named_with_their_partitions(settings: Settings, tmp_path: Path) -> None:
    workers = [Worker("reservations", settings, tmp_path, number=number, strict=True) for number in (1, 2)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.wait_ready()
        eventually(lambda: len(groups(settings, "reservations")[0].members) == 2, "both are members", 60)
        eventually(lambda: groups(settings, "reservations")[0].state == "STABLE", "the group is stable", 60)
        (view,) = groups(settings, "reservations")
    finally:
        for worker in workers:
            worker.kill()
    assert {one.client_id for one in view.members} == {"reservations-1", "reservations-2"}
    owned = sorted(number for one in view.members for number in one.partitions)
    assert owned == list(range(settings.partitions))
    assert {one.member for one in view.partitions} == {"reservations-1", "reservations-2"}
    assert view.assignor


def test_a_search_by_time_begins_at_the_brokers_offset(settings: Settings) -> None:
    client, now = producer(settings), int(time.time() * 1_000)
    for number in range(2_000):
        client.produce(NOTIFICATIONS, b"garbage", b"key", 1, timestamp=now - (2_000 - number) * 1_000)
        if number % 100 == 0:
            client.flush(10)
    client.flush(10)
    searching = Search(settings, NOTIFICATIONS, Criteria(since=(now - 60_500) * 1_000))
    found = list(searching.matches())
    assert [one.offset for one in found] == list(range(1_940, 2_000))
    assert searching.progress.read == 60
    none = Search(settings, NOTIFICATIONS, Criteria(since=(now + 60_000) * 1_000, until=(now + 120_000) * 1_000))
    assert list(none.matches()) == []
    assert none.progress.read == 0
