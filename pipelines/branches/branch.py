"""A branch of the read side: facts to effects, and effects to rows.

Every branch reads the same facts. `pipelines.read_side.flow` reads, decodes and deduplicates them once for all branches
of a process, and writes the effects of all branches in one PostgreSQL transaction. Each branch has its own position, so
a process may run any set of branches, and the set may change between two runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from confluent_kafka import Consumer

from connectors.failure_policy import is_of_record
from connectors.logs import Log
from connectors.postgres import Connection
from pipelines.positions import AppliedPosition
from schemas.facts import RecordedFact

log = Log("read-side")

E = TypeVar("E")
R = TypeVar("R")

Positions = Mapping[int, AppliedPosition]
"""By partition of tickets.facts."""


class News(NamedTuple):
    """A message for a Redis channel, sent after the commit. `value` becomes JSON."""

    channel: str
    value: object


class FailedFact(NamedTuple):
    """A fact whose effects cannot be made or written, and why."""

    fact: RecordedFact
    error: str


class Branch(ABC, Generic[E, R]):
    """One branch. `E` is what `prepare` makes of facts, `R` what `write` reports to `committed`.

    `name` is the name of its position, and of the flow on its dead letters.
    """

    name: str
    again = True  # whether a dead letter of this branch may come again after a redrive
    sets_aside = True  # whether this branch puts unreadable records into the dead letters
    dedupe = True  # False is a test's negative control

    @abstractmethod
    def prepare(self, part: Part) -> E:
        """The effects of the facts. No I/O. The facts of each partition come in order, behind those that come again."""

    @abstractmethod
    async def write(self, connection: Connection, effects: E) -> R:
        """Write the effects, in the transaction of `connection`. May run again after a failed transaction."""

    async def write_failures(self, connection: Connection, failed: Sequence[FailedFact]) -> None:
        """Note facts whose effects are not written, in the same transaction."""

    def committed(self, results: Sequence[R], after: Positions) -> Sequence[News]:
        """Called after the commit, with the results of `write` and the positions. Returns the messages to send."""
        return ()

    async def load(self, connection: Connection, partitions: Sequence[int]) -> None:
        """Load what the branch keeps about these partitions. Called when the process gets them."""

    def former_starts(self, client: Consumer, partitions: Sequence[int]) -> Mapping[int, int]:
        """Where an earlier release, which kept no position here, stopped on these partitions. Most have none."""
        return {}

    def look_after(self) -> None:
        """Called between two polls. Raises the unexpected error of a thread that belongs to the branch."""

    def __enter__(self) -> Self:
        """Start the threads and open the connections of the branch."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End and close them."""


@dataclass(frozen=True, slots=True)
class Part:
    """The facts of a batch for one branch, and each partition's position before and after them."""

    branch: Branch[Any, Any]
    facts: list[RecordedFact]
    before: dict[int, AppliedPosition]
    after: dict[int, AppliedPosition]
    traces: Mapping[tuple[int, int, int], str] = field(default_factory=dict)  # by position, of traced facts

    def comes_again(self, fact: RecordedFact) -> bool:
        """Whether the branch had set the fact aside, and a redrive has sent it once more."""
        at = fact.envelope
        before = self.before.get(at.partition)
        return before is not None and (at.offset, at.index) <= (before.offset, before.index)

    def only(self, fact: RecordedFact) -> Part:
        """The part with one of its facts."""
        return replace(self, facts=[fact])

    @property
    def moves(self) -> bool:
        """Whether the transaction has work for this part."""
        return bool(self.facts) or self.before != self.after


class PreparedPart(NamedTuple):
    """A part with its effects. They are None if it has no facts, or if they cannot be prepared together."""

    part: Part
    effects: Any


def prepared(part: Part) -> PreparedPart:
    """Prepare the facts of a part together. If they cannot be, the log says why and `effects` is None."""
    effects = None
    try:
        if part.facts:
            effects = part.branch.prepare(part)
    except Exception as error:
        if not is_of_record(error):
            raise
        log.exception("batch.not_prepared", error, branch=part.branch.name, facts=len(part.facts))
    return PreparedPart(part, effects)
