"""The export of messages for other programs: the topic notifications.outbound, written from an outbox.

Guarantee: a message is a row of the outbox in the transaction that delivers it. The row is deleted after the broker has
acknowledged its record. After a crash in between, the record comes again with the same identity (`ce_id`). The export
is off unless CIRCLE_EXPORT_NOTIFICATIONS asks for it; then messages from that moment on are exported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
from confluent_kafka import KafkaError, KafkaException, Producer

from connectors.errors import ServiceUnreachable
from connectors.failure_policy import Bound, is_of_record
from connectors.kafka import producer
from connectors.logs import Log
from connectors.postgres import Connection
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.notifications.outbound import outgoing
from pipelines.projections.columns import columns
from schemas.codec import RECORD_BYTES_MAX
from schemas.notifications import Notification
from schemas.topics import NOTIFICATIONS
from sinks.kafka_transaction import Outgoing
from sinks.postman import Desk

EXPORT = "export"
BATCH = 500
FLUSH_TIMEOUT_S = 10.0

SQL = queries(Path(__file__).parent / "sql" / "export.sql")
log = Log("export")

_MESSAGE = Notification.__struct_fields__


async def put_exports(connection: Connection, messages: Sequence[Notification]) -> None:
    """Write messages to the outbox."""
    if messages:
        await connection.execute(SQL["put_exports"], *columns(messages, _MESSAGE))


class ExportDesk(Desk):
    """One of the postman's desks."""

    name = EXPORT

    def __init__(self, settings: Settings) -> None:
        self._settings, self._codec = settings, codec_of(settings)
        self._producer: Producer | None = None
        self._failed: KafkaError | None = None
        self._bound = Bound(EXPORT)

    async def work(self, pool: asyncpg.Pool[asyncpg.Record]) -> bool:
        """Export the next messages. The rows are locked, so another process takes other rows."""
        async with pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(SQL["exports"], BATCH)
            if not rows:
                return False
            records: list[Outgoing] = []
            for row in rows:
                try:
                    records.append(self._record(row))
                except Exception as error:
                    if not is_of_record(error):
                        raise
                    log.exception("message.not_exported", error, why=self._bound.failed(error))
                else:
                    self._bound.went_well()
            await asyncio.to_thread(self._produce, records)
            await connection.execute(SQL["exported"], [row["id"] for row in rows])
        return len(rows) == BATCH

    def _record(self, row: asyncpg.Record) -> Outgoing:
        record = outgoing(Notification(**{name: row[name] for name in _MESSAGE}), self._codec)
        if len(record.value) > RECORD_BYTES_MAX:
            raise ValueError(f"a message of {len(record.value)} bytes, which is more than {RECORD_BYTES_MAX}")
        return record

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
            raise ServiceUnreachable("Kafka", NOTIFICATIONS, f"{failed or 'no answer'}") from cause

    def _delivered(self, error: KafkaError | None, _record: Any) -> None:
        if error is not None:
            self._failed = error
