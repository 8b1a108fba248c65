"""Delivers what is left on notifications.outbound: once, at the first start after an upgrade or an import.

Until version 0.2, messages went over that topic to the inbox and to the mails. This reads it from where the inbox and
the mails had stopped to its end. After `circle replay import` the inbox begins at the first record; the import puts the
mails behind the last, so no mail is sent again. Guarantee: a message is a row with its identity, so nothing is
delivered twice, also when this runs again after a crash.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from confluent_kafka import TopicPartition

from connectors.kafka import committed_offsets, consumer
from connectors.log_reader import LogReader, offset_of, partitions_of
from connectors.logs import Log
from connectors.postgres import Connection, Database
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.notifications.inbox import put_inbox
from pipelines.notifications.kinds import Channel
from pipelines.notifications.mail.store import put_mails
from pipelines.notifications.outbound import readable
from schemas.notifications import Notification
from schemas.topics import NOTIFICATIONS

MAIL_GROUP = "circle.mail"

SQL = queries(Path(__file__).parent / "sql" / "former_topic.sql")
log = Log("notifications")


def deliver_the_rest(settings: Settings, database: Database) -> int:
    """Deliver the messages that are left. Returns their number. Raises ServiceUnreachable."""
    stored, number = database.run(_stored, readonly=True), 0
    with closing(consumer(settings, group=MAIL_GROUP)) as mails:
        partitions = list(range(partitions_of(settings, NOTIFICATIONS)))
        mailed = committed_offsets(mails, NOTIFICATIONS, partitions)
        for partition in partitions:
            inbox_from, mail_from = stored.get(partition, 0), mailed[partition] or 0
            number += _deliver(settings, database, partition, inbox_from, mail_from)
    log.info("former_topic.delivered", messages=number)
    return number


def _deliver(settings: Settings, database: Database, partition: int, inbox_from: int, mail_from: int) -> int:
    codec, number = codec_of(settings), 0
    end = inbox_from
    with closing(LogReader(settings, NOTIFICATIONS, partition, start=min(inbox_from, mail_from))) as reader:
        while records := reader.chunk():
            inbox: list[Notification] = []
            mails: list[Notification] = []
            for record in records:
                message, offset = readable(codec.decode(record.value())), offset_of(record)
                end = max(end, offset + 1)
                if not isinstance(message, Notification):
                    log.error("former_topic.unreadable", partition=partition, offset=offset, error=message.error)
                elif message.channel == Channel.INBOX and offset >= inbox_from:
                    inbox.append(message)
                elif message.channel == Channel.MAIL and offset >= mail_from and settings.smtp_url is not None:
                    mails.append(message)
            database.run(_writes(inbox, mails, partition, end))
            number += len(inbox) + len(mails)
    with closing(consumer(settings, group=MAIL_GROUP)) as client:
        client.commit(offsets=[TopicPartition(NOTIFICATIONS, partition, end)], asynchronous=False)
    return number


def _writes(
    inbox: Sequence[Notification], mails: Sequence[Notification], partition: int, end: int
) -> Callable[[Connection], Awaitable[None]]:
    async def write(connection: Connection) -> None:
        await put_mails(connection, mails)
        await put_inbox(connection, inbox)
        await connection.execute(SQL["delivered"], partition, end)

    return write


async def _stored(connection: Connection) -> Mapping[int, int]:
    """Where the inbox of the earlier release stopped, by partition. Empty after an import."""
    return {row[0]: max(0, row[1]) for row in await connection.fetch(SQL["stored"])}
