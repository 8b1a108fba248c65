"""Writes the effects of a batch, of all branches together, and their positions: one PostgreSQL transaction.

Guarantee: a fact is applied once for each branch. The transaction first locks the positions. They must be where the
batch began. If they are behind this batch, its commit had succeeded and only the answer was lost: nothing is written
again. If another process has moved them, it owns the partition now, and `Fenced` ends this process.

A fact that alone cannot be written is set aside, for the branch that cannot write it, and affects nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from connectors.errors import CircleError, Fenced
from connectors.failure_policy import FailureBound, is_of_record
from connectors.logs import Log
from connectors.postgres import Connection, Database
from connectors.sql_files import queries
from pipelines.branches.branch import Branch, FailedFact, Part, PreparedPart
from pipelines.positions import AppliedPosition, applied_position
from schemas.facts import RecordedFact
from sinks.row_by_row import each

SQL = queries(Path(__file__).parent / "sql" / "positions.sql")

T = TypeVar("T")

PutAside = Callable[[Branch[Any, Any], Sequence[FailedFact]], None]
"""Puts facts of a branch into the dead letters. They are durable when it returns."""

log = Log("read-side")

Place = tuple[str, int]  # branch, partition


class PositionsLost(CircleError):
    """The database has lost commits (a restored backup, a crash without durable commits).

    The process ends. Its successor reads the log again from the database's position.
    """


class BranchStore:
    """The rows and positions of branches. Waits while PostgreSQL is away; a stop during the wait raises Stopped."""

    def __init__(
        self, database: Database, branches: Sequence[Branch[Any, Any]], *, stop_requested: Callable[[], bool]
    ) -> None:
        self._database, self._branches, self._stop_requested = database, branches, stop_requested
        self._bounds = {branch.name: FailureBound(branch.name) for branch in branches}

    def positions(self, partitions: Sequence[int]) -> dict[str, dict[int, AppliedPosition]]:
        """The position of each branch on each partition. Creates the rows that later batches lock."""
        names = [branch.name for branch in self._branches]

        async def load(connection: Connection) -> dict[str, dict[int, AppliedPosition]]:
            await connection.execute(SQL["adopt_positions"], names, list(partitions))
            found = await _locked(connection, names, partitions)
            for branch in self._branches:
                await branch.load(connection, partitions)
            return {name: {part: found[name, part] for part in partitions} for name in names}

        return self._database.patiently(load, stop_requested=self._stop_requested)

    def begin(self, branch: Branch[Any, Any], starts: Mapping[int, int]) -> dict[int, AppliedPosition]:
        """Store the first position of a branch: nothing applied, and the record to begin with. Returns it."""
        at = {partition: AppliedPosition(next_offset=start) for partition, start in starts.items()}
        part = Part(branch, [], {}, at)
        self._database.patiently(lambda connection: _advance(connection, [part]), stop_requested=self._stop_requested)
        return at

    def write(self, prepared: Sequence[PreparedPart], put_aside: PutAside) -> dict[str, list[Any]]:
        """The effects and the positions of one batch. Returns what each branch's `write` has reported.

        Facts that cannot be written are `put_aside` before the commit. Raises Fenced, PositionsLost, EverythingFails,
        Stopped, and the alarms of the branches.
        """
        moving = [one for one in prepared if one.part.moves]
        if not moving:
            return {}

        async def whole(connection: Connection) -> dict[str, list[Any]]:
            results: dict[str, list[Any]] = {}
            for part, effects in await _writable(connection, moving):
                if part.facts:
                    results[part.branch.name] = [await part.branch.write(connection, effects)]
            return results

        async def singly(connection: Connection) -> dict[str, list[Any]]:
            results: dict[str, list[Any]] = {}
            for part, effects in await _writable(connection, moving):
                if part.facts:
                    results[part.branch.name] = await self._branch_alone(connection, part, effects, put_aside)
            return results

        if all(one.effects is not None or not one.part.facts for one in moving):
            try:
                return self._database.patiently(whole, stop_requested=self._stop_requested)
            except Exception as error:
                if not is_of_record(error):
                    raise
                log.exception("batch.written_singly", error, facts=max(len(one.part.facts) for one in moving))
        return self._database.patiently(singly, stop_requested=self._stop_requested)

    def write_again(
        self,
        part: Part,
        put_aside: PutAside,
        *,
        begin: Callable[[Connection], Awaitable[bool]],
        end: Callable[[Connection], Awaitable[None]],
    ) -> list[Any]:
        """The effects of facts that the branch had set aside, at its present position: `begin`, the rows and `end` in
        one transaction. Nothing is written if `begin` says no. Returns and raises as `write` does, for one branch.
        """

        async def again(connection: Connection) -> list[Any]:
            if not await begin(connection):
                return []
            await _writable(connection, [PreparedPart(part, None)])
            results = await self._branch_alone(connection, part, None, put_aside)
            await end(connection)
            return results

        return self._database.patiently(again, stop_requested=self._stop_requested)

    def within(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Other work in a transaction of its own. Raises Stopped."""
        return self._database.patiently(work, stop_requested=self._stop_requested)

    async def _branch_alone(self, connection: Connection, part: Part, effects: Any, put_aside: PutAside) -> list[Any]:
        """Write one branch in a savepoint; fact by fact if PostgreSQL refuses it."""
        branch = part.branch
        if effects is not None:
            try:
                async with connection.transaction():
                    return [await branch.write(connection, effects)]
            except Exception as error:
                if not is_of_record(error):
                    raise
        results: list[Any] = []

        async def write(fact: RecordedFact) -> None:
            results.append(await branch.write(connection, branch.prepare(part.only(fact))))

        failed = [FailedFact(*one) for one in await each(connection, part.facts, write, self._bounds[branch.name])]
        if failed:
            put_aside(branch, failed)
            await branch.write_failures(connection, failed)
        return results


async def _writable(connection: Connection, prepared: Sequence[PreparedPart]) -> list[tuple[Part, Any]]:
    """Lock the positions of the batch, and move them forward. Returns the parts to write: not those whose commit had
    succeeded before. Raises Fenced when a position is ahead of the batch's start, PositionsLost when it is behind.

    A rolled back transaction takes the positions back.
    """
    names = [one.part.branch.name for one in prepared]
    partitions = sorted({partition for one in prepared for partition in one.part.after})
    found = await _locked(connection, names, partitions)
    todo = [(one.part, one.effects) for one in prepared if _may_write(one.part, found)]
    await _advance(connection, [part for part, _ in todo])
    return todo


def _may_write(part: Part, locked: dict[Place, AppliedPosition]) -> bool:
    name = part.branch.name
    if not part.branch.dedupe:  # the negative control's positions go back and cannot be compared
        return True
    found = {partition: locked[name, partition] for partition in part.after if (name, partition) in locked}
    if found == part.after:
        return part.after == part.before
    if found == part.before:
        return True
    if all(_place(found.get(partition)) <= _place(at) for partition, at in part.before.items()):
        raise PositionsLost(f"{name}: the database has forgotten commits: expected {part.before}, found {found}")
    raise Fenced(f"{name}: another process has written these partitions: expected {part.before}, found {found}")


def _place(at: AppliedPosition | None) -> tuple[int, int, int]:
    if at is None:
        return (-1, -1, -1)
    return (at.offset, at.index, -1 if at.next_offset is None else at.next_offset)


async def _locked(
    connection: Connection, names: Sequence[str], partitions: Sequence[int]
) -> dict[Place, AppliedPosition]:
    rows = await connection.fetch(SQL["lock_positions"], list(names), list(partitions))
    return {(row[0], row[1]): applied_position(tuple(row)[2:]) for row in rows}


async def _advance(connection: Connection, parts: Sequence[Part]) -> None:
    places = [(part.branch.name, partition, at) for part in parts for partition, at in part.after.items()]
    if not places:
        return
    await connection.execute(
        SQL["advance_positions"],
        [name for name, _, _ in places],
        [partition for _, partition, _ in places],
        [at.offset for _, _, at in places],
        [at.index for _, _, at in places],
        [-1 if at.next_offset is None else at.next_offset for _, _, at in places],
        [at.log_time for _, _, at in places],
    )
