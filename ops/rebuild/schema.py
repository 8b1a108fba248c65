"""The schema of a generation: makes tables like the live ones, or checks that the tables are still like them."""

from __future__ import annotations

from connectors.postgres import Connection
from ops.rebuild.rows import NEXT, PREVIOUS, SQL, TABLES, CannotSwap

INSTEAD = {NEXT: "start again with --restart", PREVIOUS: "rebuild the rows instead, without --back"}


async def drop_next(connection: Connection) -> None:
    """Drop the new generation."""
    await connection.execute(f"DROP SCHEMA IF EXISTS {NEXT} CASCADE")


async def make_next(connection: Connection) -> None:
    """Make empty tables like the live ones, with the same names of indexes and the same roles.

    Keeps existing tables.
    """
    if await connection.fetchval(SQL["begun"], f"{NEXT}.projection_positions"):
        return
    await drop_next(connection)
    await connection.execute(f"CREATE SCHEMA {NEXT}")
    await connection.execute(SQL["make_scope"])
    await connection.execute(SQL["make_made_anew"])
    for table in (*TABLES, "projection_positions"):
        await connection.execute(
            f"CREATE TABLE {NEXT}.{table} "
            f"(LIKE public.{table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)"
        )
        for name, is_primary, definition in await connection.fetch(SQL["indexes"], f"public.{table}"):
            await connection.execute(definition.replace(" ON public.", f" ON {NEXT}.", 1))
            if is_primary:
                await connection.execute(f"ALTER TABLE {NEXT}.{table} ADD PRIMARY KEY USING INDEX {name}")
        for (grant,) in await connection.fetch(SQL["grants"], f"public.{table}", f"{NEXT}.{table}"):
            await connection.execute(grant)


async def require(connection: Connection, schema: str) -> None:
    """Raises CannotSwap when there is no such generation, or another version of this program made its tables."""
    if not await connection.fetchval(SQL["begun"], f"{schema}.projection_positions"):
        raise CannotSwap(f"there is no generation in {schema}: a swap leaves one (circle replay projections --promote)")
    names = [*TABLES, "projection_positions"]
    unlike = await connection.fetchrow(SQL["unlike_live"], schema, names)
    if unlike is not None:
        table, column = unlike
        raise CannotSwap(f"{schema}.{table} has not the columns of the live table ({column}): {INSTEAD[schema]}")
