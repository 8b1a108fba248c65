"""`circle replay projections`: the rows made anew from tickets.facts beside the live ones, compared, and swapped.

The live dataflow's own path with another schema: `Intake`, `project`, `ProjectionStore`. The new generation is built up
to the positions of the live one while that goes on; then the live one is held by its own position locks, the rest is
caught up, both are compared, and `promote` swaps the tables in the same transaction. Nothing else is touched: no
notification is sent again, no payment asked for. Stopped at any place, it goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from connectors.errors import CircleError
from connectors.log_reader import LogReader, few_collections, offset_of, partitions_of
from connectors.postgres import PROJECTIONS, Connection, Database, applied_position
from connectors.settings import Settings
from connectors.sql_files import queries
from ops.load.progress import Bar, Progress
from pipelines.intake import Intake
from pipelines.projections.project import project
from pipelines.projections.snapshot import AppliedPosition
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.topics import FACTS
from sinks.postgres import ProjectionStore

NEXT, PREVIOUS = "generation_next", "generation_previous"
KEYS: dict[str, tuple[str, ...]] = {
    "events": ("id",),
    "ticket_types": ("event_id", "id"),
    "reservations": ("event_id", "id"),
    "payments": ("event_id", "attempt_id"),
    "refunds": ("event_id", "refund_key"),
    "seat_claims": ("event_id", "ticket_type_id", "seat", "reservation_id"),
    "tickets": ("id",),
    "check_ins": ("event_id", "offset", "index"),
    "waitlist_entries": ("event_id", "id"),
    "observed_seat_locks": ("event_id", "place"),
    "pools": ("event_id", "id"),
    "codes": ("event_id", "id"),
    "seat_blocks": ("event_id", "id"),
    "event_staff": ("event_id", "member_id"),
    "schedules": ("event_id",),
    "chores": ("event_id", "kind"),
}
TABLES = tuple(KEYS)
UNTOLD = frozenset({"payment_token"})  # compared, not shown
BATCH = 2_000
SHOWN_MAX = 20  # differing rows of a table that are named
SWAP_TIMEOUT_S = 10  # readers are let finish this long; then nothing is swapped
SQL = queries(Path(__file__).with_name("generation.sql"))
Positions = dict[int, AppliedPosition]


class CannotSwap(CircleError):
    """The tables are in use, or the rows are not at one position: nothing was changed."""


class RowDifference(msgspec.Struct, frozen=True):
    """A row that differs, how, and the position of the fact that last changed it."""

    key: str
    position: str
    what: str


class TableResult(msgspec.Struct, frozen=True, kw_only=True):
    """One table in both generations."""

    table: str
    live_rows: int
    new_rows: int
    live_digest: str
    new_digest: str
    differences: list[RowDifference]

    @property
    def same(self) -> bool:
        return (self.live_rows, self.live_digest) == (self.new_rows, self.new_digest)


class GenerationReport(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison, at the live generation's positions."""

    facts: int
    positions: dict[int, str]
    tables: list[TableResult]
    promoted: bool

    @property
    def ok(self) -> bool:
        return all(table.same for table in self.tables)


def rebuild(
    settings: Settings, progress: Progress, *, promote: bool = False, restart: bool = False, dry_run: bool = False
) -> GenerationReport:
    """Build, compare, and swap where asked. `dry_run` does everything but the swap, and drops what it built.

    Raises ServiceUnreachable, LogTruncated, CannotSwap.
    """
    live, new = Database(settings.postgres_url), Database(in_schema(settings.postgres_url, NEXT))
    partitions = partitions_of(settings, FACTS)
    try:
        if restart:
            live.run(_drop_next)
        live.run(_make_next)
        builder = _Builder(settings, ProjectionStore(new, PROJECTIONS, stop_requested=lambda: False), partitions)
        try:
            with few_collections():
                while builder.build(live.run(_live_positions), progress) > BATCH:
                    pass
                report = live.run(lambda connection: _settle(connection, builder, progress, promote and not dry_run))
        finally:
            builder.close()
        if dry_run:
            live.run(_drop_next)
        return report
    except asyncpg.LockNotAvailableError as error:
        raise CannotSwap(f"the live tables were in use for {SWAP_TIMEOUT_S} s: {error}; try again") from None
    finally:
        live.close()
        new.close()


def in_schema(url: str, schema: str) -> str:
    """The same database with another schema in front."""
    return f"{url}{'&' if '?' in url else '?'}search_path={schema}"


@dataclass
class _Builder:
    """Reads facts and writes rows, never beyond the positions it is told."""

    settings: Settings
    store: ProjectionStore
    partitions: int
    facts: int = 0
    _codec: Codec = field(default_factory=Codec)
    _readers: dict[int, LogReader] = field(default_factory=dict)
    _intakes: dict[int, Intake] = field(default_factory=dict)
    _read: dict[int, list[tuple[int, RecordedFact | None]]] = field(default_factory=dict)

    def build(self, until: Positions, progress: Progress) -> int:
        """Every partition up to `until`. Returns how many facts that took."""
        before = self.facts
        for partition in range(self.partitions):
            wanted = until.get(partition)
            if wanted is None or wanted.offset < 0:
                continue
            if partition not in self._intakes:
                self._open(partition)
            bar = progress.bar(f"rows of partition {partition}", self._readers[partition].high)
            self._partition(partition, (wanted.offset, wanted.index), bar)
            bar.finish(self._intakes[partition].next_offset or 0)
        return self.facts - before

    def positions(self) -> Positions:
        """Where the new generation stands."""
        return {
            partition: AppliedPosition(*intake.applied, intake.next_offset, intake.log_time)
            for partition, intake in self._intakes.items()
        }

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()

    def _open(self, partition: int) -> None:
        at = self.store.positions([partition])[partition]
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
                    for message in reader.chunk(wait_s=1.0)
                    for found in (self._codec.decode(message.value()),)
                ]
                if not self._read[partition]:
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
            self.store.write(project(facts), before={partition: before}, after={partition: after})
            self.facts += len(facts)
            bar.set(intake.next_offset or 0)


# --- what happens in Postgres -------------------------------------------------------------------------------------


async def _drop_next(connection: Connection) -> None:
    await connection.execute(f"DROP SCHEMA IF EXISTS {NEXT} CASCADE")


async def _make_next(connection: Connection) -> None:
    """Empty tables like the live ones, with indexes of the same names; nothing where they are there already."""
    if await connection.fetchval(SQL["begun"]):
        return
    await connection.execute(f"DROP SCHEMA IF EXISTS {NEXT} CASCADE")
    await connection.execute(f"CREATE SCHEMA {NEXT}")
    for table in (*TABLES, "projection_positions"):
        await connection.execute(
            f"CREATE TABLE {NEXT}.{table} (LIKE public.{table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        )
        for name, is_primary, definition in await connection.fetch(SQL["indexes"], f"public.{table}"):
            await connection.execute(definition.replace(" ON public.", f" ON {NEXT}.", 1))
            if is_primary:
                await connection.execute(f"ALTER TABLE {NEXT}.{table} ADD PRIMARY KEY USING INDEX {name}")


async def _live_positions(connection: Connection) -> Positions:
    return _positions(await connection.fetch(SQL["live_positions"]))


async def _settle(connection: Connection, builder: _Builder, progress: Progress, promote: bool) -> GenerationReport:
    """Hold the live projection, catch up, compare, swap. Nothing of it lasts when it fails."""
    live = _positions(await connection.fetch(SQL["hold_live"]))
    await _in_a_thread(builder, live, progress)
    for partition, at in builder.positions().items():
        there = live[partition]
        if (at.offset, at.index) != (there.offset, there.index):
            raise CannotSwap(
                f"partition {partition}: the new rows are at {at.offset}-{at.index}, the live ones at "
                f"{there.offset}-{there.index}: begin anew with --restart"
            )
    tables = [await _compare(connection, table) for table in TABLES]
    if promote:
        await _swap(connection)
    return GenerationReport(
        facts=builder.facts,
        positions={
            partition: f"{partition}-{at.offset}-{at.index}" for partition, at in live.items() if at.offset >= 0
        },
        tables=tables,
        promoted=promote,
    )


async def _compare(connection: Connection, table: str) -> TableResult:
    digests: dict[str, tuple[int, str]] = {}
    for schema in ("public", NEXT):
        # The sum of the rows' digests: the same in whatever order the rows lie.
        (found,) = await connection.fetch(
            f"SELECT count(*), COALESCE(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM {schema}.{table} AS t"  # noqa: S608
        )
        digests[schema] = (found[0], found[1])
    differences: list[RowDifference] = []
    if digests["public"] != digests[NEXT]:
        live = await _only_in(connection, table, "public", NEXT)
        new = await _only_in(connection, table, NEXT, "public")
        shown = sorted(live.keys() | new.keys())[:SHOWN_MAX]
        differences = [_difference("/".join(key), live.get(key), new.get(key)) for key in shown]
    return TableResult(
        table=table,
        live_rows=digests["public"][0],
        new_rows=digests[NEXT][0],
        live_digest=digests["public"][1],
        new_digest=digests[NEXT][1],
        differences=differences,
    )


async def _only_in(connection: Connection, table: str, one: str, other: str) -> dict[tuple[str, ...], dict[str, Any]]:
    """The rows of one generation that the other has not so, by key; the first SHOWN_MAX of them by key."""
    keys = ", ".join(f'"{name}"::text COLLATE "C"' for name in KEYS[table])
    rows = await connection.fetch(
        f"SELECT to_jsonb(d)::text FROM (SELECT * FROM {one}.{table} EXCEPT SELECT * FROM {other}.{table}) AS d "  # noqa: S608
        f"ORDER BY {keys} LIMIT {SHOWN_MAX}"
    )
    found = [msgspec.json.decode(row[0]) for row in rows]
    return {tuple(str(row[name]) for name in KEYS[table]): row for row in found}


def _difference(key: str, live: dict[str, Any] | None, new: dict[str, Any] | None) -> RowDifference:
    row = new if new is not None else live
    assert row is not None
    at = ("offset", "index") if "updated_offset" not in row else ("updated_offset", "updated_index")  # a scan stays
    position = "-".join(str(row[name]) for name in ("partition", *at))
    if live is None or new is None:
        return RowDifference(key, position, f"only {'new' if live is None else 'live'}")
    told = [
        f"{name} differs" if name in UNTOLD else f"{name} is {live[name]!r} live, {new[name]!r} new"
        for name in live
        if live[name] != new[name]
    ]
    return RowDifference(key, position, "; ".join(told))


async def _swap(connection: Connection) -> None:
    """The new tables become the live ones; the old ones stay in generation_previous."""
    await connection.execute(f"SET LOCAL lock_timeout = '{SWAP_TIMEOUT_S}s'")
    await connection.execute(f"DROP SCHEMA IF EXISTS {PREVIOUS} CASCADE")
    await connection.execute(f"CREATE SCHEMA {PREVIOUS}")
    for table in TABLES:
        await connection.execute(f"ALTER TABLE public.{table} SET SCHEMA {PREVIOUS}")
        await connection.execute(f"ALTER TABLE {NEXT}.{table} SET SCHEMA public")
    await connection.execute(f"DROP SCHEMA {NEXT} CASCADE")


async def _in_a_thread(builder: _Builder, until: Positions, progress: Progress) -> None:
    """The builder's own connection has an event loop of its own, so it may not run inside this one."""

    await asyncio.to_thread(builder.build, until, progress)


def _positions(rows: Sequence[asyncpg.Record]) -> Positions:
    found: Mapping[int, AppliedPosition] = {row[0]: applied_position(tuple(row)[1:]) for row in rows}
    return dict(found)
