"""Facts: the decisions. Past tense, one Avro record type each, on the partition of their command.

A fact on the log has an envelope (the position and time of its decision), then its own fields. A refusal is a fact.
Every command yields at least one fact. Times are microseconds since the epoch, money is in minor units. The docstrings
of the record types are part of the Avro schemas: another text makes another schema id.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

RULES_VERSION = 3
"""The version of the rules in `pipelines.reservations.core.decide` that new facts are decided under."""


class Reason(StrEnum):
    """The reason for a refusal: stable words, used as problem types in the HTTP API."""

    SOLD_OUT = "sold-out"
    SEAT_TAKEN = "seat-taken"
    SEAT_UNKNOWN = "seat-unknown"
    LIMIT_EXCEEDED = "limit-exceeded"
    HOLDS_EXHAUSTED = "holds-exhausted"
    PAYMENTS_EXHAUSTED = "payments-exhausted"
    SALES_NOT_OPEN = "sales-not-open"
    SALES_CLOSED = "sales-closed"
    EVENT_CANCELLED = "event-cancelled"
    EVENT_NOT_FOUND = "event-not-found"
    EVENT_EXISTS = "event-exists"
    COMMAND_FAILED = "command-failed"
    EVENT_NOT_PUBLISHED = "event-not-published"
    NOT_DRAFT = "not-draft"
    NOT_OWNER = "not-owner"
    NO_TICKET_TYPES = "no-ticket-types"
    INVALID_SCHEDULE = "invalid-schedule"
    INVALID_QUANTITY = "invalid-quantity"
    INVALID_SEATS = "invalid-seats"
    INVALID_TICKET_TYPE = "invalid-ticket-type"
    TICKET_TYPE_NOT_FOUND = "ticket-type-not-found"
    TICKET_TYPE_EXISTS = "ticket-type-exists"
    RESERVATION_NOT_FOUND = "reservation-not-found"
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    HOLD_EXPIRED = "hold-expired"
    NOT_HELD = "not-held"
    PAYMENT_IN_PROGRESS = "payment-in-progress"
    PAYMENT_DECLINED = "payment-declined"
    PAYMENT_UNKNOWN = "payment-unknown"
    PAYMENT_TOKEN_REQUIRED = "payment-token-required"  # noqa: S105 - a reason, no token
    BUYER_CANCELLED = "buyer-cancelled"
    ORGANIZER_CANCELLED = "organizer-cancelled"
    EVENT_ENDED = "event-ended"
    LAYOUT_IN_USE = "layout-in-use"
    POOL_NOT_FOUND = "pool-not-found"
    INVALID_POOL = "invalid-pool"
    CODE_EXISTS = "code-exists"
    CODE_NOT_FOUND = "code-not-found"
    INVALID_CODE = "invalid-code"
    CODE_INVALID = "code-not-valid"
    CODE_USED_UP = "code-used-up"
    ACCESS_CODE_REQUIRED = "access-code-required"
    BLOCK_NOT_FOUND = "block-not-found"
    INVALID_BLOCK = "invalid-block"
    STAFF_ONLY = "staff-only"
    TOO_MANY = "too-many"
    EXTENSION_NOT_ALLOWED = "extension-not-allowed"
    REFUND_NOT_ALLOWED = "refund-not-allowed"
    TICKET_NOT_FOUND = "ticket-not-found"
    TICKET_VOID = "ticket-void"
    TICKET_SUPERSEDED = "ticket-superseded"
    ALREADY_CHECKED_IN = "already-checked-in"
    NOT_CHECKED_IN = "not-checked-in"
    CHECK_IN_UNDONE = "check-in-undone"
    TRANSFER_NOT_ALLOWED = "transfer-not-allowed"
    NOT_SOLD_OUT = "not-sold-out"
    ENTRY_NOT_FOUND = "entry-not-found"
    BUYER_LEFT = "buyer-left"
    TRANSFER_NOT_FOUND = "transfer-not-found"
    ALREADY_OFFERED = "already-offered"
    OFFER_EXPIRED = "offer-expired"
    INVITATION_NOT_FOUND = "invitation-not-found"
    ORGANIZER_REFUNDED = "organizer-refunded"
    PAYMENT_NOT_FOUND = "payment-not-found"
    REFUND_NOT_FOUND = "refund-not-found"
    REFUND_TOO_LARGE = "refund-too-large"
    CURRENCY_MISMATCH = "currency-mismatch"
    INVALID_DISPUTE = "invalid-dispute"
    PAYMENT_TWICE = "payment-twice"
    PAYMENT_DIFFERS = "payment-differs"
    PAYMENT_DISPUTED = "payment-disputed"
    REFUNDED_AT_PROVIDER = "refunded-at-provider"
    CHARGED_BACK = "charged-back"


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """Where a fact was decided: its position, how many facts its command yielded, log time, rules version."""

    event_id: str
    partition: int
    offset: int
    index: int
    count: int
    log_time: int
    rules_version: int


class Fact(msgspec.Struct, frozen=True, gc=False):
    """Base of all facts."""


class EventCreated(Fact, frozen=True, gc=False):
    """A draft event exists; `user_id` organizes it."""

    user_id: str
    title: str
    description: str
    category_id: str
    venue: str
    starts_at: int
    ends_at: int
    timezone: str
    sales_open_at: int
    sales_close_at: int
    hold_ttl_s: int
    max_tickets_per_user: int
    refund_until_at: int | None = None
    refund_percent: int | None = None
    hold_extension_s: int | None = None
    offer_ttl_s: int | None = None
    max_tickets_per_order: int | None = None
    reminder_at: int | None = None


class EventUpdated(Fact, frozen=True, gc=False):
    """The event's description as it is from here on, whole."""

    user_id: str
    title: str
    description: str
    category_id: str
    venue: str
    starts_at: int
    ends_at: int
    timezone: str
    sales_open_at: int
    sales_close_at: int
    hold_ttl_s: int
    max_tickets_per_user: int
    refund_until_at: int | None = None
    refund_percent: int | None = None
    hold_extension_s: int | None = None
    offer_ttl_s: int | None = None
    max_tickets_per_order: int | None = None
    reminder_at: int | None = None


class EventPublished(Fact, frozen=True, gc=False):
    """The public may see the event and, within its sales window, buy."""

    user_id: str


class EventDeleted(Fact, frozen=True, gc=False):
    """A draft is gone."""

    user_id: str


class EventCancelled(Fact, frozen=True, gc=False):
    """The event is called off. What it undoes follows, a bounded part with each command, ticks included."""

    user_id: str
    reason: str


class EventEnded(Fact, frozen=True, gc=False):
    """Log time has passed the event's end: nothing of it is sold any more."""


class ScheduleChanged(Fact, frozen=True, gc=False):
    """The programme, whole, as JSON objects."""

    user_id: str
    activities: list[str]


class TicketTypeAdded(Fact, frozen=True, gc=False):
    """Something to sell; `ordinal` is its place among the event's ticket types, from 0."""

    user_id: str
    ticket_type_id: str
    ordinal: int
    name: str
    price_minor: int
    currency: str
    kind: str
    rows: int
    seats_per_row: int
    capacity: int
    sales_open_at: int
    sales_close_at: int
    max_per_order: int | None = None
    max_per_user: int | None = None
    hidden: int | None = None
    pool_id: str | None = None


class TicketTypeUpdated(Fact, frozen=True, gc=False):
    """A ticket type as it is from here on, whole."""

    user_id: str
    ticket_type_id: str
    name: str
    price_minor: int
    rows: int
    seats_per_row: int
    capacity: int
    sales_open_at: int
    sales_close_at: int
    max_per_order: int
    max_per_user: int
    hidden: int


class PoolChanged(Fact, frozen=True, gc=False):
    """A capacity pool that ticket types share, as it is from here on."""

    user_id: str
    pool_id: str
    name: str
    capacity: int


class CodeAdded(Fact, frozen=True, gc=False):
    """A promo or access code."""

    user_id: str
    code_id: str
    code: str
    kind: str
    value: int
    uses_max: int
    ticket_type_ids: list[str]
    valid_from_at: int
    valid_until_at: int
    places_max: int | None = None


class CodeDisabled(Fact, frozen=True, gc=False):
    """A code works no more."""

    user_id: str
    code_id: str


class SeatsBlocked(Fact, frozen=True, gc=False):
    """Places are held back from sale until `until_at` (0: until they are freed)."""

    user_id: str
    block_id: str
    ticket_type_id: str
    seats: list[str]
    quantity: int
    until_at: int
    label: str


class SeatsUnblocked(Fact, frozen=True, gc=False):
    """Places of a block are on sale again; `user_id` is "" where its time was over. `release_id` is the request's."""

    user_id: str
    block_id: str
    ticket_type_id: str
    seats: list[str]
    quantity: int
    release_id: str | None = None


class StaffAdded(Fact, frozen=True, gc=False):
    """`member_id` may check tickets in."""

    user_id: str
    member_id: str


class StaffRemoved(Fact, frozen=True, gc=False):
    """They may no longer."""

    user_id: str
    member_id: str


class TicketsHeld(Fact, frozen=True, gc=False):
    """A hold: these seats (none for general admission) are this buyer's until `expires_at`.

    `mailbox` is the number that the accounts of the buyer's mailbox share, above 0; None where it is not known.
    """

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]
    amount_minor: int
    currency: str
    expires_at: int
    fingerprint: int
    promo_code: str | None = None
    access_code: str | None = None
    discount_minor: int | None = None
    mailbox: int | None = None


class ReservationRejected(Fact, frozen=True, gc=False):
    """A reservation was turned down; `detail` names what stood in the way."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    fingerprint: int
    reason: str
    detail: str


class HoldWarned(Fact, frozen=True, gc=False):
    """A hold's buyer is warned: its deadline is near, and it is not paid for."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    expires_at: int


class HoldExtended(Fact, frozen=True, gc=False):
    """A hold's deadline is now `expires_at`."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    expires_at: int


class HoldReacquired(Fact, frozen=True, gc=False):
    """A payment came after the deadline and the same places were still free: they are the buyer's again."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]


class SeatLocksObserved(Fact, frozen=True, gc=False):
    """Foreign owners' seat locks changed in Redis: places "ticket_type_id/seat" now `locked` or `freed` again."""

    locked: list[str]
    freed: list[str]


class PaymentRequested(Fact, frozen=True, gc=False):
    """The payments dataflow shall charge `payment_token`; `command_id` is the request that waits for it."""

    reservation_id: str
    user_id: str
    attempt_id: str
    payment_token: str
    amount_minor: int
    currency: str
    command_id: str


class PaymentDeclined(Fact, frozen=True, gc=False):
    """The provider declined, or has captured something else than was asked for (a RefundRequested beside this gives
    that back); the hold stands until its deadline, and may be paid for by another attempt."""

    reservation_id: str
    user_id: str
    attempt_id: str
    reason: str


class ReservationConfirmed(Fact, frozen=True, gc=False):
    """Paid for. One ticket for each place, in the order of `seats` (general admission: of ordinals from 1)."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]
    ticket_ids: list[str]
    attempt_id: str
    payment_id: str
    amount_minor: int
    currency: str


class ConfirmationRefused(Fact, frozen=True, gc=False):
    """Nothing was charged, or what was charged, `refund_minor`, is being refunded (by the RefundRequested beside)."""

    reservation_id: str
    user_id: str
    attempt_id: str
    reason: str
    refund_minor: int | None = None


class RefundRequested(Fact, frozen=True, gc=False):
    """The payments dataflow shall refund this much of a payment; `refund_key` (None: "refund-PAYMENT") is the
    provider's idempotency key. `from_owed_minor` of it was owed before: a refund had failed, or a dispute stood in the
    way. `origin` "stray": a payment beside the reservation's own one, which stays as it is. Of an
    amount that the organizer gave back, `from_tickets_minor` is what the tickets are worth less, and `from_kept_minor`
    what is kept less."""

    reservation_id: str
    user_id: str
    attempt_id: str
    payment_id: str
    amount_minor: int
    currency: str
    reason: str
    refund_key: str | None = None
    from_owed_minor: int | None = None
    origin: str | None = None
    from_tickets_minor: int | None = None
    from_kept_minor: int | None = None


class PaymentRefunded(Fact, frozen=True, gc=False):
    """The provider has refunded the payment, in whole or in part.

    `origin` "provider": nobody asked for it here, and `refund_key` is the provider's `refund_id`. What it came out of:
    `from_tickets_minor` of what the reservation's tickets are worth, `from_kept_minor` of what the organizer had kept,
    `from_owed_minor` of what was owed anyway. `payment` is how the reservation's payment stands from here on.
    """

    reservation_id: str
    user_id: str
    payment_id: str
    refund_id: str
    amount_minor: int
    refund_key: str | None = None
    origin: str | None = None
    currency: str | None = None
    reason: str | None = None
    from_tickets_minor: int | None = None
    from_kept_minor: int | None = None
    from_owed_minor: int | None = None
    payment: str | None = None
    organizer_id: str | None = None


class RefundFailed(Fact, frozen=True, gc=False):
    """A refund came to nothing, the money is still here: `to_tickets_minor` is the tickets' worth again,
    `to_owed_minor` is owed to the buyer. One that was told of only when it had failed changes neither."""

    reservation_id: str
    user_id: str
    organizer_id: str
    payment_id: str
    refund_id: str
    refund_key: str
    origin: str
    amount_minor: int
    currency: str
    reason: str
    to_tickets_minor: int
    to_owed_minor: int
    payment: str


class DisputeOpened(Fact, frozen=True, gc=False):
    """A payment is disputed: while `status` is "open" its tickets open no door and nothing of it is refunded. "inquiry"
    is a bank's question: no money has moved, and the tickets stay as they are."""

    reservation_id: str
    user_id: str
    organizer_id: str
    payment_id: str
    dispute_id: str
    status: str
    amount_minor: int
    currency: str
    reason: str


class DisputeClosed(Fact, frozen=True, gc=False):
    """A dispute is over: `status` is "won", "lost" or "closed". Of what was lost, `from_tickets_minor` came out of what
    the reservation's tickets are worth, the rest out of what was kept and owed; negative is what came back."""

    reservation_id: str
    user_id: str
    organizer_id: str
    payment_id: str
    dispute_id: str
    status: str
    amount_minor: int
    currency: str
    reason: str
    from_tickets_minor: int
    from_kept_minor: int
    from_owed_minor: int
    payment: str


class HoldExpired(Fact, frozen=True, gc=False):
    """The deadline passed; the places are free again."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]


class HoldReleased(Fact, frozen=True, gc=False):
    """The buyer gave the hold back; the places are free again."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]


class ReservationCancelled(Fact, frozen=True, gc=False):
    """A confirmed reservation was cancelled: its tickets are void, its places free.

    Of its price the organizer keeps `kept_minor`; `refund_minor` goes back, by the RefundRequested beside this.
    `withheld_minor` is owed and not refunded yet, because the payment is disputed.
    """

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]
    reason: str
    kept_minor: int | None = None
    withheld_minor: int | None = None
    refund_minor: int | None = None


class TicketsCancelled(Fact, frozen=True, gc=False):
    """Some tickets of a reservation are void and their places free; `amount_minor` of it was paid for them.

    A RefundRequested beside this gives back what the terms say; the organizer keeps `kept_minor`.
    """

    reservation_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    seats: list[str]
    ticket_ids: list[str]
    amount_minor: int
    kept_minor: int
    reason: str


class TicketTransferred(Fact, frozen=True, gc=False):
    """A ticket is `to_user_id`'s; only its code of version `version` opens the door."""

    reservation_id: str
    user_id: str
    ticket_type_id: str
    ticket_id: str
    seat: str
    to_user_id: str
    version: int
    transfer_id: str | None = None


class TransferOffered(Fact, frozen=True, gc=False):
    """A ticket is offered to `to_user_id` until `expires_at`. It stays its holder's, and opens the door for them."""

    transfer_id: str
    reservation_id: str
    user_id: str
    ticket_type_id: str
    ticket_id: str
    seat: str
    to_user_id: str
    expires_at: int


class TransferEnded(Fact, frozen=True, gc=False):
    """An offer came to nothing. `outcome`: declined, withdrawn, expired, or cancelled with its ticket."""

    transfer_id: str
    reservation_id: str
    user_id: str
    ticket_type_id: str
    ticket_id: str
    seat: str
    to_user_id: str
    outcome: str


class StaffInvited(Fact, frozen=True, gc=False):
    """`member_id` is asked to work at the door, and may say yes until `expires_at`."""

    user_id: str
    member_id: str
    expires_at: int


class StaffInvitationEnded(Fact, frozen=True, gc=False):
    """An invitation came to nothing. `outcome`: declined, withdrawn or expired."""

    user_id: str
    member_id: str
    outcome: str


class WaitlistJoined(Fact, frozen=True, gc=False):
    """Somebody waits for places; first come, first offered. `mailbox` is TicketsHeld's, for what is offered."""

    entry_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    mailbox: int | None = None


class WaitlistOffered(Fact, frozen=True, gc=False):
    """Places are free for who waited longest: a hold (the TicketsHeld after this) until `expires_at`."""

    entry_id: str
    user_id: str
    ticket_type_id: str
    quantity: int
    reservation_id: str
    expires_at: int


class WaitlistEnded(Fact, frozen=True, gc=False):
    """Somebody waits no longer; `reason` says why."""

    entry_id: str
    user_id: str
    ticket_type_id: str
    reason: str


class CheckInAccepted(Fact, frozen=True, gc=False):
    """The first scan of a ticket; `user_id` has the ticket, `by_user_id` let them in."""

    reservation_id: str
    user_id: str
    ticket_id: str
    seat: str
    by_user_id: str
    gate: str
    scanner: str
    scanned_at: int


class CheckInRefused(Fact, frozen=True, gc=False):
    """A scan that lets nobody in; for a second one, when and where the first was."""

    reservation_id: str
    user_id: str
    ticket_id: str
    reason: str
    gate: str
    scanner: str
    scanned_at: int
    first_scanned_at: int
    first_gate: str
    first_scanner: str


class CheckInReversed(Fact, frozen=True, gc=False):
    """A check-in is taken back; the ticket opens the door again."""

    reservation_id: str
    user_id: str
    ticket_id: str
    by_user_id: str


class ChoreStarted(Fact, frozen=True, gc=False):
    """Everybody with a ticket is to be told: `kind` "reminder" or "event-changed" (of the fields `changed`)."""

    kind: str
    cause: int
    changed: list[str]


class HolderNotified(Fact, frozen=True, gc=False):
    """One of them: `user_id` has tickets of this reservation. The event is described as it was decided on."""

    kind: str
    cause: int
    reservation_id: str
    user_id: str
    changed: list[str]
    title: str
    venue: str
    starts_at: int
    ends_at: int
    timezone: str


class ChoreFinished(Fact, frozen=True, gc=False):
    """All of them were told, or nobody has to be any more."""

    kind: str
    cause: int


class TickObserved(Fact, frozen=True, gc=False):
    """A tick was read; what fell due stands before it as facts of its own."""


class CommandDuplicated(Fact, frozen=True, gc=False):
    """The same request came again and changes nothing; `subject_id` is what it was about."""

    command_type: str
    subject_id: str
    user_id: str


class CommandRefused(Fact, frozen=True, gc=False):
    """A command other than a reservation was turned down; `detail` names the field or the state in the way."""

    command_type: str
    subject_id: str
    user_id: str
    reason: str
    detail: str


class CommandUnreadable(Fact, frozen=True, gc=False):
    """The record at this position could not be decoded; its bytes are in the dead letters."""

    error: str


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


class RecordedFact(msgspec.Struct, frozen=True, gc=False):
    """A fact with its envelope, as it stands on the log."""

    envelope: Envelope
    fact: Fact
