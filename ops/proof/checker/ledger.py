"""The checker's own fold of one event's facts. It checks each rule after each fact. Pure.

Nothing here is shared with `pipelines.reservations`: seats are a dict, limits are sums. An impossible fact (about an
unknown reservation or an unknown seat) is a violation, never an exception.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from schemas import facts as f
from schemas.facts import Envelope
from schemas.ids import (
    NO_ATTEMPT,
    NO_PAYMENT,
    NO_REFUND,
    US_PER_S,
    AttemptId,
    BlockId,
    DisputeId,
    EventId,
    PaymentId,
    PoolId,
    RefundId,
    ReservationId,
    TicketId,
    TicketTypeId,
    UserId,
)
from schemas.statuses import DisputeStatus, LayoutKind, PaymentStatus, RefundOrigin, ReservationStatus

NO_POOL = PoolId("")
LIVE = frozenset({ReservationStatus.HELD, ReservationStatus.CONFIRMED})
KEY_WINDOW_US = 86_400 * US_PER_S  # a rejected request's key may be used for another one after this, by the design

Found = Callable[[str, str], None]
"""Called with a rule's name and what is wrong."""


@dataclass(slots=True)
class TicketKind:
    """A ticket type."""

    ordinal: int
    kind: str
    total: int
    price_minor: int
    seats: frozenset[str]
    taken: dict[str, ReservationId] = field(default_factory=dict)
    held: int = 0
    sold: int = 0
    blocked: dict[BlockId, tuple[frozenset[str], int]] = field(default_factory=dict)  # seats, and how many places
    pool_id: PoolId = NO_POOL
    max_per_user: int = 0
    max_per_order: int = 0
    hidden: int = 0


@dataclass(slots=True)
class ReservationEntry:
    """A reservation, as the projection's row should have it."""

    user_id: UserId
    ticket_type_id: TicketTypeId
    status: str
    quantity: int
    seats: list[str]
    amount_minor: int
    currency: str
    expires_at: int
    fingerprint: int
    partition: int
    offset: int
    created_at: int
    reason: str = ""
    detail: str = ""
    attempt_id: AttemptId = NO_ATTEMPT
    payment_token: str = ""
    payment: str = ""
    payment_id: PaymentId = NO_PAYMENT
    refund_id: RefundId = NO_REFUND
    ticket_ids: list[TicketId] = field(default_factory=list)
    late: bool = False  # reacquired after its deadline, by a late payment
    promo_code: str = ""
    access_code: str = ""
    extended: int = 0
    warned: int = 0
    void_places: list[str] = field(default_factory=list)
    issued: list[tuple[TicketId, str]] = field(default_factory=list)  # every ticket and its seat, void ones too
    kept_minor: int = 0
    owed_minor: int = 0
    mailbox: int = 0
    detail_at: int = 0


RefundKey = tuple[PaymentId, str]
"""A payment, and the provider's idempotency key of the refund."""


@dataclass(slots=True)
class Ledger:
    """One event. Amounts are in minor units."""

    event_id: EventId
    exists: bool = False
    published: bool = False
    limit: int = 0
    hold_us: int = 0
    kinds: dict[TicketTypeId, TicketKind] = field(default_factory=dict)
    entries: dict[ReservationId, ReservationEntry] = field(default_factory=dict)
    owned: dict[UserId, int] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    captured: dict[PaymentId, int] = field(default_factory=dict)
    refunds: dict[RefundKey, int] = field(default_factory=dict)
    refunds_due: dict[RefundKey, int] = field(default_factory=dict)
    back: dict[PaymentId, int] = field(default_factory=dict)  # refunded, or requested
    refunds_failed: dict[RefundKey, int] = field(default_factory=dict)
    stray: set[RefundKey] = field(default_factory=set)  # of payments other than the reservations' own
    charged_back: dict[DisputeId, int] = field(default_factory=dict)
    disputes: dict[DisputeId, tuple[ReservationId, str, int]] = field(default_factory=dict)  # with status and amount

    def apply(self, at: Envelope, fact: f.Fact, found: Found) -> None:
        """Fold one fact, checking what it must not break."""
        fold = self._folds.get(type(fact))
        if fold is not None:
            fold(self, at, fact, found)

    @property
    def confirmed_minor(self) -> int:
        """The paid amounts that are not cancelled."""
        return sum(
            one.amount_minor
            for one in self.entries.values()
            if one.status == ReservationStatus.CONFIRMED and one.payment_id
        )

    @property
    def kept_minor(self) -> int:
        """The part of cancelled amounts that organizers keep."""
        return sum(one.kept_minor for one in self.entries.values())

    @property
    def owed_minor(self) -> int:
        """Amounts due to buyers without a refund under way: failed refunds, money withheld by a dispute."""
        payments = {payment for payment, _ in self.stray}
        stray = sum(self.captured.get(payment, 0) for payment in payments)
        stray -= sum(self.refunds.get(key, 0) + self.refunds_due.get(key, 0) for key in self.stray)
        return stray + sum(one.owed_minor for one in self.entries.values())

    @property
    def charged_back_minor(self) -> int:
        """The amounts that disputes have taken."""
        return sum(self.charged_back.values())

    @property
    def imbalance(self) -> str:
        """The captured amount and its parts, in words; "" when they are equal."""
        captured, refunded, charged = sum(self.captured.values()), sum(self.refunds.values()), self.charged_back_minor
        confirmed, kept, owed, due = (
            self.confirmed_minor,
            self.kept_minor,
            self.owed_minor,
            sum(self.refunds_due.values()),
        )
        if captured - refunded - charged == confirmed + kept + owed + due:
            return ""
        return (
            f"captured {captured} − refunded {refunded} − charged back {charged} is not {confirmed} confirmed"
            f" + {kept} kept + {owed} owed + {due} in requested refunds"
        )

    def claims(self) -> dict[str, tuple[str, str]]:
        """Every live claim as Redis should have it: place to (h or s, reservation)."""
        claims: dict[str, tuple[str, str]] = {}
        for reservation_id, one in self.entries.items():
            if one.status in LIVE:
                for place in one.seats or [f"#{reservation_id}"]:
                    claims[f"{one.ticket_type_id}/{place}"] = (
                        one.status[0] if one.status == ReservationStatus.HELD else "s",
                        reservation_id,
                    )
        for ticket_type_id, kind in self.kinds.items():
            for block_id, (seats, _) in kind.blocked.items():
                claims |= {f"{ticket_type_id}/{place}": ("b", block_id) for place in seats or [f"#{block_id}"]}
        return claims

    def available(self, ticket_type_id: TicketTypeId) -> int:
        """Places that may still be sold: not claimed, not blocked, not locked by a foreign owner."""
        kind = self.kinds[ticket_type_id]
        blocked = sum(count for _, count in kind.blocked.values())
        if not kind.seats:
            return kind.total - kind.held - kind.sold - blocked
        if not self.locked:
            return kind.total - len(kind.taken) - blocked
        prefix = ticket_type_id + "/"
        locked = {place[len(prefix) :] for place in self.locked if place.startswith(prefix)} & kind.seats
        return kind.total - len(locked.union(kind.taken.keys(), *(seats for seats, _ in kind.blocked.values())))

    # --- folds ----------------------------------------------------------------------------------------------------

    def _about(self, _at: Envelope, fact: f.EventCreated | f.EventUpdated, _found: Found) -> None:
        self.exists = True
        self.limit, self.hold_us = fact.max_tickets_per_user, fact.hold_ttl_s * US_PER_S

    def _published(self, _at: Envelope, _fact: f.EventPublished, _found: Found) -> None:
        self.published = True

    def _type_added(self, _at: Envelope, fact: f.TicketTypeAdded, found: Found) -> None:
        if fact.ticket_type_id in self.kinds:
            found("broken-log", f"ticket type {fact.ticket_type_id} is added twice")
        seats = layout(fact.rows, fact.seats_per_row) if fact.kind == LayoutKind.SEATED else frozenset()
        total = len(seats) if fact.kind == LayoutKind.SEATED else fact.capacity
        kind = self.kinds[fact.ticket_type_id] = TicketKind(
            ordinal=fact.ordinal, kind=fact.kind, total=total, price_minor=fact.price_minor, seats=seats
        )
        kind.max_per_order, kind.max_per_user = fact.max_per_order or 0, fact.max_per_user or 0
        kind.hidden, kind.pool_id = fact.hidden or 0, fact.pool_id or NO_POOL

    def _locks(self, _at: Envelope, fact: f.SeatLocksObserved, _found: Found) -> None:
        self.locked.difference_update(fact.freed)
        self.locked.update(fact.locked)

    def _held(self, at: Envelope, fact: f.TicketsHeld, found: Found) -> None:
        self._only_outcome(at, fact.reservation_id, found)
        kind = self.kinds.get(fact.ticket_type_id)
        if kind is None:
            found(
                "broken-log",
                f"{fact.reservation_id} holds places of ticket type {fact.ticket_type_id}, which does not exist",
            )
            return
        if not self.published:
            found("sales-window", f"{fact.reservation_id} holds tickets of an event that is not published")
        if kind.seats and (len(set(fact.seats)) != len(fact.seats) or len(fact.seats) != fact.quantity):
            found("seats", f"{fact.reservation_id} has seats {fact.seats} for quantity {fact.quantity}")
        self.check_terms(at, fact, kind, found)
        entry = self.entries[fact.reservation_id] = ReservationEntry(
            user_id=fact.user_id,
            ticket_type_id=fact.ticket_type_id,
            status=ReservationStatus.HELD,
            quantity=fact.quantity,
            seats=fact.seats,
            amount_minor=fact.amount_minor,
            currency=fact.currency,
            expires_at=fact.expires_at,
            fingerprint=fact.fingerprint,
            partition=at.partition,
            offset=at.offset,
            created_at=at.log_time,
            promo_code=fact.promo_code or "",
            access_code=fact.access_code or "",
            mailbox=fact.mailbox or 0,
        )
        self._claim(fact.reservation_id, entry, found)

    def check_terms(self, at: Envelope, fact: f.TicketsHeld, kind: TicketKind, found: Found) -> None:
        """Deadline and price of a hold."""
        if fact.expires_at != at.log_time + self.hold_us:
            found("deadline", f"{fact.reservation_id} is held until {fact.expires_at}, not for {self.hold_us} µs")
        price = kind.price_minor * fact.quantity - (fact.discount_minor or 0)
        if fact.amount_minor != price:
            found("money", f"{fact.reservation_id} costs {fact.amount_minor}, not {price}")

    def _claim(self, reservation_id: ReservationId, entry: ReservationEntry, found: Found) -> None:
        """Claim a hold's places, and check everything that it must not break."""
        kind = self.kinds[entry.ticket_type_id]
        for seat in entry.seats:
            if seat not in kind.seats:
                found("seats", f"{reservation_id} holds {seat}, which does not exist")
            owner = kind.taken.get(seat)
            if owner is not None:
                found("two-claims", f"{seat} is claimed by {owner} and by {reservation_id}")
            if any(seat in seats for seats, _ in kind.blocked.values()):
                found("blocked-seat-sold", f"{seat} is held by {reservation_id} while the organizer has it blocked")
            if f"{entry.ticket_type_id}/{seat}" in self.locked:
                found("locked-seat-sold", f"{seat} is held by {reservation_id} while a foreign owner has locked it")
            kind.taken[seat] = reservation_id
        kind.held += entry.quantity
        used = kind.held + kind.sold + sum(count for _, count in kind.blocked.values())
        if used > kind.total:
            found("over-capacity", f"{used} of {kind.total} of {entry.ticket_type_id} are claimed or blocked")
        owned = self.owned[entry.user_id] = self.owned.get(entry.user_id, 0) + entry.quantity
        if owned > self.limit:
            found("user-limit", f"user {entry.user_id} has {owned}, {self.limit} are allowed")

    def _rejected(self, at: Envelope, fact: f.ReservationRejected, found: Found) -> None:
        self._only_outcome(at, fact.reservation_id, found)
        self.entries[fact.reservation_id] = ReservationEntry(
            user_id=fact.user_id,
            ticket_type_id=fact.ticket_type_id,
            status=ReservationStatus.REJECTED,
            quantity=fact.quantity,
            seats=[],
            amount_minor=0,
            currency="",
            expires_at=0,
            fingerprint=fact.fingerprint,
            partition=at.partition,
            offset=at.offset,
            created_at=at.log_time,
            reason=fact.reason,
            detail=fact.detail,
            detail_at=fact.at or 0,
        )

    def _only_outcome(self, at: Envelope, reservation_id: ReservationId, found: Found) -> None:
        former = self.entries.get(reservation_id)
        if former is None or former.reason == f.Reason.EVENT_NOT_FOUND:
            return
        if former.status != ReservationStatus.REJECTED or at.log_time - former.created_at <= KEY_WINDOW_US:
            found("outcomes", f"{reservation_id} was {former.status} at {former.offset} and has another outcome")

    def _entry(
        self, reservation_id: ReservationId, statuses: frozenset[str], fact: f.Fact, found: Found
    ) -> ReservationEntry | None:
        entry = self.entries.get(reservation_id)
        if entry is None:
            found("broken-log", f"{type(fact).__name__} of {reservation_id}, which no earlier fact names")
        elif statuses and entry.status not in statuses:
            found("broken-log", f"{type(fact).__name__} of {reservation_id}, which is {entry.status}")
            return None
        return entry

    def _payment_requested(self, _at: Envelope, fact: f.PaymentRequested, found: Found) -> None:
        entry = self._entry(fact.reservation_id, frozenset({ReservationStatus.HELD}), fact, found)
        if entry is None:
            return
        if fact.amount_minor != entry.amount_minor:
            found(
                "money",
                f"the payment of {fact.reservation_id} requests {fact.amount_minor}, the price is {entry.amount_minor}",
            )
        if entry.payment == PaymentStatus.REQUESTED:
            found("money", f"{fact.reservation_id} has two payments under way")
        entry.payment, entry.attempt_id, entry.payment_token = (
            PaymentStatus.REQUESTED,
            fact.attempt_id,
            fact.payment_token,
        )
        entry.reason = ""

    def _payment_declined(self, _at: Envelope, fact: f.PaymentDeclined, found: Found) -> None:
        entry = self._entry(fact.reservation_id, frozenset(), fact, found)
        if entry is not None:
            entry.payment, entry.reason = PaymentStatus.DECLINED, fact.reason

    def _confirmed(self, at: Envelope, fact: f.ReservationConfirmed, found: Found) -> None:
        entry = self._entry(fact.reservation_id, frozenset({ReservationStatus.HELD}), fact, found)
        if entry is None:
            return
        if at.log_time >= entry.expires_at and not entry.late:
            found(
                "deadline", f"{fact.reservation_id} is confirmed at {at.log_time}, its hold ended at {entry.expires_at}"
            )
        if fact.seats != entry.seats or fact.quantity != entry.quantity or len(set(fact.ticket_ids)) != fact.quantity:
            found("seats", f"{fact.reservation_id} is confirmed with other places or tickets than it holds")
        if entry.amount_minor and not fact.payment_id:
            found("money", f"{fact.reservation_id} costs {entry.amount_minor} but is confirmed without a payment")
        if fact.payment_id:
            self._capture(fact.payment_id, fact.amount_minor, found)
        kind = self.kinds[entry.ticket_type_id]
        kind.held -= entry.quantity
        kind.sold += entry.quantity
        entry.status, entry.payment, entry.reason = ReservationStatus.CONFIRMED, PaymentStatus.CAPTURED, ""
        entry.attempt_id, entry.payment_id, entry.ticket_ids = fact.attempt_id, fact.payment_id, fact.ticket_ids
        entry.issued = list(zip(fact.ticket_ids, fact.seats or [""] * len(fact.ticket_ids), strict=True))

    def _capture(self, payment_id: PaymentId, amount_minor: int, found: Found) -> None:
        if payment_id in self.captured:
            found("money", f"payment {payment_id} is captured twice")
        self.captured[payment_id] = amount_minor

    def _refund_requested(self, _at: Envelope, fact: f.RefundRequested, found: Found) -> None:
        entry = self._entry(fact.reservation_id, frozenset(), fact, found)
        if entry is None:
            return
        if fact.payment_id not in self.captured:  # charged after the hold had ended, or in addition to its own payment
            self._capture(fact.payment_id, fact.amount_minor, found)
        key = _refund_key(fact)
        if key in self.refunds_due or key in self.refunds or key in self.refunds_failed:
            found("money", f"payment {fact.payment_id} has two refund requests under the key {key[1]}")
        if self.disputed(fact.reservation_id) and fact.origin is None:
            found("money", f"the refund of payment {fact.payment_id} of {fact.reservation_id} begins during a dispute")
        self.refunds_due[key] = fact.amount_minor
        self._give_back(fact.payment_id, fact.amount_minor, found)
        if fact.origin == RefundOrigin.STRAY:
            self.stray.add(key)
            return
        parts = fact.from_tickets_minor or 0, fact.from_kept_minor or 0, fact.from_owed_minor or 0
        self._take(entry, fact.reservation_id, parts, found)
        if entry.owed_minor < 0 < (fact.from_owed_minor or 0):
            found("money", f"a refund of payment {fact.payment_id} exceeds the owed amount")
        if entry.status == ReservationStatus.CONFIRMED and fact.refund_key is None:
            found(
                "money",
                f"payment {fact.payment_id} has a refund, but its reservation {fact.reservation_id} stays confirmed",
            )
        if entry.status != ReservationStatus.CONFIRMED:
            entry.payment, entry.payment_id = PaymentStatus.REFUND_REQUESTED, fact.payment_id

    def _give_back(self, payment_id: PaymentId, amount_minor: int, found: Found) -> None:
        self.back[payment_id] = back = self.back.get(payment_id, 0) + amount_minor
        if back > self.captured.get(payment_id, 0):
            found("money", f"the refunds of payment {payment_id} exceed the captured amount")

    def _refunded(self, _at: Envelope, fact: f.PaymentRefunded, found: Found) -> None:
        entry = self._entry(fact.reservation_id, frozenset(), fact, found)
        if entry is None:
            return
        if fact.origin == RefundOrigin.PROVIDER:
            self._refunded_elsewhere(entry, fact, found)
            return
        key = _refund_key(fact)
        again, elsewhere = key in self.refunds_failed, fact.currency is not None
        if key in self.refunds or not (key in self.refunds_due or again or elsewhere):
            found("money", f"payment {fact.payment_id} has a second refund, or one without a request: {key[1]}")
        asked = self.refunds_failed.pop(key) if again else self.refunds_due.pop(key, fact.amount_minor)
        if asked != fact.amount_minor:
            found("money", f"payment {fact.payment_id}: the amounts requested and refunded under {key[1]} differ")
        if elsewhere:
            self.stray.add(key)
        elif again and fact.origin is None:
            self._give_back(fact.payment_id, fact.amount_minor, found)
        self.refunds[key] = fact.amount_minor
        if fact.origin == RefundOrigin.STRAY:
            return
        entry.refund_id = fact.refund_id
        entry.owed_minor -= fact.from_owed_minor or 0
        still_due = any(payment == fact.payment_id for payment, _ in self.refunds_due)
        if entry.payment in (PaymentStatus.REFUND_REQUESTED, PaymentStatus.REFUND_FAILED) and not still_due:
            entry.payment = PaymentStatus.REFUND_FAILED if entry.owed_minor > 0 else PaymentStatus.REFUNDED

    def _refunded_elsewhere(self, entry: ReservationEntry, fact: f.PaymentRefunded, found: Found) -> None:
        """A refund that began at the provider: it comes out of the rest, and counts once."""
        key = _refund_key(fact)
        tickets, kept, owed = fact.from_tickets_minor or 0, fact.from_kept_minor or 0, fact.from_owed_minor or 0
        if key in self.refunds or key in self.refunds_failed:
            found("money", f"the log has the provider's refund {fact.refund_id} twice")
        if tickets + kept + owed != fact.amount_minor or tickets < 0 or kept < 0:
            found("money", f"refund {fact.refund_id} of {fact.amount_minor} comes out of {tickets}, {kept} and {owed}")
        self.refunds[key] = fact.amount_minor
        entry.refund_id = fact.refund_id
        self._take(entry, fact.reservation_id, (tickets, kept, owed), found)
        due = any(payment == fact.payment_id for payment, _ in self.refunds_due)
        if (
            not due
            and entry.owed_minor <= 0
            and (entry.status != ReservationStatus.CONFIRMED or not entry.amount_minor)
        ):
            entry.payment = PaymentStatus.REFUNDED

    def _refund_failed(self, _at: Envelope, fact: f.RefundFailed, found: Found) -> None:
        entry = self._entry(fact.reservation_id, frozenset(), fact, found)
        if entry is None:
            return
        key = fact.payment_id, fact.refund_key
        known = self.refunds_due.pop(key, None)
        if known is None:
            known = self.refunds.pop(key, None)
        if key in self.refunds_failed:
            found("money", f"refund {fact.refund_key} fails twice")
        self.refunds_failed[key] = fact.amount_minor
        if fact.origin == RefundOrigin.STRAY:
            return
        expected = 0 if known is None else fact.amount_minor
        if fact.to_tickets_minor + fact.to_owed_minor != expected or (known or 0) != expected:
            found("money", f"refund {fact.refund_key} of {known} failed, but its fact does not give {expected} back")
        if fact.origin == RefundOrigin.OURS:
            self.back[fact.payment_id] = self.back.get(fact.payment_id, 0) - fact.amount_minor
        entry.amount_minor += fact.to_tickets_minor
        entry.owed_minor += fact.to_owed_minor
        still_due = any(payment == fact.payment_id for payment, _ in self.refunds_due)
        if entry.status != ReservationStatus.CONFIRMED and not still_due and expected:
            entry.payment = PaymentStatus.REFUND_FAILED if entry.owed_minor > 0 else PaymentStatus.REFUNDED

    def _dispute_opened(self, _at: Envelope, fact: f.DisputeOpened, found: Found) -> None:
        entry = self._entry(fact.reservation_id, frozenset(), fact, found)
        if entry is not None and entry.payment_id != fact.payment_id:
            found("money", f"dispute {fact.dispute_id} names payment {fact.payment_id}, which is not its reservation's")
        self.disputes[fact.dispute_id] = fact.reservation_id, fact.status, fact.amount_minor

    def _dispute_closed(self, _at: Envelope, fact: f.DisputeClosed, found: Found) -> None:
        entry = self._entry(fact.reservation_id, frozenset(), fact, found)
        if entry is None:
            return
        parts = fact.from_tickets_minor, fact.from_kept_minor, fact.from_owed_minor
        charged = self.charged_back.get(fact.dispute_id, 0) + sum(parts)
        if charged < 0 or charged > fact.amount_minor or (charged and fact.status != DisputeStatus.LOST):
            found("money", f"dispute {fact.dispute_id} of {fact.amount_minor} is {fact.status} and has taken {charged}")
        self.charged_back[fact.dispute_id] = charged
        self.disputes[fact.dispute_id] = fact.reservation_id, fact.status, fact.amount_minor
        self._take(entry, fact.reservation_id, parts, found)
        entry.payment = fact.payment

    def _take(
        self, entry: ReservationEntry, reservation_id: ReservationId, parts: tuple[int, int, int], found: Found
    ) -> None:
        entry.amount_minor -= parts[0]
        entry.kept_minor -= parts[1]
        entry.owed_minor -= parts[2]
        if entry.amount_minor < 0 or entry.kept_minor < 0 or (parts[0] and entry.status != ReservationStatus.CONFIRMED):
            found("money", f"the parts {parts} exceed the amounts of {reservation_id}")

    def disputed(self, reservation_id: ReservationId) -> bool:
        """Whether the payment of the reservation is in an open dispute."""
        return any(status == DisputeStatus.OPEN and of == reservation_id for of, status, _ in self.disputes.values())

    def _hold_expired(self, at: Envelope, fact: f.HoldExpired, found: Found) -> None:
        entry = self.entries.get(fact.reservation_id)
        if entry is not None and at.log_time < entry.expires_at:
            found("deadline", f"{fact.reservation_id} expired at {at.log_time}, before {entry.expires_at}")
        self._ended(fact.reservation_id, ReservationStatus.HELD, ReservationStatus.EXPIRED, fact, found)

    def _reacquired(self, _at: Envelope, fact: f.HoldReacquired, found: Found) -> None:
        entry = self._entry(
            fact.reservation_id, frozenset({ReservationStatus.EXPIRED, ReservationStatus.HELD}), fact, found
        )
        if entry is None:
            return
        if entry.status == ReservationStatus.EXPIRED:
            self._claim(fact.reservation_id, entry, found)
        entry.status, entry.late = ReservationStatus.HELD, True

    def _hold_released(self, _at: Envelope, fact: f.HoldReleased, found: Found) -> None:
        self._ended(fact.reservation_id, ReservationStatus.HELD, ReservationStatus.RELEASED, fact, found)

    def _cancelled(self, _at: Envelope, fact: f.ReservationCancelled, found: Found) -> None:
        self._ended(fact.reservation_id, ReservationStatus.CONFIRMED, ReservationStatus.CANCELLED, fact, found)
        entry = self.entries.get(fact.reservation_id)
        if entry is not None:
            entry.kept_minor += fact.kept_minor or 0
            entry.owed_minor += fact.withheld_minor or 0
            if fact.withheld_minor and not self.disputed(fact.reservation_id):
                found("money", f"{fact.reservation_id} withholds {fact.withheld_minor} without a dispute")

    def _ended(self, reservation_id: ReservationId, was: str, status: str, fact: f.Fact, found: Found) -> None:
        entry = self._entry(reservation_id, frozenset({was}), fact, found)
        if entry is None:
            return
        kind = self.kinds[entry.ticket_type_id]
        for seat in entry.seats:
            if kind.taken.get(seat) == reservation_id:
                del kind.taken[seat]
        if was == ReservationStatus.HELD:
            kind.held -= entry.quantity
        else:
            kind.sold -= entry.quantity
        self.owned[entry.user_id] -= entry.quantity
        entry.status = status

    _folds: ClassVar[dict[type[f.Fact], Callable[[Ledger, Envelope, Any, Found], None]]] = {
        f.EventCreated: _about,
        f.EventUpdated: _about,
        f.EventPublished: _published,
        f.TicketTypeAdded: _type_added,
        f.SeatLocksObserved: _locks,
        f.TicketsHeld: _held,
        f.ReservationRejected: _rejected,
        f.PaymentRequested: _payment_requested,
        f.PaymentDeclined: _payment_declined,
        f.ReservationConfirmed: _confirmed,
        f.RefundRequested: _refund_requested,
        f.PaymentRefunded: _refunded,
        f.RefundFailed: _refund_failed,
        f.DisputeOpened: _dispute_opened,
        f.DisputeClosed: _dispute_closed,
        f.HoldExpired: _hold_expired,
        f.HoldReleased: _hold_released,
        f.HoldReacquired: _reacquired,
        f.ReservationCancelled: _cancelled,
    }


def _refund_key(fact: f.RefundRequested | f.PaymentRefunded) -> RefundKey:
    """A payment and the provider's idempotency key; records from before refunds in parts have none."""
    return fact.payment_id, fact.refund_key or f"refund-{fact.payment_id}"


def layout(rows: int, seats_per_row: int) -> frozenset[str]:
    """The labels of a layout's seats."""
    return frozenset(f"{_row(row)}-{seat}" for row in range(rows) for seat in range(1, seats_per_row + 1))


def _row(row: int) -> str:
    label = ""
    row += 1
    while row:
        row, letter = divmod(row - 1, 26)
        label = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[letter] + label
    return label
