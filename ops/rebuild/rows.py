"""Compares, copies and swaps the tables of two generations, in the caller's transaction.

`beside` is the schema of the generation that is not live: the new one, or the former one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from connectors.errors import CircleError
from connectors.postgres import Connection
from connectors.sql_files import queries
from ops.migrations.tables import DERIVED_TABLES, NEXT_GENERATION, PREVIOUS_GENERATION
from pipelines.positions import AppliedPosition
from schemas.ids import position_text

NEXT, PREVIOUS = NEXT_GENERATION, PREVIOUS_GENERATION
LEFT = "generation_left"  # the live tables' schema in the middle of a swap
CALLED = {NEXT: "new", PREVIOUS: "former"}
# The tables that the projections write: all derived tables without those of other consumers and of the sandbox.
OTHERS = frozenset({"fact_redrives", "fact_totals", "notifications", "projection_positions"})
TABLES = tuple(table for table in DERIVED_TABLES if table not in OTHERS and "." not in table)
SECRET_COLUMNS = frozenset({"payment_token"})  # compared, but never shown
SHOWN_MAX = 20  # the rows of a table that a report names
SWAP_TIMEOUT_S = 10  # readers have this long to finish; then nothing is swapped
SQL = queries(Path(__file__).with_name("projections.sql"))


class CannotSwap(CircleError):
    """The tables are in use, or the rows are not at one position. Nothing was changed."""


class RowDifference(msgspec.Struct, frozen=True):
    """A row that differs, the difference, and the position of the fact that changed the row last."""

    key: str
    position: str
    what: str


class TableResult(msgspec.Struct, frozen=True, kw_only=True):
    """One table in both generations. `new_…` is about the generation that is not live."""

    table: str
    live_rows: int
    new_rows: int
    live_digest: str
    new_digest: str
    differences: list[RowDifference]

    @property
    def same(self) -> bool:
        return (self.live_rows, self.live_digest) == (self.new_rows, self.new_digest)


async def compare(connection: Connection, table: str, beside: str) -> TableResult:
    """Compare both generations of a table by digest, and list the differences."""
    digests: dict[str, tuple[int, str]] = {}
    for schema in ("public", beside):
        # The sum of the rows' digests does not depend on their order.
        (found,) = await connection.fetch(
            f"SELECT count(*), COALESCE(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM {schema}.{table} AS t"  # noqa: S608
        )
        digests[schema] = (found[0], found[1])
    differences: list[RowDifference] = []
    if digests["public"] != digests[beside]:
        keys = [row[0] for row in await connection.fetch(SQL["key_columns"], f"public.{table}")]
        live = await _only_in(connection, table, keys, "public", beside)
        new = await _only_in(connection, table, keys, beside, "public")
        shown = sorted(live.keys() | new.keys())[:SHOWN_MAX]
        differences = [_difference("/".join(key), live.get(key), new.get(key), CALLED[beside]) for key in shown]
    return TableResult(
        table=table,
        live_rows=digests["public"][0],
        new_rows=digests[beside][0],
        live_digest=digests["public"][1],
        new_digest=digests[beside][1],
        differences=differences,
    )


async def _only_in(
    connection: Connection, table: str, keys: list[str], one: str, other: str
) -> dict[tuple[str, ...], dict[str, Any]]:
    """The rows of one generation that the other lacks or has otherwise, by key; the first SHOWN_MAX."""
    order = ", ".join(f'"{name}"::text COLLATE "C"' for name in keys)
    rows = await connection.fetch(
        f"SELECT to_jsonb(d)::text FROM (SELECT * FROM {one}.{table} EXCEPT SELECT * FROM {other}.{table}) AS d "  # noqa: S608
        f"ORDER BY {order} LIMIT {SHOWN_MAX}"
    )
    found = [msgspec.json.decode(row[0]) for row in rows]
    return {tuple(str(row[name]) for name in keys): row for row in found}


def _difference(key: str, live: dict[str, Any] | None, new: dict[str, Any] | None, called: str) -> RowDifference:
    row = new if new is not None else live
    assert row is not None
    place: list[Any] = [row.get(f"updated_{name}", row.get(name)) for name in ("offset", "index")]
    position = position_text(row["partition"], *place)
    if live is None or new is None:
        return RowDifference(key, position, f"only {called if live is None else 'live'}")
    fields = [
        f"{name} differs" if name in SECRET_COLUMNS else f"{name} is {live[name]!r} live, {new[name]!r} {called}"
        for name in live
        if live[name] != new[name]
    ]
    return RowDifference(key, position, "; ".join(fields))


async def take_over(connection: Connection) -> None:
    """Copy the live rows of all events that are not rebuilt."""
    for table in TABLES:
        event = "id" if table == "events" else "event_id"
        others = f"{event} NOT IN (SELECT event_id FROM {NEXT}.made_anew)"  # noqa: S608
        await connection.execute(f"DELETE FROM {NEXT}.{table} WHERE {others}")  # noqa: S608
        columns = await connection.fetchval(SQL["written_columns"], f"public.{table}")
        rows = f"SELECT {columns} FROM public.{table} WHERE {others}"  # noqa: S608
        await connection.execute(f"INSERT INTO {NEXT}.{table} ({columns}) {rows}")


async def hand_over(connection: Connection, positions: Mapping[int, AppliedPosition]) -> None:
    """Let the live projection continue from these positions. The former tables were empty, so they get no position.

    Raises CannotSwap when the live projection has begun by itself."""
    await connection.execute(f"DELETE FROM {PREVIOUS}.projection_positions")  # noqa: S608
    for partition, at in positions.items():
        place = (partition, at.offset, at.index, -1 if at.next_offset is None else at.next_offset, at.log_time)
        if not await connection.fetchval(SQL["begin_live"], *place):
            raise CannotSwap(f"partition {partition}: the live projection has begun meanwhile; try again")


async def swap(connection: Connection, beside: str) -> None:
    """Make the other tables live. The live tables become the former generation, at the position of both."""
    await connection.execute(f"SET LOCAL lock_timeout = '{SWAP_TIMEOUT_S}s'")
    await connection.execute(f"CREATE SCHEMA {LEFT}")
    for table in TABLES:
        await connection.execute(f"ALTER TABLE public.{table} SET SCHEMA {LEFT}")
        await connection.execute(f"ALTER TABLE {beside}.{table} SET SCHEMA public")
    await connection.execute(f"ALTER TABLE {beside}.projection_positions SET SCHEMA {LEFT}")
    await connection.execute(f"DROP SCHEMA {beside} CASCADE")
    await connection.execute(f"DROP SCHEMA IF EXISTS {PREVIOUS} CASCADE")
    await connection.execute(f"ALTER SCHEMA {LEFT} RENAME TO {PREVIOUS}")
