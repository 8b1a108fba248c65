"""Stores the mails of notifications.outbound as due rows, once each, by their users' preferences.

Guarantee: a message is one row, however often it is delivered. Offsets are committed after the rows, so no message is
missed. If a kind is not mailed by default and its user did not ask for it, there is no row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka import Message as Record

from connectors.failure_policy import Bound
from connectors.kafka import committed_offsets
from connectors.log_bounds import check_on_log
from connectors.log_reader import log_place
from connectors.logs import Log
from connectors.postgres import Connection, Database
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.notifications.inbox import Delivery, PutAside
from pipelines.notifications.kinds import KINDS, Channel, MailStatus
from pipelines.notifications.outbound import on_channel
from pipelines.projections.columns import columns
from schemas.codec import Codec, Undecodable
from schemas.notifications import Notification
from schemas.topics import NOTIFICATIONS
from sinks.row_by_row import each, whole_or_singly

SQL = queries(Path(__file__).parent / "sql" / "mail.sql")

log = Log("mail")

_MESSAGE = ("user_id", "partition", "offset", "index", "template", "kind", "event_id", "reservation_id", "data",
            "created_at")  # fmt: skip


class MailStore:
    """Stores mails. Waits while Postgres is away; a stop during the wait raises Stopped."""

    def __init__(self, database: Database, *, stop_requested: Callable[[], bool]) -> None:
        self._database, self._stop_requested = database, stop_requested
        self._bound = Bound("mail")

    def put(self, deliveries: Sequence[Delivery], put_aside: PutAside) -> int:
        """Store a batch. Returns the number of mails to send. Messages that cannot be stored are `put_aside` first.

        Raises EverythingFails.
        """
        if not deliveries:
            return 0

        async def write(connection: Connection, *, singly: bool) -> int:
            due = 0

            async def put(some: Sequence[Delivery]) -> None:
                nonlocal due
                messages = [delivery.message for delivery in some]
                by_default = [message.kind in KINDS and KINDS[message.kind].mail for message in messages]
                places = columns(some, ("partition", "offset"))
                rows = await connection.fetch(SQL["put_mails"], *columns(messages, _MESSAGE), *places, by_default)
                due += sum(row["status"] == MailStatus.PENDING for row in rows)

            if singly:
                failed = await each(connection, deliveries, lambda one: put([one]), self._bound)
                if failed:
                    put_aside(failed)
            else:
                await put(deliveries)
            return due

        return whole_or_singly(self._database, write, self._stop_requested)


class MailBatch(NamedTuple):
    """A batch of messages: its mails, its unreadable records, and the offsets behind it."""

    deliveries: list[Delivery]
    unreadable: list[tuple[Record, str]]
    next_offsets: dict[int, int]


class MailPositions:
    """The partitions of notifications.outbound. They go on from the group's committed offsets.

    Not `wanted`: there is no mail server. Mails are then skipped, and are not sent later either.
    """

    def __init__(self, settings: Settings, *, wanted: bool) -> None:
        self._settings, self._wanted = settings, wanted

    def assigned(self, client: Consumer, partitions: list[int]) -> Mapping[int, int | None]:
        """Go on from the committed offsets."""
        starts = committed_offsets(client, NOTIFICATIONS, partitions)
        check_on_log(self._settings, client, NOTIFICATIONS, starts)
        return starts

    def revoked(self, partitions: list[int]) -> None:
        """A partition keeps nothing here. Its next owner may store the same rows again."""

    def read(self, batch: Sequence[Record], codec: Codec) -> MailBatch:
        """The mails of a batch; of a mail that comes twice, the last."""
        mails: dict[tuple[object, ...], Delivery] = {}
        unreadable: list[tuple[Record, str]] = []
        next_offsets: dict[int, int] = {}
        for record in batch:
            partition, offset = log_place(record)
            next_offsets[partition] = offset + 1
            message = on_channel(record, codec, Channel.MAIL) if self._wanted else None
            if isinstance(message, Undecodable):
                unreadable.append((record, f"mail: {message.error}"))
            elif message is not None:
                mails[identity(message)] = Delivery(partition, offset, message)
        return MailBatch(list(mails.values()), unreadable, next_offsets)


def commit_offsets(client: Consumer, next_offsets: Mapping[int, int]) -> None:
    """Commit the offsets. A failed commit does no harm: the next one covers it, or the records are read again."""
    places = [TopicPartition(NOTIFICATIONS, partition, offset) for partition, offset in next_offsets.items()]
    try:
        client.commit(offsets=places)
    except KafkaException as error:
        log.warning("commit.failed", error=str(error.args[0]))


def identity(message: Notification) -> tuple[object, ...]:
    """The identity of a mail: equal for the same mail."""
    return (message.user_id, message.partition, message.offset, message.index, message.template)
