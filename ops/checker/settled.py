"""Waits until everything that was asked for is decided, projected, paid and delivered: before that, a check of Redis
and Postgres against the log means nothing.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.errors import CircleError
from connectors.kafka import admin, committed_offsets, consumer
from connectors.postgres import connect
from connectors.settings import Settings
from connectors.sql_files import queries
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS

RESERVATIONS_GROUP, NOTIFICATIONS_GROUP = "circle.reservations", "circle.notifications"
LOOK_S = 0.1
TAILS = (50, 2_000, 100_000)  # how far back a last record is looked for; behind it stand only transactions' remains
SQL = queries(Path(__file__).with_name("projected.sql"))


class NotSettled(CircleError):
    """Time ran out before everything was decided and projected: the message says what is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """What has to have settled besides the decisions."""

    postgres: bool = True
    inbox: bool = True
    payments: bool = True
    no_holds: bool = False


def wait_until_settled(
    settings: Settings,
    *,
    timeout_s: float = 30.0,
    postgres: bool = True,
    inbox: bool = True,
    payments: bool = True,
    no_holds: bool = False,
) -> float:
    """Wait; returns the seconds it took. Raises NotSettled. `no_holds` waits for every hold to end, too."""
    want = Want(postgres=postgres, inbox=inbox and postgres, payments=payments and postgres, no_holds=no_holds)
    started = time.monotonic()
    reader = consumer(settings, group=None, **{"enable.partition.eof": True})
    group = consumer(settings, group=RESERVATIONS_GROUP)
    notifier = consumer(settings, group=NOTIFICATIONS_GROUP)
    counts = {
        topic: len(admin(settings).list_topics(topic, timeout=10).topics[topic].partitions)
        for topic in (COMMANDS, FACTS, NOTIFICATIONS)
    }
    try:
        while True:
            missing = _missing(settings, reader, group, notifier, counts, want)
            if missing is None:
                return time.monotonic() - started
            if time.monotonic() - started > timeout_s:
                raise NotSettled(f"after {timeout_s:.0f} s: {missing}")
            time.sleep(LOOK_S)
    finally:
        for client in (reader, group, notifier):
            client.close()


def _missing(
    settings: Settings, reader: Consumer, group: Consumer, notifier: Consumer, counts: dict[str, int], want: Want
) -> str | None:
    """What is still to come; None when nothing is."""
    last = _last_records(reader, COMMANDS, counts[COMMANDS])
    committed = committed_offsets(group, COMMANDS, list(last))
    for partition, offset in last.items():
        if (committed[partition] or 0) <= offset:
            return f"{COMMANDS}[{partition}]: decided to {committed[partition]}, the last command is {offset}"
    if want.postgres:
        missing = asyncio.run(_missing_rows(settings, last, want))
        if missing is not None:
            return missing
    if want.inbox:
        missing = _missing_messages(settings, reader, notifier, counts)
        if missing is not None:
            return missing
    if _last_records(reader, COMMANDS, counts[COMMANDS]) != last:
        return "commands keep coming"
    return None


async def _missing_rows(settings: Settings, last: dict[int, int], want: Want) -> str | None:
    connection = await connect(settings.postgres_url)
    try:
        rows = {row[0]: row[1] for row in await connection.fetch(SQL["positions"])}
        for partition, offset in last.items():
            if rows.get(partition, -1) < offset:
                return f"partition {partition} is projected to {rows.get(partition, -1)}, the last command is {offset}"
        if want.payments and (number := await connection.fetchval(SQL["open_payments"])):
            return f"{number} payments are not settled"
        if want.no_holds and (number := await connection.fetchval(SQL["open_holds"])):
            return f"{number} holds are open"
    finally:
        await connection.close()
    return None


def _missing_messages(settings: Settings, reader: Consumer, notifier: Consumer, counts: dict[str, int]) -> str | None:
    facts = _last_records(reader, FACTS, counts[FACTS])
    committed = committed_offsets(notifier, FACTS, list(facts))
    for partition, offset in facts.items():
        if (committed[partition] or 0) <= offset:
            return f"{FACTS}[{partition}]: told of to {committed[partition]}, the last fact is {offset}"
    messages = _last_records(reader, NOTIFICATIONS, counts[NOTIFICATIONS])
    stored = asyncio.run(_stored(settings))
    for partition, offset in messages.items():
        if stored.get(partition, 0) <= offset:
            return f"{NOTIFICATIONS}[{partition}]: delivered to {stored.get(partition)}, the last message is {offset}"
    return None


async def _stored(settings: Settings) -> dict[int, int]:
    connection = await connect(settings.postgres_url)
    try:
        return {row[1]: row[2] for row in await connection.fetch(SQL["waiting"]) if row[0] == "inbox"}
    finally:
        await connection.close()


def _last_records(reader: Consumer, topic: str, partitions: int) -> dict[int, int]:
    """The offset of each partition's last committed record; partitions without one are left out."""
    found: dict[int, int] = {}
    for partition in range(partitions):
        last = last_record(reader, topic, partition)
        if last is not None:
            found[partition] = last
    return found


def last_record(reader: Consumer, topic: str, partition: int) -> int | None:
    """The offset of the last record that a committed reader sees, None when there is none."""
    low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    for tail in (*TAILS, high - low):
        if high == low:
            return None
        start = max(low, high - tail)
        last = _last_from(reader, topic, partition, start)
        if last is not None or start == low:
            return last
    return None


def _last_from(reader: Consumer, topic: str, partition: int, start: int) -> int | None:
    reader.assign([TopicPartition(topic, partition, start)])
    last: int | None = None
    deadline = time.monotonic() + 10
    try:
        while time.monotonic() < deadline:
            first = reader.poll(0.2)
            for message in [first, *reader.consume(1_000, 0)] if first is not None else []:
                error = message.error()
                if error is None:
                    last = message.offset()
                elif error.code() == KafkaError._PARTITION_EOF:
                    return last
                elif error.fatal() or not error.retriable():
                    raise KafkaException(error)
        raise NotSettled(f"{topic}[{partition}]: the broker does not say where the log ends")
    finally:
        reader.unassign()
