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

from connectors.clock import now_ms
from connectors.errors import ServiceUnreachable
from connectors.failure_policy import FailureBound, is_of_record
from connectors.kafka import producer
from connectors.logs import Log
from connectors.metrics import RECORD_AGES
from connectors.postgres import Connection
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.sql_files import queries
from connectors.tracing import OpenSpan, begin_send
from pipelines.columns import columns
from pipelines.notifications.delivery_spans import NO_TRACES, Traces, trace_of
from pipelines.notifications.outbound import outgoing
from schemas.codec import RECORD_BYTES_MAX
from schemas.ids import US_PER_MS
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


async def put_exports(connection: Connection, messages: Sequence[Notification], traces: Traces = NO_TRACES) -> None:
    """Write messages to the outbox, each with the context of its fact."""
    if messages:
        contexts = [trace_of(message, traces) for message in messages]
        await connection.execute(SQL["put_exports"], *columns(messages, _MESSAGE), contexts)


class ExportDesk(Desk):
    """One of the postman's desks."""

    name = EXPORT

    def __init__(self, settings: Settings) -> None:
        self._settings, self._codec = settings, codec_of(settings)
        self._producer: Producer | None = None
        self._failed: KafkaError | None = None
        self._bound = FailureBound(EXPORT)

    async def work(self, pool: asyncpg.Pool[asyncpg.Record]) -> bool:
        """Export the next messages. The rows are locked, so another process takes other rows."""
        async with pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(SQL["exports"], BATCH)
            if not rows:
                return False
            records: list[Outgoing] = []
            spans: list[OpenSpan] = []
            for row in rows:
                try:
                    records.append(self._record(row, spans))
                except Exception as error:
                    if not is_of_record(error):
                        raise
                    log.exception("message.not_exported", error, why=self._bound.failed(error))
                else:
                    self._bound.went_well()
            try:
                await asyncio.to_thread(self._produce, records)
            except BaseException as error:
                for span in spans:
                    span.fail(type(error).__name__)
                raise
            finally:
                for span in spans:
                    span.end()
            await connection.execute(SQL["exported"], [row["id"] for row in rows])
        RECORD_AGES.observe("exported", [row["created_at"] // US_PER_MS for row in rows], now_ms())
        return len(rows) == BATCH

    def _record(self, row: asyncpg.Record, spans: list[OpenSpan]) -> Outgoing:
        """The record of a row. The span of its sending is added to `spans`, if its fact is traced."""
        message, trace = Notification(**{name: row[name] for name in _MESSAGE}), row["trace"]
        if trace and (span := begin_send(NOTIFICATIONS, Notification.__name__, parent=trace)) is not None:
            spans.append(span)
            trace = span.traceparent or trace
        record = outgoing(message, self._codec, trace=trace)
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
