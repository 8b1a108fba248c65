"""Writes rows one by one, each in its own savepoint, when PostgreSQL refuses a whole batch.

Guarantee: if one item alone is at fault, it leaves no rows and does not affect the others. Any other error (a server
that is away, a lost partition) is raised, and nothing of the batch is written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from connectors.failure_policy import Bound, is_of_record
from connectors.logs import Log
from connectors.postgres import Connection, Database

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

log = Log("sinks")


async def each(
    connection: Connection, items: Iterable[T], write: Callable[[T], Awaitable[None]], bound: Bound
) -> list[tuple[T, str]]:
    """`write` each item. Returns the failed items, each with its error text. Raises EverythingFails."""
    failed: list[tuple[T, str]] = []
    for item in items:
        try:
            async with connection.transaction():
                await write(item)
        except Exception as error:
            if not is_of_record(error):
                raise
            failed.append((item, bound.failed(error)))
        else:
            bound.went_well()
    return failed


class Write(Protocol[R_co]):
    """Writes a batch in the transaction of `connection`: whole, or `singly` by `each`."""

    async def __call__(self, connection: Connection, *, singly: bool) -> R_co: ...


def whole_or_singly(database: Database, write: Write[R], stop_requested: Callable[[], bool]) -> R:
    """Write a batch whole, or item by item if PostgreSQL refuses it. Waits while PostgreSQL is away."""
    try:
        return database.patiently(lambda connection: write(connection, singly=False), stop_requested=stop_requested)
    except Exception as error:
        if not is_of_record(error):
            raise
        log.exception("batch.written_singly", error)
    return database.patiently(lambda connection: write(connection, singly=True), stop_requested=stop_requested)
