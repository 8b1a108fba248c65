"""Requests to apply a fact again that a flow had set aside: rows of fact_redrives, and the fact's record on the log.

The read side and payments carry the requests out, each for its own flows. The fact is read again on tickets.facts:
nothing is written there, and a request cannot change what is applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Message

from connectors.postgres import Connection
from connectors.sql_files import queries
from connectors.topic_reader import TopicReader
from pipelines.redrives.fact_positions import first_fact_at
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.ids import position_text
from schemas.topics import FACTS

LOOK_EVERY_S = 2.0  # an operator waits for it; a look is one indexed query
AT_ONCE_MAX = 20  # new facts wait until these are done
SEARCHED_MAX = 2_000  # records from where the fact should be; aborted ones may be in between

SQL = queries(Path(__file__).parent / "sql" / "redrives.sql")


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


def on_the_log(asked: AskedRedrive, reader: TopicReader, codec: Codec) -> FoundFact | None:
    """The fact's record. None if the log does not have it, or not in a readable form. Raises ServiceUnreachable."""
    return _from(asked, reader, codec, asked.place) or _from(
        asked, reader, codec, first_fact_at(reader, codec, asked.partition, asked.offset)
    )


async def waiting(connection: Connection, flows: Sequence[str], partitions: Sequence[int]) -> list[AskedRedrive]:
    """The first AT_ONCE_MAX requests for these flows and partitions."""
    rows = await connection.fetch(SQL["redrives_waiting"], list(flows), list(partitions), AT_ONCE_MAX)
    return [AskedRedrive(**dict(row)) for row in rows]


async def lock(connection: Connection, asked: AskedRedrive) -> bool:
    """Lock a request that waits. False if another transaction has ended it."""
    return bool(await connection.fetchval(SQL["lock_redrive"], *asked.key))


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
