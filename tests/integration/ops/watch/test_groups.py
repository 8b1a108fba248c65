"""`circle groups`: each flow and each other reader of our topics, with its lag in records and seconds by partition."""

from __future__ import annotations

import dataclasses
import time

import pytest
from confluent_kafka import TopicPartition

from connectors.kafka import consumer, producer
from connectors.settings import Settings
from pipelines.reservations import flow as reservations
from pipelines.watch.consumer_groups import groups
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_line import Circle
from tests.harness.command_logs import CODEC, BothLogs, write_both
from tests.harness.flows import Flow, eventually, rows_of

PARTITION = 2
WAITED_S = 600
POSITION = """
INSERT INTO projection_positions (consumer, partition, "offset", "index", next_offset, log_time)
VALUES ($1, $2, $3, 0, $4, 0)
"""


@pytest.fixture
def log(settings: Settings) -> BothLogs:
    made = BothLogs(partition=PARTITION, seed=3)
    made.take(50)
    client = producer(settings)
    stamp = int((time.time() - WAITED_S) * 1_000)
    for _, command in made.commands:
        client.produce(COMMANDS, CODEC.encode(command), command.event_id.encode(), PARTITION, timestamp=stamp)
        client.flush(10)  # the embedded broker reports the true end only if its last batch has one record
    write_both(settings, [], made.facts[:-1])
    write_both(settings, [], made.facts[-1:])
    return made


def commit(settings: Settings, group: str, topic: str, offset: int) -> None:
    client = consumer(settings, group=group)
    client.commit(offsets=[TopicPartition(topic, PARTITION, offset)], asynchronous=False)
    client.close()


def test_each_flow_is_listed_with_its_lag_by_partition(settings: Settings, circle: Circle, log: BothLogs) -> None:
    commit(settings, "circle.reservations", COMMANDS, 20)
    with rows_of(settings) as query:
        query(POSITION, "projections", PARTITION, 10, 12)
        query(POSITION, "monitoring", PARTITION, 49, len(log.facts))
    code, found = circle("groups", "--json")
    views = {one["name"]: one for one in found}
    assert code == 0
    assert list(views) == ["reservations", "payments", "projections", "notifications", "monitoring"]
    at = views["reservations"]["partitions"][PARTITION]
    assert (at["next_offset"], at["end"], at["lag_records"]) == (20, 50, 30)
    assert WAITED_S <= at["lag_seconds"] < WAITED_S + 60
    assert [one["lag_records"] for one in views["reservations"]["partitions"]] == [0, 0, 30, 0, 0, 0, 0, 0]
    assert views["payments"]["partitions"][PARTITION]["next_offset"] is None
    rows = views["projections"]["partitions"][PARTITION]
    assert (rows["next_offset"], rows["lag_records"]) == (12, rows["end"] - 12)
    assert views["monitoring"]["lag_records"] == 0
    assert views["monitoring"]["group"] == "circle.read-side"


def test_another_programs_group_on_our_topics_is_listed_after_the_flows(
    settings: Settings, circle: Circle, log: BothLogs
) -> None:
    commit(settings, "warehouse", FACTS, 5)
    assert [one["name"] for one in circle("groups", "--json")[1]][-1] == "warehouse"
    code, (view,) = circle("groups", "warehouse", "--json")
    assert (code, view["topic"], view["partitions"][PARTITION]["next_offset"]) == (0, FACTS, 5)
    code, text = circle("groups", "warehouse")
    assert code == 0
    assert "partition" in text
    assert circle("groups", "nobody")[0] == 1


def test_a_flow_that_has_caught_up_has_no_lag_although_a_transaction_ended_behind_its_last_record(
    settings: Settings,
) -> None:
    client = producer(settings)
    client.produce(COMMANDS, b"garbage", b"key", PARTITION)
    client.flush(10)
    with Flow(reservations.run, settings):
        eventually(lambda: groups(settings, "reservations")[0].partitions[PARTITION].next_offset == 1, "decided")
        (view,) = groups(settings, "reservations")
        assert (view.lag_records, view.lag_seconds, view.state) == (0, 0.0, "STABLE")


def test_groups_are_listed_while_postgresql_is_away(settings: Settings, log: BothLogs) -> None:
    away = dataclasses.replace(settings, postgres_url="postgresql://127.0.0.1:1/none")
    views = {one.name: one for one in groups(away)}
    assert views["reservations"].unknown == ""
    assert "cannot be reached" in views["projections"].unknown
    assert views["projections"].partitions == []
