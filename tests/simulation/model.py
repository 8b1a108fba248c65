"""The expected outcome of a command, by the design's rules: dicts and sets, nothing of the code under test.

`Model.expect` gives the facts of a command, each as (name, subject, reason); `Model.learn` folds the facts. It does not
choose seats: it checks that the chosen seats are free.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from schemas import commands as c
from schemas import facts as f

Expected = tuple[str, str, str]
EXPIRIES_MAX = 500
ORDER_MAX = 10
KEY_WINDOW_US = 86_400 * 1_000_000
UNPAID_WINDOW_US = 6 * 3_600 * 1_000_000
UNPAID_MAX, DECLINED_MAX = 20, 10


@dataclass
class Kind:
    """A ticket type."""

    price: int
    opens: int
    closes: int
    total: int
    seats: frozenset[str]  # empty for general admission
    shape: tuple[int, int]
    taken: dict[str, str] = field(default_factory=dict)  # place -> reservation
    used: int = 0


@dataclass
class Claim:
    """A reservation."""

    user: str
    kind: str
    quantity: int
    status: str
    asked_at: int
    fingerprint: int
    until: int = 0
    seats: tuple[str, ...] = ()
    amount: int = 0
    attempt: str = ""
    token: str = ""
    payment: str = ""
    payment_id: str = ""
    back: set[str] = field(default_factory=set)  # payments with a requested refund
    open: set[str] = field(default_factory=set)  # refunds that are under way
    declined: set[str] = field(default_factory=set)
    mailbox: int = 0


@dataclass
class Model:
    """One event."""

    owner: str = ""
    published: bool = False
    about: dict[str, Any] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)  # reservation -> deadline
    owned: dict[str, int] = field(default_factory=dict)  # user -> places
    locked: set[str] = field(default_factory=set)
    unpaid: dict[str | int, set[str]] = field(default_factory=dict)  # user, mailbox -> expired or declined claims
    captured: int = 0
    refunded: int = 0
    refunds_due: int = 0
    confirmed: int = 0
    _soonest: int = 1 << 62

    def expect(self, command: c.Command, now: int) -> list[Expected]:
        """The facts to come, for `command` read at log time `now`."""
        facts: list[Expected] = []
        ended: set[str] = set()
        if now >= self._soonest:
            due = sorted((until, key) for key, until in self.held.items() if until <= now)[:EXPIRIES_MAX]
            ended = {key for _, key in due}
            facts = [("HoldExpired", key, "") for _, key in due]
        return facts + getattr(self, "_" + type(command).__name__)(command, now, ended)

    def learn(self, fact: f.Fact, now: int) -> None:
        """Fold a fact. Asserts every condition that must hold at each prefix of the log."""
        learn = getattr(self, "_learn_" + type(fact).__name__, None)
        if learn is not None:
            learn(fact, now)

    # --- expectations ---------------------------------------------------------------------------------------------

    def _status(self, key: str, ended: set[str]) -> str:
        return "expired" if key in ended else self.claims[key].status

    def _no_access(self, command: c.Command) -> list[Expected] | None:
        kind = type(command).__name__
        if not self.owner:
            return [("CommandRefused", kind, "event-not-found")]
        if self.owner != command.user_id:
            return [("CommandRefused", kind, "not-owner")]
        return None

    def _CreateEvent(self, command: c.CreateEvent, now: int, ended: set[str]) -> list[Expected]:  # noqa: N802
        if self.owner:
            mine = self.owner == command.user_id
            return [
                ("CommandDuplicated", "CreateEvent", "") if mine else ("CommandRefused", "CreateEvent", "event-exists")
            ]
        if command.hold_ttl_s < 1:
            return [("CommandRefused", "CreateEvent", "invalid-schedule")]
        return [("EventCreated", "", "")]

    def _UpdateEvent(self, command: c.UpdateEvent, now: int, ended: set[str]) -> list[Expected]:  # noqa: N802
        refused = self._no_access(command)
        if refused:
            return refused
        wanted = {key: getattr(command, key) for key in self.about if getattr(command, key) is not None}
        if all(self.about[key] == value for key, value in wanted.items()):
            return [("CommandDuplicated", "UpdateEvent", "")]
        if (self.about | wanted)["hold_ttl_s"] < 1:
            return [("CommandRefused", "UpdateEvent", "invalid-schedule")]
        return [("EventUpdated", "", "")]

    def _PublishEvent(self, command: c.PublishEvent, now: int, ended: set[str]) -> list[Expected]:  # noqa: N802
        again = [("CommandDuplicated", "PublishEvent", "")] if self.published else [("EventPublished", "", "")]
        return self._no_access(command) or again

    def _AddTicketType(self, command: c.AddTicketType, now: int, ended: set[str]) -> list[Expected]:  # noqa: N802
        refused = self._no_access(command)
        if refused:
            return refused
        if command.ticket_type_id in self.kinds:
            return [("CommandDuplicated", "AddTicketType", "")]
        return [("TicketTypeAdded", command.ticket_type_id, "")]

    def _ReserveTickets(self, command: c.ReserveTickets, now: int, ended: set[str]) -> list[Expected]:  # noqa: N802
        key = command.reservation_id
        old = self.claims.get(key)
        if self.owner and not self.published and self.owner != command.user_id:
            return [("ReservationRejected", key, "event-not-found")]
        if old is not None and not (old.status == "rejected" and now - old.asked_at > KEY_WINDOW_US):
            if (old.fingerprint, old.user) != (command.fingerprint, command.user_id):
                return [("CommandRefused", "ReserveTickets", "idempotency-key-reused")]
            return [("CommandDuplicated", "ReserveTickets", "")]
        why = self._why_not(command, now, ended)
        return [("ReservationRejected", key, why)] if why else [("TicketsHeld", key, "")]

    def _why_not(self, command: c.ReserveTickets, now: int, ended: set[str]) -> str:
        if not self.owner:
            return "event-not-found"
        if not self.published:
            return "sales-not-open"
        kind = self.kinds.get(command.ticket_type_id)
        if kind is None:
            return "ticket-type-not-found"
        if now < (kind.opens or self.about["sales_open_at"]):
            return "sales-not-open"
        closes = kind.closes or self.about["sales_close_at"]
        if closes and now >= closes:
            return "sales-closed"
        if not 0 < command.quantity <= ORDER_MAX:
            return "invalid-quantity"
        return (
            self._seats_why_not(kind, command, ended)
            or self._count_why_not(kind, command, ended)
            or self._unpaid_why_not(command.user_id, command.mailbox or 0, now, ended)
        )

    def _unpaid_why_not(self, user: str, mailbox: int, now: int, ended: set[str]) -> str:
        since = now - UNPAID_WINDOW_US
        keys = {key for key in self._unpaid_by(user, mailbox) if self.claims[key].status == "expired"}
        keys |= {key for key in ended if self.claims[key].user == user}
        keys |= {key for key in ended if mailbox and self.claims[key].mailbox == mailbox}
        return "holds-exhausted" if sum(self.claims[key].until > since for key in keys) >= UNPAID_MAX else ""

    def _unpaid_by(self, user: str, mailbox: int) -> set[str]:
        return self.unpaid.get(user, set()) | (self.unpaid.get(mailbox, set()) if mailbox else set())

    def _seats_why_not(self, kind: Kind, command: c.ReserveTickets, ended: set[str]) -> str:
        if not command.seats:
            return ""
        if not kind.seats or len(set(command.seats)) != len(command.seats):
            return "invalid-seats"
        if not kind.seats.issuperset(command.seats):
            return "seat-unknown"
        for seat in command.seats:
            owner = kind.taken.get(seat)
            if f"{command.ticket_type_id}/{seat}" in self.locked or (owner is not None and owner not in ended):
                return "seat-taken"
        return ""

    def _count_why_not(self, kind: Kind, command: c.ReserveTickets, ended: set[str]) -> str:
        freed = [key for key in ended if self.claims[key].kind == command.ticket_type_id]
        back = sum(self.claims[key].quantity for key in ended if self.claims[key].user == command.user_id)
        if self.owned.get(command.user_id, 0) - back + command.quantity > self.about["max_tickets_per_user"]:
            return "limit-exceeded"
        left = kind.total - kind.used + sum(self.claims[key].quantity for key in freed)
        if kind.seats and self.locked:
            gone = {seat for seat, owner in kind.taken.items() if owner not in ended}
            locked = {
                place.partition("/")[2] for place in self.locked if place.startswith(command.ticket_type_id + "/")
            }
            left -= len((locked & kind.seats) - gone)
        return "" if command.quantity <= left else "sold-out"

    def _ConfirmReservation(self, command: c.ConfirmReservation, now: int, ended: set[str]) -> list[Expected]:  # noqa: N802
        key, kind = command.reservation_id, "ConfirmReservation"
        claim = self.claims.get(key)
        if claim is None or claim.user != command.user_id:
            return [("CommandRefused", kind, "reservation-not-found")]
        if claim.attempt == command.attempt_id:
            if claim.token and claim.token != command.payment_token:  # a free reservation had no token
                return [("CommandRefused", kind, "idempotency-key-reused")]
            return [("CommandDuplicated", kind, "")]
        status = self._status(key, ended)
        if status == "confirmed":
            return [("CommandDuplicated", kind, "")]
        if claim.payment == "requested":
            return [("CommandRefused", kind, "payment-in-progress")]
        if status != "held" or now >= claim.until:
            return [("ConfirmationRefused", key, "hold-expired" if status in ("held", "expired") else "not-held")]
        if not claim.amount:
            return [("ReservationConfirmed", key, "")]
        mine = [self.claims[one] for one in self._unpaid_by(claim.user, claim.mailbox)]
        if sum(len(one.declined) for one in mine if one.asked_at > now - UNPAID_WINDOW_US) >= DECLINED_MAX:
            return [("CommandRefused", kind, "payments-exhausted")]
        return [("PaymentRequested", key, "")]

    def _RecordPayment(self, command: c.RecordPayment, now: int, ended: set[str]) -> list[Expected]:  # noqa: N802
        key = command.reservation_id
        claim = self.claims.get(key)
        if claim is None:
            return [("CommandRefused", "RecordPayment", "reservation-not-found")]
        awaited = claim.attempt == command.attempt_id and claim.payment in ("requested", "declined")
        if command.outcome == "captured" and command.payment_id:
            back = command.payment_id in claim.back
            if awaited and back and claim.payment == "requested":
                return [("PaymentDeclined", key, "payment_refunded")]
            if not awaited or back:
                if back or not claim.attempt or command.payment_id == claim.payment_id or command.amount_minor <= 0:
                    return [("CommandDuplicated", "RecordPayment", "")]
                return [("RefundRequested", key, "payment-twice")]
        elif not awaited or claim.payment == "declined":
            return [("CommandDuplicated", "RecordPayment", "")]
        if command.outcome == "declined":
            return [("PaymentDeclined", key, command.reason)]
        status = self._status(key, ended)
        if status == "held" and now < claim.until:
            return [("ReservationConfirmed", key, "")]
        if command.amount_minor == claim.amount and self._had_again(claim, status, ended):
            return [("HoldReacquired", key, ""), ("ReservationConfirmed", key, "")]
        why = "hold-expired" if status in ("held", "expired") else "not-held"
        return [("ConfirmationRefused", key, why), ("RefundRequested", key, why)]

    def _had_again(self, claim: Claim, status: str, ended: set[str]) -> bool:
        """Whether a late payment finds its places free."""
        if status != "expired":
            return status == "held"
        kind = self.kinds[claim.kind]
        asked = c.ReserveTickets(
            event_id="",
            user_id=claim.user,
            command_id="",
            reservation_id="",
            ticket_type_id=claim.kind,
            quantity=claim.quantity,
            seats=list(claim.seats),
            fingerprint=0,
        )
        return not (self._seats_why_not(kind, asked, ended) or self._count_why_not(kind, asked, ended))

    def _RecordRefund(self, command: c.RecordRefund, now: int, ended: set[str]) -> list[Expected]:  # noqa: N802
        claim = self.claims.get(command.reservation_id)
        if claim is None:
            return [("CommandRefused", "RecordRefund", "reservation-not-found")]
        if (command.refund_key or f"refund-{command.payment_id}") not in claim.open:
            return [("CommandDuplicated", "RecordRefund", "")]
        return [("PaymentRefunded", command.reservation_id, "")]

    def _ReleaseReservation(self, command: c.ReleaseReservation, now: int, ended: set[str]) -> list[Expected]:  # noqa: N802
        key, kind = command.reservation_id, "ReleaseReservation"
        claim = self.claims.get(key)
        if claim is None or claim.user != command.user_id:
            return [("CommandRefused", kind, "reservation-not-found")]
        status = self._status(key, ended)
        if status == "held" and now >= claim.until:
            return [("HoldExpired", key, ""), ("CommandRefused", kind, "hold-expired")]
        if status == "held":
            return [("HoldReleased", key, "")]
        if status in ("released", "cancelled"):
            return [("CommandDuplicated", kind, "")]
        if status != "confirmed":
            return [("CommandRefused", kind, "hold-expired" if status == "expired" else "not-held")]
        refund = [("RefundRequested", key, "buyer-cancelled")] if claim.payment_id else []
        return [("ReservationCancelled", key, "buyer-cancelled"), *refund]

    def _Tick(self, command: c.Tick, now: int, ended: set[str]) -> list[Expected]:  # noqa: N802
        return [("TickObserved", "", "")]

    # --- what has happened ----------------------------------------------------------------------------------------

    def _learn_EventCreated(self, fact: f.EventCreated, now: int) -> None:  # noqa: N802
        self.owner = fact.user_id
        self._learn_EventUpdated(fact, now)

    def _learn_EventUpdated(self, fact: f.EventCreated | f.EventUpdated, now: int) -> None:  # noqa: N802
        names = ("description", "sales_open_at", "sales_close_at", "hold_ttl_s", "max_tickets_per_user")
        self.about = {name: getattr(fact, name) for name in names}

    def _learn_EventPublished(self, fact: f.EventPublished, now: int) -> None:  # noqa: N802
        self.published = True

    def _learn_TicketTypeAdded(self, fact: f.TicketTypeAdded, now: int) -> None:  # noqa: N802
        seats = frozenset(
            f"{chr(65 + row)}-{seat}" for row in range(fact.rows) for seat in range(1, fact.seats_per_row + 1)
        )
        self.kinds[fact.ticket_type_id] = Kind(
            price=fact.price_minor,
            opens=fact.sales_open_at,
            closes=fact.sales_close_at,
            total=len(seats) or fact.capacity,
            seats=seats,
            shape=(fact.rows, fact.seats_per_row),
        )

    def _learn_SeatLocksObserved(self, fact: f.SeatLocksObserved, now: int) -> None:  # noqa: N802
        assert self.locked.issuperset(fact.freed)
        assert self.locked.isdisjoint(fact.locked)
        self.locked.difference_update(fact.freed)
        self.locked.update(fact.locked)

    def _learn_TicketsHeld(self, fact: f.TicketsHeld, now: int) -> None:  # noqa: N802
        kind = self.kinds[fact.ticket_type_id]
        assert fact.quantity == len(fact.seats) or not kind.seats
        for seat in fact.seats:
            assert seat in kind.seats
            assert seat not in kind.taken, "a seat with two live claims"
            assert f"{fact.ticket_type_id}/{seat}" not in self.locked, "a locked seat was sold"
            kind.taken[seat] = fact.reservation_id
        kind.used += fact.quantity
        assert kind.used <= kind.total, "over capacity"
        assert fact.amount_minor == kind.price * fact.quantity
        assert fact.expires_at == now + self.about["hold_ttl_s"] * 1_000_000
        self.claims[fact.reservation_id] = Claim(
            user=fact.user_id,
            kind=fact.ticket_type_id,
            quantity=fact.quantity,
            status="held",
            asked_at=now,
            fingerprint=fact.fingerprint,
            until=fact.expires_at,
            seats=tuple(fact.seats),
            amount=fact.amount_minor,
            mailbox=fact.mailbox or 0,
        )
        self.held[fact.reservation_id] = fact.expires_at
        self._soonest = min(self._soonest, fact.expires_at)
        owned = self.owned[fact.user_id] = self.owned.get(fact.user_id, 0) + fact.quantity
        assert owned <= self.about["max_tickets_per_user"], "more than one user may have"

    def _learn_ReservationRejected(self, fact: f.ReservationRejected, now: int) -> None:  # noqa: N802
        if self.owner and fact.reason != "event-not-found":
            self.claims[fact.reservation_id] = Claim(
                user=fact.user_id,
                kind=fact.ticket_type_id,
                quantity=fact.quantity,
                status="rejected",
                asked_at=now,
                fingerprint=fact.fingerprint,
            )

    def _learn_PaymentRequested(self, fact: f.PaymentRequested, now: int) -> None:  # noqa: N802
        claim = self.claims[fact.reservation_id]
        claim.payment, claim.attempt, claim.token = "requested", fact.attempt_id, fact.payment_token
        claim.declined.discard(fact.attempt_id)
        assert fact.amount_minor == claim.amount

    def _learn_PaymentDeclined(self, fact: f.PaymentDeclined, now: int) -> None:  # noqa: N802
        claim = self.claims[fact.reservation_id]
        claim.payment = "declined"
        claim.declined.add(fact.attempt_id)
        self._unpaid(claim, fact.reservation_id)

    def _learn_ReservationConfirmed(self, fact: f.ReservationConfirmed, now: int) -> None:  # noqa: N802
        claim = self.claims[fact.reservation_id]
        assert claim.status == "held"
        assert tuple(fact.seats) == claim.seats
        assert len(set(fact.ticket_ids)) == claim.quantity
        claim.status, claim.payment, claim.payment_id = "confirmed", "captured", fact.payment_id
        claim.attempt = fact.attempt_id
        del self.held[fact.reservation_id]
        self.captured += fact.amount_minor
        self.confirmed += fact.amount_minor

    def _learn_RefundRequested(self, fact: f.RefundRequested, now: int) -> None:  # noqa: N802
        claim = self.claims[fact.reservation_id]
        self.refunds_due += fact.amount_minor
        claim.back.add(fact.payment_id)
        claim.open.add(fact.refund_key or f"refund-{fact.payment_id}")
        if claim.payment_id != fact.payment_id:  # a capture that came too late, or in addition to its own payment
            self.captured += fact.amount_minor
        if fact.origin is None:
            claim.payment, claim.payment_id = "refund-requested", fact.payment_id

    def _learn_PaymentRefunded(self, fact: f.PaymentRefunded, now: int) -> None:  # noqa: N802
        claim = self.claims[fact.reservation_id]
        claim.open.discard(fact.refund_key or f"refund-{fact.payment_id}")
        claim.payment = "refunded" if fact.origin is None else claim.payment
        self.refunds_due -= fact.amount_minor
        self.refunded += fact.amount_minor

    def _unpaid(self, claim: Claim, key: str) -> None:
        for owner in (claim.user, claim.mailbox):
            self.unpaid.setdefault(owner, set()).add(key)

    def _ended(self, key: str, status: str) -> None:
        claim = self.claims[key]
        assert claim.status in ("held", "confirmed")
        kind = self.kinds[claim.kind]
        for seat in claim.seats:
            assert kind.taken.pop(seat) == key
        kind.used -= claim.quantity
        self.owned[claim.user] -= claim.quantity
        self.held.pop(key, None)
        claim.status = status

    def _learn_HoldExpired(self, fact: f.HoldExpired, now: int) -> None:  # noqa: N802
        assert self.claims[fact.reservation_id].until <= now, "a hold ended before its deadline"
        self._ended(fact.reservation_id, "expired")
        self._unpaid(self.claims[fact.reservation_id], fact.reservation_id)
        self._soonest = min(self.held.values(), default=1 << 62)

    def _learn_HoldReacquired(self, fact: f.HoldReacquired, now: int) -> None:  # noqa: N802
        claim, kind = self.claims[fact.reservation_id], self.kinds[fact.ticket_type_id]
        self.held[fact.reservation_id] = claim.until
        if claim.status == "held":
            return
        assert claim.status == "expired"
        assert (tuple(fact.seats), fact.quantity) == (claim.seats, claim.quantity)
        for seat in fact.seats:
            assert seat not in kind.taken, "a seat with two live claims"
            kind.taken[seat] = fact.reservation_id
        kind.used += claim.quantity
        assert kind.used <= kind.total, "over capacity"
        self.owned[claim.user] += claim.quantity
        claim.status = "held"

    def _learn_HoldReleased(self, fact: f.HoldReleased, now: int) -> None:  # noqa: N802
        self._ended(fact.reservation_id, "released")

    def _learn_ReservationCancelled(self, fact: f.ReservationCancelled, now: int) -> None:  # noqa: N802
        self.confirmed -= self.claims[fact.reservation_id].amount
        self._ended(fact.reservation_id, "cancelled")
