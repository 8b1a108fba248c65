"""The changes that a batch of facts makes in the tables: one change for each row, for any number of facts. Pure.

A change is whole if the batch has the fact that makes the row; otherwise it is a patch of an existing row. In a patch,
None means "unchanged". (updated_offset, updated_index) is the position of the last fact in the change. Fields that end
in `_json` are JSON lists of strings, because their texts may have commas.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from schemas.event_terms import EventTerms
from schemas.ids import (
    AttemptId,
    BlockId,
    CodeId,
    DisputeId,
    EntryId,
    EventId,
    PaymentId,
    PoolId,
    RefundId,
    ReservationId,
    TicketId,
    TicketTypeId,
    TransferId,
    UserId,
)
from schemas.statuses import (
    CheckInKind,
    ChoreKind,
    CodeKind,
    DisputeStatus,
    EventStage,
    InvitationStatus,
    PaymentStatus,
    RefundOrigin,
    RefundStatus,
    ReservationStatus,
    SeatClaimStatus,
    TicketStatus,
    TransferStatus,
    WaitlistStatus,
)
from schemas.ticket_type_terms import TicketTypeTerms


def as_json(texts: Iterable[str]) -> str:
    """A JSON list that PostgreSQL can take apart: U+0000, which its text cannot hold, becomes U+FFFD."""
    return msgspec.json.encode([text.replace("\x00", "\ufffd") for text in texts]).decode()


class EventChange(msgspec.Struct, gc=False):
    """A row of events; whole when `created_at` is set. `terms` are its columns that the organizer describes."""

    id: EventId
    partition: int
    organizer_id: UserId | None = None
    status: EventStage | None = None
    terms: EventTerms | None = None
    reminded_for: int | None = None
    created_at: int | None = None
    published_at: int | None = None
    cancelled_at: int | None = None
    cancel_reason: str | None = None
    updated_offset: int = -1
    updated_index: int = -1


class TicketTypeChange(msgspec.Struct, gc=False):
    """A row of ticket_types; whole when `ordinal` is set. In a patch the fixed terms mean nothing."""

    id: TicketTypeId
    event_id: EventId
    partition: int
    terms: TicketTypeTerms
    ordinal: int | None = None
    updated_offset: int = -1
    updated_index: int = -1


class Amendment(msgspec.Struct, gc=False):
    """Changes of one of the few reservations with codes, warnings, cancelled tickets or refunds.

    With a whole row, `void_places`, `refunds_open`, `kept_minor` and `owed_minor` are the row's values. With a patch
    they are added to the row, and the fields that end in `_less` and `_gone` are taken from it. In a patch the payment
    may depend on the row. `refund_asked` makes it refund-requested, unless the row is confirmed. Then `refund_made`
    changes a refund-requested payment without open refunds: to refunded, or to refund-failed if something is owed.
    """

    promo_code: str | None = None
    access_code: str | None = None
    discount_minor: int | None = None
    extended: bool | None = None
    warned: bool | None = None
    kept_minor: int = 0
    owed_minor: int = 0
    void_places: list[str] = msgspec.field(default_factory=list)
    refunds_open: list[str] = msgspec.field(default_factory=list)
    refunds_gone: list[str] = msgspec.field(default_factory=list)
    seats_gone: list[str] = msgspec.field(default_factory=list)
    tickets_gone: list[TicketId] = msgspec.field(default_factory=list)
    quantity_less: int = 0
    amount_less: int = 0
    refund_asked: bool = False
    refund_made: bool = False

    @property
    def refunds_open_json(self) -> str:
        return as_json(self.refunds_open)

    @property
    def refunds_gone_json(self) -> str:
        return as_json(self.refunds_gone)


class ReservationChange(msgspec.Struct, gc=False):
    """A row of reservations; whole when `fingerprint` is set."""

    id: ReservationId
    event_id: EventId
    partition: int
    offset: int | None = None
    user_id: UserId | None = None
    ticket_type_id: TicketTypeId | None = None
    status: ReservationStatus | None = None
    quantity: int | None = None
    seats: list[str] | None = None
    amount_minor: int | None = None
    currency: str | None = None
    expires_at: int | None = None
    fingerprint: int | None = None
    reason: str | None = None
    detail: str | None = None
    attempt_id: AttemptId | None = None
    payment: PaymentStatus | None = None
    payment_id: PaymentId | None = None
    payment_token: str | None = None
    refund_id: RefundId | None = None
    ticket_ids: list[TicketId] | None = None
    created_at: int | None = None
    updated_at: int = 0
    updated_offset: int = -1
    updated_index: int = -1
    amended: Amendment | None = None
    mailbox: int | None = None
    detail_at: int | None = None


class PaymentChange(msgspec.Struct, gc=False):
    """A row of payments; whole when `amount_minor` is set."""

    event_id: EventId
    attempt_id: AttemptId
    partition: int
    reservation_id: ReservationId | None = None
    user_id: UserId | None = None
    status: PaymentStatus | None = None
    reason: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    payment_token: str | None = None
    payment_id: PaymentId | None = None
    updated_offset: int = -1
    updated_index: int = -1


class RefundChange(msgspec.Struct, gc=False):
    """A row of refunds; whole when `amount_minor` is set."""

    event_id: EventId
    refund_key: str
    partition: int
    reservation_id: ReservationId
    user_id: UserId
    payment_id: PaymentId
    attempt_id: AttemptId | None = None
    status: RefundStatus | None = None
    amount_minor: int | None = None
    currency: str | None = None
    reason: str | None = None
    refund_id: RefundId = RefundId("")
    refunded_minor: int = 0
    requested_at: int = 0
    refunded_at: int = 0
    origin: RefundOrigin = RefundOrigin.OURS
    failure: str = ""
    updated_offset: int = -1
    updated_index: int = -1


class DisputeChange(msgspec.Struct, gc=False):
    """A row of disputes. It is whole, but `charged_minor` is added, and `opened_at` is set only once."""

    event_id: EventId
    dispute_id: DisputeId
    partition: int
    reservation_id: ReservationId
    user_id: UserId
    payment_id: PaymentId
    status: DisputeStatus
    amount_minor: int
    currency: str
    reason: str
    charged_minor: int
    opened_at: int
    closed_at: int
    updated_offset: int
    updated_index: int


class PaymentSettled(msgspec.Struct, gc=False):
    """A payment whose refunds changed: its row follows from them."""

    event_id: EventId
    payment_id: PaymentId
    updated_offset: int
    updated_index: int


class SeatClaimChange(msgspec.Struct, gc=False):
    """A row of seat_claims, always whole."""

    event_id: EventId
    ticket_type_id: TicketTypeId
    seat: str
    reservation_id: ReservationId
    partition: int
    status: SeatClaimStatus
    updated_offset: int
    updated_index: int


class TicketChange(msgspec.Struct, gc=False):
    """A row of tickets as issued, always whole. Later changes are a TicketPatch, also in the same batch."""

    id: TicketId
    event_id: EventId
    partition: int
    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    seat: str
    ordinal: int
    status: TicketStatus
    version: int
    issued_at: int
    updated_offset: int
    updated_index: int


class TicketPatch(msgspec.Struct, gc=False):
    """A change of a ticket. `has_history` false means "unless it was handed on". A void ticket's version is raised."""

    id: TicketId
    user_id: UserId | None = None
    version: int | None = None
    transferred_at: int | None = None
    checked_in_at: int | None = None
    gate: str | None = None
    scanner: str | None = None
    checked_in_by: str | None = None
    has_history: bool | None = None
    void: bool = False
    updated_offset: int = -1
    updated_index: int = -1


class TicketsVoided(msgspec.Struct, gc=False):
    """All tickets of a reservation are void."""

    event_id: EventId
    reservation_id: ReservationId
    updated_offset: int
    updated_index: int


class CheckInChange(msgspec.Struct, gc=False):
    """A row of check_ins, always whole and never changed."""

    event_id: EventId
    offset: int
    index: int
    partition: int
    kind: CheckInKind
    reservation_id: ReservationId
    ticket_id: TicketId
    user_id: UserId
    seat: str
    by_user_id: UserId
    reason: str
    gate: str
    scanner: str
    scanned_at: int
    first_scanned_at: int
    first_gate: str
    first_scanner: str
    decided_at: int


class SeatLockChange(msgspec.Struct, gc=False):
    """A row of observed_seat_locks, always whole."""

    event_id: EventId
    place: str
    partition: int
    locked: bool
    updated_offset: int
    updated_index: int


class PoolChange(msgspec.Struct, gc=False):
    """A row of pools, always whole."""

    event_id: EventId
    id: PoolId
    partition: int
    name: str
    capacity: int
    updated_offset: int
    updated_index: int


class CodeChange(msgspec.Struct, gc=False):
    """A row of codes; whole when `kind` is set."""

    event_id: EventId
    id: CodeId
    partition: int
    code: str = ""
    kind: CodeKind | None = None
    value: int = 0
    uses_max: int = 0
    places_max: int = 0
    ticket_type_ids_json: str = "[]"
    valid_from_at: int = 0
    valid_until_at: int = 0
    disabled: bool = False
    created_at: int = 0
    updated_offset: int = -1
    updated_index: int = -1


class SeatBlockChange(msgspec.Struct, gc=False):
    """A row of seat_blocks; whole when `seats` is set, else some of its places are free again."""

    event_id: EventId
    id: BlockId
    partition: int
    offset: int = -1
    ticket_type_id: TicketTypeId = TicketTypeId("")
    seats: list[str] | None = None
    quantity: int = 0
    until_at: int = 0
    label: str = ""
    created_at: int = 0
    updated_offset: int = -1
    updated_index: int = -1
    seats_gone: list[str] = msgspec.field(default_factory=list)
    quantity_less: int = 0
    releases: list[str] = msgspec.field(default_factory=list)


class StaffChange(msgspec.Struct, gc=False):
    """A row of event_staff, always whole but for `added_at`, which 0 leaves as it is."""

    event_id: EventId
    member_id: UserId
    partition: int
    active: bool
    added_at: int
    updated_offset: int
    updated_index: int


class InvitationChange(msgspec.Struct, gc=False):
    """A row of staff_invitations; whole when `expires_at` is set."""

    event_id: EventId
    member_id: UserId
    partition: int
    status: InvitationStatus
    expires_at: int | None = None
    invited_at: int = 0
    ended_at: int = 0
    updated_offset: int = -1
    updated_index: int = -1


class TransferChange(msgspec.Struct, gc=False):
    """A row of transfers; whole when `ticket_id` is set."""

    event_id: EventId
    id: TransferId
    partition: int
    status: TransferStatus
    reservation_id: ReservationId = ReservationId("")
    ticket_id: TicketId | None = None
    ticket_type_id: TicketTypeId = TicketTypeId("")
    seat: str = ""
    user_id: UserId = UserId("")
    to_user_id: UserId = UserId("")
    expires_at: int = 0
    offered_at: int = 0
    ended_at: int = 0
    updated_offset: int = -1
    updated_index: int = -1


class ScheduleChange(msgspec.Struct, gc=False):
    """A row of schedules, always whole."""

    event_id: EventId
    partition: int
    activities_json: str
    updated_offset: int
    updated_index: int


class WaitlistEntryChange(msgspec.Struct, gc=False):
    """A row of waitlist_entries; whole when `quantity` is set."""

    event_id: EventId
    id: EntryId
    partition: int
    offset: int = -1
    index: int = -1
    user_id: UserId = UserId("")
    ticket_type_id: TicketTypeId = TicketTypeId("")
    quantity: int | None = None
    status: WaitlistStatus | None = None
    reservation_id: ReservationId | None = None
    expires_at: int | None = None
    reason: str | None = None
    created_at: int = 0
    updated_at: int = 0
    updated_offset: int = -1
    updated_index: int = -1
    mailbox: int | None = None


class ChoreChange(msgspec.Struct, gc=False):
    """A row of chores; whole when `changed_json` is set."""

    event_id: EventId
    kind: ChoreKind
    partition: int
    cause: int = 0
    changed_json: str | None = None
    told_id: ReservationId | None = None
    finished: bool | None = None
    started_at: int = 0
    updated_offset: int = -1
    updated_index: int = -1


@dataclass(slots=True)
class Changes:
    """Every change of a batch, with the same keys as the rows."""

    events: dict[EventId, EventChange] = field(default_factory=dict)
    ticket_types: dict[tuple[EventId, TicketTypeId], TicketTypeChange] = field(default_factory=dict)
    reservations: dict[tuple[EventId, ReservationId], ReservationChange] = field(default_factory=dict)
    payments: dict[tuple[EventId, AttemptId], PaymentChange] = field(default_factory=dict)
    refunds: dict[tuple[EventId, str], RefundChange] = field(default_factory=dict)
    disputes: dict[tuple[EventId, DisputeId], DisputeChange] = field(default_factory=dict)
    payments_settled: dict[tuple[EventId, PaymentId], PaymentSettled] = field(default_factory=dict)
    seat_claims: dict[tuple[EventId, TicketTypeId, str, ReservationId], SeatClaimChange] = field(default_factory=dict)
    tickets: dict[tuple[EventId, ReservationId], list[TicketChange]] = field(default_factory=dict)
    ticket_patches: dict[TicketId, TicketPatch] = field(default_factory=dict)
    tickets_voided: dict[tuple[EventId, ReservationId], TicketsVoided] = field(default_factory=dict)
    check_ins: list[CheckInChange] = field(default_factory=list)
    seat_locks: dict[tuple[EventId, str], SeatLockChange] = field(default_factory=dict)
    pools: dict[tuple[EventId, PoolId], PoolChange] = field(default_factory=dict)
    codes: dict[tuple[EventId, CodeId], CodeChange] = field(default_factory=dict)
    seat_blocks: dict[tuple[EventId, BlockId], SeatBlockChange] = field(default_factory=dict)
    staff: dict[tuple[EventId, UserId], StaffChange] = field(default_factory=dict)
    schedules: dict[EventId, ScheduleChange] = field(default_factory=dict)
    waitlist: dict[tuple[EventId, EntryId], WaitlistEntryChange] = field(default_factory=dict)
    chores: dict[tuple[EventId, ChoreKind], ChoreChange] = field(default_factory=dict)
    transfers: dict[tuple[EventId, TransferId], TransferChange] = field(default_factory=dict)
    invitations: dict[tuple[EventId, UserId], InvitationChange] = field(default_factory=dict)
