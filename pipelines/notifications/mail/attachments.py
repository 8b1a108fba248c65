"""Attachments of a purchase's mail: each ticket as a page to print, and the event as a calendar file.

Guarantee: at most TICKETS_MAX pages, together at most ATTACHED_BYTES_MAX bytes. More tickets are left out; the mail's
link leads to them. Only valid tickets that their buyer still has are attached. A thread draws them one after the other,
outside the event loop. Without a key file nothing is attached: no door accepts a code from a temporary key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg

from connectors.signing_keys import KeyRing
from connectors.sql_files import queries
from pipelines.documents.calendar_entry import calendar_entry
from pipelines.documents.ticket import PrintableTicket
from pipelines.documents.ticket_codes import TicketCodes
from pipelines.documents.ticket_page import Printer
from schemas.statuses import TicketStatus

TICKETS_MAX = 10  # as many as one order has
ATTACHED_BYTES_MAX = 3 * 1024 * 1024  # base64 makes 4 MB of it; many servers take 10

SQL = queries(Path(__file__).parent / "sql" / "mail.sql")


class Attachment(NamedTuple):
    """A file attached to a mail."""

    name: str
    media_type: str
    content: bytes


class Attachments:
    """Draws attachments. One for each process."""

    def __init__(self, key_file: Path | None) -> None:
        self._codes = None if key_file is None else TicketCodes(KeyRing.load(key_file))
        self._printer = Printer()

    async def of(self, pool: asyncpg.Pool[asyncpg.Record], mail: asyncpg.Record) -> list[Attachment] | None:
        """The attachments for a paid reservation; None while the rows do not have its tickets yet."""
        if self._codes is None:
            return []
        rows = await pool.fetch(SQL["mail_tickets"], mail["event_id"], mail["reservation_id"], TICKETS_MAX)
        if not rows:
            return None
        tickets = [
            PrintableTicket.of(row, holder=mail["name"] or "")
            for row in rows
            if row["status"] == TicketStatus.VALID and row["user_id"] == mail["user_id"]
        ]
        return await asyncio.to_thread(self._drawn, self._codes, tickets, mail["sent_at"]) if tickets else []

    def _drawn(self, codes: TicketCodes, tickets: Sequence[PrintableTicket], now: datetime) -> list[Attachment]:
        attachments, room = list[Attachment](), ATTACHED_BYTES_MAX
        for number, ticket in enumerate(tickets, 1):
            page = self._printer.page(ticket, codes.sign(ticket.id, ticket.event_id, ticket.seat, ticket.version))
            room -= len(page)
            if room < 0:
                break
            attachments.append(Attachment(f"ticket-{ticket.seat or number}.pdf", "application/pdf", page))
        attachments.append(Attachment("event.ics", "text/calendar", calendar_entry(tickets[0], now)))
        return attachments
