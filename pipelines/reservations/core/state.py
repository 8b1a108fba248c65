"""An event's state: its terms, reservations, locks, blocks, offers, queues. Pure; only folded facts change it.

Guarantee: only `put_block`, `put_offer` and `put_entry` change values derived from them, so these always agree with
their sources; `EventReservations` has the same guarantee for reservations. `begin` and `take_back` bracket a batch: a
journal undoes a batch that a foreign lock has stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

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
from pipelines.reservations.core.event_reservations import EventReservations, set_entry
from pipelines.reservations.core.seats import Seating
from schemas.ids import BlockId, EntryId, PoolId, ReleaseId, ReservationId, TicketId, TicketTypeId, UserId
from schemas.statuses import DisputeStatus, EventStage, WaitlistStatus

__all__ = ["LIVE", "At", "Details", "EventState", "Reservation", "Section"]

# Names of this module are read faster than members, and some of this runs for each fact.
PUBLISHED, WAITING = EventStage.PUBLISHED, WaitlistStatus.WAITING
NOW = 0
"""The deadline of started work that must go on."""


@dataclass(slots=True)
class EventState(EventReservations):
    """One event. `details` is None until it is created.

    - `tickets`: tickets that were handed on or scanned. All others are as their reservation says.
    - `transfers`: the open offers by ticket. `invitations`: by member, until when they may accept.
    - `freed_blocks`: the ids of blocks that hold no places any more. `releases`: the ids of requests that freed places,
      so that a repeated request is recognised.
    - `refunds`, `disputes`: by reservation, in the order of their keys and ids.
    - `more_work`: asks for a tick, because the last step may not have offered all free places. It decides nothing.
    - `unfolded`: names a fact that could not be folded, and the reason. The state is wrong after that, so nothing is
      decided on it.
    """

    details: Details | None = None
    status: EventStage = EventStage.DRAFT
    locked_places: set[str] = field(default_factory=set)
    pools: dict[PoolId, Pool] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    blocks: dict[BlockId, Block] = field(default_factory=dict)
    freed_blocks: dict[BlockId, bool] = field(default_factory=dict)
    releases: dict[ReleaseId, bool] = field(default_factory=dict)
    staff: dict[UserId, bool] = field(default_factory=dict)
    schedule: list[str] = field(default_factory=list)
    waitlist: dict[EntryId, WaitlistEntry] = field(default_factory=dict)
    waiting_of: dict[tuple[TicketTypeId, UserId], EntryId] = field(default_factory=dict)
    tickets: dict[TicketId, Ticket] = field(default_factory=dict)
    refunds: dict[ReservationId, tuple[Refund, ...]] = field(default_factory=dict)
    disputes: dict[ReservationId, tuple[Dispute, ...]] = field(default_factory=dict)
    chores: dict[str, Chore] = field(default_factory=dict)
    transfers: dict[TicketId, Transfer] = field(default_factory=dict)
    invitations: dict[UserId, int] = field(default_factory=dict)
    reminded_for: int = 0
    more_work: bool = False
    unfolded: str = ""
    timed_blocks: Deadlines[BlockId] = field(init=False)
    offer_ends: Deadlines[TicketId] = field(init=False)
    _before: tuple[Details | None, EventStage, frozenset[TicketTypeId], frozenset[str], list[str], int] | None = None

    def __post_init__(self) -> None:
        EventReservations.__post_init__(self)  # `slots` makes the class again, and super() knows only the first one
        self.timed_blocks = Deadlines(self._blocked_until, self._block_ends)
        self.offer_ends = Deadlines(self._offered_until, self._offers_end)

    # --- reservations ---------------------------------------------------------------------------------------------

    def holder_of(self, reservation: Reservation, ticket_id: TicketId) -> UserId:
        """The ticket's current holder."""
        ticket = self.tickets.get(ticket_id)
        return reservation.user_id if ticket is None else ticket.user_id

    def disputed(self, reservation_id: ReservationId) -> bool:
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

    def put_block(self, new: Block | None, block_id: BlockId) -> None:
        """Set the block's state; None ends it."""
        old = self.blocks.get(block_id)
        self.remember(lambda: self._swap_block(block_id, old))
        self._swap_block(block_id, new)

    def _swap_block(self, block_id: BlockId, new: Block | None) -> None:
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
        set_entry(self.blocks, block_id, new)
        if new is not None and new.until_at:
            self.timed_blocks.add(new.until_at, block_id)
        self.timed_blocks.drop_stale()

    # --- offers of tickets ----------------------------------------------------------------------------------------

    def put_offer(self, ticket_id: TicketId, new: Transfer | None) -> None:
        """Set the ticket's open offer; None ends it."""
        old = self.transfers.get(ticket_id)
        self.remember(lambda: self.put_offer(ticket_id, old))
        set_entry(self.transfers, ticket_id, new)
        if new is not None:
            self.offer_ends.add(new.expires_at, ticket_id)
        self.offer_ends.drop_stale()

    # --- the waiting list -----------------------------------------------------------------------------------------

    def put_entry(self, new: WaitlistEntry) -> None:
        """Set the waiting entry's state."""
        old = self.waitlist.get(new.id)
        self.remember(lambda: self._swap_entry(new.id, old))
        self._swap_entry(new.id, new)

    def _swap_entry(self, entry_id: EntryId, new: WaitlistEntry | None) -> None:
        old = self.waitlist.get(entry_id)
        if old is not None and old.status == WAITING:
            self.waiting_of.pop((old.ticket_type_id, old.user_id), None)
            self.sections[old.ticket_type_id].waiters -= 1
        if new is not None and new.status == WAITING:
            self.waiting_of[new.ticket_type_id, new.user_id] = entry_id
            section = self.sections[new.ticket_type_id]
            section.waiting.add((new.offset, entry_id), new.quantity)
            section.waiters += 1
        set_entry(self.waitlist, entry_id, new)

    def is_waiting(self, entry_id: EntryId) -> bool:
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
        if self.more_work or self.chores or (self.status != PUBLISHED and self.pressing):
            return NOW
        earliest: int | None = None
        details = self.details
        if self.status == PUBLISHED and details is not None:
            earliest = details.ends_at
            if details.reminder_at != self.reminded_for and details.reminder_at < earliest:
                earliest = details.reminder_at
        for heap in (self.holds, self.warnings, self.timed_blocks, self.offer_ends):
            time = heap.first if heap.asked else heap.next()
            if time is not None and (earliest is None or time < earliest):
                earliest = time
        return earliest

    @property
    def pressing(self) -> bool:
        """Whether started work must go on: messages to ticket holders, or the undoing of a cancelled event."""
        if self.chores:
            return True
        over = self.status in (EventStage.CANCELLED, EventStage.ENDED)
        return over and (bool(self.waiting_of) or (self.live > 0 and self.status == EventStage.CANCELLED))

    def _block_ends(self) -> Iterator[tuple[int, BlockId]]:
        return ((one.until_at, key) for key, one in self.blocks.items() if one.until_at)

    def _offers_end(self) -> Iterator[tuple[int, TicketId]]:
        return ((one.expires_at, key) for key, one in self.transfers.items())

    def _offered_until(self, time: int, key: TicketId) -> bool:
        found = self.transfers.get(key)
        return found is not None and found.expires_at == time

    def _blocked_until(self, time: int, key: BlockId) -> bool:
        found = self.blocks.get(key)
        return found is not None and found.until_at == time

    def _seat(self, place: str) -> tuple[Seating | None, str]:
        ticket_type_id, _, seat = place.partition("/")
        section = self.sections.get(TicketTypeId(ticket_type_id))
        seating = section.seating if section is not None else None
        return (seating, seat) if seating is not None and seat in seating else (None, seat)
