"""Waits until every request is decided, projected, paid and delivered. Before that, a comparison of Redis and Postgres
with the log means nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.errors import CircleError
from connectors.kafka import admin, committed_offsets, consumer
from connectors.log_reader import offset_of
from connectors.postgres import connect
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.sql_files import queries
from ops.proof.checker.expected_messages import MessageKey, expected_messages
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.ids import US_PER_S
from schemas.topics import COMMANDS, FACTS

RESERVATIONS_GROUP = "circle.reservations"
LOOK_S = 0.1  # there is no common event of the three systems to wait for; a limit bounds each wait
HOLDS_SOON_S = 60.0  # the check does not wait for longer holds
TAILS = (50, 2_000, 100_000)  # how far back the last record is searched; after it are only the remains of transactions
SQL = queries(Path(__file__).with_name("expected_rows.sql"))


class NotSettled(CircleError):
    """Time ran out before everything was decided and projected. The message says what is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """What must have settled besides the decisions."""

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
    """Wait; returns the seconds it took. Raises NotSettled.

    `no_holds` waits also until every hold that ends within HOLDS_SOON_S has ended.
    """
    want = Want(postgres=postgres, inbox=inbox and postgres, payments=payments and postgres, no_holds=no_holds)
    started, codec = time.monotonic(), codec_of(settings)
    reader = consumer(settings, group=None, **{"enable.partition.eof": True})
    group = consumer(settings, group=RESERVATIONS_GROUP)
    counts = {
        topic: len(admin(settings).list_topics(topic, timeout=10).topics[topic].partitions)
        for topic in (COMMANDS, FACTS)
    }
    try:
        while True:
            missing = _missing(settings, reader, group, counts, want, codec)
            if missing is None:
                return time.monotonic() - started
            if time.monotonic() - started > timeout_s:
                raise NotSettled(f"after {timeout_s:.0f} s: {missing}")
            time.sleep(LOOK_S)
    finally:
        for client in (reader, group):
            client.close()


def _missing(
    settings: Settings, reader: Consumer, group: Consumer, counts: dict[str, int], want: Want, codec: Codec
) -> str | None:
    """What is still missing; None when nothing is."""
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
        missing = _missing_messages(settings, reader, counts, codec)
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
        if want.no_holds and (number := await connection.fetchval(SQL["open_holds"], _soon_us())):
            return f"{number} holds are open"
    finally:
        await connection.close()
    return None


def _soon_us() -> int:
    return int((time.time() + HOLDS_SOON_S) * US_PER_S)


def _missing_messages(settings: Settings, reader: Consumer, counts: dict[str, int], codec: Codec) -> str | None:
    """Each partition's last fact that makes a message is in the inbox. Mails and calls are written together with it."""
    wanted: list[tuple[int, MessageKey]] = []
    for partition in range(counts[FACTS]):
        fact = last_record(reader, FACTS, partition, lambda message: bool(_messages_of(codec, message)))
        if fact is not None:
            wanted.append((partition, _messages_of(codec, fact)[-1]))
    return asyncio.run(_missing_in_inbox(settings, wanted))


def _messages_of(codec: Codec, message: Message) -> list[MessageKey]:
    recorded = codec.decode(message.value())
    return [one.key for one in expected_messages(recorded)] if isinstance(recorded, RecordedFact) else []


async def _missing_in_inbox(settings: Settings, wanted: list[tuple[int, MessageKey]]) -> str | None:
    connection = await connect(settings.postgres_url)
    try:
        for partition, one in wanted:
            if not await connection.fetchval(SQL["is_in_inbox"], one.user_id, partition, one.offset, one.number):
                return f"the {one.template} of {partition}-{one.offset}-{one.number} is not in the inbox"
    finally:
        await connection.close()
    return None


def _last_records(reader: Consumer, topic: str, partitions: int) -> dict[int, int]:
    """The offset of each partition's last committed record; partitions without one are left out."""
    found: dict[int, int] = {}
    for partition in range(partitions):
        last = last_record(reader, topic, partition)
        if last is not None:
            found[partition] = offset_of(last)
    return found


def last_record(
    reader: Consumer, topic: str, partition: int, wanted: Callable[[Message], bool] = lambda _: True
) -> Message | None:
    """The last record that a committed reader sees and that is `wanted`; None when there is none."""
    low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    for tail in (*TAILS, high - low):
        if high == low:
            return None
        start = max(low, high - tail)
        last = _last_from(reader, topic, partition, start, wanted)
        if last is not None or start == low:
            return last
    return None


def _last_from(
    reader: Consumer, topic: str, partition: int, start: int, wanted: Callable[[Message], bool]
) -> Message | None:
    reader.assign([TopicPartition(topic, partition, start)])
    last: Message | None = None
    deadline = time.monotonic() + 10
    try:
        while time.monotonic() < deadline:
            first = reader.poll(0.2)
            for message in [first, *reader.consume(1_000, 0)] if first is not None else []:
                error = message.error()
                if error is None:
                    last = message if wanted(message) else last
                elif error.code() == KafkaError._PARTITION_EOF:
                    return last
                elif error.fatal() or not error.retriable():
                    raise KafkaException(error)
        raise NotSettled(f"{topic}[{partition}]: the broker does not say where the log ends")
    finally:
        reader.unassign()
