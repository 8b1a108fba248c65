"""The parts of an event's state: frozen records, replaced as a whole, and the sections with their counters. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from pipelines.reservations.core.seats import Seating
from pipelines.reservations.core.waitlist_order import WaitingLine
from schemas.event_terms import EventTerms
from schemas.facts import Envelope
from schemas.ids import (
    AttemptId,
    BlockId,
    CodeId,
    DisputeId,
    EntryId,
    LogTime,
    PaymentId,
    PoolId,
    RefundId,
    ReservationId,
    TicketId,
    TicketTypeId,
    TransferId,
    UserId,
    ticket_id,
)
from schemas.statuses import (
    ChoreKind,
    CodeKind,
    DisputeStatus,
    PaymentStatus,
    RefundOrigin,
    RefundStatus,
    ReservationStatus,
    WaitlistStatus,
)
from schemas.ticket_type_terms import TicketTypeTerms

LIVE = frozenset({ReservationStatus.HELD, ReservationStatus.CONFIRMED})
"""A reservation with one of these has places."""


class At(msgspec.Struct, frozen=True, gc=False):
    """The position and the log time of a decision."""

    partition: int
    offset: int
    log_time: LogTime


Placed: TypeAlias = At | Envelope
"""The position and the log time of a fact. For a fact on the log, this is its envelope."""


class Details(EventTerms, frozen=True, gc=False, kw_only=True):
    """An event as its organizer describes it."""

    organizer_id: UserId


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """A buyer's claim and its current state. `partition`, `offset` and `asked_at` are the position and time of its
    request. A call with positional + 2 x keywords > 30 takes four times as long: CPython packs them into a dict.

    `quantity`, `seats` and `amount_minor` are what is left of it. `void_places` are the seats (general admission: the
    ordinals) whose tickets were cancelled singly. `refunds_open` are the keys of refunds that the provider still owes.
    `owed_minor` is due to the buyer without a refund under way: a refund failed, or the payment is disputed. It is
    negative while our own refund is under way for money that the provider has already refunded.
    """

    id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    status: ReservationStatus
    quantity: int
    seats: list[str]
    amount_minor: int
    currency: str
    expires_at: int
    fingerprint: int
    partition: int
    offset: int
    asked_at: int
    promo_code: str = ""
    access_code: str = ""
    mailbox: int = 0  # the number that all accounts of the buyer's mailbox share; 0: not known
    reason: str = ""
    detail: str = ""
    detail_at: int = 0  # the moment that `detail` names, in microseconds; 0: none
    attempt_id: AttemptId = AttemptId("")
    payment_token: str = ""
    payment: PaymentStatus = PaymentStatus.NONE
    payment_id: PaymentId = PaymentId("")
    extended: int = 0
    warned: int = 0
    void_places: tuple[str, ...] = ()  # the one empty tuple for nearly all of them: lists would be two objects each
    refunds_open: tuple[str, ...] = ()
    kept_minor: int = 0
    owed_minor: int = 0
    declined: tuple[AttemptId, ...] = ()  # declined attempts that were not made again; sorted

    @property
    def places(self) -> list[str]:
        """The places of its remaining tickets: seats, or the ordinals of a general admission."""
        if self.seats:
            return self.seats
        every = range(1, self.quantity + len(self.void_places) + 1)
        return [place for ordinal in every if (place := str(ordinal)) not in self.void_places]

    def tickets(self) -> dict[TicketId, str]:
        """The tickets of a confirmed one that are not void: id to place."""
        return {ticket_id(self.id, place): place for place in self.places}

    def issued(self, ticket: TicketId) -> str | None:
        """The place of one of its tickets, void or not; None when it never issued such a ticket."""
        if self.status == ReservationStatus.REJECTED:
            return None  # a rejected one has no tickets, and may have asked for any number
        for place in (*self.places, *self.void_places):
            if ticket_id(self.id, place) == ticket:
                return place
        return None


class Refund(msgspec.Struct, frozen=True, gc=False):
    """A refund of a reservation's payment: `status` is requested, refunded or failed. `key` is the provider's
    idempotency key, or its `refund_id` where it began there."""

    key: str
    payment_id: PaymentId
    refund_id: RefundId
    amount_minor: int
    status: RefundStatus
    origin: RefundOrigin


class Dispute(msgspec.Struct, frozen=True, gc=False):
    """A dispute of a reservation's payment. `charged_minor` is the amount that it has taken."""

    id: DisputeId
    payment_id: PaymentId
    status: DisputeStatus
    amount_minor: int
    charged_minor: int


@dataclass(slots=True)
class Pool:
    """A capacity that several ticket types share, and how much of it their claims use."""

    pool_id: PoolId
    name: str
    capacity: int
    used: int = 0


class Section(TicketTypeTerms, kw_only=True):
    """One ticket type: its terms, and how many places are held, sold and blocked."""

    ticket_type_id: TicketTypeId
    ordinal: int
    seating: Seating | None = None
    held: int = 0
    sold: int = 0
    pool: Pool | None = None
    blocked: int = 0
    waiters: int = 0
    waiting: WaitingLine = msgspec.field(default_factory=WaitingLine)

    @property
    def total(self) -> int:
        return self.capacity if self.seating is None else self.rows * self.seats_per_row

    @property
    def own_available(self) -> int:
        """The free places of the section itself; a pool may leave fewer."""
        return self.capacity - self.held - self.sold - self.blocked if self.seating is None else self.seating.free

    @property
    def available(self) -> int:
        """The places that may be claimed now."""
        own, pool = self.own_available, self.pool
        return own if pool is None else min(own, pool.capacity - pool.used)


class Code(msgspec.Struct, frozen=True, gc=False):
    """A promo or access code. Empty `ticket_type_ids` means all; a `uses_max` or `places_max` of 0 is no bound."""

    id: CodeId
    code: str
    kind: CodeKind
    value: int
    uses_max: int
    ticket_type_ids: list[TicketTypeId]
    valid_from_at: int
    valid_until_at: int
    disabled: int = 0
    places_max: int = 0


class Block(msgspec.Struct, frozen=True, gc=False):
    """Places held back from sale: `seats`, or `quantity` of general admission. `offset` is that of its command."""

    id: BlockId
    ticket_type_id: TicketTypeId
    seats: list[str]
    quantity: int
    until_at: int
    label: str
    offset: int


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """A ticket that has changed since it was issued: handed on, or scanned. `checked_in_at` 0 means "not inside".

    `undone` are the scans that let in and were taken back, as `scan_name` calls them, in the order of the log.
    """

    id: TicketId
    reservation_id: ReservationId
    place: str
    user_id: UserId
    version: int
    checked_in_at: int = 0
    gate: str = ""
    scanner: str = ""
    by_user_id: UserId = UserId("")
    undone: list[str] = []


def scan_name(scanned_at: int, gate: str, scanner: str, by_user_id: UserId) -> str:
    """The identity of a scan of a ticket: a scan that is sent again has the same one."""
    return "\x1f".join((str(scanned_at), gate, scanner, by_user_id))  # a unit separator: no gate has one


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """An open offer of a ticket: `user_id` has the ticket, `to_user_id` may accept it until `expires_at`."""

    id: TransferId
    reservation_id: ReservationId
    ticket_id: TicketId
    ticket_type_id: TicketTypeId
    seat: str
    user_id: UserId
    to_user_id: UserId
    expires_at: int


class WaitlistEntry(msgspec.Struct, frozen=True, gc=False):
    """A place in a waiting list. `offset` is that of its command, and gives its order."""

    id: EntryId
    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: int
    status: WaitlistStatus
    offset: int
    mailbox: int = 0


class Chore(msgspec.Struct, frozen=True, gc=False):
    """Messages to all ticket holders are under way. (told_offset, told_id) is the last reservation that is done."""

    kind: ChoreKind
    cause: int
    changed: list[str]
    told_offset: int = -1
    told_id: ReservationId = ReservationId("")
