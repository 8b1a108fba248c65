"""`circle`, with a worker or a read side that stops itself (SIGSTOP) in its next transaction after a signal.

`python -m tests.harness.pausable pipeline reservations`, or `read-side`, which stops only before a transaction. A
signal from outside would rarely hit a transaction, since a process is between two batches most of the time. Everything
else is as in production.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from types import FrameType
from typing import Any

from ops.cli.main import main
from pipelines.branches.branch import PreparedPart
from pipelines.branches.store import BranchStore, PutAside
from sinks.kafka_transaction import Consumed, KafkaTransactions, Produced

FLUSH_S = 10.0

_commit, _write = KafkaTransactions.commit, BranchStore.write


class Where(Enum):
    """The place in a batch's transaction, and the signal that asks for a pause there."""

    BEFORE = signal.SIGUSR1  # decided and claimed, but nothing is written
    WITHIN = signal.SIGUSR2  # its records are on the log, but its offsets are not committed


_asked: set[Where] = set()


def _ask(number: int, _frame: FrameType | None) -> None:
    _asked.add(Where(signal.Signals(number)))


def _pause() -> None:
    _asked.clear()
    os.kill(os.getpid(), signal.SIGSTOP)


def _commit_or_pause(self: KafkaTransactions, records: Iterable[Produced], consumed: Consumed) -> None:
    def stoppable() -> Iterator[Produced]:
        number = 0
        for number, record in enumerate(records, 1):
            if number == 1 and Where.BEFORE in _asked:
                _pause()
            yield record
        if number and Where.WITHIN in _asked:
            self._producer.flush(FLUSH_S)
            _pause()

    _commit(self, stoppable(), consumed)


def _write_or_pause(self: BranchStore, prepared: Sequence[PreparedPart], put_aside: PutAside) -> dict[str, list[Any]]:
    if Where.BEFORE in _asked and any(one.part.facts for one in prepared):
        _pause()
    return _write(self, prepared, put_aside)


if __name__ == "__main__":
    for where in Where:
        signal.signal(where.value, _ask)
    KafkaTransactions.commit = _commit_or_pause  # type: ignore[method-assign]
    BranchStore.write = _write_or_pause  # type: ignore[method-assign]
    main()
