"""Writes rows one by one, each in its own savepoint, when PostgreSQL refuses a whole batch.

Guarantee: if one item alone is at fault, it leaves no rows and does not affect the others. Any other error (a server
that is away, a lost partition) is raised, and nothing of the batch is written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from connectors.failure_policy import FailureBound, is_of_record
from connectors.postgres import Connection

T = TypeVar("T")


async def each(
    connection: Connection, items: Iterable[T], write: Callable[[T], Awaitable[None]], bound: FailureBound
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
