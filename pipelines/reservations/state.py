"""The state of one event: what its facts add up to. Pure; changed only by `evolve`.

Everything that can be derived (free seats, counters, tickets per user, deadlines) is derived in one place,
`EventState.put`, from the change of one reservation, so it cannot disagree with the reservations. The same place
keeps the journal by which a batch that a foreign lock turned down is taken back.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from pipelines.reservations.limits import IDEMPOTENCY_WINDOW_S
from pipelines.reservations.seating import Seating
from schemas.ids import US_PER_S, LogTime

SEATED, GENERAL = "seated", "general"
DRAFT, PUBLISHED, CANCELLED_EVENT = "draft", "published", "cancelled"
HELD, CONFIRMED, REJECTED = "held", "confirmed", "rejected"
EXPIRED, RELEASED, CANCELLED = "expired", "released", "cancelled"
LIVE = frozenset({HELD, CONFIRMED})

NOT_PAID, REQUESTED, DECLINED, CAPTURED = "", "requested", "declined", "captured"
REFUND_REQUESTED, REFUNDED = "refund-requested", "refunded"


class At(NamedTuple):
    """Where and when something was decided."""

    partition: int
    offset: int
    log_time: LogTime


class Details(msgspec.Struct, frozen=True, gc=False):
    """An event as its organizer describes it. Times in microseconds; a sales bound of 0 is no bound."""

    organizer_id: str
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


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """A buyer's claim and what became of it. partition, offset and asked_at are where and when it was asked for."""

    id: str
    user_id: str
    ticket_type_id: str
    status: str
    quantity: int
    seats: list[str]
    amount_minor: int
    currency: str
    expires_at: int
    fingerprint: int
    partition: int
    offset: int
    asked_at: int
    reason: str = ""
    detail: str = ""
    attempt_id: str = ""
    payment_token: str = ""
    payment: str = NOT_PAID
    payment_id: str = ""


@dataclass(slots=True)
class Section:
    """One ticket type: what it costs, when it is sold, and what of it is held and sold."""

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
    seating: Seating | None = None
    held: int = 0
    sold: int = 0

    @property
    def total(self) -> int:
        return self.capacity if self.seating is None else self.rows * self.seats_per_row

    @property
    def available(self) -> int:
        return self.capacity - self.held - self.sold if self.seating is None else self.seating.free


@dataclass(slots=True)
class EventState:
    """One event. `details` is None while nobody has created it."""

    event_id: str
    details: Details | None = None
    status: str = DRAFT
    sections: dict[str, Section] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    tickets_of: dict[str, int] = field(default_factory=dict)
    locked_places: set[str] = field(default_factory=set)
    _deadlines: list[tuple[int, str]] = field(default_factory=list)
    _journal: list[tuple[str, Reservation | None]] | None = None
    _before: tuple[Details | None, str, frozenset[str], frozenset[str]] | None = None

    def known(self, reservation_id: str, now: LogTime) -> Reservation | None:
        """The reservation, unless it was rejected so long ago that its key may be used anew."""
        found = self.reservations.get(reservation_id)
        if found is None or found.status != REJECTED or now - found.asked_at <= IDEMPOTENCY_WINDOW_S * US_PER_S:
            return found
        return None

    def put(self, new: Reservation) -> None:
        """Make this the reservation's state, and everything derived with it."""
        old = self.reservations.get(new.id)
        if self._journal is not None:
            self._journal.append((new.id, old))
        self._shift(old, new)
        self.reservations[new.id] = new

    def begin(self) -> None:
        """A batch starts here: `take_back` returns to this point. The former point is forgotten."""
        self._journal = []
        places = frozenset(self.locked_places)
        self._before = (self.details, self.status, frozenset(self.sections), places)

    def take_back(self) -> None:
        """Undo everything since `begin`, newest first, and begin again."""
        assert self._journal is not None, "take_back without begin"
        assert self._before is not None, "take_back without begin"
        for reservation_id, old in reversed(self._journal):
            self._shift(self.reservations[reservation_id], old)
            if old is None:
                del self.reservations[reservation_id]
            else:
                self.reservations[reservation_id] = old
        self.details, self.status, sections, places = self._before
        for place in self.locked_places - places:
            self.unlock_place(place)
        for place in places - self.locked_places:
            self.lock_place(place)
        self.sections = {key: section for key, section in self.sections.items() if key in sections}
        self._journal = []

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

    def next_deadline(self) -> int | None:
        """When the next hold ends, in log time; None when nothing is held."""
        return self._deadlines[0][0] if self._deadlines else None

    def due(self, now: LogTime, limit: int) -> list[Reservation]:
        """Holds whose deadline is reached, earliest first, at most `limit`. Looks only at what is due."""
        heap = self._deadlines
        if not heap or heap[0][0] > now:
            return []
        found: dict[str, Reservation] = {}
        frontier = [(heap[0], 0)]
        while frontier and len(found) < limit:
            (deadline, reservation_id), place = heapq.heappop(frontier)
            reservation = self.reservations.get(reservation_id)
            if reservation is not None and reservation.status == HELD and reservation.expires_at == deadline:
                found[reservation_id] = reservation
            for child in (2 * place + 1, 2 * place + 2):
                if child < len(heap) and heap[child][0] <= now:
                    heapq.heappush(frontier, (heap[child], child))
        return list(found.values())

    def _seat(self, place: str) -> tuple[Seating | None, str]:
        ticket_type_id, _, seat = place.partition("/")
        section = self.sections.get(ticket_type_id)
        seating = section.seating if section is not None else None
        return (seating, seat) if seating is not None and seat in seating else (None, seat)

    def _shift(self, old: Reservation | None, new: Reservation | None) -> None:
        """Carry a reservation's change over to seats, counters, tickets per user and deadlines."""
        was_live = old is not None and old.status in LIVE
        is_live = new is not None and new.status in LIVE
        if not was_live and not is_live:
            return
        one = old if old is not None else new
        assert one is not None
        section = self.sections[one.ticket_type_id]
        if old is not None and was_live:
            if old.status == HELD:
                section.held -= old.quantity
            else:
                section.sold -= old.quantity
            if not is_live:
                if section.seating is not None:
                    section.seating.release(old.seats)
                self._count(old.user_id, -old.quantity)
        if new is not None and is_live:
            if not was_live:
                if section.seating is not None:
                    section.seating.claim(new.seats)
                self._count(new.user_id, new.quantity)
            if new.status == HELD:
                section.held += new.quantity
                if old is None or old.status != HELD or old.expires_at != new.expires_at:
                    heapq.heappush(self._deadlines, (new.expires_at, new.id))
            else:
                section.sold += new.quantity

    def _count(self, user_id: str, change: int) -> None:
        count = self.tickets_of.get(user_id, 0) + change
        if count:
            self.tickets_of[user_id] = count
        else:
            del self.tickets_of[user_id]

    def drop_stale_deadlines(self) -> None:
        """Let go of deadlines at the top of the heap whose holds have ended otherwise."""
        heap = self._deadlines
        while heap:
            deadline, reservation_id = heap[0]
            reservation = self.reservations.get(reservation_id)
            if reservation is not None and reservation.status == HELD and reservation.expires_at == deadline:
                return
            heapq.heappop(heap)
