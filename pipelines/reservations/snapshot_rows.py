"""The projection's rows about a partition and about an event. Pure; workers rebuild their state from them.

Guarantee: a snapshot shows one moment, the position in it. It has all rows of an event at that position, also refused
reservations and ended holds. So a state built from them equals the fold of the facts up to there. Times are
microseconds since the epoch, money is in minor units, "" and 0 mean "not set".
"""

from __future__ import annotations

import msgspec

from pipelines.positions import AppliedPosition
from pipelines.reservations.core.entities import Reservation
from schemas.event_terms import EventTerms
from schemas.ids import (
    BlockId,
    CodeId,
    DisputeId,
    EntryId,
    EventId,
    PaymentId,
    PoolId,
    RefundId,
    ReleaseId,
    ReservationId,
    TicketId,
    TicketTypeId,
    TransferId,
    UserId,
)
from schemas.statuses import ChoreKind, CodeKind, DisputeStatus, EventStage, RefundOrigin, RefundStatus, WaitlistStatus
from schemas.ticket_type_terms import TicketTypeTerms


class EventRow(EventTerms, frozen=True, gc=False, kw_only=True):
    """A row of events."""

    id: EventId
    organizer_id: UserId
    status: EventStage
    reminded_for: int
    created_at: int
    published_at: int


class TicketTypeRow(TicketTypeTerms, kw_only=True):
    """A row of ticket_types."""

    id: TicketTypeId
    ordinal: int


class PoolRow(msgspec.Struct, frozen=True, gc=False):
    """A row of pools."""

    id: PoolId
    name: str
    capacity: int


class CodeRow(msgspec.Struct, frozen=True, gc=False):
    """A row of codes."""

    id: CodeId
    code: str
    kind: CodeKind
    value: int
    uses_max: int
    ticket_type_ids: list[TicketTypeId]
    valid_from_at: int
    valid_until_at: int
    disabled: bool
    places_max: int


class SeatBlockRow(msgspec.Struct, frozen=True, gc=False):
    """A row of seat_blocks; `quantity` is 0 where it was freed. `releases` are the requests that freed some of it."""

    id: BlockId
    ticket_type_id: TicketTypeId
    seats: list[str]
    quantity: int
    until_at: int
    label: str
    offset: int
    releases: list[ReleaseId]


class TicketRow(msgspec.Struct, frozen=True, gc=False):
    """A row of tickets that is valid and not as it was issued; `place` is its seat or, without one, its ordinal.

    `undone` are its scans in check_ins that were taken back, by their names (`scan_name`).
    """

    id: TicketId
    reservation_id: ReservationId
    place: str
    user_id: UserId
    version: int
    checked_in_at: int
    gate: str
    scanner: str
    checked_in_by: UserId
    undone: list[str]


class WaitlistEntryRow(msgspec.Struct, frozen=True, gc=False):
    """A row of waitlist_entries."""

    id: EntryId
    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: int
    status: WaitlistStatus
    offset: int
    mailbox: int = 0


class ChoreRow(msgspec.Struct, frozen=True, gc=False):
    """A row of chores that is not finished; `told_offset` is that of the reservation `told_id`, -1 for none."""

    kind: ChoreKind
    cause: int
    changed: list[str]
    told_offset: int
    told_id: ReservationId


class TransferRow(msgspec.Struct, frozen=True, gc=False):
    """A row of transfers that is offered."""

    id: TransferId
    reservation_id: ReservationId
    ticket_id: TicketId
    ticket_type_id: TicketTypeId
    seat: str
    user_id: UserId
    to_user_id: UserId
    expires_at: int


class InvitationRow(msgspec.Struct, frozen=True, gc=False):
    """A row of staff_invitations that is open."""

    member_id: UserId
    expires_at: int


class RefundRow(msgspec.Struct, frozen=True, gc=False):
    """A row of refunds."""

    reservation_id: ReservationId
    key: str
    payment_id: PaymentId
    refund_id: RefundId
    amount_minor: int
    status: RefundStatus
    origin: RefundOrigin


class DisputeRow(msgspec.Struct, frozen=True, gc=False):
    """A row of disputes."""

    reservation_id: ReservationId
    id: DisputeId
    payment_id: PaymentId
    status: DisputeStatus
    amount_minor: int
    charged_minor: int


class DeadlineRow(msgspec.Struct, frozen=True, gc=False):
    """An event's earliest deadline, in log time; 0: started work is waiting."""

    event_id: EventId
    time: int


class PartitionSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A partition: its position, every event id that has rows, and the deadlines (earliest first)."""

    partition: int
    position: AppliedPosition
    event_ids: frozenset[EventId]
    deadlines: list[DeadlineRow]


class EventSnapshot(msgspec.Struct, frozen=True, gc=False):
    """An event: every row of it, and the position of its partition in the same moment.

    `event` is None if it was never created; refused reservations may exist even so. Reservations come in the order of
    their requests and have the state's own type, since there are many. Ticket types come by ordinal. `tickets` are
    those that changed after they were issued. `incomplete`: facts of the event could not be written as rows.
    """

    event_id: EventId
    position: AppliedPosition
    event: EventRow | None
    ticket_types: list[TicketTypeRow]
    reservations: list[Reservation]
    locked_places: list[str]
    pools: list[PoolRow]
    codes: list[CodeRow]
    seat_blocks: list[SeatBlockRow]
    tickets: list[TicketRow]
    waitlist: list[WaitlistEntryRow]
    chores: list[ChoreRow]
    staff: list[UserId]
    schedule: list[str]
    transfers: list[TransferRow] = []
    invitations: list[InvitationRow] = []
    refunds: list[RefundRow] = []
    disputes: list[DisputeRow] = []
    incomplete: bool = False
