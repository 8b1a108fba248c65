"""The door: scans, check-ins, counts, staff, and transfers of tickets."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import asyncpg
import msgspec
from msgspec import Meta

from api.fairness.limits import SCANS_PER_BATCH_MAX
from api.http.validation import Id, Time
from api.reads.texts import LINE
from api.shapes.base import PageQuery, PositionOut, Request
from schemas.ids import EventId, TicketId, TicketTypeId, TransferId, UserId
from schemas.statuses import CheckInKind, EventStage
from schemas.times import utc

CODE_EXAMPLE = "AXq0dW8mVb3oJtq2x5Zr7yTgHc9LpKfEs6AuInZ4Qm1xkq0d"

Code = Annotated[str, Meta(description="as it was scanned; white space around it does not matter")]
GATE_CHARS_MAX = 60
Gate = Annotated[
    str, Meta(min_length=1, max_length=GATE_CHARS_MAX, pattern=LINE, description="the place, such as an entrance")
]
Account = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^\s\u0000-\u001f\u007f]+(?!\n)$")]
Scanner = Annotated[str, Meta(min_length=1, max_length=60, pattern=LINE, description="which device")]


class CheckInIn(Request, frozen=True, kw_only=True):
    """A scan at the door. With `scanned_at` a client can send the same scan again; else each request is a new scan."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"code": CODE_EXAMPLE, "gate": "North"}

    code: Code
    gate: Gate | None = None
    scanned_at: Time | None = None


class OfflineScan(Request, frozen=True, kw_only=True):
    """A scan that a device made offline, by the device's clock.

    Each scan gets its own outcome, also one with an unreadable code or a wrong clock.
    """

    code: Code
    scanned_at: Annotated[
        str,
        Meta(extra_json_schema={"format": "date-time"}, description="by the device's clock, RFC 3339 with an offset"),
    ]
    gate: (
        Annotated[str, Meta(description="the place; control characters are removed, and a long text is cut")] | None
    ) = None


class BatchIn(Request, frozen=True, kw_only=True):
    """The scans that a device made offline. The same batch may be sent again."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "scanner": "tablet-2",
        "scans": [{"code": CODE_EXAMPLE, "scanned_at": "2031-05-01T17:12:40Z", "gate": "North"}],
    }

    scanner: Scanner
    scans: Annotated[list[OfflineScan], Meta(min_length=1, max_length=SCANS_PER_BATCH_MAX)]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Time and place of a scan. `scanner` is the device of an offline scan, else null."""

    at: datetime
    gate: str | None
    scanner: str | None


class ScanOut(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a scan: `outcome` is accepted (the holder may enter), refused, or pending (not decided yet).

    `reason` is the reason of a refusal. For a second scan, `first` has time and place of the first. `clock` is null, or
    `implausible` if the scanner's clock cannot be right: its time is stored unchanged, and the log's order counts.
    """

    outcome: str
    reason: str | None = None
    ticket_id: TicketId | None = None
    ticket_type_id: TicketTypeId | None = None
    seat: str | None = None
    ordinal: int | None = None
    scanned: Seen
    first: Seen | None = None
    clock: str | None = None
    position: PositionOut | None = None


class BatchOut(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes of a batch, in the order of its scans."""

    accepted: int
    refused: int
    pending: int
    results: list[ScanOut]


class ScanKind(StrEnum):
    """The outcome of a scan; `inside` are accepted scans that were not undone."""

    INSIDE = "inside"
    ACCEPTED = CheckInKind.ACCEPTED
    REFUSED = CheckInKind.REFUSED
    REVERSED = CheckInKind.REVERSED


class CheckInsQuery(PageQuery, frozen=True):
    """Scans of an event, the latest on the log first."""

    kind: ScanKind | None = None
    ticket_id: Id[TicketId] | None = None


class CheckInOut(msgspec.Struct, frozen=True, kw_only=True):
    """One scan, or an undone check-in. `inside`: it is the ticket's valid check-in.

    `by_user_id` made the scan, or undid the check-in.
    """

    kind: str
    ticket_id: TicketId
    ticket_type_id: TicketTypeId | None
    seat: str | None
    ordinal: int | None
    reason: str | None
    by_user_id: UserId | None
    scanned: Seen | None
    first: Seen | None
    inside: bool
    decided_at: datetime
    position: PositionOut


class DoorTicketOut(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket with its check-in; `checked_in` is null while its holder is outside."""

    ticket_id: TicketId
    event_id: EventId
    ticket_type_id: TicketTypeId
    seat: str | None
    ordinal: int
    status: str
    checked_in: Seen | None


class TypeCount(msgspec.Struct, frozen=True):
    """The counts of a ticket type at the door."""

    id: TicketTypeId
    tickets: int
    checked_in: int


class GateCount(msgspec.Struct, frozen=True):
    """The count of a gate. `gate` is null for check-ins without one."""

    gate: str | None
    checked_in: int


class CountsOut(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of sold tickets, people inside and refused scans. At most a second old."""

    tickets: int
    checked_in: int
    refused: int
    ticket_types: list[TypeCount]
    gates: list[GateCount]


class StaffIn(Request, frozen=True):
    """The mail address or user id of a new staff member. They are invited, and accept or decline."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"user": "hedy@example.org"}

    user: Account


class StaffStatus(StrEnum):
    """The status of a person at the door. An invitation expires when it is not answered in time."""

    WORKING = "working"
    INVITED = "invited"
    EXPIRED = "expired"


class StaffOut(msgspec.Struct, frozen=True):
    """A person who works at the door since `added_at`, or who is invited to (`status` is invited or expired)."""

    user_id: UserId
    added_at: datetime
    status: str = StaffStatus.WORKING
    expires_at: datetime | None = None


class OccasionOut(msgspec.Struct, frozen=True):
    """The event of an offer or invitation, if it was published."""

    title: str
    venue: str
    starts_at: datetime
    ends_at: datetime


class InvitationOut(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation to work at an event's door: invited, accepted, declined, withdrawn or expired."""

    event_id: EventId
    status: str
    event: OccasionOut | None
    invited_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class TransferIn(Request, frozen=True):
    """The receiver's mail address or user id. If they have an account, they are notified, and accept or decline."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"to": "grace@example.org"}

    to: Account


class TransferOut(msgspec.Struct, frozen=True, kw_only=True):
    """An offered ticket. Until the receiver accepts, it is the caller's and its code is valid."""

    ticket_id: TicketId
    event_id: EventId
    status: str
    transfer_id: TransferId
    expires_at: datetime


class Direction(StrEnum):
    """Offers to the caller (in) or from the caller (out)."""

    IN = "in"
    OUT = "out"


class TransfersQuery(PageQuery, frozen=True):
    """Offers of tickets to and from the caller, the latest first."""

    direction: Direction | None = None


class TransferView(msgspec.Struct, frozen=True, kw_only=True):
    """An offer of a ticket: offered, accepted, declined, withdrawn, expired, or cancelled with its ticket.

    Neither side learns the identity of the other.
    """

    id: TransferId
    direction: str
    status: str
    ticket_id: TicketId
    event_id: EventId
    event: OccasionOut | None
    ticket_type_id: TicketTypeId
    seat: str | None
    offered_at: datetime
    expires_at: datetime
    ended_at: datetime | None


SHOWN_STAGES = frozenset({EventStage.PUBLISHED, EventStage.CANCELLED, EventStage.ENDED})


def about_event(row: asyncpg.Record) -> OccasionOut | None:
    """The event of an offer. None for a draft, whose texts only its organizer may read."""
    if row["event_status"] not in SHOWN_STAGES:
        return None
    return OccasionOut(row["title"], row["venue"], utc(row["starts_at"]), utc(row["ends_at"]))
