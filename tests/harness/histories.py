"""Hand-made histories for the checker: a partition's commands with their facts, sound or broken on purpose."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ops.proof.checker.audit import PartitionAudit, ReadFact
from ops.proof.checker.report import Report, ToldOutcome
from ops.proof.second_decision import SecondDecision
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.state import At, EventState
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec
from schemas.facts import Envelope, RecordedFact
from schemas.ids import US_PER_S, LogTime
from schemas.record import LogRecord
from tests.harness.words import EVENT, T

CODEC = Codec()


@dataclass
class Step:
    """A command and the facts that the topic has at its position; `facts` None: those that the core decides."""

    command: c.Command
    facts: list[f.Fact] | None = None
    seconds: int = 0  # after the step before
    envelope: dict[str, Any] = field(default_factory=dict)  # fields with wrong values
    drop: int | None = None  # this fact is not there
    value: bytes | None = None  # the record, instead of the command's bytes


def audited(
    steps: Iterable[Step],
    *,
    told: Iterable[ToldOutcome] = (),
    replay: bool = False,
    tick_bound_s: float = 2.0,
) -> Report:
    """The report on this history."""
    report, state = Report(), EventState(EVENT)
    again = SecondDecision(CODEC) if replay else None
    audit = PartitionAudit(0, report, CODEC, told=told, tick_bound_s=tick_bound_s, again=again)
    now = T
    for offset, one in enumerate(steps):
        now += one.seconds * US_PER_S
        facts = one.facts
        if facts is None:
            facts = step(state, one.command, At(0, offset, LogTime(now)))
        read = []
        for index, fact in enumerate(facts):
            fields: dict[str, Any] = {
                "event_id": EVENT,
                "partition": 0,
                "offset": offset,
                "index": index,
                "count": len(facts),
                "log_time": now,
                "rules_version": f.RULES_VERSION,
            }
            envelope = Envelope(**fields | one.envelope)
            if index != one.drop:
                read.append(ReadFact(index, CODEC.encode_fact(envelope, fact), RecordedFact(envelope, fact)))
        audit.read(offset, now, one.value or CODEC.encode(one.command), read)
    audit.finish()
    return report


class Feed:
    """The facts topic, from bytes."""

    def __init__(self, values: list[bytes]) -> None:
        self._left = deque(LogRecord(offset, 0, None, value) for offset, value in enumerate(values))

    def peek(self) -> LogRecord | None:
        return self._left[0] if self._left else None

    def advance(self) -> None:
        self._left.popleft()
