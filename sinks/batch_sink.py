"""The sink of a flow whose items are whole batches: it calls one function with each. An error there ends the flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from bytewax.outputs import DynamicSink, StatelessSinkPartition

T = TypeVar("T")


class BatchSink(DynamicSink[T]):
    """Calls `write` once for each item, in order."""

    def __init__(self, write: Callable[[T], None]) -> None:
        self._write = write

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Writing[T]:
        return _Writing(self._write)


class _Writing(StatelessSinkPartition[T]):
    def __init__(self, write: Callable[[T], None]) -> None:
        self._write = write

    def write_batch(self, items: list[T]) -> None:
        for item in items:
            self._write(item)
