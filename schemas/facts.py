"""Facts: the decisions. Past tense, one Avro record type each, on the partition of their command.

A fact on the log has an envelope (the position and time of its decision), then its own fields. A refusal is a fact.
Every command yields at least one fact. Times are microseconds since the epoch, money is in minor units. The docstrings
of the record types are part of the Avro schemas: another text makes another schema id.

The facts about an event and what it sells stand here, the others in one module for each subject. All names can be
imported from here.
"""

from __future__ import annotations

from schemas.door_facts import (
    CheckInAccepted,
    CheckInRefused,
    CheckInReversed,
    StaffAdded,
    StaffInvitationEnded,
    StaffInvited,
    StaffRemoved,
    TicketTransferred,
    TransferEnded,
    TransferOffered,
)
from schemas.event_terms import EventCreated, EventUpdated
from schemas.field_types import Int32
from schemas.ids import BlockId, CodeId, PoolId, ReleaseId, TicketTypeId, UserId
from schemas.payment_facts import (
    ConfirmationRefused,
    DisputeClosed,
    DisputeOpened,
    PaymentDeclined,
    PaymentRefunded,
    PaymentRequested,
    RefundFailed,
    RefundRequested,
)
from schemas.process_facts import (
    ChoreFinished,
    ChoreStarted,
    CommandDuplicated,
    CommandRefused,
    CommandUnreadable,
    HolderNotified,
    TickObserved,
)
from schemas.reasons import Reason
from schemas.recorded_facts import Envelope, Fact, RecordedFact
from schemas.reservation_facts import (
    HoldExpired,
    HoldExtended,
    HoldReacquired,
    HoldReleased,
    HoldWarned,
    ReservationCancelled,
    ReservationConfirmed,
    ReservationRejected,
    SeatLocksObserved,
    TicketsCancelled,
    TicketsHeld,
)
from schemas.ticket_type_terms import TicketTypeAdded, TicketTypeUpdated
from schemas.waiting_list_facts import WaitlistEnded, WaitlistJoined, WaitlistOffered

RULES_VERSION = 4
"""The version of the rules in `pipelines.reservations.core.decide` that new facts are decided under."""


class EventPublished(Fact, frozen=True, gc=False):
    """The public may see the event and, within its sales window, buy."""

    user_id: UserId


class EventDeleted(Fact, frozen=True, gc=False):
    """A draft is gone."""

    user_id: UserId


class EventCancelled(Fact, frozen=True, gc=False):
    """The event is called off. What it undoes follows, a bounded part with each command, ticks included."""

    user_id: UserId
    reason: str


class EventEnded(Fact, frozen=True, gc=False):
    """Log time has passed the event's end: nothing of it is sold any more."""


class ScheduleChanged(Fact, frozen=True, gc=False):
    """The programme, whole, as JSON objects."""

    user_id: UserId
    activities: list[str]


class PoolChanged(Fact, frozen=True, gc=False):
    """A capacity pool that ticket types share, as it is from here on."""

    user_id: UserId
    pool_id: PoolId
    name: str
    capacity: Int32


class CodeAdded(Fact, frozen=True, gc=False):
    """A promo or access code."""

    user_id: UserId
    code_id: CodeId
    code: str
    kind: str
    value: int
    uses_max: Int32
    ticket_type_ids: list[TicketTypeId]
    valid_from_at: int
    valid_until_at: int
    places_max: int | None = None


class CodeDisabled(Fact, frozen=True, gc=False):
    """A code works no more."""

    user_id: UserId
    code_id: CodeId


class SeatsBlocked(Fact, frozen=True, gc=False):
    """Places are held back from sale until `until_at` (0: until they are freed)."""

    user_id: UserId
    block_id: BlockId
    ticket_type_id: TicketTypeId
    seats: list[str]
    quantity: Int32
    until_at: int
    label: str


class SeatsUnblocked(Fact, frozen=True, gc=False):
    """Places of a block are on sale again; `user_id` is "" where its time was over. `release_id` is the request's."""

    user_id: UserId
    block_id: BlockId
    ticket_type_id: TicketTypeId
    seats: list[str]
    quantity: Int32
    release_id: ReleaseId | None = None


FACTS: tuple[type[Fact], ...] = (
    EventCreated,
    EventUpdated,
    EventPublished,
    TicketTypeAdded,
    TicketsHeld,
    ReservationRejected,
    SeatLocksObserved,
    PaymentRequested,
    PaymentDeclined,
    ReservationConfirmed,
    ConfirmationRefused,
    RefundRequested,
    PaymentRefunded,
    HoldExpired,
    HoldReleased,
    ReservationCancelled,
    TickObserved,
    CommandDuplicated,
    CommandRefused,
    CommandUnreadable,
    EventDeleted,
    EventCancelled,
    EventEnded,
    ScheduleChanged,
    TicketTypeUpdated,
    PoolChanged,
    CodeAdded,
    CodeDisabled,
    SeatsBlocked,
    SeatsUnblocked,
    StaffAdded,
    StaffRemoved,
    HoldWarned,
    HoldExtended,
    HoldReacquired,
    TicketsCancelled,
    TicketTransferred,
    WaitlistJoined,
    WaitlistOffered,
    WaitlistEnded,
    CheckInAccepted,
    CheckInRefused,
    CheckInReversed,
    ChoreStarted,
    HolderNotified,
    ChoreFinished,
    TransferOffered,
    TransferEnded,
    StaffInvited,
    StaffInvitationEnded,
    RefundFailed,
    DisputeOpened,
    DisputeClosed,
)

__all__ = [
    "FACTS", "RULES_VERSION", "CheckInAccepted", "CheckInRefused", "CheckInReversed", "ChoreFinished",
    "ChoreStarted", "CodeAdded", "CodeDisabled", "CommandDuplicated", "CommandRefused", "CommandUnreadable",
    "ConfirmationRefused", "DisputeClosed", "DisputeOpened", "Envelope", "EventCancelled", "EventCreated",
    "EventDeleted", "EventEnded", "EventPublished", "EventUpdated", "Fact", "HoldExpired", "HoldExtended",
    "HoldReacquired", "HoldReleased", "HoldWarned", "HolderNotified", "PaymentDeclined", "PaymentRefunded",
    "PaymentRequested", "PoolChanged", "Reason", "RecordedFact", "RefundFailed", "RefundRequested",
    "ReservationCancelled", "ReservationConfirmed", "ReservationRejected", "ScheduleChanged", "SeatLocksObserved",
    "SeatsBlocked", "SeatsUnblocked", "StaffAdded", "StaffInvitationEnded", "StaffInvited", "StaffRemoved",
    "TickObserved", "TicketTransferred", "TicketTypeAdded", "TicketTypeUpdated", "TicketsCancelled", "TicketsHeld",
    "TransferEnded", "TransferOffered", "WaitlistEnded", "WaitlistJoined", "WaitlistOffered",
]  # fmt: skip
