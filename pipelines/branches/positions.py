"""Admits the facts of a batch: for each branch those that it has not applied.

Branches at the same position share one `Intake`, so a fact is checked once for all of them. A branch that is behind has
an `Intake` of its own until it has caught up. Reading begins at the branch that is furthest behind.

A fact that a branch had set aside may come again from the dead letters. That branch gets it once more, although its
position counts as applied. It joins the next facts whose effects are stored with a position behind its record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from confluent_kafka import Consumer, Message

from connectors.log_bounds import check_on_log
from connectors.log_reader import log_place
from connectors.settings import Settings
from pipelines.branches.branch import Branch, Part
from pipelines.branches.store import BranchStore
from pipelines.history.intake import Intake
from pipelines.positions import AppliedPosition
from schemas.codec import Undecodable
from schemas.facts import RecordedFact
from schemas.topics import FACTS
from sinks.dead_letters import redriven_for


class DecodedFact(NamedTuple):
    """A record of tickets.facts and its decoded fact."""

    record: Message
    fact: RecordedFact | Undecodable


@dataclass(frozen=True, slots=True)
class Admitted:
    """A batch: its records, those for the dead letters, and the part of each branch by its name."""

    batch: list[DecodedFact]
    unreadable: list[DecodedFact]
    parts: dict[str, Part]
    spans: Any = None  # the open spans of the batch, while traces are on


@dataclass(slots=True)
class _InStep:
    """Branches at one position of one partition."""

    intake: Intake
    start: int | None  # records before it are applied; None: none is
    branches: list[Branch[Any, Any]]
    again: dict[str, list[RecordedFact]] = field(default_factory=dict)  # redriven facts, by branch

    @property
    def at(self) -> AppliedPosition:
        intake = self.intake
        return AppliedPosition(*intake.applied, intake.next_offset, intake.log_time)


class BranchPositions:
    """The positions of all branches on the assigned partitions."""

    def __init__(self, settings: Settings, store: BranchStore, branches: Sequence[Branch[Any, Any]]) -> None:
        self._settings, self._store, self._branches = settings, store, branches
        self._in_step: dict[int, list[_InStep]] = {}
        self._sets_aside = next((branch.name for branch in branches if branch.sets_aside), None)

    def assigned(self, client: Consumer, partitions: list[int]) -> Mapping[int, int | None]:
        """Load the stored positions. Go on from the one that is furthest behind."""
        stored = self._store.positions(partitions)
        for branch in self._branches:
            new = [partition for partition, at in stored[branch.name].items() if at == AppliedPosition()]
            former = branch.former_starts(client, new) if new else {}
            if former:
                stored[branch.name] |= self._store.begin(branch, former)
        starts: dict[int, int | None] = {}
        for partition in partitions:
            ats = [stored[branch.name][partition].next_offset for branch in self._branches]
            known = [at for at in ats if at is not None]
            starts[partition] = min(known) if len(known) == len(ats) else None
        check_on_log(self._settings, client, FACTS, starts)
        for partition in partitions:
            self._in_step[partition] = _grouped(self._branches, stored, partition)
        return starts

    def revoked(self, partitions: list[int]) -> None:
        for partition in partitions:
            self._in_step.pop(partition, None)

    def partitions(self) -> list[int]:
        """The assigned partitions."""
        return sorted(self._in_step)

    def of(self, branch: str, partition: int) -> AppliedPosition:
        """The position of a branch on an assigned partition, after the last batch."""
        return next(group.at for group in self._in_step[partition] for one in group.branches if one.name == branch)

    def admit(self, batch: list[DecodedFact]) -> Admitted:
        """The facts of the batch to apply, by branch."""
        touched = {log_place(read.record)[0] for read in batch}
        parts = {branch.name: Part(branch, [], {}, {}) for branch in self._branches}
        for partition in touched:
            for group in self._in_step[partition]:
                for branch in group.branches:
                    parts[branch.name].before[partition] = group.at
        unreadable: list[DecodedFact] = []
        for read in batch:
            partition, offset = log_place(read.record)
            for group in self._in_step[partition]:
                if group.start is None or offset >= group.start:
                    self._take(group, offset, read, parts, unreadable)
        for partition in touched:
            groups = self._in_step[partition]
            for group in groups:
                for branch in group.branches:
                    parts[branch.name].after[partition] = group.at
            if len(groups) > 1:
                self._in_step[partition] = _joined(groups)
        return Admitted(batch, unreadable, parts)

    def _take(
        self,
        group: _InStep,
        offset: int,
        read: DecodedFact,
        parts: dict[str, Part],
        unreadable: list[DecodedFact],
    ) -> None:
        intake, again, fact = group.intake, group.again, read.fact
        if isinstance(fact, Undecodable):
            intake.skip(offset)
            if any(branch.name == self._sets_aside for branch in group.branches):
                unreadable.append(read)
        else:
            facts = intake.take(offset, fact)
            by = redriven_for(read.record)
            for branch in group.branches:
                own = facts
                if branch.name == by and branch.again:
                    again.setdefault(by, []).append(fact)
                    own = [one for one in facts if one is not fact]
                parts[branch.name].facts.extend(own)
        if again and not intake.held_back:
            for branch in group.branches:
                parts[branch.name].facts.extend(again.pop(branch.name, ()))


def _grouped(
    branches: Sequence[Branch[Any, Any]], stored: Mapping[str, Mapping[int, AppliedPosition]], partition: int
) -> list[_InStep]:
    groups: list[_InStep] = []
    for branch in branches:
        at = stored[branch.name][partition]
        intake = Intake(
            applied=(at.offset, at.index), next_offset=at.next_offset, log_time=at.log_time, dedupe=branch.dedupe
        )
        groups.append(_InStep(intake=intake, start=at.next_offset, branches=[branch]))
    return _joined(groups)


def _joined(groups: Sequence[_InStep]) -> list[_InStep]:
    """The groups, those at the same position together. A group that waits for the rest of a command stays alone."""
    joined: list[_InStep] = []
    for group in groups:
        for other in joined:
            if (
                group.at == other.at
                and not (group.intake.held_back or other.intake.held_back or group.again or other.again)
                and group.branches[0].dedupe == other.branches[0].dedupe
            ):
                other.branches += group.branches
                break
        else:
            joined.append(group)
    return joined
