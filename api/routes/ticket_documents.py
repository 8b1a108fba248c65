"""A ticket's documents for its holder: QR code, calendar entry, page to print. A void ticket has only the entry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sanic import HTTPResponse

from api.fairness.rate_limits import DRAWING_COST
from api.http.problem import not_found
from api.http.reasons import for_reason
from api.http.routing import Call
from api.log.writes import own_writes
from pipelines.documents import qr
from pipelines.documents.calendar_entry import calendar_entry
from pipelines.documents.ticket import PrintableTicket
from schemas.facts import Reason
from schemas.ids import TicketId

SVG, PNG, PDF = "image/svg+xml", "image/png", "application/pdf"
CALENDAR = "text/calendar; charset=utf-8"


async def qr_svg(call: Call, ticket_id: TicketId) -> HTTPResponse:
    """200 with the code as an SVG file; 409 if the ticket is void."""
    return await _coded(call, ticket_id, lambda _, code: qr.svg(code), SVG, "svg")


async def qr_png(call: Call, ticket_id: TicketId) -> HTTPResponse:
    """200 with the code as a PNG file; 409 if the ticket is void."""
    return await _coded(call, ticket_id, lambda _, code: qr.png(code), PNG, "png")


async def printed(call: Call, ticket_id: TicketId) -> HTTPResponse:
    """200 with a page to print; 409 if the ticket is void."""
    return await _coded(call, ticket_id, call.deps.printer.page, PDF, "pdf")


async def calendar(call: Call, ticket_id: TicketId) -> HTTPResponse:
    """200 with the calendar entry; that of a void ticket is marked as cancelled."""
    ticket = await _own(call, ticket_id)
    entry = await call.deps.drawing.run(lambda: calendar_entry(ticket, datetime.now(UTC)))
    return _file(entry, CALENDAR, f"{ticket.id}.ics", "attachment")


async def _coded(
    call: Call, ticket_id: TicketId, draw: Callable[[PrintableTicket, str], bytes], media_type: str, suffix: str
) -> HTTPResponse:
    """A document that is drawn from a ticket and its code. Raises Problem not-found, ticket-void or busy."""
    ticket = await _own(call, ticket_id)
    if not ticket.valid:
        raise for_reason(Reason.TICKET_VOID, f"the ticket {ticket_id} is void: it has no code", field="ticket_id")
    call.costs(DRAWING_COST)
    code = call.deps.codes.sign(ticket.id, ticket.event_id, ticket.seat, ticket.version)
    drawn = await call.deps.drawing.run(lambda: draw(ticket, code))
    return _file(drawn, media_type, f"{ticket.id}.{suffix}", "inline")


async def _own(call: Call, ticket_id: TicketId) -> PrintableTicket:
    await own_writes(call)
    row = await call.deps.database.row("ticket_document", ticket_id)
    if row is None or row["user_id"] != call.user_id:
        raise not_found("ticket", f"{ticket_id} of yours", field="ticket_id")
    user = await call.deps.database.row("user", call.user_id)
    return PrintableTicket.of(row, holder=user["name"] if user is not None else "")


def _file(body: bytes, media_type: str, name: str, disposition: str) -> HTTPResponse:
    headers = {
        "content-disposition": f'{disposition}; filename="{name}"',
        "cache-control": "private, no-store",  # the code is the ticket
        "x-content-type-options": "nosniff",
    }
    return HTTPResponse(body, headers=headers, content_type=media_type)
