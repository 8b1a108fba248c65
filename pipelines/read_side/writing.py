"""The last step of the read side: the branches of a batch join, and one transaction writes all of them.

First the dead letters are written, since they must not be lost, then the rows, then the news over Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from connectors.clock import now_ms
from connectors.kafka import Gate
from connectors.logs import Log
from connectors.metrics import BATCH_SECONDS, RECORD_AGES
from connectors.publisher import Publisher
from pipelines.branches.branch import Branch, FailedFact, PreparedPart
from pipelines.branches.positions import Admitted, DecodedFact
from pipelines.branches.store import BranchStore, PutAside
from pipelines.read_side.reading import PreparedBranch
from pipelines.stored_records import recorded_again
from schemas.codec import Codec, Undecodable
from schemas.facts import RecordedFact
from schemas.ids import US_PER_MS
from sinks.dead_letters import DeadLetters

log = Log("read-side")


class Join:
    """Collects a batch from all branches, then hands it on. At most one batch is in flight."""

    def __init__(
        self, branches: Sequence[Branch[Any, Any]], write: Callable[[Admitted, Sequence[PreparedPart]], None]
    ) -> None:
        self._order = {branch.name: number for number, branch in enumerate(branches)}
        self._write = write
        self._waiting: list[PreparedPart] = []

    def __call__(self, one: PreparedBranch) -> None:
        self._waiting.append(one.prepared)
        if len(self._waiting) == len(self._order):
            parts = sorted(self._waiting, key=lambda entry: self._order[entry.part.branch.name])
            self._waiting = []
            self._write(one.batch, parts)


def writer(
    name: str, store: BranchStore, dead_letters: DeadLetters, publisher: Publisher, gate: Gate, codec: Codec
) -> Callable[[Admitted, Sequence[PreparedPart]], None]:
    """The sink's step: first the dead letters (they must not be lost), then the transaction, then the news."""

    write_seconds, publish_seconds = BATCH_SECONDS.labels(name, "write"), BATCH_SECONDS.labels(name, "publish")

    def write(batch: Admitted, parts: Sequence[PreparedPart]) -> None:
        for read in batch.unreadable:
            assert isinstance(read.fact, Undecodable)
            dead_letters.put(read.record, read.fact.error)
        dead_letters.flush()
        with write_seconds.time(), nullcontext() if batch.spans is None else batch.spans.writing():
            results = store.write(parts, dead_letter_writer(batch.batch, dead_letters, codec))
        gate.done()
        facts = (one.fact for one in batch.batch if isinstance(one.fact, RecordedFact))
        RECORD_AGES.observe("persisted", [fact.envelope.log_time // US_PER_MS for fact in facts], now_ms())
        news = [
            one for part, _ in parts for one in part.branch.committed(results.get(part.branch.name, ()), part.after)
        ]
        with publish_seconds.time():
            publisher.publish_json(news)
        log.debug("batch.written", facts=len(batch.batch), branches=[part.branch.name for part, _ in parts])

    return write


def dead_letter_writer(batch: Sequence[DecodedFact], dead_letters: DeadLetters, codec: Codec) -> PutAside:
    """Puts the records of facts into the dead letters. A fact that had waited for the rest of its command has no record
    in this batch: it is encoded again."""

    def put_aside(branch: Branch[Any, Any], failed: Sequence[FailedFact]) -> None:
        records = {id(read.fact): read.record for read in batch}
        for fact, error in failed:
            dead_letters.put(records.get(id(fact)) or recorded_again(fact, codec), error, by=branch.name)
        dead_letters.flush()

    return put_aside
