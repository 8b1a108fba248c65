"""Watching a platform on Apache Kafka: members of groups, and offsets by time, which the embedded broker lacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from connectors.kafka import producer
from connectors.settings import Settings
from ops.run.services.process import free_port
from pipelines.monitoring import watch
from pipelines.watch.consumer_groups import groups
from pipelines.watch.record_search import Criteria, Search
from schemas.topics import COMMANDS, NOTIFICATIONS
from tests.harness.flows import Flow, eventually, monitoring
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


@dataclass(frozen=True)
class Member:
    """A worker and its own metrics."""

    worker: Worker

    def changes(self) -> tuple[float, float, float]:
        """The partitions that it has, and how often it was given some and had to give some back."""
        figure = self.worker.figure
        counts = (figure("circle_rebalances_total", topic=COMMANDS, what=what) for what in ("assigned", "revoked"))
        return (figure("circle_partitions_owned", topic=COMMANDS), *counts)  # type: ignore[return-value]


@pytest.fixture
def members(settings: Settings, tmp_path: Path) -> Iterator[list[Member]]:
    """Two workers of the reservations that are not started yet."""
    made = [
        Member(Worker("reservations", settings, tmp_path, number=number, strict=True, metrics_port=free_port()))
        for number in (1, 2)
    ]
    yield made
    for one in made:
        if one.worker.alive:
            one.worker.kill()


def of_group(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"group": "circle.reservations", **labels})


def settled(members: int, state: str) -> Callable[[], bool]:
    """Whether monitoring's metrics show that many members and that state alone."""

    def holds() -> bool:
        shown = of_group("circle_group_members"), of_group("circle_group_state", state=state)
        return shown == (float(members), 1.0)

    return holds


def test_a_member_that_joins_and_leaves_is_in_its_own_metrics_in_the_others_and_in_those_of_monitoring(
    settings: Settings, members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.2)
    first, second = members
    everything = float(settings.partitions)
    with Flow(monitoring, settings):
        first.worker.start().wait_ready()
        eventually(settled(1, "stable"), "monitoring sees one member", 60)
        assert first.changes() == (everything, 1, 0)

        second.worker.start().wait_ready()
        eventually(settled(2, "stable"), "monitoring sees both members", 60)
        eventually(lambda: first.changes()[0] + second.changes()[0] == everything, "all partitions have an owner", 60)
        assert min(first.changes()[0], second.changes()[0]) >= 1
        assert first.changes()[1:] == (2, 1)
        assert second.changes()[1:] == (1, 0)

        assert second.worker.stop() == 0
        eventually(lambda: first.changes() == (everything, 3, 2), "the first has all partitions again", 60)
        eventually(settled(1, "stable"), "monitoring sees one member again", 60)
        assert of_group("circle_group_state", state="empty") is None

        assert first.worker.stop() == 0
        eventually(settled(0, "empty"), "monitoring sees a group without members", 60)
        assert of_group("circle_group_state", state="stable") is None


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
