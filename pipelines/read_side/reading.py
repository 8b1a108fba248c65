"""The steps of the read side before its branches write: decode, admit, and each branch's `prepare`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import Message

from connectors import tracing
from connectors.metrics import BATCH_RECORDS, BATCH_SECONDS
from pipelines.branches.branch import Branch, PreparedPart, prepared
from pipelines.branches.positions import Admitted, DecodedFact
from pipelines.command_places import CommandPlaces
from pipelines.read_side.read_spans import ReadSpans
from schemas.codec import Codec, Undecodable
from schemas.facts import RecordedFact

A = TypeVar("A")
B = TypeVar("B")


class PreparedBranch(NamedTuple):
    """A batch as one branch has prepared it."""

    batch: Admitted
    prepared: PreparedPart


def reader(codec: Codec, places: CommandPlaces) -> Callable[[list[Message]], list[DecodedFact]]:
    """The decode step: a fact, or why the record is no fact or cannot have this position."""

    def decode(record: Message) -> RecordedFact | Undecodable:
        found = places.in_place(record.partition(), codec.decode(record.value()))
        if isinstance(found, RecordedFact | Undecodable):
            return found
        return Undecodable(f"a {type(found).__name__}, which is no fact")

    return lambda batch: [DecodedFact(record, decode(record)) for record in batch]


def traced(admit: Callable[[list[DecodedFact]], Admitted], *, group: str) -> Callable[[list[DecodedFact]], Admitted]:
    """The step that admits, and begins the spans of its facts while traces are on."""
    tracer = tracing.active()
    return admit if tracer is None else lambda batch: ReadSpans.begin(tracer, admit(batch), group=group)


def preparer(name: str, branch: Branch[Any, Any]) -> Callable[[Admitted], PreparedBranch]:
    """The step of a branch. If it cannot prepare the facts together, the write step takes them one by one."""
    seconds = BATCH_SECONDS.labels(name, branch.name)

    def prepare(batch: Admitted) -> PreparedBranch:
        with seconds.time():
            return PreparedBranch(batch, prepared(batch.parts[branch.name]))

    return prepare


def timed(name: str, step: str, work: Callable[[list[A]], B]) -> Callable[[list[A]], B]:
    """The step, which also notes its time. The first one notes the batch's size, too."""
    seconds = BATCH_SECONDS.labels(name, step)
    records = BATCH_RECORDS.labels(name) if step == "decode" else None

    def run(batch: list[A]) -> B:
        if records is not None:
            records.observe(len(batch))
        with seconds.time():
            return work(batch)

    return run
