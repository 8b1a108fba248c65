"""Commands: the requests of users and of the platform. Imperative, keyed by event_id, one Avro record type each.

Every command has the user who asks (`user_id`, from the token; empty for the platform itself) and `command_id`, which
is unique for each request: the reply finds the waiting request by it. Times are microseconds since the epoch, money is
in minor units. 0 and "" mean "not set"; in UpdateEvent None does. The docstrings of the record types are part of the
Avro schemas: another text makes another schema id.

The commands that have the terms of an event or a ticket type are in the modules of those terms. All names can be
imported from here.
"""

from __future__ import annotations

from schemas.command_base import Command as Command
from schemas.event_terms import CreateEvent as CreateEvent
from schemas.event_terms import UpdateEvent as UpdateEvent
from schemas.field_types import Int32
from schemas.ids import (
    AttemptId,
    BlockId,
    CodeId,
    CommandId,
    DisputeId,
    EntryId,
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
from schemas.ticket_type_terms import AddTicketType as AddTicketType
from schemas.ticket_type_terms import UpdateTicketType as UpdateTicketType


class PublishEvent(Command, frozen=True, gc=False):
    """Open the event to the public: sales begin by its sales window."""


class DeleteEvent(Command, frozen=True, gc=False):
    """Take a draft away. What was published is cancelled instead."""


class CancelEvent(Command, frozen=True, gc=False):
    """Call a published event off: holds end, tickets are void, every payment is refunded, everybody is told."""

    reason: str


class SetSchedule(Command, frozen=True, gc=False):
    """The programme, whole: one JSON object `{"title","speaker","starts_at","ends_at"}` for each activity."""

    activities: list[str]


class SetPool(Command, frozen=True, gc=False):
    """Make a capacity pool that ticket types share, or change its name and capacity."""

    pool_id: PoolId
    name: str
    capacity: Int32


class AddCode(Command, frozen=True, gc=False):
    """Add a code. `kind`: "percent" or "amount" takes `value` off an order, "access" unlocks hidden ticket types.

    It works for `ticket_type_ids` (none: all), for `uses_max` orders and `places_max` places of them together (0: any
    number), between its two times (0: open).
    """

    code_id: CodeId
    code: str
    kind: str
    value: int
    uses_max: Int32
    ticket_type_ids: list[TicketTypeId]
    valid_from_at: int
    valid_until_at: int
    places_max: int | None = None


class DisableCode(Command, frozen=True, gc=False):
    """A code works no more; orders that have used it keep their price."""

    code_id: CodeId


class BlockSeats(Command, frozen=True, gc=False):
    """Hold places back from sale: the named `seats`, or `quantity` of general admission, until `until_at` (0: open)."""

    block_id: BlockId
    ticket_type_id: TicketTypeId
    seats: list[str]
    quantity: Int32
    until_at: int
    label: str


class UnblockSeats(Command, frozen=True, gc=False):
    """Put places of a block on sale: the named `seats`, or `quantity` of them, or with neither all of it.

    The same `release_id` again is the same request, and frees nothing more; without one each request is its own.
    """

    block_id: BlockId
    seats: list[str]
    quantity: Int32
    release_id: ReleaseId | None = None


class AddStaff(Command, frozen=True, gc=False):
    """Let a user work at this event's door."""

    member_id: UserId


class RemoveStaff(Command, frozen=True, gc=False):
    """Let them no longer."""

    member_id: UserId


class ReserveTickets(Command, frozen=True, gc=False):
    """Hold `quantity` places of a ticket type, or exactly the named `seats` (then quantity is their number).

    `mailbox` is the number that the accounts of one mailbox share, above 0; None where it is not known.
    """

    reservation_id: ReservationId
    ticket_type_id: TicketTypeId
    quantity: Int32
    seats: list[str]
    fingerprint: int
    promo_code: str | None = None
    access_code: str | None = None
    mailbox: int | None = None


class ReserveInTurn(Command, frozen=True, gc=False):
    """Decide the requests of several buyers of this event one after the other, each as a ReserveTickets of its own.

    Each list has one text for each request, in their order. Numbers are decimal; a mailbox of "" is not known. The
    requests name no seats and have no codes. `schemas.requests_in_turn` says which lists are valid.
    """

    command_ids: list[CommandId]
    reservation_ids: list[ReservationId]
    user_ids: list[UserId]
    ticket_type_ids: list[TicketTypeId]
    quantities: list[str]
    fingerprints: list[str]
    mailboxes: list[str]


class ExtendHold(Command, frozen=True, gc=False):
    """Move a hold's deadline once, if the event allows it."""

    reservation_id: ReservationId


class ConfirmReservation(Command, frozen=True, gc=False):
    """Pay for a hold with a provider's token. `attempt_id` comes from the Idempotency-Key."""

    reservation_id: ReservationId
    attempt_id: AttemptId
    payment_token: str


class ReleaseReservation(Command, frozen=True, gc=False):
    """Give a hold back, or cancel and refund a confirmed reservation."""

    reservation_id: ReservationId


class CancelTickets(Command, frozen=True, gc=False):
    """Cancel and refund single tickets (none named: all). By their buyer within the terms, by the organizer anyway."""

    reservation_id: ReservationId
    ticket_ids: list[TicketId]


class TransferTicket(Command, frozen=True, gc=False):
    """Give a ticket to another user. Its former code is dead from then on."""

    # Since version 3 of the rules the other user is asked first, and AddStaff likewise asks. The words above are the
    # schema's, whose id stays.
    reservation_id: ReservationId
    ticket_id: TicketId
    to_user_id: UserId


class AnswerTransfer(Command, frozen=True, gc=False):
    """An answer to an offer of a ticket: accept or decline by its receiver, withdraw by whoever offered it."""

    reservation_id: ReservationId
    ticket_id: TicketId
    transfer_id: TransferId
    answer: str


class RefundAmount(Command, frozen=True, gc=False):
    """Give a buyer an amount back without cancelling anything; by the organizer. `refund_key` makes it once."""

    reservation_id: ReservationId
    amount_minor: int
    refund_key: str


class AnswerInvitation(Command, frozen=True, gc=False):
    """Whoever is invited to work at this event's door accepts or declines: accept, decline."""

    answer: str


class JoinWaitlist(Command, frozen=True, gc=False):
    """Wait for `quantity` places of a ticket type that has not enough left. `mailbox` is ReserveTickets'."""

    entry_id: EntryId
    ticket_type_id: TicketTypeId
    quantity: Int32
    mailbox: int | None = None


class LeaveWaitlist(Command, frozen=True, gc=False):
    """Wait no longer."""

    entry_id: EntryId


class CheckIn(Command, frozen=True, gc=False):
    """Somebody is at the door with version `version` of a ticket. `scanned_at` is the scanner's clock, for the record.

    `scanner` names an offline device whose scans are merged later; "" is a scan of this moment.
    """

    reservation_id: ReservationId
    ticket_id: TicketId
    version: Int32
    gate: str
    scanner: str
    scanned_at: int


class UndoCheckIn(Command, frozen=True, gc=False):
    """Take a check-in back: it was a mistake of the door."""

    reservation_id: ReservationId
    ticket_id: TicketId


class RecordPayment(Command, frozen=True, gc=False):
    """What the payment provider said of an attempt: `outcome` is "captured" or "declined".

    `amount_minor` in `currency` (None: the reservation's) is what it has captured.
    """

    reservation_id: ReservationId
    attempt_id: AttemptId
    payment_id: PaymentId
    outcome: str
    reason: str
    amount_minor: int
    currency: str | None = None


class RecordRefund(Command, frozen=True, gc=False):
    """The provider has refunded a payment, or the part of it that `refund_key` (None: "refund-PAYMENT") names."""

    reservation_id: ReservationId
    payment_id: PaymentId
    refund_id: RefundId
    amount_minor: int
    refund_key: str | None = None
    currency: str | None = None


class RecordProviderRefund(Command, frozen=True, gc=False):
    """A refund that nobody asked for here: made in the provider's dashboard, or by a bank.

    `refund_id` is the provider's. `amount_minor` is this refund's alone, not what was refunded together.
    """

    reservation_id: ReservationId
    payment_id: PaymentId
    refund_id: RefundId
    amount_minor: int
    currency: str
    reason: str


class RecordRefundFailure(Command, frozen=True, gc=False):
    """A refund came to nothing: the provider refused it, or a bank sent it back.

    `refund_key` names one of ours; without it, it is the one that began at the provider under `refund_id`.
    """

    reservation_id: ReservationId
    payment_id: PaymentId
    refund_id: RefundId
    amount_minor: int
    currency: str
    reason: str
    refund_key: str | None = None


class RecordDispute(Command, frozen=True, gc=False):
    """How a dispute of a payment stands: `status` is "inquiry" (no money has moved), "open", "won", "lost" or "closed"
    (an inquiry that became no dispute). Each may come more than once and in any order."""

    reservation_id: ReservationId
    payment_id: PaymentId
    dispute_id: DisputeId
    status: str
    amount_minor: int
    currency: str
    reason: str


class Tick(Command, frozen=True, gc=False):
    """Time passes for this event: written by the partition's owner when something is due and nothing else comes."""


COMMANDS: tuple[type[Command], ...] = (
    CreateEvent,
    UpdateEvent,
    PublishEvent,
    AddTicketType,
    ReserveTickets,
    ConfirmReservation,
    ReleaseReservation,
    RecordPayment,
    RecordRefund,
    Tick,
    DeleteEvent,
    CancelEvent,
    SetSchedule,
    UpdateTicketType,
    SetPool,
    AddCode,
    DisableCode,
    BlockSeats,
    UnblockSeats,
    AddStaff,
    RemoveStaff,
    ExtendHold,
    CancelTickets,
    TransferTicket,
    JoinWaitlist,
    LeaveWaitlist,
    CheckIn,
    UndoCheckIn,
    AnswerTransfer,
    AnswerInvitation,
    RecordProviderRefund,
    RecordRefundFailure,
    RecordDispute,
    RefundAmount,
    ReserveInTurn,
)
