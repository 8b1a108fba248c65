"""Writes projections: the rows of a batch and how far it read, in one transaction.

Guarantee: a fact is applied once. The transaction begins by locking the partitions' positions; when they are not
where the batch began, either this very batch is in already (its commit's answer was lost) and nothing is written
again, or somebody else owns the partition now and `Fenced` ends the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import asyncpg

from connectors.errors import CircleError, Fenced
from connectors.logs import Log
from connectors.postgres import Connection, Database, applied_position
from connectors.sql_files import queries
from pipelines.projections.changes import Changes
from pipelines.projections.snapshot import AppliedPosition

TRIPWIRE = "seat_claims_live"  # the partial unique index on live seat claims

SQL = queries(Path(__file__).parent / "sql" / "projections.sql")
log = Log("projections")

_POSITION = ("updated_offset", "updated_index")
_EVENT = ("id", "partition", "organizer_id", "status", "title", "description", "category_id", "venue", "starts_at",
          "ends_at", "timezone", "sales_open_at", "sales_close_at", "hold_ttl_s", "max_tickets_per_user",
          "created_at", "published_at", *_POSITION)  # fmt: skip
_EVENT_PATCH = tuple(name for name in _EVENT if name not in ("partition", "organizer_id", "created_at"))
_TICKET_TYPE = ("id", "event_id", "partition", "ordinal", "name", "price_minor", "currency", "kind", "rows",
                "seats_per_row", "capacity", "sales_open_at", "sales_close_at", *_POSITION)  # fmt: skip
_RESERVATION = ("id", "event_id", "partition", "offset", "user_id", "ticket_type_id", "status", "quantity", "seats",
                "amount_minor", "currency", "expires_at", "fingerprint", "reason", "detail", "attempt_id", "payment",
                "payment_id", "payment_token", "refund_id", "ticket_ids", "created_at", "updated_at",
                *_POSITION)  # fmt: skip
_RESERVATION_PATCH = ("id", "event_id", "status", "reason", "attempt_id", "payment", "payment_id", "payment_token",
                      "refund_id", "ticket_ids", "updated_at", *_POSITION)  # fmt: skip
_PAYMENT = ("event_id", "attempt_id", "partition", "reservation_id", "user_id", "status", "reason", "amount_minor",
            "currency", "payment_token", "payment_id", "refund_id", *_POSITION)  # fmt: skip
_PAYMENT_PATCH = ("event_id", "attempt_id", "status", "reason", "payment_id", *_POSITION)
_REFUND = ("event_id", "payment_id", "status", "refund_id", *_POSITION)
_SEAT_CLAIM = ("event_id", "ticket_type_id", "seat", "reservation_id", "partition", "status", *_POSITION)
_TICKET = ("id", "event_id", "partition", "reservation_id", "user_id", "ticket_type_id", "seat", "ordinal", "status",
           "version", "issued_at", *_POSITION)  # fmt: skip
_TICKETS_VOIDED = ("event_id", "reservation_id", *_POSITION)
_SEAT_LOCK = ("event_id", "place", "partition", "locked", *_POSITION)


class TripwireBroken(CircleError):
    """The facts sell a seat twice. Nothing of the batch is written; the projection stays where it is for a person."""


class PositionsLost(CircleError):
    """The database is behind what it had committed (a restored backup, a crash without durable commits).

    The process ends; its successor reads the log again from where the database is now.
    """


class ProjectionStore:
    """One consumer's rows and positions. Waits while Postgres is away; raises Stopped when told to end meanwhile."""

    def __init__(
        self,
        database: Database,
        consumer: str,
        *,
        stop_requested: Callable[[], bool],
        dedupe: bool = True,
    ) -> None:
        self._database, self._consumer = database, consumer
        self._stop_requested, self._dedupe = stop_requested, dedupe

    def positions(self, partitions: Sequence[int]) -> dict[int, AppliedPosition]:
        """How far each partition has come; makes the rows that later batches lock."""

        async def load(connection: Connection) -> dict[int, AppliedPosition]:
            return await adopt(connection, self._consumer, partitions)

        return self._database.patiently(load, stop_requested=self._stop_requested)

    def write(self, changes: Changes, *, before: dict[int, AppliedPosition], after: dict[int, AppliedPosition]) -> None:
        """The rows and the positions of one batch. Raises Fenced, TripwireBroken, Stopped."""

        async def write(connection: Connection) -> None:
            # Without the dedupe (a test's negative control) positions go back in time and compare with nothing.
            if self._dedupe and not await may_write(connection, self._consumer, before, after):
                return
            await _write_rows(connection, changes, unchecked=not self._dedupe)
            await advance(connection, self._consumer, after)

        try:
            self._database.patiently(write, stop_requested=self._stop_requested)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != TRIPWIRE:
                raise
            log.error("tripwire", index=TRIPWIRE, found=error.detail, partitions=sorted(after))
            raise TripwireBroken(
                f"a seat has two live claims, so the projection stops before it is written: {error.detail}; "
                "compare tickets.facts with seat_claims for that seat"
            ) from error


async def adopt(connection: Connection, consumer: str, partitions: Sequence[int]) -> dict[int, AppliedPosition]:
    """How far each partition has come; makes the rows that later batches lock."""
    await connection.execute(SQL["adopt_positions"], consumer, list(partitions))
    return await _locked(connection, consumer, partitions)


async def may_write(
    connection: Connection,
    consumer: str,
    before: dict[int, AppliedPosition],
    after: dict[int, AppliedPosition],
) -> bool:
    """Lock the positions until the transaction ends. False when this very batch is in already, its answer lost.

    Raises Fenced when they are ahead of where the batch began, PositionsLost when they are behind.
    """
    found = await _locked(connection, consumer, list(after))
    if found == after:
        return after == before
    if found == before:
        return True
    if all(_place(found.get(partition)) <= _place(at) for partition, at in before.items()):
        raise PositionsLost(f"{consumer}: the database has forgotten commits: expected {before}, found {found}")
    raise Fenced(f"{consumer}: another process has written these partitions: expected {before}, found {found}")


def _place(at: AppliedPosition | None) -> tuple[int, int, int]:
    if at is None:
        return (-1, -1, -1)
    return (at.offset, at.index, -1 if at.next_offset is None else at.next_offset)


async def advance(connection: Connection, consumer: str, after: dict[int, AppliedPosition]) -> None:
    """Move the positions forward, inside the caller's transaction."""
    partitions = list(after)
    places = [after[partition] for partition in partitions]
    await connection.execute(
        SQL["advance_positions"],
        consumer,
        partitions,
        [place.offset for place in places],
        [place.index for place in places],
        [-1 if place.next_offset is None else place.next_offset for place in places],
        [place.log_time for place in places],
    )


async def _locked(connection: Connection, consumer: str, partitions: Sequence[int]) -> dict[int, AppliedPosition]:
    rows = await connection.fetch(SQL["lock_positions"], consumer, list(partitions))
    return {row[0]: applied_position(tuple(row)[1:]) for row in rows}


async def _write_rows(connection: Connection, changes: Changes, *, unchecked: bool) -> None:
    async def put(query: str, rows: Iterable[Any], fields: tuple[str, ...]) -> None:
        table = columns(rows, fields)
        if table:
            await connection.execute(SQL[query], unchecked, *table)

    async def patch(query: str, rows: Iterable[Any], fields: tuple[str, ...]) -> None:
        table = columns(rows, fields)
        if table:
            await connection.execute(SQL[query], *table)

    events, reservations, payments = (
        list(changes.events.values()), list(changes.reservations.values()), list(changes.payments.values())
    )  # fmt: skip
    await put("put_events", (row for row in events if row.created_at is not None), _EVENT)
    await put("patch_events", (row for row in events if row.created_at is None), _EVENT_PATCH)
    await put("put_ticket_types", changes.ticket_types.values(), _TICKET_TYPE)
    await put("put_reservations", (row for row in reservations if row.fingerprint is not None), _RESERVATION)
    await put("patch_reservations", (row for row in reservations if row.fingerprint is None), _RESERVATION_PATCH)
    await put("put_payments", (row for row in payments if row.amount_minor is not None), _PAYMENT)
    await put("patch_payments", (row for row in payments if row.amount_minor is None), _PAYMENT_PATCH)
    await patch("refund_payments", changes.refunds.values(), _REFUND)
    claims = list(changes.seat_claims.values())
    await put("put_seat_claims", (row for row in claims if row.status == "ended"), _SEAT_CLAIM)
    await put("put_seat_claims", (row for row in claims if row.status != "ended"), _SEAT_CLAIM)
    await put("put_tickets", (ticket for issued in changes.tickets.values() for ticket in issued), _TICKET)
    await patch("void_tickets", changes.tickets_voided.values(), _TICKETS_VOIDED)
    await put("put_seat_locks", changes.seat_locks.values(), _SEAT_LOCK)


def columns(rows: Iterable[Any], fields: tuple[str, ...]) -> list[list[Any]]:
    """Rows to one list a field, as `unnest` takes them; no lists at all for no rows.

    Lists of text are joined by commas. U+0000, which PostgreSQL's text cannot hold, becomes U+FFFD: a strange title
    must not stop a projection.
    """
    return [[_storable(value) for value in column] for column in zip(*map(attrgetter(*fields), rows), strict=True)]


def _storable(value: Any) -> Any:
    if value.__class__ is list:
        value = ",".join(value)
    if value.__class__ is str and "\x00" in value:
        return value.replace("\x00", "\ufffd")
    return value
