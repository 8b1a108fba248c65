"""PostgreSQL: connections with clear errors, and a synchronous facade for the steps of a dataflow.

Guarantee: whatever goes wrong between us and the server is a `ServiceUnreachable` (or, for a rule of the database that
was broken, asyncpg's own error); `Database.run` and `patiently` run an operation in one transaction, so it happens
whole or not at all. An operation that is tried again must be idempotent: a commit's answer may be lost.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg
import msgspec

from connectors.errors import AccessRefused, ServiceUnreachable
from connectors.logs import Log
from connectors.sql_files import queries
from connectors.waiting import Stopped, pause
from pipelines.projections.snapshot import (
    AppliedPosition,
    ChoreRow,
    CodeRow,
    Deadline,
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
from pipelines.reservations.core.entities import Reservation
from pipelines.reservations.core.limits import HOLD_WARNED_MIN_S, HOLD_WARNING_S
from schemas.ids import US_PER_S

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 30.0  # loading the largest event takes a second; a server that is silent this long is gone
BACKOFF_FIRST_S = 0.05  # a restart of the server takes half a second: the first tries are quick
BACKOFF_MAX_S = 2.0  # … and never rarer than this, so that catching up begins at once
PROJECTIONS = "projections"
# Whatever the server's default: what is committed, and told, survives the server's end. Epochs must not go back.
SESSION = {"synchronous_commit": "on", "application_name": "general-circle"}

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Isolation = Literal["read_committed", "repeatable_read"]
T = TypeVar("T")
R = TypeVar("R")

SQL = queries(Path(__file__).parent / "sql" / "snapshots.sql")
log = Log("postgres")

# The server is gone, going or not yet there. Everything else is a bug or a broken rule and is raised as it is.
SERVER_GONE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
)


# The server answers, and does not let us in: it will not tomorrow either.
REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,  # a wrong password is one of these
    asyncpg.InvalidCatalogNameError,
    ssl.SSLCertVerificationError,
)


def refused(url: str, error: BaseException) -> AccessRefused:
    """The error for a server that does not let us in, or is not the one whose certificate we want."""
    parts = urlsplit(url)
    address = f"{parts.hostname}:{parts.port or 5432}{parts.path}"
    return AccessRefused("PostgreSQL", address, f"{error}; look at CIRCLE_POSTGRES_URL")


def unreachable(url: str, error: BaseException) -> ServiceUnreachable:
    """The error for a server at `url` that does not answer; the URL's password stays out of it."""
    parts = urlsplit(url)
    address = f"{parts.hostname}:{parts.port or 5432}{parts.path}"
    text = str(error) or type(error).__name__
    return ServiceUnreachable("PostgreSQL", address, f"{text}; is it running, and is CIRCLE_POSTGRES_URL right?")


async def connect(
    url: str, *, timeout_s: float = CONNECT_TIMEOUT_S, command_timeout_s: float | None = COMMAND_TIMEOUT_S
) -> Connection:
    """One connection. The URL says how: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`.

    Raises ServiceUnreachable, AccessRefused. With create_pool, the one place where connections are made.
    """
    try:
        connection: Connection = await asyncpg.connect(
            url, timeout=timeout_s, command_timeout=command_timeout_s, server_settings=SESSION
        )
    except REFUSED as error:
        raise refused(url, error) from None
    except SERVER_GONE as error:
        raise unreachable(url, error) from error
    return connection


def create_pool(url: str, **options: Any) -> asyncpg.Pool[asyncpg.Record]:
    """A pool of connections, to be awaited or entered: asyncpg's own, and its own errors."""
    return asyncpg.create_pool(url, **options)


def applied_position(row: Iterable[Any] | None) -> AppliedPosition:
    """A row ("offset", "index", next_offset, log_time) of projection_positions; None is one that is not there yet."""
    if row is None:
        return AppliedPosition()
    offset, index, next_offset, log_time = row
    return AppliedPosition(offset, index, next_offset if next_offset >= 0 else None, log_time)


def _amended(reservations: list[Reservation], amended: list[asyncpg.Record]) -> list[Reservation]:
    """The reservations, with what few of them have: places whose tickets are void, refunds under way, money kept or
    owed, cards declined."""
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


class Database:
    """A connection and an event loop of its own, for synchronous code: not for use inside a running event loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._connection: Connection | None = None

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            with suppress(*SERVER_GONE):
                self._loop.run_until_complete(self._connection.close(timeout=1))
        self._loop.close()

    def run(
        self,
        operation: Callable[[Connection], Awaitable[T]],
        *,
        isolation: Isolation = "read_committed",
        readonly: bool = False,
    ) -> T:
        """`operation` in one transaction. Raises ServiceUnreachable when the server is gone, before or during it."""
        return self._loop.run_until_complete(self._run(operation, isolation, readonly))

    def patiently(
        self,
        operation: Callable[[Connection], Awaitable[T]],
        *,
        stop_requested: Callable[[], bool],
        isolation: Isolation = "read_committed",
        readonly: bool = False,
    ) -> T:
        """`run`, again and again while the server is gone, from BACKOFF_FIRST_S to BACKOFF_MAX_S apart.

        Raises Stopped when `stop_requested` says so meanwhile.
        """
        started, tries = time.monotonic(), 0
        while True:
            try:
                result = self.run(operation, isolation=isolation, readonly=readonly)
            except ServiceUnreachable as error:
                tries += 1
                wait = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(tries, 10)) * random.uniform(0.5, 1)  # noqa: S311
                log.warning("postgres.unreachable", tries=tries, retry_s=round(wait, 2), error=str(error))
                if not pause(wait, stop_requested):
                    raise Stopped(
                        "told to stop while PostgreSQL was away; what was not written is read again"
                    ) from None
            else:
                if tries:
                    log.info("postgres.back", tries=tries, seconds=round(time.monotonic() - started, 1))
                return result

    async def _run(self, operation: Callable[[Connection], Awaitable[T]], isolation: Isolation, readonly: bool) -> T:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._url)
        connection = self._connection
        try:
            async with connection.transaction(isolation=isolation, readonly=readonly):
                return await operation(connection)
        except SERVER_GONE as error:
            # Whatever state it is in, the next try takes a new one.
            connection.terminate()
            self._connection = None
            raise unreachable(self._url, error) from error


class SnapshotStore:
    """What a reservations worker needs of Postgres. Synchronous; each call is one transaction of its own."""

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
                [Deadline(*row) for row in deadlines],
            )

        return self._read(load)

    def load_event(
        self,
        event_id: str,
        partition: int,
        *,
        patient: bool = True,
        also: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> EventSnapshot:
        """Every row of the event and its partition's position. Waits while Postgres is away; raises Stopped.

        Not `patient`: raises ServiceUnreachable at once. `also` reads something else of the same position.
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
                event_id,
                applied_position(position),
                EventRow(*event) if event is not None else None,
                await rows("ticket_types", TicketTypeRow),
                _amended(await rows("reservations", Reservation), await connection.fetch(SQL["amended"], event_id)),
                await rows("locked_places", str),
                await rows("pools", PoolRow),
                await rows("codes", CodeRow),
                await rows("seat_blocks", SeatBlockRow),
                await rows("tickets", TicketRow),
                await rows("waitlist", WaitlistEntryRow),
                await rows("chores", ChoreRow),
                await rows("staff", str),
                await rows("schedule", str),
                await rows("transfers", TransferRow),
                await rows("invitations", InvitationRow),
                await rows("refunds", RefundRow),
                await rows("disputes", DisputeRow),
                incomplete=there["incomplete"],
            )

        return self._read(load, patient=patient)

    def raise_epoch(self, partition: int, owner: str) -> tuple[int, str]:
        """The partition's new ownership epoch, above every one before it, and who had it and did not give it back.

        `owner` is the new owner's transactional id, the answer's second part the former one's or "". Raises Stopped.
        """

        async def raise_it(connection: Connection) -> tuple[int, str]:
            former: str | None = await connection.fetchval(SQL["former_owner"], partition)
            epoch: int = await connection.fetchval(SQL["raise_epoch"], partition, owner)
            return epoch, former or ""

        return self._database.patiently(raise_it, stop_requested=self._stop_requested)

    def give_back(self, partition: int, epoch: int) -> None:
        """The owner of `epoch` lets go with nothing open. Raises ServiceUnreachable at once."""

        async def give(connection: Connection) -> None:
            await connection.execute(SQL["give_back"], partition, epoch)

        self._database.run(give)

    def _read(self, load: Callable[[Connection], Awaitable[T]], *, patient: bool = True) -> T:
        if not patient:
            return self._database.run(load, isolation="repeatable_read", readonly=True)
        return self._database.patiently(
            load, stop_requested=self._stop_requested, isolation="repeatable_read", readonly=True
        )
