"""A source that reads one partition from one offset to another and ends: for a dataflow over existing records.

Guarantee: one batch is in flight, in offset order, none twice. A batch begins at each of `cuts`: a lock that was
observed at a command was observed before the command's batch.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from bytewax.inputs import DynamicSource, StatelessSourcePartition
from confluent_kafka import Message

from connectors.kafka import BATCH_RECORDS_MAX, Gate
from connectors.log_reader import LogReader, offset_of


class LogSource(DynamicSource[list[Message]]):
    """The records of `reader` from `start` to below `end`; fewer if `stop` becomes true."""

    def __init__(
        self,
        reader: LogReader,
        *,
        start: int,
        end: int,
        gate: Gate,
        stop: Callable[[], bool],
        cuts: Container[int] = (),
        batch_records_max: int = BATCH_RECORDS_MAX,
    ) -> None:
        self.reader, self.start, self.end, self.gate, self.stop = reader, start, end, gate, stop
        self.cuts, self.batch_records_max = cuts, batch_records_max

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _LogPartition:
        """The one reader of this process."""
        return _LogPartition(self)


class _LogPartition(StatelessSourcePartition[list[Message]]):
    def __init__(self, source: LogSource) -> None:
        self._source = source
        self._buffer: list[Message] = []
        self._at = 0

    def next_batch(self) -> list[list[Message]]:
        source = self._source
        if source.gate.in_flight:
            return []
        if source.stop():
            raise StopIteration
        batch: list[Message] = []
        while len(batch) < source.batch_records_max:
            message = self._peek()
            if message is None or offset_of(message) >= source.end:
                break
            if batch and offset_of(message) in source.cuts:
                break
            self._at += 1
            if offset_of(message) >= source.start:
                batch.append(message)
        if not batch:
            raise StopIteration
        source.gate.in_flight = True
        return [batch]

    def _peek(self) -> Message | None:
        if self._at >= len(self._buffer):
            self._buffer, self._at = self._source.reader.chunk(), 0
        return self._buffer[self._at] if self._buffer else None
