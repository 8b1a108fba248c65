"""`circle`, with a worker that stops itself (SIGSTOP) in its next transaction after a signal.

`python -m tests.harness.pausable pipeline reservations`. A signal from outside would rarely hit a transaction, since a
worker is between two batches most of the time. Everything else is as in production.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from enum import Enum
from types import FrameType

from ops.cli.main import main
from sinks.kafka_transaction import Consumed, KafkaTransactions, Produced

FLUSH_S = 10.0

_commit = KafkaTransactions.commit


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


if __name__ == "__main__":
    for where in Where:
        signal.signal(where.value, _ask)
    KafkaTransactions.commit = _commit_or_pause  # type: ignore[method-assign]
    main()
