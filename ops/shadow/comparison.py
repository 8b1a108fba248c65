"""Compares the facts of two programs about the same commands. Pure.

Guarantee: a command counts as decided alike only when all facts and envelopes are equal; only the version of the rules
may differ. Differences are counted by the facts before and after, and the first ones are listed with their fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from pipelines.history.intake import Intake
from schemas import facts as f
from schemas.facts import RecordedFact
from schemas.ids import EventId, position_text

DIFFERENCES_KEPT_MAX = 100  # listed ones; all are counted


class Decided(NamedTuple):
    """A command's facts."""

    offset: int
    facts: list[RecordedFact]


class ShadowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A command with another decision, and the fields in which its facts differ."""

    position: str
    event_id: EventId
    change: str
    recorded: list[dict[str, Any]]
    shadow: list[dict[str, Any]]


class ShadowReport(msgspec.Struct, kw_only=True):
    """The commands that both have decided."""

    group: str
    topic: str
    rules_version: int = int(f.RULES_VERSION)
    commands: int = 0
    same: int = 0
    under_other_rules: int = 0  # of the equal ones: recorded under another version of the rules
    different: int = 0
    changes: dict[str, int] = msgspec.field(default_factory=dict)
    granted_only_recorded: int = 0
    granted_only_shadow: int = 0
    differences: list[ShadowDifference] = msgspec.field(default_factory=list)
    stopped: bool = False  # before the end: the same command goes on

    @property
    def ok(self) -> bool:
        return self.different == 0


def by_command(facts: Iterable[tuple[int, RecordedFact]]) -> Iterator[Decided]:
    """The whole commands in their order, each once. Takes facts with their offsets on the topic."""
    intake, current = Intake(), Decided(-1, [])
    for offset, recorded in facts:
        for fact in intake.take(offset, recorded):
            if fact.envelope.offset != current.offset:
                if current.facts:
                    yield current
                current = Decided(fact.envelope.offset, [])
            current.facts.append(fact)
    if current.facts:
        yield current


def compare(report: ShadowReport, recorded: Iterable[Decided], shadow: Iterable[Decided]) -> None:
    """Add a partition's commands to the report, up to the shadow's last one."""
    changes: Counter[str] = Counter(report.changes)
    theirs = iter(recorded)
    for mine in shadow:
        log = next((one for one in theirs if one.offset >= mine.offset), None)
        if log is None:
            break
        facts = log.facts if log.offset == mine.offset else []
        report.commands += 1
        if [_content(one) for one in facts] == [_content(one) for one in mine.facts]:
            report.same += 1
            report.under_other_rules += facts[0].envelope.rules_version != mine.facts[0].envelope.rules_version
            continue
        report.different += 1
        change = f"{_names(facts)} → {_names(mine.facts)}"
        changes[change] += 1
        before, after = _granted(facts), _granted(mine.facts)
        report.granted_only_recorded += before and not after
        report.granted_only_shadow += after and not before
        if len(report.differences) < DIFFERENCES_KEPT_MAX:
            at = mine.facts[0].envelope
            report.differences.append(
                ShadowDifference(
                    position=position_text(at.partition, at.offset),
                    event_id=at.event_id,
                    change=change,
                    recorded=_only_in(facts, mine.facts),
                    shadow=_only_in(mine.facts, facts),
                )
            )
    report.changes = dict(changes.most_common())


def _content(one: RecordedFact) -> tuple[Any, ...]:
    at = one.envelope
    return (at.event_id, at.partition, at.offset, at.index, at.count, at.log_time, one.fact)


def _granted(facts: list[RecordedFact]) -> bool:
    return any(isinstance(one.fact, f.TicketsHeld) for one in facts)


def _names(facts: list[RecordedFact]) -> str:
    """Each kind of fact once: a tick that ends eight holds is the same change as a tick that ends nine."""
    return " + ".join(dict.fromkeys(_name(one.fact) for one in facts)) or "nothing"


def _name(fact: f.Fact) -> str:
    reason = getattr(fact, "reason", "")
    return f"{type(fact).__name__}({reason})" if reason else type(fact).__name__


def _only_in(facts: list[RecordedFact], others: list[RecordedFact]) -> list[dict[str, Any]]:
    """The fields that differ from the other facts at the same places. Leaves equal facts out."""
    differing = []
    for number, one in enumerate(facts):
        mine = _plain(one.fact)
        theirs = _plain(others[number].fact) if number < len(others) else {}
        if mine != theirs:
            kind = mine.pop("type")
            differing.append(
                {"type": kind} | {name: value for name, value in mine.items() if theirs.get(name, ...) != value}
            )
    return differing


def _plain(fact: f.Fact) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(fact)
    hidden = {name: "…" for name in ("payment_token",) if fields.get(name)}
    return {"type": type(fact).__name__, **fields, **hidden}
