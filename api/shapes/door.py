"""The door: scans, check-ins, counts, and tickets handed on."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from api.fairness.limits import SCANS_PER_BATCH_MAX
from api.http.validation import Id, Time
from api.reads.texts import LINE
from api.shapes.base import PageQuery, PositionOut, Request

CODE_EXAMPLE = "AXq0dW8mVb3oJtq2x5Zr7yTgHc9LpKfEs6AuInZ4Qm1xkq0d"

Code = Annotated[str, Meta(description="as it was scanned; white space around it does not matter")]
GATE_CHARS_MAX = 60
Gate = Annotated[
    str, Meta(min_length=1, max_length=GATE_CHARS_MAX, pattern=LINE, description="where: an entrance, a row of them")
]
Account = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^\s\u0000-\u001f\u007f]+(?!\n)$")]
Scanner = Annotated[str, Meta(min_length=1, max_length=60, pattern=LINE, description="which device")]


class CheckInIn(Request, frozen=True, kw_only=True):
    """Somebody is at the door. With `scanned_at` the same scan can be sent again; else it is a scan of this moment."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"code": CODE_EXAMPLE, "gate": "North"}

    code: Code
    gate: Gate | None = None
    scanned_at: Time | None = None


class OfflineScan(Request, frozen=True, kw_only=True):
    """A scan that a device made while it had no network, by the device's clock.

    Each scan has a verdict of its own, whatever was scanned and whatever the clock says.
    """

    code: Code
    scanned_at: Annotated[
        str,
        Meta(extra_json_schema={"format": "date-time"}, description="by the device's clock, RFC 3339 with an offset"),
    ]
    gate: (
        Annotated[str, Meta(description="where; control characters are left out, and what is too long is cut")] | None
    ) = None


class BatchIn(Request, frozen=True, kw_only=True):
    """What a device scanned while it had no network. The same batch may be sent again."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "scanner": "tablet-2",
        "scans": [{"code": CODE_EXAMPLE, "scanned_at": "2031-05-01T17:12:40Z", "gate": "North"}],
    }

    scanner: Scanner
    scans: Annotated[list[OfflineScan], Meta(min_length=1, max_length=SCANS_PER_BATCH_MAX)]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """When and where a ticket was scanned. `scanner` is null for a scan of that moment, else the device."""

    at: datetime
    gate: str | None
    scanner: str | None


class ScanOut(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a scan: `outcome` is accepted (let them in), refused, or pending (on the log, not decided yet).

    `reason` says why it was refused. For a second scan, `first` says when and where the first was. `clock` is null, or
    `implausible` where the scanner's clock cannot be right: its time is kept as told, and the log's order counts.
    """

    outcome: str
    reason: str | None = None
    ticket_id: str | None = None
    ticket_type_id: str | None = None
    seat: str | None = None
    ordinal: int | None = None
    scanned: Seen
    first: Seen | None = None
    clock: str | None = None
    position: PositionOut | None = None


class BatchOut(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch, scan by scan, in the order they were sent."""

    accepted: int
    refused: int
    pending: int
    results: list[ScanOut]


class ScanKind(StrEnum):
    """What a scan came to; `inside` are the accepted ones that stand."""

    INSIDE = "inside"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    REVERSED = "reversed"


class CheckInsQuery(PageQuery, frozen=True):
    """Scans of an event, the latest on the log first."""

    kind: ScanKind | None = None
    ticket_id: Id | None = None


class CheckInOut(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the door's record. `inside`: it is the check-in that stands for this ticket.

    `by_user_id` let them in, or took the check-in back.
    """

    kind: str
    ticket_id: str
    ticket_type_id: str | None
    seat: str | None
    ordinal: int | None
    reason: str | None
    by_user_id: str | None
    scanned: Seen | None
    first: Seen | None
    inside: bool
    decided_at: datetime
    position: PositionOut


class DoorTicketOut(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket as the door sees it; `checked_in` is null while its holder is outside."""

    ticket_id: str
    event_id: str
    ticket_type_id: str
    seat: str | None
    ordinal: int
    status: str
    checked_in: Seen | None


class TypeCount(msgspec.Struct, frozen=True):
    """A ticket type at the door."""

    id: str
    tickets: int
    checked_in: int


class GateCount(msgspec.Struct, frozen=True):
    """A gate. `gate` is null for check-ins that named none."""

    gate: str | None
    checked_in: int


class CountsOut(msgspec.Struct, frozen=True, kw_only=True):
    """How many tickets are out, how many people are inside, and how many scans were refused. At most a second old."""

    tickets: int
    checked_in: int
    refused: int
    ticket_types: list[TypeCount]
    gates: list[GateCount]


class StaffIn(Request, frozen=True):
    """Who is to work at the door: a mail address or a user id. They are invited, and accept or decline."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"user": "hedy@example.org"}

    user: Account


class StaffOut(msgspec.Struct, frozen=True):
    """Somebody who works at the door, since `added_at`, or who is invited to (`status` is invited, or expired)."""

    user_id: str
    added_at: datetime
    status: str = "working"
    expires_at: datetime | None = None


class OccasionOut(msgspec.Struct, frozen=True):
    """The event that something is offered for, once it was published."""

    title: str
    venue: str
    starts_at: datetime
    ends_at: datetime


class InvitationOut(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation to work at an event's door: invited, accepted, declined, withdrawn or expired."""

    event_id: str
    status: str
    event: OccasionOut | None
    invited_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class TransferIn(Request, frozen=True):
    """To whom: a mail address or a user id. They are told if they have an account, and accept or decline."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"to": "grace@example.org"}

    to: Account


class TransferOut(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket that is offered to somebody. Until they accept it is the caller's, and its code opens the door."""

    ticket_id: str
    event_id: str
    status: str
    transfer_id: str
    expires_at: datetime


class Direction(StrEnum):
    """What one was offered (in), or has offered (out)."""

    IN = "in"
    OUT = "out"


class TransfersQuery(PageQuery, frozen=True):
    """Offers of tickets to and from the caller, the latest first."""

    direction: Direction | None = None


class TransferView(msgspec.Struct, frozen=True, kw_only=True):
    """An offer of a ticket: offered, accepted, declined, withdrawn, expired, or cancelled with its ticket.

    Neither side learns who the other is.
    """

    id: str
    direction: str
    status: str
    ticket_id: str
    event_id: str
    event: OccasionOut | None
    ticket_type_id: str
    seat: str | None
    offered_at: datetime
    expires_at: datetime
    ended_at: datetime | None
