"""Reads the rows that a reservations worker starts with, and writes its ownership of a partition.

Guarantee: each call is one transaction. A snapshot shows one moment: rows and position belong together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import asyncpg
import msgspec

from connectors.postgres import Connection, Database
from connectors.sql_files import queries
from pipelines.columns import filled
from pipelines.positions import PROJECTIONS, applied_position
from pipelines.reservations.core.entities import Reservation
from pipelines.reservations.core.limits import HOLD_WARNED_MIN_S, HOLD_WARNING_S
from pipelines.reservations.snapshot_rows import (
    ChoreRow,
    CodeRow,
    DeadlineRow,
    DisputeRow,
    EventRow,
    EventSnapshot,
    InvitationRow,
    PartitionSnapshot,
    PoolRow,
    RefundRow,
    SeatBlockRow,
    TicketRow,
    TicketTypeRow,
    TransferRow,
    WaitlistEntryRow,
)
from schemas.ids import US_PER_S, EventId, UserId
from schemas.statuses import EventStage, PaymentStatus, ReservationStatus

T = TypeVar("T")
R = TypeVar("R")

_STATUS, _PAYMENT = map(Reservation.__struct_fields__.index, ("status", "payment"))
_STATUSES = {status.value: status for status in ReservationStatus}  # a look-up: an event has many reservations
_PAYMENTS = {status.value: status for status in PaymentStatus}

SQL = filled(queries(Path(__file__).parent / "sql" / "snapshots.sql"))


class SnapshotStore:
    """A reservations worker's access to Postgres. Synchronous; each call is one transaction."""

    def __init__(self, database: Database, *, stop_requested: Callable[[], bool] = lambda: False) -> None:
        self._database, self._stop_requested = database, stop_requested

    def load_partition(self, partition: int) -> PartitionSnapshot:
        """The partition's position, event ids and deadlines. Waits while Postgres is away; raises Stopped."""

        async def load(connection: Connection) -> PartitionSnapshot:
            position = await connection.fetchrow(SQL["position"], PROJECTIONS, partition)
            event_ids = await connection.fetch(SQL["event_ids"], partition)
            warning, warned_min = HOLD_WARNING_S * US_PER_S, HOLD_WARNED_MIN_S * US_PER_S
            deadlines = await connection.fetch(SQL["deadlines"], partition, warning, warned_min)
            return PartitionSnapshot(
                partition,
                applied_position(position),
                frozenset(row[0] for row in event_ids),
                [DeadlineRow(*row) for row in deadlines],
            )

        return self._read(load)

    def load_event(
        self,
        event_id: EventId,
        partition: int,
        *,
        patient: bool = True,
        also: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> EventSnapshot:
        """Every row of the event and its partition's position. Waits while Postgres is away; raises Stopped.

        Not `patient`: raises ServiceUnreachable at once. `also` reads other data at the same position.
        """

        async def load(connection: Connection) -> EventSnapshot:
            position = await connection.fetchrow(SQL["position"], PROJECTIONS, partition)
            event = await connection.fetchrow(SQL["event"], event_id)

            there = await connection.fetchrow(SQL["which_tables"], event_id)
            assert there is not None
            if also is not None:
                await also(connection)

            async def rows(query: str, kind: Callable[..., R]) -> list[R]:
                if not there.get(query, True):
                    return []
                return [kind(*row) for row in await connection.fetch(SQL[query], event_id)]

            return EventSnapshot(
                event_id=event_id,
                position=applied_position(position),
                event=None if event is None else EventRow(**{**event, "status": EventStage(event["status"])}),
                ticket_types=[TicketTypeRow(**row) for row in await connection.fetch(SQL["ticket_types"], event_id)],
                reservations=_amended(
                    await rows("reservations", _reservation), await connection.fetch(SQL["amended"], event_id)
                ),
                locked_places=await rows("locked_places", str),
                pools=await rows("pools", PoolRow),
                codes=await rows("codes", with_members(CodeRow)),
                seat_blocks=await rows("seat_blocks", SeatBlockRow),
                tickets=await rows("tickets", TicketRow),
                waitlist=await rows("waitlist", with_members(WaitlistEntryRow)),
                chores=await rows("chores", with_members(ChoreRow)),
                staff=await rows("staff", UserId),
                schedule=await rows("schedule", str),
                transfers=await rows("transfers", TransferRow),
                invitations=await rows("invitations", InvitationRow),
                refunds=await rows("refunds", with_members(RefundRow)),
                disputes=await rows("disputes", with_members(DisputeRow)),
                incomplete=there["incomplete"],
            )

        return self._read(load, patient=patient)

    def raise_epoch(self, partition: int, owner: str) -> tuple[int, str]:
        """Raise the partition's ownership epoch above every earlier one.

        Returns the epoch, and the transactional id of a former owner that did not give the partition back, or "".
        `owner` is the new owner's transactional id. Raises Stopped.
        """

        async def raise_it(connection: Connection) -> tuple[int, str]:
            former: str | None = await connection.fetchval(SQL["former_owner"], partition)
            epoch: int = await connection.fetchval(SQL["raise_epoch"], partition, owner)
            return epoch, former or ""

        return self._database.patiently(raise_it, stop_requested=self._stop_requested)

    def give_back(self, partition: int, epoch: int) -> None:
        """The owner of `epoch` gives the partition back without an open transaction. Raises ServiceUnreachable."""

        async def give(connection: Connection) -> None:
            await connection.execute(SQL["give_back"], partition, epoch)

        self._database.run(give)

    def _read(self, load: Callable[[Connection], Awaitable[T]], *, patient: bool = True) -> T:
        if not patient:
            return self._database.run(load, isolation="repeatable_read", readonly=True)
        return self._database.patiently(
            load, stop_requested=self._stop_requested, isolation="repeatable_read", readonly=True
        )


@cache
def with_members(kind: Callable[..., R]) -> Callable[..., R]:
    """`kind`, a struct, of the columns of a row. The words of its enumerations become members."""
    hints = get_type_hints(kind)
    members = [(number, hints[name]) for number, name in enumerate(kind.__struct_fields__)  # type: ignore[attr-defined]
               if isinstance(hints[name], type) and issubclass(hints[name], StrEnum)]  # fmt: skip

    def made(*row: Any) -> R:
        fields = list(row)
        for number, enumeration in members:
            fields[number] = enumeration(fields[number])
        return kind(*fields)

    return made


def _reservation(*row: Any) -> Reservation:
    """A row in the order of the entity's fields."""
    fields = list(row)
    fields[_STATUS], fields[_PAYMENT] = _STATUSES[fields[_STATUS]], _PAYMENTS[fields[_PAYMENT]]
    return Reservation(*fields)


def _amended(reservations: list[Reservation], amended: list[asyncpg.Record]) -> list[Reservation]:
    """The reservations, with the data that only few of them have: void places, open refunds, kept or owed money,
    declined cards."""
    more = {
        key: (tuple(void), tuple(refunds), kept, owed, tuple(declined))
        for key, void, refunds, kept, owed, declined in amended
    }
    if not more:
        return reservations
    return [_with(one, *more[one.id]) if one.id in more else one for one in reservations]


def _with(
    one: Reservation,
    void: tuple[str, ...],
    refunds: tuple[str, ...],
    kept: int,
    owed: int,
    declined: tuple[str, ...],
) -> Reservation:
    return msgspec.structs.replace(
        one, void_places=void, refunds_open=refunds, kept_minor=kept, owed_minor=owed, declined=declined
    )
