"""What the baselines on PostgreSQL have in common: tables of their own, a pool, counts, the answer to a used key."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import asyncpg

from connectors.postgres import SERVER_GONE, create_pool, unreachable
from ops.proof.bench.baselines.terms import Given, SeatRequest
from schemas.facts import Reason
from schemas.ids import EventId

CONNECTIONS = 16  # on two cores, more connections only wait for each other's locks


class SqlLedger:
    """The tables and a pool of connections. Make one with `open` of a subclass."""

    sql: ClassVar[dict[str, str]]
    """Statements by name: `schema`, `persisted`, `notified`, and the subclass's own."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str, *, connections: int = CONNECTIONS) -> Self:
        """Raises ServiceUnreachable."""
        try:
            pool = await create_pool(url, min_size=connections, max_size=connections)
        except SERVER_GONE as error:
            raise unreachable(url, error) from error
        return cls(pool)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def create(self) -> None:
        """The tables, in an empty database."""
        await self._pool.execute(self.sql["schema"])

    async def persisted(self, events: list[EventId]) -> int:
        """Reservations, refused ones too."""
        return int(await self._pool.fetchval(self.sql["persisted"], events))

    async def notified(self, events: list[EventId]) -> int:
        """Messages."""
        return int(await self._pool.fetchval(self.sql["notified"], events))


def repeated_answer(wanted: SeatRequest, known: Any, currency: str) -> Given:
    """The answer to a used key: the first answer, if the request is the same. `known` is its row."""
    if known["fingerprint"] != wanted.fingerprint or known["user_id"] != wanted.user_id:
        return Given(Reason.IDEMPOTENCY_KEY_REUSED, [])
    return Given(
        reason=known["reason"],
        seats=known["seats"],
        amount_minor=known["amount_minor"],
        currency=currency,
        expires_at=known["expires_at"],
        duplicate=True,
    )
