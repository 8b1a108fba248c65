"""The rights that each process needs on Kafka, as data. An authorizer can deny everything else.

Guarantee: with only the rights of its process, a principal does the work of that process. The tests on Apache Kafka run
each process under its own principal with the rights of this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from connectors.errors import ServiceUnreachable
from connectors.kafka import READERS, admin
from connectors.kafka_clients import right_missing
from connectors.settings import Settings
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS, dead_letters

TIMEOUT_S = 60.0  # a hundred rights are a hundred records for the controller; a busy machine needs time for them
PRINCIPAL = "User:{process}"
ANYWHERE = "*"  # a firewall limits the hosts of a principal


class Process(StrEnum):
    """The processes; each has its own principal."""

    API = "api"
    RESERVATIONS = "reservations"
    READ_SIDE = "read-side"
    PROJECTIONS = "projections"
    NOTIFICATIONS = "notifications"
    PAYMENTS = "payments"
    MONITORING = "monitoring"
    OPERATOR = "operator"
    TOPICS = "topics"


BRANCHES = (Process.PROJECTIONS, Process.MONITORING, Process.NOTIFICATIONS)
"""The processes whose work the read side does, if they do not run alone."""


class ResourceKind(StrEnum):
    """The kind of resource, in the words of `kafka-acls`."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Right:
    """One row: operations on one resource, or on all resources with this prefix."""

    process: Process
    kind: ResourceKind
    name: str
    operations: tuple[str, ...]
    why: str
    prefixed: bool = False


def _rows() -> Iterable[Right]:
    p, topic, group, transactional = Process, ResourceKind.TOPIC, ResourceKind.GROUP, ResourceKind.TRANSACTIONAL_ID
    letters = {one: dead_letters(one) for one in (COMMANDS, FACTS, NOTIFICATIONS)}
    yield Right(
        process=p.API, kind=topic, name=COMMANDS, operations=("Write", "Read"), why="requests; a reservation's history"
    )
    yield Right(
        process=p.API,
        kind=topic,
        name=FACTS,
        operations=("Read",),
        why="the history of a reservation, the seat map of a time",
    )
    yield Right(process=p.API, kind=topic, name=NOTIFICATIONS, operations=("Read",), why="the console's records")
    for name in letters.values():
        yield Right(
            process=p.API, kind=topic, name=name, operations=("Read", "Write"), why="the console's dead letters"
        )
    yield Right(
        process=p.API,
        kind=transactional,
        name="circle-dlq-redrive",
        operations=("Write",),
        why="a letter goes back once, with its mark",
    )
    yield Right(
        process=p.API,
        kind=group,
        name="circle.",
        operations=("Describe",),
        why="how far the dataflows are",
        prefixed=True,
    )
    yield Right(process=p.RESERVATIONS, kind=topic, name=COMMANDS, operations=("Read", "Write"), why="commands; ticks")
    yield Right(
        process=p.RESERVATIONS,
        kind=topic,
        name=FACTS,
        operations=("Read", "Write"),
        why="decisions; the facts that rows do not have yet",
    )
    yield Right(
        process=p.RESERVATIONS,
        kind=topic,
        name=letters[COMMANDS],
        operations=("Write",),
        why="commands that cannot be read",
    )
    yield Right(
        process=p.RESERVATIONS,
        kind=group,
        name="circle.reservations",
        operations=("Read",),
        why="its share of the partitions",
    )
    yield Right(
        process=p.RESERVATIONS,
        kind=transactional,
        name="circle-reservations-",
        operations=("Write",),
        why="facts and offsets at once",
        prefixed=True,
    )
    yield Right(process=p.PROJECTIONS, kind=topic, name=FACTS, operations=("Read",), why="facts")
    yield Right(
        process=p.PROJECTIONS, kind=topic, name=COMMANDS, operations=("Read",), why="whether a fact's command is there"
    )
    yield Right(
        process=p.PROJECTIONS, kind=topic, name=letters[FACTS], operations=("Write",), why="facts that cannot be read"
    )
    yield Right(
        process=p.PROJECTIONS,
        kind=group,
        name="circle.projections",
        operations=("Read",),
        why="its share of the partitions",
    )
    yield Right(process=p.NOTIFICATIONS, kind=topic, name=FACTS, operations=("Read",), why="facts")
    yield Right(
        process=p.NOTIFICATIONS,
        kind=topic,
        name=COMMANDS,
        operations=("Read",),
        why="whether a fact's command is there",
    )
    yield Right(
        process=p.NOTIFICATIONS,
        kind=topic,
        name=NOTIFICATIONS,
        operations=("Read", "Write"),
        why="the export; the rest of version 0.2",
    )
    yield Right(
        process=p.NOTIFICATIONS, kind=topic, name=letters[FACTS], operations=("Write",), why="facts that cannot be read"
    )
    yield Right(
        process=p.NOTIFICATIONS,
        kind=topic,
        name=letters[NOTIFICATIONS],
        operations=("Write",),
        why="mails that failed",
    )
    yield Right(
        process=p.NOTIFICATIONS,
        kind=group,
        name="circle.notifications",
        operations=("Read",),
        why="its share of the partitions",
    )
    yield Right(
        process=p.NOTIFICATIONS,
        kind=group,
        name="circle.mail",
        operations=("Read",),
        why="the rest of version 0.2",
    )
    yield Right(process=p.PAYMENTS, kind=topic, name=FACTS, operations=("Read",), why="payment requests")
    yield Right(process=p.PAYMENTS, kind=topic, name=COMMANDS, operations=("Write",), why="what the provider said")
    yield Right(process=p.PAYMENTS, kind=topic, name=letters[FACTS], operations=("Write",), why="jobs that failed")
    yield Right(
        process=p.PAYMENTS, kind=group, name="circle.payments", operations=("Read",), why="its share of the partitions"
    )
    yield Right(process=p.MONITORING, kind=topic, name=FACTS, operations=("Read",), why="facts")
    yield Right(
        process=p.MONITORING,
        kind=topic,
        name=COMMANDS,
        operations=("Read",),
        why="where it ends, for lags; whether a fact's command is there",
    )
    for origin, name in letters.items():
        operations = ("Read", "Write") if origin == FACTS else ("Read",)
        what = "how many letters there are" + ("; facts that cannot be counted" if origin == FACTS else "")
        yield Right(process=p.MONITORING, kind=topic, name=name, operations=operations, why=what)
    yield Right(
        process=p.MONITORING,
        kind=group,
        name="circle.monitoring",
        operations=("Read",),
        why="its share of the partitions",
    )
    yield Right(
        process=p.MONITORING,
        kind=group,
        name="circle.",
        operations=("Describe",),
        why="how far the others are",
        prefixed=True,
    )
    everything = ("Read", "Write", "Create", "Delete", "AlterConfigs")
    yield Right(
        process=p.OPERATOR,
        kind=topic,
        name="tickets.",
        operations=everything,
        why="verify, replay, dlq; shadows' topics, imports",
        prefixed=True,
    )
    yield Right(
        process=p.OPERATOR,
        kind=topic,
        name=NOTIFICATIONS,
        operations=("Read", "Write", "DescribeConfigs"),
        why="dlq, import",
        prefixed=True,
    )
    yield Right(
        process=p.OPERATOR,
        kind=group,
        name="circle.",
        operations=("Read",),
        why="how far the dataflows are",
        prefixed=True,
    )
    yield Right(
        process=p.OPERATOR,
        kind=transactional,
        name="circle-",
        operations=("Write",),
        why="letters go back all or none",
        prefixed=True,
    )
    for name in ("tickets.", NOTIFICATIONS):
        yield Right(
            process=p.TOPICS,
            kind=topic,
            name=name,
            operations=("Create", "Describe", "AlterConfigs"),
            why="`circle topics apply`",
            prefixed=True,
        )
    yield Right(
        process=p.TOPICS,
        kind=ResourceKind.CLUSTER,
        name="kafka-cluster",
        operations=("Describe",),
        why="how many brokers there are",
    )
    for one in (p.API, p.RESERVATIONS, p.PROJECTIONS, p.NOTIFICATIONS, p.PAYMENTS, p.MONITORING, p.OPERATOR):
        yield Right(
            process=one,
            kind=group,
            name=READERS,
            operations=("Describe",),
            why="reading one partition outside any group",
            prefixed=True,
        )


def _with_read_side(rows: Iterable[Right]) -> Iterable[Right]:
    """The rows, and the read side's: all rights of its branches, each resource once."""
    of_branches: dict[tuple[ResourceKind, str, bool], Right] = {}
    for row in rows:
        yield row
        if row.process not in BRANCHES:
            continue
        key = row.kind, row.name, row.prefixed
        known = of_branches.get(key, row)
        operations = tuple(dict.fromkeys((*known.operations, *row.operations)))
        of_branches[key] = replace(known, process=Process.READ_SIDE, operations=operations)
    yield from of_branches.values()
    yield Right(
        process=Process.READ_SIDE,
        kind=ResourceKind.GROUP,
        name="circle.read-side",
        operations=("Read",),
        why="its share of the partitions",
    )


RIGHTS: tuple[Right, ...] = tuple(_with_read_side(_rows()))

_RESOURCES = {
    ResourceKind.TOPIC: ResourceType.TOPIC,
    ResourceKind.GROUP: ResourceType.GROUP,
    ResourceKind.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
    ResourceKind.CLUSTER: ResourceType.BROKER,
}
_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Delete": AclOperation.DELETE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "AlterConfigs": AclOperation.ALTER_CONFIGS,
}


def chosen(process: Process | None = None) -> list[Right]:
    """The rows of one process, or all."""
    return [one for one in RIGHTS if process in (None, one.process)]


def command(right: Right, principal: str = PRINCIPAL) -> str:
    """A row as arguments of `kafka-acls --bootstrap-server … --command-config …`."""
    words = ["--add", "--allow-principal", principal.format(process=right.process.value)]
    words += [word for operation in right.operations for word in ("--operation", operation)]
    words += ["--cluster"] if right.kind is ResourceKind.CLUSTER else [f"--{right.kind.value}", right.name]
    return " ".join([*words, *(("--resource-pattern-type", "prefixed") if right.prefixed else ())])


def as_row(right: Right, principal: str = PRINCIPAL) -> dict[str, object]:
    """A row for programs."""
    return {
        "process": right.process.value,
        "principal": principal.format(process=right.process.value),
        "resource": right.kind.value,
        "name": right.name,
        "prefixed": right.prefixed,
        "operations": list(right.operations),
        "why": right.why,
    }


def bindings(rights: Sequence[Right], principal: str = PRINCIPAL) -> list[AclBinding]:
    """Rows as Kafka's admin interface has them, one for each operation."""
    return [
        AclBinding(
            _RESOURCES[one.kind],
            one.name,
            ResourcePatternType.PREFIXED if one.prefixed else ResourcePatternType.LITERAL,
            principal.format(process=one.process.value),
            ANYWHERE,
            _OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )
        for one in rights
        for operation in one.operations
    ]


def apply(settings: Settings, rights: Sequence[Right], principal: str = PRINCIPAL) -> int:
    """Give these rights, and take none away. Returns the number of bindings.

    Raises AccessRefused when our own principal lacks the right, ServiceUnreachable.
    """
    wanted, client = bindings(rights, principal), admin(settings)  # its answers come while it is there
    for future in client.create_acls(wanted, request_timeout=TIMEOUT_S).values():
        try:
            future.result(timeout=TIMEOUT_S)
        except KafkaException as error:
            if (refused := right_missing(error.args[0], "kafka-cluster")) is not None:
                raise refused from None
            raise ServiceUnreachable("Kafka", settings.kafka_bootstrap_servers, error.args[0].str()) from None
    return len(wanted)
