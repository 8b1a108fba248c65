"""The work at a door: who may do it, reading scanned codes, and scans as commands to the log.

Guarantee: the first scan on the log wins, from any door, device or process. A repeated scan (same ticket, time, gate,
device and person) is the same scan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from api.fairness.limits import PROJECTION_WAIT_MAX_S
from api.http.reasons import for_reason
from api.http.routing import Call
from api.http.validation import TIME_MAX, TIME_MIN
from api.log.outcomes import submit
from api.log.writes import own_writes
from api.reads.events import is_admin
from api.shapes.base import PositionOut
from api.shapes.door import ScanOut, Seen
from api.shapes.events import EventStatus
from api.ticket_codes import ForgedCode, SignedTicket
from schemas.codec import TIME_US_MAX
from schemas.commands import CheckIn
from schemas.facts import Reason
from schemas.ids import EventId, TicketId
from schemas.statuses import ReplyOutcome
from schemas.times import micros_of, rfc3339_of, utc

IMPLAUSIBLE = "implausible"
MALFORMED, FORGED, OTHER_EVENT = "ticket-code-malformed", "ticket-code-forged", "ticket-of-other-event"


SCANNED_MIN_US = 1  # 0 is a scan without a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A scanned code, with time and place. `scanner` is "" unless a device was offline."""

    code: str
    scanned_at: int
    gate: str
    scanner: str = ""
    clock: str | None = None  # IMPLAUSIBLE if the scanner's clock cannot be right

    @property
    def seen(self) -> Seen:
        """Its time and place, as the API shows them."""
        return seen(self.scanned_at, self.gate, self.scanner)


def scanned(claimed: datetime | None) -> tuple[int, str | None]:
    """A scanner's time for the log, in microseconds, and IMPLAUSIBLE if its clock cannot be right.

    Such a scan counts too: the order of the log decides which scan was first, and the scanner's time only distinguishes
    scans. A missing time and a time before 1970 become the first moment of 1970.
    """
    us = SCANNED_MIN_US if claimed is None else micros_of(claimed)
    return min(
        max(us, SCANNED_MIN_US), TIME_US_MAX
    ), None if claimed is not None and TIME_MIN <= claimed < TIME_MAX else IMPLAUSIBLE


def seen(scanned_at: int, gate: str, scanner: str) -> Seen:
    """Time and place of a scan, as the API shows them."""
    return Seen(at=utc(scanned_at), gate=gate or None, scanner=scanner or None)


async def event_at_door(call: Call, event_id: EventId, *, to_read: bool = False) -> asyncpg.Record:
    """The event, if the caller works at its door: organizer or staff; `to_read` also allows administrators.

    Raises Problem event-not-found and staff-only.
    """
    if to_read:  # a scan does not wait until the one before it is readable
        await own_writes(call)
    row = await call.deps.database.row("door_of_event", event_id, call.user_id)
    owner = row is not None and row["organizer_id"] == call.user_id
    allowed = row is not None and (owner or row["staff"] or (to_read and is_admin(call)))
    if row is None or (row["status"] == EventStatus.DRAFT and not allowed):
        raise for_reason(Reason.EVENT_NOT_FOUND, f"there is no event {event_id}", field="event_id")
    if not allowed:
        raise for_reason(Reason.STAFF_ONLY)
    return row


async def works_at_door(call: Call, event_id: EventId) -> bool:
    """Whether the caller, if there is one, may see the scans at the event's door."""
    if call.caller is None:
        return False
    row = await call.deps.database.row("door_of_event", event_id, call.user_id)
    return row is not None and (row["organizer_id"] == call.user_id or row["staff"] or is_admin(call))


async def check_in(call: Call, event: asyncpg.Record, scans: Sequence[Scan]) -> list[ScanOut]:
    """The outcomes of scans, in the order of `scans`. The scans go to the log in the order of their times."""
    signed = await _read(call, scans)
    tickets = await _tickets(call, event, [one.ticket_id for one in signed if isinstance(one, SignedTicket)])
    work = {
        place: _decided(call, event, scans[place], said, tickets.get(said.ticket_id))
        for place, said in enumerate(signed)
        if isinstance(said, SignedTicket) and said.event_id == event["id"]
    }
    # Tasks begin in the order of their creation, and each sends its command to the log when it begins.
    order = sorted(work, key=lambda place: scans[place].scanned_at)
    outcomes = await asyncio.gather(*(work[place] for place in order), return_exceptions=True)
    decided: dict[int, ScanOut] = {}
    for place, outcome in zip(order, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            raise outcome  # not acknowledged: the client may send the same scans again
        decided[place] = outcome
    results = [
        decided.get(place)
        or ScanOut(
            outcome=ReplyOutcome.REFUSED, reason=_unfit(said), scanned=scans[place].seen, clock=scans[place].clock
        )
        for place, said in enumerate(signed)
    ]
    return await _with_firsts(call, event, results)


async def _read(call: Call, scans: Sequence[Scan]) -> list[SignedTicket | str]:
    """The signed tickets in the codes, or why a code has none. Many codes are read in a thread: each costs 0.1 ms."""
    codes = call.deps.codes

    def read(code: str) -> SignedTicket | str:
        try:
            return codes.read(code)
        except ForgedCode:
            return FORGED
        except ValueError:
            return MALFORMED

    if len(scans) == 1:
        return [read(scans[0].code)]
    return await call.deps.scans.run(lambda: [read(scan.code) for scan in scans])


def _unfit(said: SignedTicket | str) -> str:
    return said if isinstance(said, str) else OTHER_EVENT


async def _tickets(call: Call, event: asyncpg.Record, ids: Sequence[TicketId]) -> dict[TicketId, asyncpg.Record]:
    """The tickets' rows. Waits for the row of a ticket that was issued a moment ago."""
    database, watermarks = call.deps.database, call.deps.watermarks
    seen_to = watermarks.applied(event["partition"])
    rows = {row["id"]: row for row in await database.rows("tickets_by_ids", ids)} if ids else {}
    if len(rows) < len(set(ids)):
        await watermarks.wait(event["partition"], seen_to + 1, PROJECTION_WAIT_MAX_S)
        rows = {row["id"]: row for row in await database.rows("tickets_by_ids", ids)}
    return rows


async def _decided(
    call: Call, event: asyncpg.Record, scan: Scan, said: SignedTicket, row: asyncpg.Record | None
) -> ScanOut:
    """The log's decision on one scan."""
    if row is None or row["event_id"] != event["id"]:
        return ScanOut(
            outcome=ReplyOutcome.REFUSED,
            reason=Reason.TICKET_NOT_FOUND,
            ticket_id=said.ticket_id,
            scanned=scan.seen,
            clock=scan.clock,
        )
    command = CheckIn(
        event_id=event["id"],
        user_id=call.user_id,
        command_id=call.deps.log_writer.next_id(),
        reservation_id=row["reservation_id"],
        ticket_id=said.ticket_id,
        version=said.version,
        gate=scan.gate,
        scanner=scan.scanner,
        scanned_at=scan.scanned_at,
    )
    outcome = await submit(call.deps, command, call.wait_s(), traceparent=call.traceparent)
    reply = outcome.reply
    if reply is None:
        result = ReplyOutcome.PENDING
    else:
        result = ReplyOutcome.REFUSED if reply.outcome == ReplyOutcome.REFUSED else ReplyOutcome.ACCEPTED
    return ScanOut(
        outcome=result,
        reason=reply.reason or None if reply is not None else None,
        ticket_id=row["id"],
        ticket_type_id=row["ticket_type_id"],
        seat=row["seat"] or None,
        ordinal=row["ordinal"],
        scanned=scan.seen,
        clock=scan.clock,
        position=PositionOut(outcome.partition, outcome.offset),
    )


async def _with_firsts(call: Call, event: asyncpg.Record, results: list[ScanOut]) -> list[ScanOut]:
    """The results. Each second scan also gets the time and place of the first, from its fact."""
    offsets = [
        one.position.offset for one in results if one.reason == Reason.ALREADY_CHECKED_IN and one.position is not None
    ]
    if not offsets:
        return results
    await call.deps.watermarks.wait(event["partition"], max(offsets), PROJECTION_WAIT_MAX_S)
    rows = await call.deps.database.rows("scans_at", event["id"], offsets)
    firsts = {row["offset"]: first_of(row) for row in rows}
    return [
        one if one.position is None else msgspec.structs.replace(one, first=firsts.get(one.position.offset))
        for one in results
    ]


def first_of(row: asyncpg.Record) -> Seen | None:
    """Time and place of the first scan, from the row of a second one."""
    if not row["first_scanned_at"]:
        return None
    return seen(row["first_scanned_at"], row["first_gate"], row["first_scanner"])


def checked_in_text(first: Seen | None) -> str:
    """A sentence for the staff at the door."""
    if first is None:
        return "the ticket is already checked in"
    at: datetime = first.at
    place = f" at {first.gate}" if first.gate else ""
    device = f" by {first.scanner}" if first.scanner else ""
    return f"the ticket was checked in at {rfc3339_of(at, 'seconds')}{place}{device}"
