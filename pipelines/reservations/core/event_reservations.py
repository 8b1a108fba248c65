"""The reservations of an event and all values derived from them. Pure; only folded facts change them.

Guarantee: only `put` changes the derived values (free seats, counters, tickets per user, uses of codes, deadlines), so
these always agree with the reservations. While a journal is kept, each change records how to undo it.

A status is always a member of `ReservationStatus`, so this module compares them by identity, in half the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from pipelines.reservations.core.deadlines import Deadlines
from pipelines.reservations.core.entities import LIVE, Code, Reservation, Section
from pipelines.reservations.core.limits import HOLD_WARNED_MIN_S, HOLD_WARNING_S, IDEMPOTENCY_WINDOW_S
from schemas.ids import US_PER_S, EventId, LogTime, ReservationId, TicketTypeId, UserId
from schemas.statuses import ReservationStatus

# Names of this module are read faster than members, and some of this runs for each fact.
HELD, CONFIRMED = ReservationStatus.HELD, ReservationStatus.CONFIRMED
REJECTED, EXPIRED = ReservationStatus.REJECTED, ReservationStatus.EXPIRED
_WARNING_US, _WARNED_MIN_US = HOLD_WARNING_S * US_PER_S, HOLD_WARNED_MIN_S * US_PER_S

K = TypeVar("K", bound=str)
V = TypeVar("V")
Undo = Callable[[], None]


@dataclass(slots=True)
class EventReservations:
    """An event's reservations, and the sections that they take places of.

    - `unpaid_of`: holds that ran out or had a card declined, by user, and by the mailbox that several users may share.
    """

    event_id: EventId
    sections: dict[TicketTypeId, Section] = field(default_factory=dict)
    reservations: dict[ReservationId, Reservation] = field(default_factory=dict)
    tickets_of: dict[UserId, int] = field(default_factory=dict)
    unpaid_of: dict[UserId | int, dict[ReservationId, None]] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)  # by code: its live orders
    places_used: dict[str, int] = field(default_factory=dict)  # by code: places of those orders
    live: int = 0
    holds: Deadlines[ReservationId] = field(init=False)
    warnings: Deadlines[ReservationId] = field(init=False)
    _per_type: dict[TicketTypeId, dict[UserId, int]] = field(default_factory=dict)
    _journal: list[tuple[ReservationId, Reservation | None] | Undo] | None = None

    def __post_init__(self) -> None:
        self.holds = Deadlines(self._held_until, self._ends)
        self.warnings = Deadlines(self._to_be_warned, self._warnings)

    # --- reservations -------------------------------------------------------------------------------------------------

    def known(self, reservation_id: ReservationId, now: LogTime) -> Reservation | None:
        """The reservation; None if it was rejected so long ago that its key may be used again."""
        found = self.reservations.get(reservation_id)
        if found is None or found.status is not REJECTED or now - found.asked_at <= IDEMPOTENCY_WINDOW_S * US_PER_S:
            return found
        return None

    def put(self, new: Reservation) -> None:
        """Set the reservation's state, and all values derived from it."""
        reservations, key, status = self.reservations, new.id, new.status
        old = reservations.get(key)
        if self._journal is not None:
            self._journal.append((key, old))
        if old is None:
            if status is HELD or status is CONFIRMED:
                self._enter(new)
            unpaid = status is EXPIRED or new.declined
        else:
            before = old.status
            if (
                before is not status
                or old.quantity != new.quantity
                or old.expires_at != new.expires_at
                or old.warned != new.warned
            ):  # no value is derived from the other fields, or they never change
                self._shift(old, new)
            unpaid = status is EXPIRED or before is EXPIRED or new.declined or old.declined
        reservations[key] = new
        if unpaid:
            self._note_unpaid(new, new)

    def tickets_of_type(self, section: Section, user_id: UserId) -> int:
        """How many places of a ticket type the user holds or has bought."""
        type_id = section.ticket_type_id
        counts = self._per_type.get(type_id)
        if counts is None:
            counts = self._per_type[type_id] = {}
            for one in self.reservations.values():
                if one.status in LIVE and one.ticket_type_id == type_id:
                    counts[one.user_id] = counts.get(one.user_id, 0) + one.quantity
        return counts.get(user_id, 0)

    def used_up(self, code: Code, quantity: int) -> str:
        """Why a code has too little left for `quantity` places, as text to follow its name; "" if it has enough."""
        if code.uses_max and self.uses.get(code.code, 0) >= code.uses_max:
            return "has been used by others"
        left = code.places_max - self.places_used.get(code.code, 0)
        if code.places_max and quantity > left:
            return f"has room for {max(0, left)} more, {quantity} are asked"
        return ""

    def unpaid(self, user_id: UserId, mailbox: int, since: LogTime) -> tuple[list[int], int]:
        """The times at which holds ran out after `since` (earliest first), and the number of cards declined since then.

        Counts the user's holds, and those of the other users of the mailbox (0: not known). A declined card counts if
        its hold was asked for after `since`.
        """
        keys = self.unpaid_of.get(user_id, {}) | self.unpaid_of.get(mailbox, {})
        found = [self.reservations[key] for key in keys]
        ends = sorted(one.expires_at for one in found if one.status is EXPIRED and one.expires_at > since)
        return ends, sum(len(one.declined) for one in found if one.asked_at > since)

    def due(self, now: LogTime, limit: int) -> list[Reservation]:
        """Holds whose deadline is reached, earliest first, at most `limit`. Looks only at what is due."""
        return [self.reservations[key] for key in self.holds.due(now, limit)]

    def drop_deadlines(self, reservation_id: ReservationId) -> None:
        """The hold has ended, or was extended or warned: drop its former deadlines."""
        if self.holds.asked:
            self.holds.ended(reservation_id)
        if self.warnings.asked:
            self.warnings.ended(reservation_id)

    # --- changes that can be undone -----------------------------------------------------------------------------------

    def remember(self, undo: Undo) -> None:
        """Record how to undo the current change."""
        if self._journal is not None:
            self._journal.append(undo)

    def change(self, table: dict[K, V], key: K, new: V | None) -> V | None:
        """Set an entry of one of the state's tables, or remove it with None. Returns the former entry."""
        old = table.get(key)
        self.remember(lambda: set_entry(table, key, old))
        set_entry(table, key, new)
        return old

    # --- derivations --------------------------------------------------------------------------------------------------

    def _note_unpaid(self, of: Reservation, now: Reservation | None) -> None:
        """Add a reservation to the unpaid ones of its user and mailbox, or remove it."""
        for owner in (of.user_id, of.mailbox) if of.mailbox else (of.user_id,):
            keys = self.unpaid_of.get(owner)
            if now is not None and (now.declined or now.status is EXPIRED):
                if keys is None:
                    keys = self.unpaid_of[owner] = {}
                keys[of.id] = None
            elif keys is not None:
                keys.pop(of.id, None)
                if not keys:
                    del self.unpaid_of[owner]

    def _shift(self, old: Reservation | None, new: Reservation | None) -> None:
        """Apply a reservation's change to seats, counters, tickets per user, uses of codes and deadlines."""
        was = old if old is not None and (old.status is HELD or old.status is CONFIRMED) else None
        now = new if new is not None and (new.status is HELD or new.status is CONFIRMED) else None
        if was is None:  # one rejected long ago may name a type that never existed
            if now is not None:
                self._enter(now)
        elif now is None:
            self._leave(was)
        else:
            self._alter(was, now)

    def _enter(self, now: Reservation) -> None:
        section = self.sections[now.ticket_type_id]
        if now.status is HELD:
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
        if was.status is HELD:
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
        if was.status is HELD:
            section.held -= was.quantity
        else:
            section.sold -= was.quantity
        if now.status is HELD:
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
        user_id, tickets_of = of.user_id, self.tickets_of
        count = tickets_of.get(user_id, 0) + change
        if count:
            tickets_of[user_id] = count
        else:
            tickets_of.pop(user_id, None)
        if self._per_type:
            counts = self._per_type.get(of.ticket_type_id)
            if counts is not None:
                _count(counts, user_id, change)

    def _watch(self, was: Reservation, now: Reservation) -> None:
        """Set the deadlines of a changed or restored hold."""
        moved = was.status is not HELD or was.expires_at != now.expires_at
        if moved:
            self.holds.add(now.expires_at, now.id)
        if (moved or was.warned) and _is_to_be_warned(now):
            self.warnings.add(now.expires_at - _WARNING_US, now.id)

    def _use(self, of: Reservation, orders: int, places: int) -> None:
        for code in (of.promo_code, of.access_code):
            if code:
                _count(self.uses, code, orders)
                _count(self.places_used, code, places)

    # --- deadlines ----------------------------------------------------------------------------------------------------

    def _ends(self) -> Iterator[tuple[int, ReservationId]]:
        return ((one.expires_at, key) for key, one in self.reservations.items() if one.status is HELD)

    def _warnings(self) -> Iterator[tuple[int, ReservationId]]:
        for key, one in self.reservations.items():
            if one.status is HELD and _is_to_be_warned(one):
                yield one.expires_at - _WARNING_US, key

    def _held_until(self, time: int, key: ReservationId) -> bool:
        found = self.reservations.get(key)
        return found is not None and found.status is HELD and found.expires_at == time

    def _to_be_warned(self, time: int, key: ReservationId) -> bool:
        found = self.reservations.get(key)
        if found is None or found.status is not HELD or found.warned:
            return False
        return found.expires_at - _WARNING_US == time


def _is_to_be_warned(hold: Reservation) -> bool:
    """Whether its buyer is warned before it ends. Very short holds get no warning."""
    return not hold.warned and hold.expires_at - hold.asked_at >= _WARNED_MIN_US


def _count(counts: dict[K, int], key: K, change: int) -> None:
    count = counts.get(key, 0) + change
    if count:
        counts[key] = count
    else:
        counts.pop(key, None)


def set_entry(table: dict[K, V], key: K, value: V | None) -> None:
    """Set the entry of a table; None takes it away."""
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
