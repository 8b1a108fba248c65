"""The sink of the reservations dataflow: facts, dead letters and offsets in one transaction, then the replies.

Guarantee: no reply leaves before its decision is committed. A crash between commit and reply loses the reply, not the
outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bytewax.outputs import DynamicSink, StatelessSinkPartition

from connectors.clock import now_ms
from connectors.failure_policy import described
from connectors.kafka import Gate
from connectors.logs import Log
from connectors.metrics import RECORD_AGES
from pipelines.reservations.batch import Batch
from pipelines.reservations.metrics import STEP_SECONDS
from schemas.codec import Codec
from schemas.topics import COMMANDS
from sinks.dead_letters import dead_letter
from sinks.kafka_transaction import Consumed, KafkaTransactions, Produced

log = Log("reservations")


class DecisionSink(DynamicSink[Batch]):
    """Commits one batch at a time and opens the gate for the next."""

    def __init__(
        self, transactions: KafkaTransactions, codec: Codec, *, gate: Gate, after_commit: Callable[[Batch], None]
    ) -> None:
        self.transactions, self.codec, self.gate, self.after_commit = transactions, codec, gate, after_commit

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _DecisionPartition:
        """The one writer of this process."""
        return _DecisionPartition(self)


class _DecisionPartition(StatelessSinkPartition[Batch]):
    def __init__(self, sink: DecisionSink) -> None:
        self._sink = sink

    def write_batch(self, items: list[Batch]) -> None:
        sink = self._sink
        for batch in items:
            offsets = {(COMMANDS, partition): offset for partition, offset in batch.next_offsets.items()}
            with STEP_SECONDS["commit"].time():
                self._commit(batch, Consumed(offsets))
            times_ms = [record.timestamp_ms for record in batch.records]
            RECORD_AGES.observe("decided", times_ms, now_ms())
            with STEP_SECONDS["reply"].time():
                sink.after_commit(batch)
            RECORD_AGES.observe("replied", times_ms, now_ms())
            sink.gate.done()

    def _commit(self, batch: Batch, consumed: Consumed) -> None:
        sink = self._sink
        if batch.spans is None:
            sink.transactions.commit(_outgoing(batch, sink.codec), consumed)
            return
        try:
            with batch.spans.current():
                sink.transactions.commit(_outgoing(batch, sink.codec), consumed)
        except BaseException as error:
            batch.spans.failed(type(error).__name__)
            raise
        batch.spans.committed(batch)


def _outgoing(batch: Batch, codec: Codec) -> Iterator[Produced]:
    yield from batch.encoded(codec)
    for number, error in batch.unreadable:
        yield dead_letter(batch.originals[number], error)
    for number, why in batch.strays:
        record = batch.records[number]
        log.error("dispute.stray", partition=record.partition, offset=record.offset, why=why)
        yield dead_letter(batch.originals[number], f"reservations: {why}")
    for number, raised in batch.failed:
        record = batch.records[number]
        log.exception(  # noqa: LOG004 - it was raised in the rules, which do not log
            "command.failed", raised, partition=record.partition, offset=record.offset
        )
        yield dead_letter(batch.originals[number], f"reservations: {described(raised)}")
