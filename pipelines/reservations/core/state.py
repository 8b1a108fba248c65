"""An event's state: reservations, seats, limits, deadlines, queues. Pure; only folded facts change it.

Guarantee: only `put` and similar methods change derived values (free seats, counters, tickets per user, uses of codes,
deadlines), so these always agree with their sources. `begin` and `take_back` bracket a batch: a journal undoes a batch
that a foreign lock has stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipelines.reservations.core.deadlines import Deadlines
from pipelines.reservations.core.entities import (
    LIVE,
    At,
    Block,
    Chore,
    Code,
    Details,
    Dispute,
    Pool,
    Refund,
    Reservation,
    Section,
    Ticket,
    Transfer,
    WaitlistEntry,
)
from pipelines.reservations.core.limits import HOLD_WARNED_MIN_S, HOLD_WARNING_S, IDEMPOTENCY_WINDOW_S
from pipelines.reservations.core.seating import Seating
from schemas.ids import US_PER_S, LogTime
from schemas.statuses import DisputeStatus, EventStage, ReservationStatus, WaitlistStatus

__all__ = ["LIVE", "At", "Details", "EventState", "Reservation", "Section"]

# Names of this module are read faster than members, and some of this runs for each fact.
HELD, REJECTED, EXPIRED = ReservationStatus.HELD, ReservationStatus.REJECTED, ReservationStatus.EXPIRED
PUBLISHED, WAITING = EventStage.PUBLISHED, WaitlistStatus.WAITING
NOW = 0
"""The deadline of started work that must go on."""
_WARNING_US, _WARNED_MIN_US = HOLD_WARNING_S * US_PER_S, HOLD_WARNED_MIN_S * US_PER_S

V = TypeVar("V")
Undo = Callable[[], None]


@dataclass(slots=True)
class EventState:
    """One event. `details` is None until it is created.

    - `tickets`: tickets that were handed on or scanned. All others are as their reservation says.
    - `transfers`: the open offers by ticket. `invitations`: by member, until when they may accept.
    - `freed_blocks`: the ids of blocks that hold no places any more. `releases`: the ids of requests that freed places,
      so that a repeated request is recognised.
    - `unpaid_of`: holds that ran out or had a card declined, by user, and by the mailbox that several users may share.
    - `more_work`: asks for a tick, because the last step may not have offered all free places. It decides nothing.
    - `unfolded`: names a fact that could not be folded, and the reason. The state is wrong after that, so nothing is
      decided on it.
    """

    event_id: str
    details: Details | None = None
    status: EventStage = EventStage.DRAFT
    sections: dict[str, Section] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    tickets_of: dict[str, int] = field(default_factory=dict)
    unpaid_of: dict[str | int, dict[str, None]] = field(default_factory=dict)
    locked_places: set[str] = field(default_factory=set)
    pools: dict[str, Pool] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)  # by code: its live orders
    places_used: dict[str, int] = field(default_factory=dict)  # by code: places of those orders
    blocks: dict[str, Block] = field(default_factory=dict)
    freed_blocks: dict[str, bool] = field(default_factory=dict)
    releases: dict[str, bool] = field(default_factory=dict)
    staff: dict[str, bool] = field(default_factory=dict)
    schedule: list[str] = field(default_factory=list)
    waitlist: dict[str, WaitlistEntry] = field(default_factory=dict)
    waiting_of: dict[tuple[str, str], str] = field(default_factory=dict)
    tickets: dict[str, Ticket] = field(default_factory=dict)
    refunds: dict[str, tuple[Refund, ...]] = field(default_factory=dict)  # by reservation, in the order of their keys
    disputes: dict[str, tuple[Dispute, ...]] = field(default_factory=dict)  # by reservation, in the order of their ids
    chores: dict[str, Chore] = field(default_factory=dict)
    transfers: dict[str, Transfer] = field(default_factory=dict)
    invitations: dict[str, int] = field(default_factory=dict)
    reminded_for: int = 0
    live: int = 0
    more_work: bool = False
    unfolded: str = ""
    holds: Deadlines = field(init=False)
    warnings: Deadlines = field(init=False)
    timed_blocks: Deadlines = field(init=False)
    offer_ends: Deadlines = field(init=False)
    _per_type: dict[str, dict[str, int]] = field(default_factory=dict)
    _journal: list[tuple[str, Reservation | None] | Undo] | None = None
    _before: tuple[Details | None, EventStage, frozenset[str], frozenset[str], list[str], int] | None = None

    def __post_init__(self) -> None:
        self.holds = Deadlines(self._held_until, self._ends)
        self.warnings = Deadlines(self._to_be_warned, self._warnings)
        self.timed_blocks = Deadlines(self._blocked_until, self._block_ends)
        self.offer_ends = Deadlines(self._offered_until, self._offers_end)

    # --- reservations ---------------------------------------------------------------------------------------------

    def known(self, reservation_id: str, now: LogTime) -> Reservation | None:
        """The reservation; None if it was rejected so long ago that its key may be used again."""
        found = self.reservations.get(reservation_id)
        if found is None or found.status != REJECTED or now - found.asked_at <= IDEMPOTENCY_WINDOW_S * US_PER_S:
            return found
        return None

    def put(self, new: Reservation) -> None:
        """Set the reservation's state, and all values derived from it."""
        reservations, key = self.reservations, new.id
        old = reservations.get(key)
        if self._journal is not None:
            self._journal.append((key, old))
        if old is None:
            if new.status in LIVE:
                self._enter(new)
        elif (
            old.status != new.status
            or old.quantity != new.quantity
            or old.expires_at != new.expires_at
            or old.warned != new.warned
        ):  # no value is derived from the other fields, or they never change
            self._shift(old, new)
        reservations[key] = new
        if new.declined or new.status == EXPIRED or (old is not None and (old.declined or old.status == EXPIRED)):
            self._note_unpaid(new, new)

    def tickets_of_type(self, section: Section, user_id: str) -> int:
        """How many places of a ticket type the user holds or has bought."""
        type_id = section.ticket_type_id
        counts = self._per_type.get(type_id)
        if counts is None:
            counts = self._per_type[type_id] = {}
            for one in self.reservations.values():
                if one.status in LIVE and one.ticket_type_id == type_id:
                    counts[one.user_id] = counts.get(one.user_id, 0) + one.quantity
        return counts.get(user_id, 0)

    def holder_of(self, reservation: Reservation, ticket_id: str) -> str:
        """The ticket's current holder."""
        ticket = self.tickets.get(ticket_id)
        return reservation.user_id if ticket is None else ticket.user_id

    def used_up(self, code: Code, quantity: int) -> str:
        """Why a code has too little left for `quantity` places, as text to follow its name; "" if it has enough."""
        if code.uses_max and self.uses.get(code.code, 0) >= code.uses_max:
            return "has been used by others"
        left = code.places_max - self.places_used.get(code.code, 0)
        if code.places_max and quantity > left:
            return f"has room for {max(0, left)} more, {quantity} are asked"
        return ""

    def disputed(self, reservation_id: str) -> bool:
        """Whether its payment is disputed: the bank has withdrawn the money, and the dispute is not decided."""
        disputes = self.disputes.get(reservation_id)
        return disputes is not None and any(one.status == DisputeStatus.OPEN for one in disputes)

    # --- a batch, and back ----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a batch: `take_back` returns to this point. An earlier point is forgotten."""
        self._journal = []
        places = frozenset(self.locked_places)
        self._before = (self.details, self.status, frozenset(self.sections), places, self.schedule, self.reminded_for)

    def take_back(self) -> None:
        """Undo everything since `begin`, newest first, and begin again."""
        assert self._journal is not None, "take_back without begin"
        assert self._before is not None, "take_back without begin"
        journal, self._journal = self._journal, None
        for entry in reversed(journal):
            if not isinstance(entry, tuple):
                entry()
                continue
            reservation_id, old = entry
            now = self.reservations[reservation_id]
            self._shift(now, old)
            self._note_unpaid(now, old)
            if old is None:
                del self.reservations[reservation_id]
            else:
                self.reservations[reservation_id] = old
        self.details, self.status, sections, places, self.schedule, self.reminded_for = self._before
        for place in self.locked_places - places:
            self.unlock_place(place)
        for place in places - self.locked_places:
            self.lock_place(place)
        self.sections = {key: section for key, section in self.sections.items() if key in sections}
        self.holds.drop_stale()
        self.warnings.drop_stale()
        self._journal = []

    def keep(self) -> None:
        """Keep all changes: they cannot be taken back any more. Until `begin`, no undo is recorded."""
        self._journal = self._before = None

    def change(self, table: dict[str, V], key: str, new: V | None) -> V | None:
        """Set an entry of one of the state's tables, or remove it with None. Returns the former entry."""
        old = table.get(key)
        self.remember(lambda: _set(table, key, old))
        _set(table, key, new)
        return old

    def remember(self, undo: Undo) -> None:
        """Record how to undo the current change."""
        if self._journal is not None:
            self._journal.append(undo)

    # --- places that are locked or blocked ------------------------------------------------------------------------

    def lock_place(self, place: str) -> None:
        """A foreign owner's lock was observed on "ticket_type_id/seat". Places that do not exist are remembered too."""
        self.locked_places.add(place)
        section, seat = self._seat(place)
        if section is not None:
            section.lock(seat)

    def unlock_place(self, place: str) -> None:
        """The foreign owner's lock is gone."""
        self.locked_places.discard(place)
        section, seat = self._seat(place)
        if section is not None:
            section.unlock(seat)

    def put_block(self, new: Block | None, block_id: str) -> None:
        """Set the block's state; None ends it."""
        old = self.blocks.get(block_id)
        self.remember(lambda: self._swap_block(block_id, old))
        self._swap_block(block_id, new)

    def _swap_block(self, block_id: str, new: Block | None) -> None:
        old = self.blocks.get(block_id)
        for block, sign in ((old, -1), (new, 1)):
            if block is None:
                continue
            section = self.sections[block.ticket_type_id]
            section.blocked += sign * block.quantity
            if section.seating is None:
                continue
            if sign > 0:
                section.seating.block(block.seats)
            else:
                section.seating.unblock(block.seats)
        _set(self.blocks, block_id, new)
        if new is not None and new.until_at:
            self.timed_blocks.add(new.until_at, block_id)
        self.timed_blocks.drop_stale()

    # --- offers of tickets ----------------------------------------------------------------------------------------

    def put_offer(self, ticket_id: str, new: Transfer | None) -> None:
        """Set the ticket's open offer; None ends it."""
        old = self.transfers.get(ticket_id)
        self.remember(lambda: self.put_offer(ticket_id, old))
        _set(self.transfers, ticket_id, new)
        if new is not None:
            self.offer_ends.add(new.expires_at, ticket_id)
        self.offer_ends.drop_stale()

    # --- the waiting list -----------------------------------------------------------------------------------------

    def put_entry(self, new: WaitlistEntry) -> None:
        """Set the waiting entry's state."""
        old = self.waitlist.get(new.id)
        self.remember(lambda: self._swap_entry(new.id, old))
        self._swap_entry(new.id, new)

    def _swap_entry(self, entry_id: str, new: WaitlistEntry | None) -> None:
        old = self.waitlist.get(entry_id)
        if old is not None and old.status == WAITING:
            self.waiting_of.pop((old.ticket_type_id, old.user_id), None)
            self.sections[old.ticket_type_id].waiters -= 1
        if new is not None and new.status == WAITING:
            self.waiting_of[new.ticket_type_id, new.user_id] = entry_id
            section = self.sections[new.ticket_type_id]
            section.waiting.add((new.offset, entry_id), new.quantity)
            section.waiters += 1
        _set(self.waitlist, entry_id, new)

    def is_waiting(self, entry_id: str) -> bool:
        """Whether the entry still waits for an offer."""
        entry = self.waitlist.get(entry_id)
        return entry is not None and entry.status == WAITING

    def dismantle(self) -> None:
        """Prepare for disposal: the deadlines refer to the state, so without them its last reference frees it."""
        del self.holds, self.warnings, self.timed_blocks, self.offer_ends

    # --- what is due ----------------------------------------------------------------------------------------------

    def next_deadline(self) -> int | None:
        """The next deadline, in log time (0: at once); None if nothing is due."""
        if self.unfolded:
            return None
        if self.more_work or self.pressing:
            return NOW
        heaps = self.holds, self.warnings, self.timed_blocks, self.offer_ends
        found = [time for heap in heaps if (time := heap.next()) is not None]
        if self.status == PUBLISHED and self.details is not None:
            found.append(self.details.ends_at)
            if self.details.reminder_at != self.reminded_for:
                found.append(self.details.reminder_at)
        return min(found) if found else None

    def due(self, now: LogTime, limit: int) -> list[Reservation]:
        """Holds whose deadline is reached, earliest first, at most `limit`. Looks only at what is due."""
        return [self.reservations[key] for key in self.holds.due(now, limit)]

    def drop_deadlines(self, reservation_id: str) -> None:
        """The hold has ended, or was extended or warned: drop its former deadlines."""
        if self.holds.asked:
            self.holds.ended(reservation_id)
        if self.warnings.asked:
            self.warnings.ended(reservation_id)

    @property
    def pressing(self) -> bool:
        """Whether started work must go on: messages to ticket holders, or the undoing of a cancelled event."""
        if self.chores:
            return True
        over = self.status in (EventStage.CANCELLED, EventStage.ENDED)
        return over and (bool(self.waiting_of) or (self.live > 0 and self.status == EventStage.CANCELLED))

    def _ends(self) -> Iterator[tuple[int, str]]:
        return ((one.expires_at, key) for key, one in self.reservations.items() if one.status == HELD)

    def _warnings(self) -> Iterator[tuple[int, str]]:
        for key, one in self.reservations.items():
            if one.status == HELD and _is_to_be_warned(one):
                yield one.expires_at - _WARNING_US, key

    def _block_ends(self) -> Iterator[tuple[int, str]]:
        return ((one.until_at, key) for key, one in self.blocks.items() if one.until_at)

    def _offers_end(self) -> Iterator[tuple[int, str]]:
        return ((one.expires_at, key) for key, one in self.transfers.items())

    def _offered_until(self, time: int, key: str) -> bool:
        found = self.transfers.get(key)
        return found is not None and found.expires_at == time

    def _held_until(self, time: int, key: str) -> bool:
        found = self.reservations.get(key)
        return found is not None and found.status == HELD and found.expires_at == time

    def _to_be_warned(self, time: int, key: str) -> bool:
        found = self.reservations.get(key)
        if found is None or found.status != HELD or found.warned:
            return False
        return found.expires_at - _WARNING_US == time

    def _blocked_until(self, time: int, key: str) -> bool:
        found = self.blocks.get(key)
        return found is not None and found.until_at == time

    def unpaid(self, user_id: str, mailbox: int, since: LogTime) -> tuple[list[int], int]:
        """The times at which holds ran out after `since` (earliest first), and the number of cards declined since then.

        Counts the user's holds, and those of the other users of the mailbox (0: not known). A declined card counts if
        its hold was asked for after `since`.
        """
        keys = self.unpaid_of.get(user_id, {}) | self.unpaid_of.get(mailbox, {})
        found = [self.reservations[key] for key in keys]
        ends = sorted(one.expires_at for one in found if one.status == EXPIRED and one.expires_at > since)
        return ends, sum(len(one.declined) for one in found if one.asked_at > since)

    # --- derivations ----------------------------------------------------------------------------------------------

    def _note_unpaid(self, of: Reservation, now: Reservation | None) -> None:
        """Add a reservation to the unpaid ones of its user and mailbox, or remove it."""
        for owner in (of.user_id, of.mailbox) if of.mailbox else (of.user_id,):
            keys = self.unpaid_of.get(owner)
            if now is not None and (now.declined or now.status == EXPIRED):
                if keys is None:
                    keys = self.unpaid_of[owner] = {}
                keys[of.id] = None
            elif keys is not None:
                keys.pop(of.id, None)
                if not keys:
                    del self.unpaid_of[owner]

    def _seat(self, place: str) -> tuple[Seating | None, str]:
        ticket_type_id, _, seat = place.partition("/")
        section = self.sections.get(ticket_type_id)
        seating = section.seating if section is not None else None
        return (seating, seat) if seating is not None and seat in seating else (None, seat)

    def _shift(self, old: Reservation | None, new: Reservation | None) -> None:
        """Apply a reservation's change to seats, counters, tickets per user, uses of codes and deadlines."""
        was = old if old is not None and old.status in LIVE else None
        now = new if new is not None and new.status in LIVE else None
        if was is None:  # one rejected long ago may name a type that never existed
            if now is not None:
                self._enter(now)
        elif now is None:
            self._leave(was)
        else:
            self._alter(was, now)

    def _enter(self, now: Reservation) -> None:
        section = self.sections[now.ticket_type_id]
        if now.status == HELD:
            section.held += now.quantity
            if self.holds.asked:
                self.holds.add(now.expires_at, now.id)
            if self.warnings.asked and _is_to_be_warned(now):
                self.warnings.add(now.expires_at - _WARNING_US, now.id)
        else:
            section.sold += now.quantity
        if section.seating is not None:
            section.seating.claim(now.seats)
        self.live += 1
        if now.promo_code or now.access_code:
            self._use(now, 1, now.quantity)
        self._tally(section, now, now.quantity)

    def _leave(self, was: Reservation) -> None:
        section = self.sections[was.ticket_type_id]
        if was.status == HELD:
            section.held -= was.quantity
        else:
            section.sold -= was.quantity
        if section.seating is not None:
            section.seating.release(was.seats)
        self.live -= 1
        if was.promo_code or was.access_code:
            self._use(was, -1, -was.quantity)
        self._tally(section, was, -was.quantity)

    def _alter(self, was: Reservation, now: Reservation) -> None:
        section = self.sections[was.ticket_type_id]
        if was.status == HELD:
            section.held -= was.quantity
        else:
            section.sold -= was.quantity
        if now.status == HELD:
            section.held += now.quantity
            self._watch(was, now)
        else:
            section.sold += now.quantity
        if was.quantity != now.quantity:  # tickets were cancelled singly, or this is undone
            if section.seating is not None:
                section.seating.release([seat for seat in was.seats if seat not in now.seats])
                section.seating.claim([seat for seat in now.seats if seat not in was.seats])
            self._tally(section, now, now.quantity - was.quantity)
            self._use(now, 0, now.quantity - was.quantity)

    def _tally(self, section: Section, of: Reservation, change: int) -> None:
        if section.pool is not None:
            section.pool.used += change
        _count(self.tickets_of, of.user_id, change)
        counts = self._per_type.get(of.ticket_type_id) if self._per_type else None
        if counts is not None:
            _count(counts, of.user_id, change)

    def _watch(self, was: Reservation, now: Reservation) -> None:
        """Set the deadlines of a changed or restored hold."""
        moved = was.status != HELD or was.expires_at != now.expires_at
        if moved:
            self.holds.add(now.expires_at, now.id)
        if (moved or was.warned) and _is_to_be_warned(now):
            self.warnings.add(now.expires_at - _WARNING_US, now.id)

    def _use(self, of: Reservation, orders: int, places: int) -> None:
        for code in (of.promo_code, of.access_code):
            if code:
                _count(self.uses, code, orders)
                _count(self.places_used, code, places)


def _is_to_be_warned(hold: Reservation) -> bool:
    """Whether its buyer is warned before it ends. Very short holds get no warning."""
    return not hold.warned and hold.expires_at - hold.asked_at >= _WARNED_MIN_US


def _count(counts: dict[str, int], key: str, change: int) -> None:
    count = counts.get(key, 0) + change
    if count:
        counts[key] = count
    else:
        counts.pop(key, None)


def _set(table: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
