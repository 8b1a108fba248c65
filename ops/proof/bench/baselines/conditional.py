"""The baseline of conditional updates: a sale is one SQL statement, `UPDATE … WHERE remaining >= n`.

No row is locked before it is written. The count of free places decides, and free rows of seats are claimed, first ones
first; rows that another sale is claiming are skipped. Constraints take a whole statement back, so there is no
transaction to hold open. Guarantee: no seat is sold twice, and every answer is committed before it leaves.

A buyer at their limit in a sold-out section hears `sold-out`, where the platform says `limit-exceeded`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from connectors.sql_files import queries
from ops.proof.bench.baselines.sql_ledger import SqlLedger, repeated_answer
from ops.proof.bench.baselines.terms import FurnishedEvent, Given, SeatRequest
from pipelines.reservations.core.seating import row_label
from schemas.facts import Reason

SQL = queries(Path(__file__).parent / "sql" / "conditional.sql")
WITHIN_LIMIT, ALL_SEATS = "within_limit", "all_seats"  # constraints of the schema


class ConditionalLedger(SqlLedger):
    """The tables of this baseline and a pool of connections. Make one with `ConditionalLedger.open`."""

    sql = SQL

    async def furnish(self, house: FurnishedEvent) -> None:
        """An event on sale."""
        await self._pool.execute(SQL["add_event"], house.event_id, house.tickets_per_user_max, house.hold_ttl_s)
        seats = [f"{row_label(row)}-{seat}" for row in range(house.rows) for seat in range(1, house.width + 1)]
        for section in house.sections:
            await self._pool.execute(
                SQL["add_section"], section, house.event_id, house.price_minor, house.currency, house.section_places
            )
            await self._pool.execute(SQL["add_seats"], section, seats)

    async def reserve(self, wanted: SeatRequest) -> Given:
        """The outcome, committed."""
        known = await self._pool.fetchrow(SQL["known"], wanted.section_id, wanted.event_id, wanted.reservation_id)
        if known is None:
            return Given(Reason.TICKET_TYPE_NOT_FOUND, [])
        if known["user_id"] is not None:
            return repeated_answer(wanted, known, known["currency"])
        try:
            return await self._sold(wanted, known)
        except asyncpg.UniqueViolationError:  # the same key at the same time
            known = await self._pool.fetchrow(SQL["known"], wanted.section_id, wanted.event_id, wanted.reservation_id)
            assert known is not None
            return repeated_answer(wanted, known, known["currency"])

    async def _sold(self, wanted: SeatRequest, section: Any) -> Given:
        """Hold the places, or write down the refusal. Raises UniqueViolationError for a key that is there."""
        reason, amount = Reason.SOLD_OUT, section["price_minor"] * wanted.quantity
        if section["remaining"] >= wanted.quantity:
            try:
                row = await self._pool.fetchrow(
                    SQL["hold"], wanted.reservation_id, wanted.event_id, wanted.section_id, wanted.user_id,
                    wanted.quantity, wanted.fingerprint, wanted.seats, amount, section["max_tickets_per_user"],
                    section["hold_ttl_s"],
                )  # fmt: skip
            except asyncpg.CheckViolationError as error:
                reason = _refusal(error, wanted)
            else:
                if row is not None:
                    return Given(
                        reason="", seats=row["seats"], amount_minor=amount, currency=section["currency"],
                        expires_at=row["expires_at"],
                    )  # fmt: skip
        await self._pool.execute(
            SQL["refuse"], wanted.reservation_id, wanted.event_id, wanted.section_id, wanted.user_id, wanted.quantity,
            wanted.fingerprint, reason,
        )  # fmt: skip
        return Given(reason, [])

    async def oversold(self, events: list[str]) -> int:
        """Reserved places without a seat of their own."""
        return int(await self._pool.fetchval(SQL["oversold"], events))


def _refusal(error: asyncpg.CheckViolationError, wanted: SeatRequest) -> Reason:
    """The reason behind the constraint that failed. Raises `error` when it is none of ours."""
    if error.constraint_name == WITHIN_LIMIT:
        return Reason.LIMIT_EXCEEDED
    if error.constraint_name == ALL_SEATS:
        return Reason.SEAT_TAKEN if wanted.seats else Reason.SOLD_OUT
    raise error
