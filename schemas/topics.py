"""The topics: names, keys, partitions and retention, as the design's table says. Imports nothing of ours.

Keys and partition counts are fixed for the life of a topic: a key's order is the order of one partition.
"""

from dataclasses import dataclass
from types import MappingProxyType

from schemas.ids import DAY_S, MS_PER_S

COMMANDS = "tickets.commands"
FACTS = "tickets.facts"
NOTIFICATIONS = "notifications.outbound"
DEAD_LETTER_SUFFIX = ".dead-letters"

DAY_MS = DAY_S * MS_PER_S
RETENTION_FOREVER_MS = -1
NOTIFICATION_PARTITIONS = 4
DEAD_LETTER_PARTITIONS = 1  # read by a person, in order
BATCH_BYTES_MAX = 1_048_576
"""Of a batch of records as a client sends it, which is what Apache Kafka bounds with `max.message.bytes`. A batch has
many records; one of ours has at most `schemas.avro_reader.RECORD_BYTES_MAX`. A single record of another program may be
as large as a batch: it cannot be read, and goes to the dead letters, whose topics have the same bound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicSpec:
    """One topic as it must exist on the broker."""

    name: str
    key: str
    partitions: int
    retention_ms: int
    holds: str
    log_append_time: bool = False

    @property
    def config(self) -> MappingProxyType[str, str]:
        """The topic's configuration, in the broker's names."""
        return MappingProxyType(
            {
                "cleanup.policy": "delete",
                "retention.ms": str(self.retention_ms),
                "retention.bytes": "-1",
                "message.timestamp.type": "LogAppendTime" if self.log_append_time else "CreateTime",
                "max.message.bytes": str(BATCH_BYTES_MAX),
            }
        )


def dead_letters(topic: str) -> str:
    """The name of a topic's dead letters."""
    return topic + DEAD_LETTER_SUFFIX


def all_topics(partitions: int) -> tuple[TopicSpec, ...]:
    """Every topic of the platform. Commands and facts both have `partitions` (CIRCLE_PARTITIONS)."""
    topics = (
        TopicSpec(
            name=COMMANDS,
            key="event_id",
            partitions=partitions,
            retention_ms=RETENTION_FOREVER_MS,
            holds="requests accepted by the API, ticks",
            log_append_time=True,
        ),
        TopicSpec(
            name=FACTS,
            key="event_id",
            partitions=partitions,
            retention_ms=RETENTION_FOREVER_MS,
            holds="what was decided",
        ),
        TopicSpec(
            name=NOTIFICATIONS,
            key="user_id",
            partitions=NOTIFICATION_PARTITIONS,
            retention_ms=7 * DAY_MS,
            holds="messages to deliver, one per fact, channel and template",
        ),
    )
    return topics + tuple(
        TopicSpec(
            name=dead_letters(topic.name),
            key="as the original",
            partitions=DEAD_LETTER_PARTITIONS,
            retention_ms=30 * DAY_MS,
            holds=f"undecodable or failing records of {topic.name}",
        )
        for topic in topics
    )
