"""Applies facts that a branch had set aside, when an operator asks for it.

A request is a row of fact_redrives. It names a branch and a fact. The fact is read again on tickets.facts: nothing is
written there, and the request cannot change what is applied.

Guarantee: a fact is applied once for each request, and once at all unless it fails again. One transaction writes its
effects and ends the request. A fact that fails again is set aside again, and the request says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Message

from connectors.logs import Log
from connectors.postgres import Connection
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.sql_files import queries
from connectors.tracing import traceparent_of
from pipelines.branches.branch import Branch, FailedFact, News, Part
from pipelines.branches.positions import BranchPositions
from pipelines.branches.store import BranchStore, PutAside
from pipelines.watch.fact_positions import first_fact_at
from pipelines.watch.topic_reader import TopicReader
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.ids import position_text
from schemas.topics import FACTS

LOOK_EVERY_S = 2.0  # an operator waits for it; a look is one indexed query
AT_ONCE_MAX = 20  # new facts wait until these are done
SEARCHED_MAX = 2_000  # records from where the fact should be; aborted ones may be in between

SQL = queries(Path(__file__).parent / "sql" / "redrives.sql")
log = Log("read-side")


class RedriveState(StrEnum):
    """How far a request is."""

    WAITING = "waiting"
    APPLIED = "applied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRedrive:
    """A request: the branch, the position of the fact, and the probable offset of its record on tickets.facts."""

    flow: str
    partition: int
    offset: int
    index: int
    place: int

    @property
    def key(self) -> tuple[str, int, int, int]:
        """The branch and the fact's position: one request."""
        return self.flow, self.partition, self.offset, self.index


class FoundFact(NamedTuple):
    """A fact and its record."""

    record: Message
    fact: RecordedFact


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
            return bool(await connection.fetchval(SQL["lock_redrive"], *asked.key))

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


def on_the_log(asked: AskedRedrive, reader: TopicReader, codec: Codec) -> FoundFact | None:
    """The fact's record. None if the log does not have it, or not in a readable form. Raises ServiceUnreachable."""
    return _from(asked, reader, codec, asked.place) or _from(
        asked, reader, codec, first_fact_at(reader, codec, asked.partition, asked.offset)
    )


async def waiting(connection: Connection, flows: Sequence[str], partitions: Sequence[int]) -> list[AskedRedrive]:
    """The first AT_ONCE_MAX requests for these flows and partitions."""
    rows = await connection.fetch(SQL["redrives_waiting"], list(flows), list(partitions), AT_ONCE_MAX)
    return [AskedRedrive(**dict(row)) for row in rows]


async def end(connection: Connection, asked: AskedRedrive, error: str) -> None:
    """End a request; it has failed if there is an error."""
    state = RedriveState.FAILED if error else RedriveState.APPLIED
    await connection.execute(SQL["end_redrive"], *asked.key, state, error)


def missing(asked: AskedRedrive) -> str:
    """The error of a request about a fact that the log does not have."""
    place = position_text(asked.partition, asked.offset, asked.index)
    return f"{FACTS}[{asked.partition}] has no readable fact {place}"


def _from(asked: AskedRedrive, reader: TopicReader, codec: Codec, start: int) -> FoundFact | None:
    for record in islice(reader.from_offsets({asked.partition: max(0, start)}), SEARCHED_MAX):
        fact = codec.decode(record.value())
        if isinstance(fact, RecordedFact):
            at = fact.envelope
            if (at.partition, at.offset, at.index) == asked.key[1:]:
                return FoundFact(record, fact)
    return None
