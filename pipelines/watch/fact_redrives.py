"""Requests to apply facts that a branch of the read side or payments had set aside, for `circle dlq` and the console.

A request is a row. `pipelines.read_side.redrives` and `pipelines.payments.redrives` carry it out. Nothing is written to
tickets.facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import msgspec

from connectors.postgres import Connection, Database
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.payments.requests import FLOW as PAYMENTS
from pipelines.payments.requests import request_in
from pipelines.redrives.requests import AskedRedrive, RedriveState
from pipelines.watch import former_letters
from schemas.facts import RecordedFact

APPLIED_AGAIN = frozenset({"monitoring", "notifications"})
"""The branches whose facts can be applied later. Rows of later facts rest on those of the projections."""

SQL = queries(Path(__file__).parent / "sql" / "fact_redrives.sql")

FactKey: TypeAlias = tuple[str, int, int, int]
"""The branch, and the fact's position: partition and offset of its command, index."""


class FactRedrive(msgspec.Struct, frozen=True, kw_only=True):
    """A request: who asked and when, and what came of it. `error` says why it failed again."""

    state: RedriveState
    requested_by: str
    requested_at: datetime
    ended_at: datetime | None
    error: str


def applied_by(set_aside_by: str, error: str, fact: object) -> str:
    """The flow that a request can ask to apply the fact of a letter: its branch, or payments; "" for none."""
    if set_aside_by in APPLIED_AGAIN:
        return set_aside_by
    of_payments = set_aside_by == PAYMENTS or (not set_aside_by and former_letters.is_of_payments(error))
    return PAYMENTS if of_payments and isinstance(fact, RecordedFact) and request_in(fact) is not None else ""


def ask(settings: Settings, wanted: Sequence[AskedRedrive], by: str) -> None:
    """Ask the read side to apply these facts. Requests that wait or were applied stay. Raises ServiceUnreachable."""

    async def put(connection: Connection) -> None:
        rows = [(*one.key, one.place) for one in wanted]
        await connection.execute(SQL["ask_redrives"], *map(list, zip(*rows, strict=True)), by)

    if wanted:
        with closing(Database(settings.postgres_url)) as database:
            database.run(put)


def requests_of(settings: Settings, keys: Sequence[FactKey]) -> Mapping[FactKey, FactRedrive]:
    """The requests about these facts. Raises ServiceUnreachable."""

    async def read(connection: Connection) -> dict[FactKey, FactRedrive]:
        rows = await connection.fetch(SQL["redrives"], *map(list, zip(*keys, strict=True)))
        return {
            (row["flow"], row["partition"], row["offset"], row["index"]): FactRedrive(
                state=RedriveState(row["state"]),
                requested_by=row["requested_by"],
                requested_at=row["requested_at"],
                ended_at=row["ended_at"],
                error=row["error"],
            )
            for row in rows
        }

    if not keys:
        return {}
    with closing(Database(settings.postgres_url)) as database:
        return database.run(read, readonly=True)
