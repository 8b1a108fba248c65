"""PostgreSQL against the checker's own fold: rows, claims, tickets, inbox, positions, and the bank's books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.postgres import Connection
from connectors.sql_files import queries
from ops.proof.checker.event_ledger import EventLedger
from ops.proof.checker.expected_messages import KINDS_WITH_MAILS, MessageKey, difference
from ops.proof.checker.ledger import LIVE, Ledger, RefundKey
from ops.proof.checker.report import Report
from schemas.ids import EventId, PaymentId, UserId
from schemas.statuses import RefundStatus, ReservationStatus, SeatClaimStatus, TicketStatus

Ledgers = Mapping[EventId, EventLedger]
SQL = queries(Path(__file__).with_name("expected_rows.sql"))
READ_ROWS = 2_000
ROW_FIELDS = (
    "user_id", "ticket_type_id", "status", "quantity", "seats", "amount_minor", "currency", "expires_at",
    "fingerprint", "partition", "offset", "created_at", "reason", "detail", "attempt_id", "payment_token", "payment",
    "payment_id", "refund_id", "ticket_ids", "promo_code", "access_code", "extended", "warned", "void_places",
    "kept_minor", "owed_minor", "mailbox", "detail_at",
)  # fmt: skip


async def check_partition(
    connection: Connection,
    partition: int,
    ledgers: Ledgers,
    inbox: Mapping[MessageKey, bytes] | None,
    report: Report,
) -> None:
    """Compare every row of the partition with the fold."""
    await _reservations(connection, partition, ledgers, report)
    await _events(connection, partition, ledgers, report)
    await _claims(connection, partition, ledgers, report)
    await _tickets(connection, partition, ledgers, report)
    await _organizing(connection, partition, ledgers, report)
    await _refunds(connection, partition, ledgers, report)
    if inbox is not None:
        await _inbox(connection, partition, inbox, report)


async def _reservations(connection: Connection, partition: int, ledgers: Ledgers, report: Report) -> None:
    seen: Counter[str] = Counter()
    due_of: dict[tuple[str, str], list[str]] = {}
    for event_id, books in ledgers.items():
        for payment_id, key in books.refunds_due:
            due_of.setdefault((event_id, payment_id), []).append(key)
    async with connection.transaction():
        async for row in connection.cursor(SQL["reservations"], partition, prefetch=READ_ROWS):
            event_id, reservation_id = row["event_id"], row["id"]
            seen[event_id] += 1
            report.counts["reservation_rows"] += 1
            ledger = ledgers.get(event_id)
            entry = ledger.entries.get(reservation_id) if ledger is not None else None
            where = f"reservations {event_id} {reservation_id}"
            if entry is None:
                report.add("postgres", where, "a row of a reservation that is not on the log")
                continue
            for name in ROW_FIELDS:
                if row[name] != getattr(entry, name):
                    report.add("postgres", where, f"{name} is {row[name]!r}, by the log {getattr(entry, name)!r}")
            due = sorted(due_of.get((event_id, entry.payment_id), []))
            if entry.payment_id and sorted(row["refunds_open"]) != due:
                report.add("postgres", where, f"refunds_open is {row['refunds_open']}, by the log {due}")
    for event_id, ledger in ledgers.items():
        if seen[event_id] < len(ledger.entries):
            what = f"{seen[event_id]} rows, the log has {len(ledger.entries)} reservations"
            report.add("postgres", f"reservations {event_id}", what)


async def _events(connection: Connection, partition: int, ledgers: Ledgers, report: Report) -> None:
    rows = {row["id"]: row["status"] for row in await connection.fetch(SQL["events"], partition)}
    wanted = {key: one.status for key, one in ledgers.items() if one.exists}
    _compare(rows, wanted, "events", report)
    types = {
        (row["event_id"], row["id"]): tuple(row)[2:] for row in await connection.fetch(SQL["ticket_types"], partition)
    }
    expected = {
        (event_id, type_id): (
            kind.ordinal, kind.kind, kind.price_minor, kind.total, kind.max_per_order, kind.max_per_user, kind.hidden,
            kind.pool_id,
        )
        for event_id, ledger in ledgers.items()
        for type_id, kind in ledger.kinds.items()
    }  # fmt: skip
    _compare(types, expected, "ticket_types", report)
    locks = {(row["event_id"], row["place"]) for row in await connection.fetch(SQL["locked"], partition)}
    expected_locks = {(event_id, place) for event_id, ledger in ledgers.items() for place in ledger.locked}
    _compare(dict.fromkeys(locks, True), dict.fromkeys(expected_locks, True), "observed_seat_locks", report)


async def _claims(connection: Connection, partition: int, ledgers: Ledgers, report: Report) -> None:
    rows = {
        (row["event_id"], row["ticket_type_id"], row["seat"]): (row["status"], row["reservation_id"])
        for row in await connection.fetch(SQL["live_claims"], partition)
    }
    wanted = {
        (event_id, entry.ticket_type_id, seat): (
            ReservationStatus.HELD if entry.status == ReservationStatus.HELD else SeatClaimStatus.SOLD,
            reservation_id,
        )
        for event_id, ledger in ledgers.items()
        for reservation_id, entry in ledger.entries.items()
        if entry.status in LIVE
        for seat in entry.seats
    }
    _compare(rows, wanted, "seat_claims", report)


async def _tickets(connection: Connection, partition: int, ledgers: Ledgers, report: Report) -> None:
    rows = {row["id"]: tuple(row)[1:] for row in await connection.fetch(SQL["tickets"], partition)}
    wanted: dict[str, tuple[Any, ...]] = {}
    for event_id, ledger in ledgers.items():
        for reservation_id, entry in ledger.entries.items():
            for ordinal, (ticket_id, seat) in enumerate(entry.issued, 1):
                known, valid = (
                    ledger.tickets.get(ticket_id),
                    entry.status == ReservationStatus.CONFIRMED and ticket_id in entry.ticket_ids,
                )
                version = (1 if known is None else known.version) + (0 if valid else 1)
                scan = (0, "") if known is None else (known.scanned_at, known.gate)
                holder, status = ledger.holder(entry, ticket_id), TicketStatus.VALID if valid else TicketStatus.VOID
                wanted[ticket_id] = (event_id, reservation_id, holder, seat, ordinal, status, version, *scan)
    _compare(rows, wanted, "tickets", report)
    scans = {row[0]: row[1] for row in await connection.fetch(SQL["check_ins"], partition)}
    _compare(scans, {key: one.scans for key, one in ledgers.items() if one.scans}, "check_ins", report)


async def _organizing(connection: Connection, partition: int, ledgers: Ledgers, report: Report) -> None:
    """Pools, codes, blocks, staff, waiting lists: rows of (event, key, …) against the books."""
    expected: dict[str, dict[tuple[str, str], tuple[Any, ...]]] = {
        "pools": {(key, pool): (capacity,) for key, one in ledgers.items() for pool, capacity in one.pools.items()},
        "codes": {
            (key, code.code_id): (
                text, code.kind, code.value, code.uses_max, code.places_max or 0, code.ticket_type_ids,
                code.valid_from_at, code.valid_until_at, text in one.disabled,
            )
            for key, one in ledgers.items()
            for text, code in one.codes.items()
        },
        "seat_blocks": {
            (key, block): (ticket_type_id, sorted(seats), quantity)
            for key, one in ledgers.items()
            for ticket_type_id, kind in one.kinds.items()
            for block, (seats, quantity) in kind.blocked.items()
        },
        "transfers": {
            (key, transfer): (offer.ticket_id, offer.user_id, offer.to_user_id, offer.expires_at, offer.status)
            for key, one in ledgers.items()
            for transfer, offer in one.offers.items()
        },
        "staff_invitations": {
            (key, member): invited for key, one in ledgers.items() for member, invited in one.invited.items()
        },
        "event_staff": {(key, member): () for key, one in ledgers.items() for member in one.staff},
        "waitlist_entries": {
            (key, entry_id): (
                entry.user_id, entry.ticket_type_id, entry.quantity, entry.place, entry.status, entry.mailbox
            )
            for key, one in ledgers.items()
            for entry_id, entry in one.line.items()
        },
    }  # fmt: skip
    for table, wanted in expected.items():
        rows = {(row[0], row[1]): tuple(row)[2:] for row in await connection.fetch(SQL[table], partition)}
        if table == "seat_blocks":
            rows = {key: (kind, sorted(seats), quantity) for key, (kind, seats, quantity) in rows.items()}
        _compare(rows, wanted, table, report)


async def _refunds(connection: Connection, partition: int, ledgers: Ledgers, report: Report) -> None:
    rows = {tuple(row)[:3]: tuple(row)[3:] for row in await connection.fetch(SQL["refunds"], partition)}
    wanted = {
        (event_id, *key): (status, amount)
        for event_id, ledger in ledgers.items()
        for status, amounts in (
            (RefundStatus.REQUESTED, ledger.refunds_due),
            (RefundStatus.REFUNDED, ledger.refunds),
            (RefundStatus.FAILED, ledger.refunds_failed),
        )
        for key, amount in amounts.items()
    }
    _compare(rows, wanted, "refunds", report)
    disputes = {tuple(row)[:2]: tuple(row)[2:] for row in await connection.fetch(SQL["disputes"], partition)}
    expected = {
        (event_id, dispute_id): (*about, ledger.charged_back.get(dispute_id, 0))
        for event_id, ledger in ledgers.items()
        for dispute_id, about in ledger.disputes.items()
    }
    _compare(disputes, expected, "disputes", report)


async def _inbox(connection: Connection, partition: int, inbox: Mapping[MessageKey, bytes], report: Report) -> None:
    rows = await connection.fetch(SQL["inbox"], partition)
    erased = await _erased(connection)  # an erased user has no rows
    report.counts["inbox_rows"] += len(rows)
    expected = {key: content for key, content in inbox.items() if key.user_id not in erased}
    _compare_messages(report, "inbox", partition, rows, expected=expected, due=expected)


async def check_mails(
    connection: Connection, partition: int, mails: Mapping[MessageKey, bytes], report: Report, *, sent: bool
) -> None:
    """Each row is an expected mail. If mails are `sent`, each expected mail of a kind that is on by default has a row.

    Users choose which kinds leave a row. The rows of an erased user are deleted.
    """
    rows = await connection.fetch(SQL["mails"], partition)
    erased = await _erased(connection)
    report.counts["mail_rows"] += len(rows)
    due = [key for key in mails if sent and key.template in KINDS_WITH_MAILS and key.user_id not in erased]
    _compare_messages(report, "mail", partition, rows, expected=mails, due=due)


async def _erased(connection: Connection) -> set[UserId]:
    return {row["user_id"] for row in await connection.fetch(SQL["erased"])}


def _compare_messages(
    report: Report,
    rule: str,
    partition: int,
    rows: Sequence[Any],
    *,
    expected: Mapping[MessageKey, bytes],
    due: Iterable[MessageKey],
) -> None:
    """Each row is one of the `expected` messages, once and with its content. Each message that is `due` has a row."""
    seen: set[MessageKey] = set()
    for row in rows:
        key = MessageKey(*tuple(row)[:5])
        where, content = f"{partition}-{key.offset}-{key.number}", expected.get(key)
        if content is None:
            report.add(rule, where, f"{key.template} to {key.user_id}, which the log does not say")
        elif key in seen:
            report.add(rule, where, f"{key.template} to {key.user_id} has a second row")
        elif wrong := difference(content, row):
            report.add(rule, where, f"{key.template} to {key.user_id}: {wrong}")
        seen.add(key)
    for key in due:
        if key not in seen:
            report.add(rule, f"{partition}-{key.offset}-{key.number}", f"{key.template} to {key.user_id} is missing")


async def check_bank(connection: Connection, ledgers: Sequence[Ledger], report: Report) -> None:
    """The sandbox provider's books against the log. It needs all ledgers of all partitions."""
    captured: dict[PaymentId, int] = {}
    refunded: dict[RefundKey, int] = {}
    for ledger in ledgers:
        captured |= ledger.captured
        refunded |= ledger.refunds
    books = {row[0]: row[1] for row in await connection.fetch(SQL["bank_captured"])}
    back = {(row[0], row[1]): row[2] for row in await connection.fetch(SQL["bank_refunded"])}
    _compare(books, captured, "sandbox.payments", report, rule="money")
    _compare(back, refunded, "sandbox.refunds", report, rule="money")
    kept = sum(ledger.kept_minor for ledger in ledgers)
    owed = sum(ledger.owed_minor + ledger.charged_back_minor for ledger in ledgers)
    if sum(books.values()) - sum(back.values()) != report.confirmed_minor + kept + owed:
        what = f"captured {sum(books.values())} − refunded {sum(back.values())}, confirmed {report.confirmed_minor}"
        what += f", kept {kept}, owed or charged back {owed}"
        report.add("money", "sandbox", what)


async def check_positions(connection: Connection, ends: dict[int, int], report: Report) -> None:
    """Every partition is projected to its end. `ends` has the offset of each partition's last command, -1 for none."""
    rows = {row["partition"]: row["offset"] for row in await connection.fetch(SQL["positions"])}
    for partition, last in ends.items():
        found = rows.get(partition, -1)
        if found != last:
            report.add("postgres", f"projection_positions {partition}", f"projected to {found}, decided to {last}")


def _compare(
    rows: dict[Any, Any], wanted: dict[Any, Any], table: str, report: Report, *, rule: str = "postgres"
) -> None:
    report.counts[f"{table.replace('.', '_')}_rows"] += len(rows)
    for key in rows.keys() - wanted.keys():
        report.add(rule, f"{table} {key}", f"a row {rows[key]!r} that is not on the log")
    for key in wanted.keys() - rows.keys():
        report.add(rule, f"{table} {key}", f"no row, by the log {wanted[key]!r}")
    for key in rows.keys() & wanted.keys():
        if rows[key] != wanted[key]:
            report.add(rule, f"{table} {key}", f"is {rows[key]!r}, by the log {wanted[key]!r}")
