"""The row-lock baseline: reservations in PostgreSQL alone, one transaction each, `SELECT … FOR UPDATE` on the section.

A careful developer without a log would build this. It is for comparison, and it does less than the platform: no
payments, no holds that end, no live seat map, no replay. It follows the platform's rules: the same choice of seats, the
same refusals in the same order, one answer for one key. Guarantee: no seat is sold twice, and every answer is committed
before it leaves.

A section's claims are bitmaps in its one row, so a lock, a read and a write touch little. Rows are locked in the order
section, user, so there are no deadlocks.
"""

from __future__ import annotations

from pathlib import Path

from connectors.sql_files import queries
from ops.proof.bench.baselines.sql_ledger import SqlLedger, repeated_answer
from ops.proof.bench.baselines.terms import FurnishedEvent, Given, SeatRequest
from pipelines.reservations.core.seats import Seating
from schemas.facts import Reason

SQL = queries(Path(__file__).parent / "sql" / "row_locks.sql")
WIDTH_MAX = 62  # a row's bitmap is a bigint


class RowLockLedger(SqlLedger):
    """The tables of this baseline and a pool of connections. Make one with `RowLockLedger.open`."""

    sql = SQL

    async def furnish(self, house: FurnishedEvent) -> None:
        """An event on sale, WIDTH_MAX seats a row at most."""
        assert house.width <= WIDTH_MAX
        await self._pool.execute(SQL["add_event"], house.event_id, house.tickets_per_user_max, house.hold_ttl_s)
        values = [
            (section, house.event_id, house.price_minor, house.currency, house.width, house.rows)
            for section in house.sections
        ]
        await self._pool.executemany(SQL["add_section"], values)

    async def reserve(self, wanted: SeatRequest) -> Given:
        """The outcome, committed."""
        async with self._pool.acquire() as connection, connection.transaction():
            section = await connection.fetchrow(SQL["lock_section"], wanted.section_id, wanted.event_id)
            if section is None:
                return Given(Reason.TICKET_TYPE_NOT_FOUND, [])
            key = wanted.event_id, wanted.user_id, wanted.reservation_id
            user = await connection.fetchrow(SQL["known"], *key)
            if user is None:
                await connection.execute(SQL["add_user"], wanted.event_id, wanted.user_id)
                user = await connection.fetchrow(SQL["known"], *key)
                assert user is not None
            if user["user_id"] is not None:
                return repeated_answer(wanted, user, section["currency"])
            seating = Seating.of_claimed(section["width"], section["claimed"])
            reason, seats = _choose(wanted, seating, user["tickets"], section["max_tickets_per_user"])
            if reason:
                await connection.execute(
                    SQL["refuse"], wanted.reservation_id, wanted.event_id, wanted.section_id, wanted.user_id,
                    wanted.quantity, wanted.fingerprint, reason,
                )  # fmt: skip
                return Given(reason, [])
            seating.claim(seats)
            amount = section["price_minor"] * wanted.quantity
            expires_at = await connection.fetchval(
                SQL["hold"], wanted.reservation_id, wanted.event_id, wanted.section_id, wanted.user_id,
                seating.claimed_rows(), wanted.quantity, wanted.fingerprint, seats, amount,
                section["hold_ttl_s"],
            )  # fmt: skip
            return Given(
                reason="", seats=seats, amount_minor=amount, currency=section["currency"], expires_at=expires_at
            )

    async def sold(self, events: list[str]) -> tuple[int, int]:
        """Places by their claims, and by the reservations."""
        row = await self._pool.fetchrow(SQL["sold"], events)
        assert row is not None
        return row[0], row[1]

    async def oversold(self, events: list[str]) -> int:
        """Reserved places without a claim. An index allows each seat one claim."""
        claimed, reserved = await self.sold(events)
        return reserved - claimed


def _choose(wanted: SeatRequest, seating: Seating, owned: int, allowed: int) -> tuple[str, list[str]]:
    """A reason or seats, by the core's rules in the core's order (pipelines/reservations/core/rules/reserving.py)."""
    if any(seat not in seating for seat in wanted.seats):
        return Reason.SEAT_UNKNOWN, []
    if not all(map(seating.is_free, wanted.seats)):
        return Reason.SEAT_TAKEN, []
    if owned + wanted.quantity > allowed:
        return Reason.LIMIT_EXCEEDED, []
    if wanted.seats:
        return "", wanted.seats
    seats = seating.best_available(wanted.quantity)
    return (Reason.SOLD_OUT, []) if seats is None else ("", seats)
