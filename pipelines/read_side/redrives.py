"""Applies facts that a branch had set aside, when an operator asks for it.

A request is a row of fact_redrives. It names a branch and a fact. The fact is read again on tickets.facts: nothing is
written there, and the request cannot change what is applied.

Guarantee: a fact is applied once for each request, and once at all unless it fails again. One transaction writes its
effects and ends the request. A fact that fails again is set aside again, and the request says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from connectors.logs import Log
from connectors.postgres import Connection
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.topic_reader import TopicReader
from connectors.tracing import traceparent_of
from pipelines.branches.branch import Branch, FailedFact, News, Part
from pipelines.branches.positions import BranchPositions
from pipelines.branches.store import BranchStore, PutAside
from pipelines.redrives.requests import (
    LOOK_EVERY_S,
    AskedRedrive,
    FoundFact,
    end,
    lock,
    missing,
    on_the_log,
    waiting,
)
from schemas.topics import FACTS

log = Log("read-side")


class Redrives:
    """Carries out the requests for the branches and partitions of this process, between two batches."""

    def __init__(
        self,
        settings: Settings,
        store: BranchStore,
        positions: BranchPositions,
        branches: Sequence[Branch[Any, Any]],
        *,
        put_aside_of: Callable[[FoundFact], PutAside],
        publish: Callable[[Sequence[News]], None],
    ) -> None:
        self._settings, self._store, self._positions = settings, store, positions
        self._branches = {branch.name: branch for branch in branches if branch.again}
        self._put_aside_of, self._publish = put_aside_of, publish
        self._codec, self._next_look = codec_of(settings), 0.0

    def look_after(self) -> None:
        """Carry out what waits; most of the times, do nothing. No batch may be in flight.

        Raises what `BranchStore.write` raises.
        """
        if not self._branches or time.monotonic() < self._next_look:
            return
        partitions = self._positions.partitions()
        found = self._waiting(partitions) if partitions else []
        if found:
            with TopicReader(self._settings, FACTS) as reader:
                for one in found:
                    self._carry_out(one, reader)
        self._next_look = time.monotonic() + LOOK_EVERY_S

    def _waiting(self, partitions: Sequence[int]) -> list[AskedRedrive]:
        return self._store.within(lambda connection: waiting(connection, [*self._branches], partitions))

    def _carry_out(self, asked: AskedRedrive, reader: TopicReader) -> None:
        branch = self._branches[asked.flow]
        at = self._positions.of(branch.name, asked.partition)
        if (asked.offset, asked.index) > (at.offset, at.index):
            return  # the branch reads the log again and has not come to this fact
        found = on_the_log(asked, reader, self._codec)
        if found is None:
            why = missing(asked)
            self._store.within(lambda connection: end(connection, asked, why))
            log.error("fact.not_redriven", branch=branch.name, partition=asked.partition, offset=asked.offset, why=why)
            return
        here, trace = {asked.partition: at}, traceparent_of(found.record.headers())  # type: ignore[arg-type]
        traces = {asked.key[1:]: trace} if trace else {}
        part = Part(branch=branch, facts=[found.fact], before=here, after=here, traces=traces)
        failed: list[FailedFact] = []
        letters = self._put_aside_of(found)

        def put_aside(branch: Branch[Any, Any], some: Sequence[FailedFact]) -> None:
            letters(branch, some)
            failed.extend(some)

        async def begin(connection: Connection) -> bool:
            failed.clear()
            return await lock(connection, asked)

        async def ended(connection: Connection) -> None:
            await end(connection, asked, failed[0].error if failed else "")

        results = self._store.write_again(part, put_aside, begin=begin, end=ended)
        if results:
            self._publish(branch.committed(results, part.after))
        log.info(
            "fact.redriven",
            branch=branch.name,
            partition=asked.partition,
            offset=asked.offset,
            index=asked.index,
            applied=bool(results),
        )
