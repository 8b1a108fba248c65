"""The checker's own books of one event: terms, codes, pools, blocks, waiting lists, tickets, the door. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ops.proof.checker.ledger import LIVE, Found, Ledger, ReservationEntry, TicketKind, layout
from schemas import facts as f
from schemas.facts import Envelope
from schemas.ids import (
    NOBODY,
    US_PER_S,
    BlockId,
    EntryId,
    PoolId,
    ReservationId,
    TicketId,
    TicketTypeId,
    TransferId,
    UserId,
)
from schemas.statuses import (
    ChoreKind,
    CodeKind,
    EventStage,
    InvitationStatus,
    LayoutKind,
    ReservationStatus,
    TransferStatus,
    WaitlistStatus,
)

WARNED_BEFORE_US = 60 * US_PER_S
# The currencies that are not moved in single minor units, and the version of the rules since which shares obey it.
LEAST_MOVED = {"BHD": 10, "JOD": 10, "KWD": 10, "OMR": 10, "TND": 10, "MGA": 100}
LEAST_MOVED_SINCE = 3
ACCEPTED_SINCE = 3  # tickets and rights need their receiver's consent


@dataclass(slots=True)
class Waiting:
    """A place in a waiting list."""

    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: int
    place: int
    status: str = WaitlistStatus.WAITING
    mailbox: int = 0


@dataclass(slots=True)
class LedgerTicket:
    """A ticket that was transferred or scanned."""

    user_id: UserId
    version: int = 1
    scanned_at: int = 0
    gate: str = ""
    scan: tuple[int, str, str, UserId] = (0, "", "", NOBODY)
    undone: set[tuple[int, str, str, UserId]] = field(default_factory=set)


@dataclass(slots=True)
class Offer:
    """A ticket that is offered to a user."""

    ticket_id: TicketId
    user_id: UserId
    to_user_id: UserId
    expires_at: int
    status: str = TransferStatus.OFFERED


@dataclass(slots=True)
class EventLedger(Ledger):
    """One event with everything that the checker keeps about it."""

    status: str = EventStage.DRAFT
    ends_at: int = 0
    extension_us: int = 0
    offer_us: int = 0
    refund_percent: int = 100
    pools: dict[PoolId, int] = field(default_factory=dict)
    codes: dict[str, f.CodeAdded] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    freed_blocks: set[BlockId] = field(default_factory=set)
    staff: set[UserId] = field(default_factory=set)
    line: dict[EntryId, Waiting] = field(default_factory=dict)
    offered: dict[ReservationId, f.WaitlistOffered] = field(default_factory=dict)
    tickets: dict[TicketId, LedgerTicket] = field(default_factory=dict)
    offers: dict[TransferId, Offer] = field(default_factory=dict)
    offer_of: dict[TicketId, TransferId] = field(default_factory=dict)
    invited: dict[UserId, tuple[str, int]] = field(default_factory=dict)
    scans: int = 0
    notified: set[tuple[str, int, ReservationId, UserId]] = field(default_factory=set)
    reminded_for: int = 0
    owner: UserId = NOBODY
    waiting: int = 0

    def apply(self, at: Envelope, fact: f.Fact, found: Found) -> None:
        """Fold one fact, checking what it must not break."""
        before = _BEFORE.get(type(fact))
        if before is not None:
            before(self, at, fact, found)
        Ledger.apply(self, at, fact, found)
        fold = _FOLDS.get(type(fact))
        if fold is not None:
            fold(self, at, fact, found)

    def unfinished(self) -> Iterator[str]:
        """The work that the end of the log must not leave open, in words."""
        for key, one in self.entries.items():
            if one.owed_minor < 0:
                yield f"the refunds of {key} exceed its payment by {-one.owed_minor}"
        if self.status == EventStage.CANCELLED:
            live = [key for key, one in self.entries.items() if one.status in LIVE]
            if live:
                yield f"the event is cancelled, but {len(live)} reservations are live, such as {live[0]}"
        if self.status in (EventStage.CANCELLED, EventStage.ENDED) and self.waiting:
            yield f"{self.waiting} entries wait for an event that is {self.status}"

    def check_terms(self, at: Envelope, fact: f.TicketsHeld, kind: TicketKind, found: Found) -> None:
        """Deadline, price, codes, limits and the waiting list's turn."""
        offer = self.offered.get(fact.reservation_id)
        held_us = self.hold_us if offer is None else self.offer_us or self.hold_us
        if fact.expires_at != at.log_time + held_us:
            found("deadline", f"{fact.reservation_id} is held until {fact.expires_at}, not for {held_us} µs")
        price = kind.price_minor * fact.quantity
        discount = self._discount(at, fact, price, found)
        if fact.amount_minor != price - discount or (fact.discount_minor or 0) != discount:
            found("money", f"{fact.reservation_id} costs {fact.amount_minor}, not {price} less {discount}")
        if kind.max_per_order and fact.quantity > kind.max_per_order:
            found("order-limit", f"{fact.reservation_id} has {fact.quantity}, {kind.max_per_order} are sold at once")
        if kind.hidden and not fact.access_code and offer is None:
            found("hidden-type", f"{fact.reservation_id} has no access code")
        if kind.max_per_user:
            owned = fact.quantity + sum(
                one.quantity for one in self.entries.values()
                if one.status in LIVE and (one.user_id, one.ticket_type_id) == (fact.user_id, fact.ticket_type_id)
            )  # fmt: skip
            if owned > kind.max_per_user:
                found("user-limit", f"user {fact.user_id} has {owned} of a type, {kind.max_per_user} are allowed")
        if kind.pool_id:
            used = fact.quantity + sum(
                one.held + one.sold for one in self.kinds.values() if one.pool_id == kind.pool_id
            )
            if used > self.pools[kind.pool_id]:
                found("over-capacity", f"{used} of pool {kind.pool_id} are claimed, it has {self.pools[kind.pool_id]}")
        if self.waiting:
            self._check_turn(fact, offer, found)

    def _discount(self, at: Envelope, fact: f.TicketsHeld, price: int, found: Found) -> int:
        discount = 0
        for text, is_access in ((fact.promo_code, False), (fact.access_code, True)):
            if not text:
                continue
            code = self.codes.get(text)
            if code is None or text in self.disabled or (code.kind == CodeKind.ACCESS) is not is_access:
                found("codes", f"{fact.reservation_id} used the invalid code {text!r}")
                continue
            orders = [
                one.quantity
                for one in self.entries.values()
                if one.status in LIVE and text in (one.promo_code, one.access_code)
            ]
            uses, places = len(orders) + 1, sum(orders) + fact.quantity
            if code.uses_max and uses > code.uses_max:
                found("codes", f"{fact.reservation_id} is use {uses} of {text!r}, which has {code.uses_max}")
            if code.places_max and places > code.places_max:
                found("codes", f"{fact.reservation_id} is place {places} of {text!r}, which has {code.places_max}")
            if code.kind == CodeKind.PERCENT:
                discount = price * code.value // 100
            elif code.kind == CodeKind.AMOUNT:
                discount = min(price, code.value)
        return discount if discount == price else _movable(discount, fact.currency, at)

    def _check_turn(self, fact: f.TicketsHeld, offer: f.WaitlistOffered | None, found: Found) -> None:
        """The entry that waited longest, and for which enough is free, comes first."""
        free = self.free(fact.ticket_type_id)
        waiting = [one for one in self.line.values() if one.status == WaitlistStatus.WAITING and one.quantity <= free]
        waiting = [one for one in waiting if one.ticket_type_id == fact.ticket_type_id]
        mine = next((one for key, one in self.line.items() if offer is not None and key == offer.entry_id), None)
        ahead = [one for one in waiting if mine is None or one.place < mine.place]
        if ahead:
            found("waiting-list", f"{fact.reservation_id} got places before {len(ahead)} entries that waited longer")

    def free(self, ticket_type_id: TicketTypeId) -> int:
        """The places of a ticket type that may be claimed, its pool considered."""
        kind, own = self.kinds[ticket_type_id], self.available(ticket_type_id)
        if not kind.pool_id:
            return own
        return min(own, self.pools[kind.pool_id] - self.used_of(kind.pool_id))

    def used_of(self, pool_id: PoolId) -> int:
        """The claimed places of a pool."""
        return sum(one.held + one.sold for one in self.kinds.values() if one.pool_id == pool_id)

    def holder(self, entry: ReservationEntry, ticket_id: TicketId) -> UserId:
        """The holder of a ticket."""
        ticket = self.tickets.get(ticket_id)
        return entry.user_id if ticket is None else ticket.user_id


def _about(ledger: EventLedger, _at: Envelope, fact: f.EventCreated | f.EventUpdated, _found: Found) -> None:
    ledger.owner = ledger.owner or fact.user_id
    ledger.ends_at = fact.ends_at
    ledger.extension_us = (fact.hold_extension_s or 0) * US_PER_S
    ledger.offer_us = (fact.offer_ttl_s or 0) * US_PER_S
    ledger.refund_percent = 100 if fact.refund_percent is None else fact.refund_percent


def _status(status: str, *came_from: str) -> Callable[[EventLedger, Envelope, Any, Found], None]:
    def fold(ledger: EventLedger, at: Envelope, fact: f.Fact, found: Found) -> None:
        if ledger.status not in came_from:
            found("broken-log", f"{type(fact).__name__} of an event that is {ledger.status}")
        if isinstance(fact, f.EventEnded) and at.log_time < ledger.ends_at:
            found("deadline", f"the event ended at {at.log_time}, before {ledger.ends_at}")
        ledger.status, ledger.published = status, status == EventStage.PUBLISHED

    return fold


def _type_updated(ledger: EventLedger, _at: Envelope, fact: f.TicketTypeUpdated, found: Found) -> None:
    kind = ledger.kinds[fact.ticket_type_id]
    if kind.kind == LayoutKind.SEATED:
        kind.seats = layout(fact.rows, fact.seats_per_row)
        lost = kind.taken.keys() - kind.seats
        if lost:
            found("layout", f"{fact.ticket_type_id} lost seats in use: {sorted(lost)[:5]}")
        kind.total = len(kind.seats)
    else:
        kind.total = fact.capacity
        if kind.held + kind.sold > kind.total:
            found("over-capacity", f"{kind.held + kind.sold} of {kind.total} of {fact.ticket_type_id} are claimed")
    kind.price_minor, kind.hidden = fact.price_minor, fact.hidden
    kind.max_per_order, kind.max_per_user = fact.max_per_order, fact.max_per_user


def _pool(ledger: EventLedger, _at: Envelope, fact: f.PoolChanged, found: Found) -> None:
    used = ledger.used_of(fact.pool_id)
    if used > fact.capacity:
        found("over-capacity", f"{used} of pool {fact.pool_id} are claimed, it has {fact.capacity} now")
    ledger.pools[fact.pool_id] = fact.capacity


def _code(ledger: EventLedger, _at: Envelope, fact: f.CodeAdded, _found: Found) -> None:
    ledger.codes[fact.code] = fact


def _code_disabled(ledger: EventLedger, _at: Envelope, fact: f.CodeDisabled, _found: Found) -> None:
    ledger.disabled |= {text for text, code in ledger.codes.items() if code.code_id == fact.code_id}


def _blocked(ledger: EventLedger, _at: Envelope, fact: f.SeatsBlocked, found: Found) -> None:
    kind = ledger.kinds[fact.ticket_type_id]
    if fact.quantity > ledger.available(fact.ticket_type_id) or kind.taken.keys() & set(fact.seats):
        found("seats", f"block {fact.block_id} holds back places that are not free")
    if fact.block_id in ledger.freed_blocks:
        found("duplicate", f"block {fact.block_id} holds back places again after it was freed")
    kind.blocked[fact.block_id] = frozenset(fact.seats), fact.quantity


def _unblocked(ledger: EventLedger, _at: Envelope, fact: f.SeatsUnblocked, found: Found) -> None:
    kind = ledger.kinds[fact.ticket_type_id]
    seats, count = kind.blocked.pop(fact.block_id, (frozenset[str](), 0))
    if not set(fact.seats) <= seats or fact.quantity > count:
        found("broken-log", f"block {fact.block_id} gives back places that it does not have")
    if count > fact.quantity:
        kind.blocked[fact.block_id] = seats - set(fact.seats), count - fact.quantity
    else:
        ledger.freed_blocks.add(fact.block_id)


def _invited(ledger: EventLedger, at: Envelope, fact: f.StaffInvited, found: Found) -> None:
    if ledger.invited.get(fact.member_id, ("", 0))[0] == InvitationStatus.INVITED or fact.member_id in ledger.staff:
        found("staff", f"{fact.member_id} has a second invitation")
    if fact.user_id != ledger.owner or fact.expires_at <= at.log_time:
        found("staff", f"{fact.user_id} invites {fact.member_id}, but is not the owner, or the deadline has passed")
    ledger.invited[fact.member_id] = InvitationStatus.INVITED, fact.expires_at


def _not_invited(ledger: EventLedger, _at: Envelope, fact: f.StaffInvitationEnded, found: Found) -> None:
    status, expires_at = ledger.invited.get(fact.member_id, ("", 0))
    if status != InvitationStatus.INVITED:
        found("staff", f"{fact.member_id} has no invitation that could end")
    ledger.invited[fact.member_id] = fact.outcome, expires_at


def _staff_added(ledger: EventLedger, at: Envelope, fact: f.StaffAdded, found: Found) -> None:
    status, expires_at = ledger.invited.get(fact.member_id, ("", 0))
    if at.rules_version >= ACCEPTED_SINCE and (status != InvitationStatus.INVITED or at.log_time >= expires_at):
        found("staff", f"{fact.member_id} works at the door without an invitation")
    if status == InvitationStatus.INVITED:
        ledger.invited[fact.member_id] = InvitationStatus.ACCEPTED, expires_at
    ledger.staff.add(fact.member_id)


def _staff_removed(ledger: EventLedger, _at: Envelope, fact: f.StaffRemoved, _found: Found) -> None:
    ledger.staff.discard(fact.member_id)


def _warned(ledger: EventLedger, at: Envelope, fact: f.HoldWarned, found: Found) -> None:
    entry = ledger.entries.get(fact.reservation_id)
    if (
        entry is None
        or entry.status != ReservationStatus.HELD
        or entry.warned
        or at.log_time < entry.expires_at - WARNED_BEFORE_US
    ):
        found("broken-log", f"{fact.reservation_id} has a warning too early, or a second one")
        return
    entry.warned = 1


def _extended(ledger: EventLedger, at: Envelope, fact: f.HoldExtended, found: Found) -> None:
    entry = ledger.entries.get(fact.reservation_id)
    if entry is None or entry.status != ReservationStatus.HELD or entry.extended or at.log_time >= entry.expires_at:
        found("broken-log", f"{fact.reservation_id} has a second extension, or is not held")
        return
    if fact.expires_at != entry.expires_at + ledger.extension_us or not ledger.extension_us:
        found("deadline", f"{fact.reservation_id} has the wrong extended deadline {fact.expires_at}")
    entry.expires_at, entry.extended = fact.expires_at, 1


def _movable(minor: int, currency: str, at: Envelope) -> int:
    """A share, rounded down to an amount that can be moved."""
    step = LEAST_MOVED.get(currency, 1) if at.rules_version >= LEAST_MOVED_SINCE else 1
    return minor // step * step


def _tickets_cancelled(ledger: EventLedger, at: Envelope, fact: f.TicketsCancelled, found: Found) -> None:
    entry = ledger.entries.get(fact.reservation_id)
    if entry is None or entry.status != ReservationStatus.CONFIRMED or not set(fact.ticket_ids) < set(entry.ticket_ids):
        found("broken-log", f"{fact.reservation_id} loses tickets of another reservation, or all its tickets")
        return
    if fact.amount_minor != _movable(entry.amount_minor * fact.quantity // entry.quantity, entry.currency, at):
        found("money", f"{fact.quantity} of {entry.quantity} tickets of {fact.reservation_id} cost {fact.amount_minor}")
    kind = ledger.kinds[entry.ticket_type_id]
    for seat in fact.seats:
        kind.taken.pop(seat, None)
    kind.sold -= fact.quantity
    ledger.owned[entry.user_id] -= fact.quantity
    gone = [number for number, ticket in enumerate(entry.ticket_ids) if ticket in set(fact.ticket_ids)]
    places = entry.seats or _ordinals(entry)
    entry.void_places = [*entry.void_places, *(places[number] for number in gone)]
    entry.seats = [seat for seat in entry.seats if seat not in fact.seats]
    entry.ticket_ids = [ticket for ticket in entry.ticket_ids if ticket not in set(fact.ticket_ids)]
    entry.quantity -= fact.quantity
    entry.amount_minor -= fact.amount_minor
    entry.kept_minor += fact.kept_minor


def _ordinals(entry: ReservationEntry) -> list[str]:
    every = [str(number) for number in range(1, entry.quantity + len(entry.void_places) + 1)]
    return [number for number in every if number not in entry.void_places]


def _ticket_offered(ledger: EventLedger, at: Envelope, fact: f.TransferOffered, found: Found) -> None:
    entry = ledger.entries.get(fact.reservation_id)
    if entry is None or entry.status != ReservationStatus.CONFIRMED or fact.ticket_id not in entry.ticket_ids:
        found("broken-log", f"{fact.user_id} offers ticket {fact.ticket_id}, which does not exist")
        return
    ticket = ledger.tickets.get(fact.ticket_id)
    if fact.user_id != ledger.holder(entry, fact.ticket_id) or (ticket is not None and ticket.scanned_at):
        found("tickets", f"{fact.user_id} offers ticket {fact.ticket_id} of another user, or a used one")
    if fact.ticket_id in ledger.offer_of or fact.to_user_id == fact.user_id or fact.expires_at <= at.log_time:
        found(
            "tickets",
            f"ticket {fact.ticket_id} has a second offer, or one to its holder, or a deadline that has passed",
        )
    ledger.offers[fact.transfer_id] = Offer(fact.ticket_id, fact.user_id, fact.to_user_id, fact.expires_at)
    ledger.offer_of[fact.ticket_id] = fact.transfer_id


def _offer_ended(ledger: EventLedger, at: Envelope, fact: f.TransferEnded, found: Found) -> None:
    offer = ledger.offers.get(fact.transfer_id)
    if offer is None or ledger.offer_of.pop(fact.ticket_id, "") != fact.transfer_id:
        found("broken-log", f"offer {fact.transfer_id} ends, but is not open")
        return
    if fact.outcome == TransferStatus.EXPIRED and at.log_time < offer.expires_at:
        found("tickets", f"offer {fact.transfer_id} expires before its time")
    offer.status = fact.outcome


def _no_offers(
    ledger: EventLedger, _at: Envelope, fact: f.ReservationCancelled | f.TicketsCancelled, found: Found
) -> None:
    entry = ledger.entries.get(fact.reservation_id)
    void = fact.ticket_ids if isinstance(fact, f.TicketsCancelled) else entry.ticket_ids if entry is not None else []
    for ticket in ledger.offer_of.keys() & set(void):
        found("tickets", f"ticket {ticket} is cancelled, but its offer is open")


def _transferred(ledger: EventLedger, at: Envelope, fact: f.TicketTransferred, found: Found) -> None:
    offer = None if fact.transfer_id is None else ledger.offers.get(fact.transfer_id)
    opened = offer is not None and ledger.offer_of.pop(fact.ticket_id, "") == fact.transfer_id
    if at.rules_version >= ACCEPTED_SINCE and not (
        opened and offer is not None and offer.to_user_id == fact.to_user_id and at.log_time < offer.expires_at
    ):
        found("tickets", f"{fact.to_user_id} gets ticket {fact.ticket_id} without an open offer")
    if offer is not None:
        offer.status = TransferStatus.ACCEPTED
    entry = ledger.entries.get(fact.reservation_id)
    if entry is None or entry.status != ReservationStatus.CONFIRMED or fact.ticket_id not in entry.ticket_ids:
        found("broken-log", f"{fact.user_id} transfers ticket {fact.ticket_id}, which does not exist")
        return
    ticket = ledger.tickets.setdefault(fact.ticket_id, LedgerTicket(entry.user_id))
    if ticket.user_id != fact.user_id or fact.version != ticket.version + 1 or ticket.scanned_at:
        found(
            "tickets",
            f"{fact.user_id} transfers ticket {fact.ticket_id} of another user, or a used one",
        )
    ticket.user_id, ticket.version = fact.to_user_id, fact.version


def _checked_in(ledger: EventLedger, _at: Envelope, fact: f.CheckInAccepted, found: Found) -> None:
    ledger.scans += 1
    entry = ledger.entries.get(fact.reservation_id)
    if entry is None or entry.status != ReservationStatus.CONFIRMED or fact.ticket_id not in entry.ticket_ids:
        found("door", f"the door accepts ticket {fact.ticket_id}, which is void or unknown")
        return
    if ledger.disputed(fact.reservation_id):
        found("door", f"the door accepts ticket {fact.ticket_id}, whose payment is disputed")
    if ledger.status == EventStage.CANCELLED:
        found("door", f"the door of a cancelled event accepts ticket {fact.ticket_id}")
    if fact.by_user_id not in ledger.staff and fact.by_user_id != ledger.owner:
        found("door", f"{fact.by_user_id} accepts a ticket, but does not work at this door")
    ticket = ledger.tickets.setdefault(fact.ticket_id, LedgerTicket(entry.user_id))
    if ticket.scanned_at:
        found("door", f"the door accepts ticket {fact.ticket_id} a second time")
    ticket.scanned_at, ticket.gate = fact.scanned_at, fact.gate
    ticket.scan = fact.scanned_at, fact.gate, fact.scanner, fact.by_user_id
    if ticket.scan in ticket.undone:
        found("door", f"the door accepts a reversed scan of ticket {fact.ticket_id} again")


def _check_in_refused(ledger: EventLedger, _at: Envelope, fact: f.CheckInRefused, found: Found) -> None:
    ledger.scans += 1
    ticket = ledger.tickets.get(fact.ticket_id)
    first = (ticket.scanned_at, ticket.gate) if ticket is not None else (0, "")
    if fact.reason == f.Reason.ALREADY_CHECKED_IN and first != (fact.first_scanned_at, fact.first_gate):
        found("door", f"ticket {fact.ticket_id}: the first scan was {first}, but the fact names another one")


def _check_in_reversed(ledger: EventLedger, _at: Envelope, fact: f.CheckInReversed, found: Found) -> None:
    ledger.scans += 1
    ticket = ledger.tickets.get(fact.ticket_id)
    if ticket is None or not ticket.scanned_at:
        found("door", f"the door reverses a check-in of ticket {fact.ticket_id}, but it has none")
        return
    ticket.undone.add(ticket.scan)
    ticket.scanned_at, ticket.gate = 0, ""


def _joined(ledger: EventLedger, at: Envelope, fact: f.WaitlistJoined, found: Found) -> None:
    if fact.quantity <= ledger.free(fact.ticket_type_id):
        found("waiting-list", f"{fact.entry_id} waits, but enough places are free")
    ledger.line[fact.entry_id] = Waiting(
        fact.user_id, fact.ticket_type_id, fact.quantity, at.offset, mailbox=fact.mailbox or 0
    )
    ledger.waiting += 1


def _left(ledger: EventLedger, _at: Envelope, fact: f.WaitlistEnded, found: Found) -> None:
    _stops_waiting(ledger, fact.entry_id, WaitlistStatus.ENDED, found)


def _offered(ledger: EventLedger, _at: Envelope, fact: f.WaitlistOffered, found: Found) -> None:
    ledger.offered[fact.reservation_id] = fact
    entry = ledger.line.get(fact.entry_id)
    if entry is None or (entry.user_id, entry.quantity) != (fact.user_id, fact.quantity):
        found("waiting-list", f"{fact.entry_id} gets an offer of other places than it waits for")


def _offer_held(ledger: EventLedger, _at: Envelope, fact: f.TicketsHeld, found: Found) -> None:
    offer = ledger.offered.get(fact.reservation_id)
    if offer is not None:
        _stops_waiting(ledger, offer.entry_id, WaitlistStatus.OFFERED, found)


def _stops_waiting(ledger: EventLedger, entry_id: EntryId, status: str, found: Found) -> None:
    entry = ledger.line.get(entry_id)
    if entry is None or entry.status != WaitlistStatus.WAITING:
        found("waiting-list", f"{entry_id} is {status}, but did not wait")
        return
    entry.status = status
    ledger.waiting -= 1


def _chore_started(ledger: EventLedger, _at: Envelope, fact: f.ChoreStarted, _found: Found) -> None:
    """Two changes at the same log time are two pieces of news, each sent once. So is a reminder that returns to an
    earlier date."""
    again = fact.cause == ledger.reminded_for
    if fact.kind == ChoreKind.REMINDER:
        ledger.reminded_for = fact.cause
    if fact.kind == ChoreKind.EVENT_CHANGED or (fact.kind == ChoreKind.REMINDER and not again):
        ledger.notified = {key for key in ledger.notified if key[:2] != (fact.kind, fact.cause)}


def _holder_notified(ledger: EventLedger, _at: Envelope, fact: f.HolderNotified, found: Found) -> None:
    key = (fact.kind, fact.cause, fact.reservation_id, fact.user_id)
    if key in ledger.notified:
        found("told-twice", f"{fact.user_id} gets {fact.kind} twice for {fact.reservation_id}")
    ledger.notified.add(key)


Fold = Callable[[EventLedger, Envelope, Any, Found], None]


def _places_were_free(ledger: EventLedger, _at: Envelope, fact: f.ReservationRejected, found: Found) -> None:
    """A request may be refused as sold out only if too few places are free, or a waiting buyer comes first."""
    if fact.reason != f.Reason.SOLD_OUT or fact.ticket_type_id not in ledger.kinds:
        return
    free = ledger.free(fact.ticket_type_id)
    if fact.quantity <= free and not any(
        one.status == WaitlistStatus.WAITING and one.ticket_type_id == fact.ticket_type_id and one.quantity <= free
        for one in ledger.line.values()
    ):
        what = f"{fact.reservation_id} asked for {fact.quantity} and was refused as sold out, but {free} are free"
        found("refused-while-free", what)


_BEFORE: dict[type[f.Fact], Fold] = {
    f.WaitlistOffered: _offered,
    f.ReservationCancelled: _no_offers,
    f.TicketsCancelled: _no_offers,
}
_FOLDS: dict[type[f.Fact], Fold] = {
    f.EventCreated: _about,
    f.EventUpdated: _about,
    f.EventPublished: _status(EventStage.PUBLISHED, EventStage.DRAFT),
    f.EventDeleted: _status(EventStage.DELETED, EventStage.DRAFT),
    f.EventCancelled: _status(EventStage.CANCELLED, EventStage.PUBLISHED),
    f.EventEnded: _status(EventStage.ENDED, EventStage.PUBLISHED),
    f.TicketTypeUpdated: _type_updated,
    f.PoolChanged: _pool,
    f.CodeAdded: _code,
    f.CodeDisabled: _code_disabled,
    f.SeatsBlocked: _blocked,
    f.SeatsUnblocked: _unblocked,
    f.StaffInvited: _invited,
    f.StaffInvitationEnded: _not_invited,
    f.StaffAdded: _staff_added,
    f.StaffRemoved: _staff_removed,
    f.TicketsHeld: _offer_held,
    f.ReservationRejected: _places_were_free,
    f.HoldWarned: _warned,
    f.HoldExtended: _extended,
    f.TicketsCancelled: _tickets_cancelled,
    f.TransferOffered: _ticket_offered,
    f.TransferEnded: _offer_ended,
    f.TicketTransferred: _transferred,
    f.CheckInAccepted: _checked_in,
    f.CheckInRefused: _check_in_refused,
    f.CheckInReversed: _check_in_reversed,
    f.WaitlistJoined: _joined,
    f.WaitlistEnded: _left,
    f.ChoreStarted: _chore_started,
    f.HolderNotified: _holder_notified,
}
