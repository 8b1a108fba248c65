"""`circle replay projections`: rebuilds the rows from tickets.facts next to the live rows, compares, and swaps.

It uses the live dataflow's code with another schema: `Intake`, the `Projections` branch, `BranchStore`. First it builds
the new generation up to the positions of the live one, while the live one goes on. Then one transaction does the rest:
it holds the live generation by its position locks, catches up, compares both, and with `promote` swaps the tables.
Nothing else changes: no notification is sent again, and no payment is requested. A stopped rebuild continues where it
was.

Without live rows it builds to the end of the log, and `promote` hands over its positions. With `since`, a point of the
log, it rebuilds only the events with facts from there on, each from its first fact. At the swap it copies the rows of
all other events from the live generation.

The former tables keep the position of the swap. So the way back is the same: `go_back` updates them from that position,
compares, and swaps. Then the tables that were live are the former generation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import asyncpg
import msgspec

from connectors.log_reader import LogReader, few_collections, key_of, offset_of, partitions_of
from connectors.postgres import Connection, Database
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from ops.archive.export import Span
from ops.progress import Bar, ProgressBars
from ops.rebuild.rows import (
    CALLED,
    NEXT,
    PREVIOUS,
    SQL,
    SWAP_TIMEOUT_S,
    TABLES,
    CannotSwap,
    TableResult,
    compare,
    hand_over,
    swap,
    take_over,
)
from ops.rebuild.schema import drop_next, make_next, require
from pipelines.branches.branch import Part, prepared
from pipelines.branches.store import BranchStore
from pipelines.command_places import CommandPlaces
from pipelines.history.intake import Intake
from pipelines.positions import PROJECTIONS, AppliedPosition, applied_position
from pipelines.projections.branch import Projections
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.ids import position_text
from schemas.topics import FACTS

BATCH = 2_000
END = AppliedPosition(2**62, 0, None, 0)  # no fact stands there
Positions = dict[int, AppliedPosition]


class GenerationReport(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison at the positions of the live generation."""

    facts: int
    positions: dict[int, str]
    tables: list[TableResult]
    beside: str  # the schema of the generation that was compared with the live one
    promoted: bool
    from_empty: bool = False  # there were no live rows to compare with
    made_anew: int | None = None  # the number of rebuilt events; None: all

    @property
    def ok(self) -> bool:
        return self.from_empty or all(table.same for table in self.tables)


def rebuild(
    settings: Settings,
    progress: ProgressBars,
    *,
    promote: bool = False,
    restart: bool = False,
    dry_run: bool = False,
    since: Span | None = None,
) -> GenerationReport:
    """Build, compare, and swap when asked. `dry_run` does not swap, and drops what it built.

    Raises ServiceUnreachable, LogTruncated, CannotSwap.
    """
    with _both(settings, NEXT) as (live, new):
        if restart:
            live.run(drop_next)
        live.run(make_next)
        partitions = partitions_of(settings, FACTS)
        only = _scope(settings, live, since, partitions, progress)
        report = _up_to_the_live_one(settings, live, new, NEXT, progress, promote and not dry_run, only)
        if dry_run:
            live.run(drop_next)
        return report


def go_back(settings: Settings, progress: ProgressBars, *, promote: bool = False) -> GenerationReport:
    """Update the former generation, compare, and swap when asked.

    Raises ServiceUnreachable, LogTruncated, CannotSwap (also when there is no former generation).
    """
    with _both(settings, PREVIOUS) as (live, former):
        return _up_to_the_live_one(settings, live, former, PREVIOUS, progress, promote)


@contextmanager
def _both(settings: Settings, beside: str) -> Iterator[tuple[Database, Database]]:
    """The live generation and the other one."""
    live, other = Database(settings.postgres_url), Database(settings.postgres_url, schema=beside)
    try:
        yield live, other
    except asyncpg.LockNotAvailableError as error:
        raise CannotSwap(f"the live tables were in use for {SWAP_TIMEOUT_S} s: {error}; try again") from None
    finally:
        live.close()
        other.close()


def _up_to_the_live_one(
    settings: Settings,
    live: Database,
    other: Database,
    beside: str,
    progress: ProgressBars,
    promote: bool,
    only: frozenset[str] | None = None,
) -> GenerationReport:
    live.run(lambda connection: require(connection, beside))
    builder = _Builder(settings, other, partitions_of(settings, FACTS), only)
    try:
        with few_collections():
            while builder.build(live.run(_live_positions), progress) > BATCH:
                pass
            return live.run(lambda connection: _settle(connection, builder, beside, progress, promote))
    finally:
        builder.close()


@dataclass
class _Builder:
    """Reads facts and writes rows, never beyond the given positions."""

    settings: Settings
    database: Database
    partitions: int
    only: frozenset[str] | None = None  # the events to rebuild; None is all
    facts: int = 0
    _codec: Codec = field(init=False)
    _places: CommandPlaces = field(init=False)
    _branch: Projections = field(init=False)
    _store: BranchStore = field(init=False)
    _readers: dict[int, LogReader] = field(default_factory=dict)
    _intakes: dict[int, Intake] = field(default_factory=dict)
    _read: dict[int, list[tuple[int, RecordedFact | None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._codec = codec_of(self.settings)
        self._branch = Projections()
        self._store = BranchStore(self.database, [self._branch], stop_requested=lambda: False)
        self._places = CommandPlaces(self.settings)

    def build(self, until: Positions, progress: ProgressBars) -> int:
        """Build each partition up to `until`, or to its end when there are no rows at all.

        Returns the number of facts.
        """
        before = self.facts
        to_the_end = is_empty(until)
        for partition in range(self.partitions):
            wanted = END if to_the_end else until.get(partition)
            if wanted is None or wanted.offset < 0:
                continue
            if partition not in self._intakes:
                self._open(partition)
            bar = progress.bar(f"rows of partition {partition}", self._readers[partition].high)
            self._partition(partition, (wanted.offset, wanted.index), bar)
            bar.finish(self._intakes[partition].next_offset or 0)
        return self.facts - before

    def positions(self) -> Positions:
        """The positions of the new generation."""
        return {
            partition: AppliedPosition(*intake.applied, intake.next_offset, intake.log_time)
            for partition, intake in self._intakes.items()
        }

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()

    def _open(self, partition: int) -> None:
        at = self._store.positions([partition])[PROJECTIONS][partition]
        self._intakes[partition] = Intake(
            applied=(at.offset, at.index), next_offset=at.next_offset, log_time=at.log_time
        )
        self._readers[partition] = LogReader(self.settings, FACTS, partition, start=at.next_offset).from_the_start()
        self._read[partition] = []

    def _partition(self, partition: int, wanted: tuple[int, int], bar: Bar) -> None:
        intake, reader = self._intakes[partition], self._readers[partition]
        while intake.applied < wanted:
            if not self._read[partition]:
                self._read[partition] = [
                    (offset_of(message), found if isinstance(found, RecordedFact) else None)
                    for message in reader.chunk(wait_s=0.0 if wanted[0] == END.offset else 1.0)
                    for found in (self._places.in_place(partition, self._codec.decode(message.value())),)
                ]
                if not self._read[partition]:
                    if wanted == (END.offset, END.index):
                        return
                    at = f"{intake.applied[0]}-{intake.applied[1]}"
                    raise CannotSwap(f"{reader.place} ends at {at}, and the live rows are at {wanted[0]}-{wanted[1]}")
            before = AppliedPosition(*intake.applied, intake.next_offset, intake.log_time)
            facts: list[RecordedFact] = []
            taken = 0
            for offset, recorded in self._read[partition]:
                if len(facts) >= BATCH or intake.applied >= wanted:
                    break
                taken += 1
                if recorded is None:
                    intake.skip(offset)
                else:
                    facts += intake.take(offset, recorded)
            self._read[partition] = self._read[partition][taken:]
            after = AppliedPosition(*intake.applied, intake.next_offset, intake.log_time)
            only = self.only
            mine = facts if only is None else [one for one in facts if one.envelope.event_id in only]
            part = Part(self._branch, mine, {partition: before}, {partition: after})
            self._store.write([prepared(part)], lambda _branch, _failed: None)  # the facts stay on the log
            self.facts += len(facts)
            bar.set(intake.next_offset or 0)


def is_empty(positions: Positions) -> bool:
    """Whether nothing is projected."""
    return all(at.offset < 0 for at in positions.values())


def _scope(
    settings: Settings, live: Database, since: Span | None, partitions: int, progress: ProgressBars
) -> frozenset[str] | None:
    """The events with facts from `since` on, as the build found them at its beginning. None is all events.

    Raises CannotSwap when a build of another scope has begun.
    """
    word = "" if since is None else f"{since.first_offset or ''}/{since.first_ms or ''}"
    begun: str | None = live.run(lambda connection: connection.fetchval(SQL["scope"]))
    if begun is None:
        events = set() if since is None else _events_since(settings, since, partitions, progress)

        async def remember(connection: Connection) -> None:
            await connection.execute(SQL["put_scope"], word)
            await connection.execute(SQL["put_made_anew"], sorted(events))

        live.run(remember)
    elif begun != word:
        raise CannotSwap("a build with another --from has begun: continue that one, or start again with --restart")
    if since is None:
        return None
    rows = live.run(lambda connection: connection.fetch(SQL["made_anew"]))
    return frozenset(row[0] for row in rows)


def _events_since(settings: Settings, since: Span, partitions: int, progress: ProgressBars) -> set[str]:
    """By the records' keys: nothing is decoded."""
    events: set[str] = set()
    for partition in range(partitions):
        with LogReader(settings, FACTS, partition, start=since.first_offset, since_ms=since.first_ms) as reader:
            bar = progress.bar(f"events of partition {partition}", reader.high)
            for message in reader.messages():
                if since.has(message):
                    events.add((key_of(message) or b"").decode("utf-8", "replace"))
            bar.finish(reader.high)
    return events


# --- what happens in Postgres -------------------------------------------------------------------------------------


async def _live_positions(connection: Connection) -> Positions:
    return _positions(await connection.fetch(SQL["live_positions"]))


async def _settle(
    connection: Connection, builder: _Builder, beside: str, progress: ProgressBars, promote: bool
) -> GenerationReport:
    """Hold the live projection, catch up, compare, swap. A failure leaves no change."""
    live = _positions(await connection.fetch(SQL["hold_live"]))
    await _in_a_thread(builder, live, progress)
    from_empty = is_empty(live)
    for partition, at in builder.positions().items():
        if from_empty:
            break
        there = live[partition]
        if (at.offset, at.index) != (there.offset, there.index):
            raise CannotSwap(
                f"partition {partition}: the {CALLED[beside]} rows are at {at.offset}-{at.index}, the live ones at "
                f"{there.offset}-{there.index}: start again with --restart"
            )
    if builder.only is not None:
        await take_over(connection)
    tables = [await compare(connection, table, beside) for table in TABLES]
    if promote:
        await swap(connection, beside)
        if from_empty:
            await hand_over(connection, builder.positions())
    return GenerationReport(
        facts=builder.facts,
        positions={
            partition: position_text(partition, at.offset, at.index)
            for partition, at in builder.positions().items()
            if at.offset >= 0
        },
        tables=tables,
        beside=beside,
        promoted=promote,
        from_empty=from_empty,
        made_anew=None if builder.only is None else len(builder.only),
    )


async def _in_a_thread(builder: _Builder, until: Positions, progress: ProgressBars) -> None:
    """Runs the builder in a thread: its connection has its own event loop, which cannot run inside this one."""

    await asyncio.to_thread(builder.build, until, progress)


def _positions(rows: Sequence[asyncpg.Record]) -> Positions:
    found: Mapping[int, AppliedPosition] = {row[0]: applied_position(tuple(row)[1:]) for row in rows}
    return dict(found)
