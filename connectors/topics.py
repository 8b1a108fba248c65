"""Brings the broker's topics in line with their specification, and reports on them.

Idempotent: a second run changes nothing. A partition count is never changed: that would move keys to other partitions
and break their order. A topic with another count is an error.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from connectors.errors import ServiceUnreachable, TopicMismatch
from connectors.kafka_clients import new_admin, right_missing
from connectors.settings import PARTITIONS_DEFAULT, Settings
from schemas.topics import COMMANDS, TopicSpec, all_topics

TIMEOUT_S = 10.0
SERVED_TIMEOUT_S = 2.0  # one look at the leaders of new topics, of several within TIMEOUT_S
REPLICATION_MAX = 3  # survives the loss of any one broker with two in sync
# With three copies, an acknowledged record is on two brokers. By a broker's default it may be on one, and die with it.
IN_SYNC, IN_SYNC_MIN = "min.insync.replicas", 2
DELETE_TIMEOUT_S = 20.0
LOOK_S = 0.02  # a broker sends no signal when its metadata has changed; a limit above bounds each wait

STALE = frozenset((KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.FENCED_LEADER_EPOCH, KafkaError._TIMED_OUT))

T = TypeVar("T")
Cluster = Settings | str
"""How to reach the brokers. A text is the address of brokers without TLS and credentials."""
Change = Literal["created", "configured", "unchanged"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicState:
    """One topic as the broker has it. `partitions` is 0 when it does not exist."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """What was done (or, in a dry run, would be done) to one topic."""

    topic: str
    change: Change
    partitions: int
    config: dict[str, str]


def apply_topics(
    cluster: Cluster, *, partitions: int | None = None, dry_run: bool = False, recreate: bool = False
) -> list[Applied]:
    """Create missing topics and correct configuration that differs. `recreate` deletes all our topics first.

    Raises `TopicMismatch` when a topic has another partition count, `ServiceUnreachable` when no broker answers.
    """
    client = admin(cluster)
    specs = all_topics(partitions or PARTITIONS_DEFAULT)
    if recreate and not dry_run:
        _delete(client, _address_of(cluster), specs)
    states = _describe(client, _address_of(cluster), specs)
    for spec in specs:
        _refuse_other_partitions(spec, states[spec.name])
    replication = min(REPLICATION_MAX, _brokers(client, _address_of(cluster)))
    applied = [planned(spec, states[spec.name], replication) for spec in specs]
    if not dry_run:
        _create(client, cluster, applied, replication)
        _configure(client, _address_of(cluster), applied)
    return applied


def apply_topic(cluster: Cluster, spec: TopicSpec, *, recreate: bool = False) -> Applied:
    """The same for one topic that is not one of the platform's. Raises as `apply_topics` does."""
    client = admin(cluster)
    if recreate:
        _delete(client, _address_of(cluster), [spec])
    state = _describe(client, _address_of(cluster), [spec])[spec.name]
    _refuse_other_partitions(spec, state)
    replication = min(REPLICATION_MAX, _brokers(client, _address_of(cluster)))
    applied = planned(spec, state, replication)
    _create(client, cluster, [applied], replication)
    return applied


def stamp_as_told(cluster: Cluster) -> None:
    """Let commands keep their writer's time while a decided log is copied.

    `apply_topics` reverses this. Raises ServiceUnreachable.
    """
    config = {"message.timestamp.type": "CreateTime"}
    _configure(
        admin(cluster),
        _address_of(cluster),
        [Applied(topic=COMMANDS, change="configured", partitions=0, config=config)],
    )


def delete_topic(cluster: Cluster, spec: TopicSpec) -> None:
    """Delete a topic if it exists. Raises ServiceUnreachable."""
    _delete(admin(cluster), _address_of(cluster), [spec])


def describe_topics(cluster: Cluster, *, partitions: int | None = None) -> list[TopicState]:
    """All our topics as the broker has them."""
    specs = all_topics(partitions or PARTITIONS_DEFAULT)
    states = _describe(admin(cluster), _address_of(cluster), specs)
    return [states[spec.name] for spec in specs]


def admin(cluster: Cluster) -> AdminClient:
    """An admin client. Its own log is off, because every failure comes back as an error."""
    return new_admin(_settings_of(cluster), quiet=True)


def _settings_of(cluster: Cluster) -> Settings:
    return Settings(kafka_bootstrap_servers=cluster) if isinstance(cluster, str) else cluster


def _address_of(cluster: Cluster) -> str:
    return _settings_of(cluster).kafka_bootstrap_servers


def planned(spec: TopicSpec, state: TopicState, replication: int) -> Applied:
    """What is missing. A new topic gets `replication` copies."""
    if state.partitions == 0:
        config = dict(spec.config) | _in_sync(replication)
        return Applied(topic=spec.name, change="created", partitions=spec.partitions, config=config)
    differs = {name: value for name, value in spec.config.items() if state.config.get(name, value) != value}
    if int(state.config.get(IN_SYNC, IN_SYNC_MIN)) < IN_SYNC_MIN:  # a larger number is the operator's choice
        differs |= _in_sync(state.replication)
    change: Change = "configured" if differs else "unchanged"
    return Applied(topic=spec.name, change=change, partitions=spec.partitions, config=differs)


def _in_sync(replication: int) -> dict[str, str]:
    return {IN_SYNC: str(IN_SYNC_MIN)} if replication >= REPLICATION_MAX else {}


def _refuse_other_partitions(spec: TopicSpec, state: TopicState) -> None:
    if state.partitions not in (0, spec.partitions):
        raise TopicMismatch(
            f"{spec.name} has {state.partitions} partitions and CIRCLE_PARTITIONS asks for "
            f"{spec.partitions}; the count is fixed for the life of a topic, so set "
            f"CIRCLE_PARTITIONS={state.partitions}"
        )


def _create(client: AdminClient, cluster: Cluster, applied: Sequence[Applied], replication: int) -> None:
    new = [
        NewTopic(one.topic, num_partitions=one.partitions, replication_factor=replication, config=one.config)
        for one in applied
        if one.change == "created"
    ]
    if new:
        for future in client.create_topics(new, operation_timeout=TIMEOUT_S).values():
            # Another process may have created it first; the next line waits for that topic too.
            _result(future, _address_of(cluster), ignore=KafkaError.TOPIC_ALREADY_EXISTS)
        _wait_until_served(client, cluster, [one for one in applied if one.change == "created"])


def _wait_until_served(client: AdminClient, cluster: Cluster, applied: Sequence[Applied]) -> None:
    """Wait until each leader answers. A new topic's metadata may name a leader that does not know the topic yet.

    A client can keep the leader epoch of a deleted topic of the same name, and asks with it until its time is up
    (librdkafka#4620). Then a new client looks.
    """
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(one.topic, partition): latest for one in applied for partition in range(one.partitions)}
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            for future in client.list_offsets(asked, request_timeout=SERVED_TIMEOUT_S).values():
                future.result(timeout=TIMEOUT_S)
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise _unreachable(_address_of(cluster), error) from None
            time.sleep(LOOK_S)
            if error.args[0].code() in STALE:
                client = admin(cluster)
        else:
            return


def _configure(client: AdminClient, address: str, applied: Sequence[Applied]) -> None:
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            one.topic,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in one.config.items()
            ],
        )
        for one in applied
        if one.change == "configured"
    ]
    if resources:
        for future in client.incremental_alter_configs(resources, request_timeout=TIMEOUT_S).values():
            _result(future, address)


def _delete(client: AdminClient, address: str, specs: Sequence[TopicSpec]) -> None:
    present = [spec.name for spec in specs if spec.name in _metadata(client, address).topics]
    if not present:
        return
    for future in client.delete_topics(present, operation_timeout=TIMEOUT_S).values():
        _result(future, address)
    deadline = time.monotonic() + DELETE_TIMEOUT_S
    while set(present) & set(_metadata(client, address).topics):
        if time.monotonic() > deadline:
            raise ServiceUnreachable("Kafka", address, f"topics are still there after {DELETE_TIMEOUT_S:.0f} s")
        time.sleep(LOOK_S)


def _describe(client: AdminClient, address: str, specs: Sequence[TopicSpec]) -> dict[str, TopicState]:
    known = _metadata(client, address).topics
    states: dict[str, TopicState] = {}
    for spec in specs:
        metadata = known.get(spec.name)
        if metadata is None or metadata.error is not None:
            states[spec.name] = TopicState(name=spec.name, partitions=0, replication=0, config={})
            continue
        first = next(iter(metadata.partitions.values()), None)
        states[spec.name] = TopicState(
            name=spec.name,
            partitions=len(metadata.partitions),
            replication=len(first.replicas) if first is not None else 0,
            config={},
        )
    existing = [name for name, state in states.items() if state.partitions]
    if not existing:
        return states
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in existing]
    for resource, future in client.describe_configs(resources, request_timeout=TIMEOUT_S).items():
        wanted = [*next(spec.config for spec in specs if spec.name == resource.name), IN_SYNC]
        entries = _result(future, address) or {}
        config = {name: entries[name].value for name in wanted if name in entries and entries[name].value}
        states[resource.name].config.update(config)
    return states


def _brokers(client: AdminClient, address: str) -> int:
    return max(1, len(_metadata(client, address).brokers))


def _metadata(client: AdminClient, address: str) -> ClusterMetadata:
    try:
        return client.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise ServiceUnreachable(
            "Kafka", address, f"{error.args[0].str()}; is CIRCLE_KAFKA_BOOTSTRAP_SERVERS right?"
        ) from None


def _result(future: Future[T], address: str, *, ignore: int | None = None) -> T | None:
    try:
        return future.result(timeout=TIMEOUT_S)
    except KafkaException as error:
        if ignore is not None and error.args[0].code() == ignore:
            return None
        if (refused := right_missing(error.args[0], "")) is not None:
            raise refused from None
        raise ServiceUnreachable(
            "Kafka", address, f"{error.args[0].str()}; is CIRCLE_KAFKA_BOOTSTRAP_SERVERS right?"
        ) from None


def _unreachable(address: str, error: KafkaException) -> ServiceUnreachable:
    reason = error.args[0].str()
    return ServiceUnreachable("Kafka", address, f"{reason}; is CIRCLE_KAFKA_BOOTSTRAP_SERVERS right?")
