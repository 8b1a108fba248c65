"""The consumer groups: state, members, positions and lags, of the platform's flows and of other readers of its topics.

The position of a flow without rows is its group's committed offset. A branch of the read side stores its position with
its rows in PostgreSQL, and so the committed offsets of its group say nothing. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription

from connectors.errors import CircleError, ServiceUnreachable
from connectors.kafka import READERS, admin
from connectors.kafka_clients import refused_right
from connectors.postgres import Connection, Database
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.watch.lags import LagMeter, ReaderLag
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS

TIMEOUT_S = 10.0
OF_FLOWS = {"circle.reservations": COMMANDS, "circle.payments": FACTS}
"""The groups whose committed offsets are a flow's position, and the topic that the flow reads."""
READ_SIDE = "circle.read-side"
BRANCHES = ("projections", "notifications", "monitoring")
TOPICS = (COMMANDS, FACTS, NOTIFICATIONS)
EMPTY, DEAD = "EMPTY", "DEAD"

SQL = queries(Path(__file__).parent / "sql" / "positions.sql")

T = TypeVar("T")


class NoSuchGroup(CircleError):
    """No flow and no consumer group has this name."""


class GroupMember(msgspec.Struct, frozen=True, kw_only=True):
    """A process in a group, and the partitions that it owns."""

    client_id: str
    host: str
    partitions: list[int]


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """One reader of one topic.

    `name` is the flow's or the group's. `group` is the consumer group through which its processes share partitions, and
    `state` is that group's: STABLE, EMPTY without members, UNKNOWN where the broker does not say. The embedded broker
    lists no members. `unknown` says why there are no positions.
    """

    name: str
    group: str
    topic: str
    state: str
    assignor: str
    coordinator: str
    members: list[GroupMember]
    partitions: list[ReaderLag]
    lag_records: int
    lag_seconds: float
    unknown: str = ""


def groups(settings: Settings, only: str | None = None) -> list[GroupView]:
    """The flows first, then other groups that have read our topics. `only` is one name of them.

    Raises NoSuchGroup, ServiceUnreachable.
    """
    client = admin(settings)
    listed = _asked(settings, lambda: client.list_consumer_groups(request_timeout=TIMEOUT_S).result())
    names = {one.group_id for one in listed.valid}
    others = sorted(name for name in names if not name.startswith(("circle.", READERS)))
    branch_groups = [f"circle.{name}" for name in BRANCHES]
    described = _described(settings, client, [*OF_FLOWS, READ_SIDE, *branch_groups, *others])
    views: list[GroupView] = []
    with LagMeter(settings) as meter:
        for group, topic in OF_FLOWS.items():
            if only in (None, group, _short(group)):
                places = _committed(settings, client, group).get(topic, {})
                views.append(_view(_short(group), topic, described[group], meter, places))
        if only is None or _short(only) in BRANCHES or only == READ_SIDE:
            views += _branches(settings, described, meter, only)
        for group in others:
            for topic, places in _committed(settings, client, group).items():
                if only in (None, group) and topic.startswith(TOPICS):
                    views.append(_view(group, topic, described[group], meter, places))
    if only is not None and not views:
        raise NoSuchGroup(f"no flow and no consumer group that has read our topics is called {only}")
    return views


def _branches(
    settings: Settings, described: Mapping[str, ConsumerGroupDescription], meter: LagMeter, only: str | None
) -> Iterable[GroupView]:
    try:
        with closing(Database(settings.postgres_url)) as database:
            stored, unknown = database.run(_positions, readonly=True), ""
    except ServiceUnreachable as error:
        stored, unknown = {}, str(error)
    for name in BRANCHES:
        if only in (None, READ_SIDE, name, f"circle.{name}"):
            alone = described[f"circle.{name}"]
            group = described[READ_SIDE] if alone.state.name in (EMPTY, DEAD, "UNKNOWN") else alone
            yield _view(name, FACTS, group, meter, stored.get(name, {}), unknown)


def _view(
    name: str,
    topic: str,
    group: ConsumerGroupDescription,
    meter: LagMeter,
    positions: Mapping[int, int | None],
    unknown: str = "",
) -> GroupView:
    members = sorted((_member(one, topic) for one in group.members), key=lambda one: (one.client_id, one.partitions))
    owners = {number: member.client_id for member in members for number in member.partitions}
    lags = [] if unknown else meter.lags(topic, positions, owners)
    return GroupView(
        name=name,
        group=group.group_id,
        topic=topic,
        state=EMPTY if group.state.name == DEAD else group.state.name,  # a group that no process has joined yet
        assignor=group.partition_assignor or "",
        coordinator=f"{group.coordinator.host}:{group.coordinator.port}",
        members=members,
        partitions=lags,
        lag_records=sum(one.lag_records for one in lags),
        lag_seconds=max((one.lag_seconds for one in lags), default=0.0),
        unknown=unknown,
    )


def _member(member: Any, topic: str) -> GroupMember:
    assigned = member.assignment.topic_partitions if member.assignment is not None else []
    return GroupMember(
        client_id=member.client_id,
        host=member.host.removeprefix("/"),
        partitions=sorted(place.partition for place in assigned if place.topic == topic),
    )


def _described(settings: Settings, client: AdminClient, names: Sequence[str]) -> dict[str, ConsumerGroupDescription]:
    futures = client.describe_consumer_groups(list(names), request_timeout=TIMEOUT_S)
    return {name: _asked(settings, future.result) for name, future in futures.items()}


def _committed(settings: Settings, client: AdminClient, group: str) -> dict[str, dict[int, int | None]]:
    """By topic and partition: the group's next offset."""
    asked = [ConsumerGroupTopicPartitions(group)]
    (future,) = client.list_consumer_group_offsets(asked, request_timeout=TIMEOUT_S).values()
    places: dict[str, dict[int, int | None]] = {}
    for place in _asked(settings, future.result).topic_partitions or ():
        places.setdefault(place.topic, {})[place.partition] = place.offset if place.offset >= 0 else None
    return places


def _asked(settings: Settings, ask: Any) -> Any:
    try:
        return ask()
    except KafkaException as error:
        if (refused := refused_right(error)) is not None:
            raise refused from None
        raise ServiceUnreachable("Kafka", settings.kafka_bootstrap_servers, str(error.args[0])) from error


async def _positions(connection: Connection) -> dict[str, dict[int, int | None]]:
    positions: dict[str, dict[int, int | None]] = {}
    for name, partition, next_offset in await connection.fetch(SQL["branch_positions"]):
        positions.setdefault(name, {})[partition] = next_offset if next_offset >= 0 else None
    return positions


def _short(name: str) -> str:
    return name.removeprefix("circle.")
