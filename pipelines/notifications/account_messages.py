"""Puts messages about accounts on notifications.outbound, where every deliverer finds them.

Guarantee: a row is deleted only after the broker has acknowledged its records. After a crash in between, they are
written again with the same identity, which every deliverer recognises. A row that makes no message stays, set aside
with the error.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
from confluent_kafka import KafkaError, KafkaException, Producer

from connectors.errors import ServiceUnreachable
from connectors.failure_policy import Bound, is_of_record
from connectors.kafka import producer
from connectors.logs import Log
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.notifications.compose import compose_direct
from pipelines.notifications.outbound import outgoing
from sinks.kafka_transaction import Outgoing
from sinks.postman import Desk

BATCH = 100
FLUSH_TIMEOUT_S = 10.0

SQL = queries(Path(__file__).parent / "sql" / "account_messages.sql")
log = Log("direct")


class DirectDesk(Desk):
    """One of the postman's desks."""

    name = "direct"

    def __init__(self, settings: Settings) -> None:
        self._settings, self._codec = settings, codec_of(settings)
        self._producer: Producer | None = None
        self._failed: KafkaError | None = None
        self._bound = Bound("direct")

    async def work(self, pool: asyncpg.Pool[asyncpg.Record]) -> bool:
        """Put the waiting messages on the topic."""
        async with pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(SQL["direct_messages"], BATCH)
            if not rows:
                return False
            records: list[Outgoing] = []
            sent: list[int] = []
            for row in rows:
                try:
                    records += self._records(row)
                except Exception as error:
                    if not is_of_record(error):
                        raise
                    log.exception("message.set_aside", error, id=row["id"], kind=row["kind"])
                    await connection.execute(SQL["direct_message_set_aside"], row["id"], self._bound.failed(error))
                else:
                    self._bound.went_well()
                    sent.append(row["id"])
            await asyncio.to_thread(self._produce, records)
            await connection.execute(SQL["direct_messages_sent"], sent)
        return len(rows) == BATCH

    def _records(self, row: asyncpg.Record) -> list[Outgoing]:
        messages = compose_direct(row["id"], row["user_id"], row["kind"], row["data"], row["created_us"])
        return [outgoing(message, self._codec) for message in messages]

    def _produce(self, records: list[Outgoing]) -> None:
        """Raises ServiceUnreachable when the broker does not acknowledge: then the rows stay."""
        if self._producer is None:
            self._producer = producer(self._settings)
        for record in records:
            self._producer.produce(
                record.topic, record.value, record.key, headers=record.headers, on_delivery=self._delivered
            )
        left, failed = self._producer.flush(FLUSH_TIMEOUT_S), self._failed
        self._failed = None
        if left or failed is not None:
            cause = KafkaException(failed) if failed is not None else None
            raise ServiceUnreachable("Kafka", "notifications.outbound", f"{failed or 'no answer'}") from cause

    def _delivered(self, error: KafkaError | None, _record: Any) -> None:
        if error is not None:
            self._failed = error
