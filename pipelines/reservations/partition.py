"""A partition in its owner's memory, and the decision of a batch. Pure: states come from outside, facts go there.

Guarantee: a batch is decided in offset order at log time, the largest record timestamp seen on the partition. The size
of batches changes no fact.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from pipelines.reservations.core import entities as s
from pipelines.reservations.core.decide import NotFolded, step
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import NOW, EventState
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec, Undecodable
from schemas.ids import US_PER_S, BlockId, EventId, LogTime, ReservationId, TicketTypeId
from schemas.placement import misplaced
from schemas.requests_in_turn import flaw_of
from schemas.statuses import ClaimStatus, ReservationStatus

HELD: Final = ClaimStatus.HELD  # a name of this module is read faster than a member
TICK_AGAIN_US = US_PER_S // 4  # after a tick that was too early by the broker's clock, another one follows
TICK_AGAIN_US_MAX = 10 * US_PER_S  # when it was early by minutes: another broker may lead by then, with another clock
TICK_LOST_US = 30 * US_PER_S  # a tick that was not read in this time is written again, so a backlog gets no flood


Claim = (
    tuple[Literal[ClaimStatus.HELD, ClaimStatus.CONFIRMED], ReservationId]
    | tuple[Literal[ClaimStatus.BLOCKED], BlockId]
)
Claims = dict[str, Claim | None]
"""Place ("ticket_type_id/seat", or "ticket_type_id/#reservation_id" for general admission) to status and reservation,
or to blocked and the block; None where a claim ends."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A command or an unreadable record, with its position on the log."""

    at: At
    key: bytes | None
    command: c.Command | Undecodable


@dataclass(slots=True)
class Group:
    """One event's commands of a batch, their facts, and the changed seat claims.

    `facts` has one list for each command. `claims` maps "ticket_type_id/seat" (general admission:
    "ticket_type_id/#reservation_id") to the claim's status and reservation, or to None if the claim ends.
    """

    state: EventState
    placed: list[Placed]
    facts: list[list[f.Fact]] = field(default_factory=list)
    claims: Claims = field(default_factory=dict)
    failures: dict[int, Exception] = field(default_factory=dict)  # by the command's place: the error of the rules

    @property
    def asks_for_seats(self) -> bool:
        """Whether foreign locks can affect this group."""
        return any(isinstance(placed.command, c.ReserveTickets | c.ReserveInTurn) for placed in self.placed)

    def decide(self, observed: set[str] | None = None) -> None:
        """Decide every command on the state before the batch. After a refusal by Redis, decide again with `observed`.

        `observed` are the foreign locks in Redis. If the log has others, the difference becomes the first fact. If a
        fact cannot be folded, all these commands are refused.
        """
        try:
            self._decide(observed)
        except NotFolded:
            self._decide(None)

    def _decide(self, observed: set[str] | None) -> None:
        state = self.state
        if state.unfolded:
            observed = None
        elif observed is None:
            state.begin()
        else:
            state.take_back()
        self.facts, self.claims, self.failures = [], {}, {}
        raised: list[Exception] = []
        first = self._observe(observed)
        for number, placed in enumerate(self.placed):
            command = placed.command
            assert not isinstance(command, Undecodable)
            facts = step(state, command, placed.at, raised)
            if first:
                facts, first = [*first, *facts], []
            if raised:
                self.failures[number] = raised[0]
                raised.clear()
            self.facts.append(facts)
            for fact in facts:
                claims = _CLAIMS.get(type(fact))
                if claims is not None:
                    claims(self.claims, fact)
                elif isinstance(fact, _CLAIMED_ANEW):
                    self._claim_anew(fact)

    def _observe(self, observed: set[str] | None) -> list[f.Fact]:
        """The fact of foreign locks that the log does not have, folded; none if it has them."""
        state = self.state
        if observed is None or observed == state.locked_places:
            return []
        locked, freed = observed - state.locked_places, state.locked_places - observed
        fact = f.SeatLocksObserved(sorted(locked), sorted(freed))
        evolve(state, fact, self.placed[0].at)
        return [fact]

    def _claim_anew(self, fact: f.HoldExtended | f.SeatsUnblocked) -> None:
        """Write a changed claim again: it has another deadline, or only a part of the block is left."""
        if isinstance(fact, f.HoldExtended):
            hold = self.state.reservations[fact.reservation_id]
            for place in places(hold.ticket_type_id, hold.id, hold.seats):
                self.claims[place] = (ClaimStatus.HELD, hold.id)
            return
        freed = places(fact.ticket_type_id, fact.block_id, fact.seats)
        if fact.seats or fact.block_id not in self.state.blocks:
            self.claims |= dict.fromkeys(freed)


@dataclass(slots=True)
class _Ticked:
    """An event's last tick: when it was written, and at which log time; the wait after it, and after a read one."""

    sent_us: int
    log_time: LogTime
    wait_us: int
    read_us: int = 0


@dataclass(slots=True)
class Partition:
    """A partition in its owner's memory: log time, the states of its events, and one heap of their deadlines."""

    number: int
    epoch: int
    log_time: LogTime
    known_events: set[EventId]
    states: dict[EventId, EventState] = field(default_factory=dict)
    of: int | None = None  # the topic's number of partitions; None if events may be on any partition
    _deadlines: list[tuple[int, EventId]] = field(default_factory=list)
    _queued: dict[EventId, int] = field(default_factory=dict)  # by event: its deadline in the heap
    _ticked: dict[EventId, _Ticked] = field(default_factory=dict)

    def advance(self, timestamp_us: int) -> LogTime:
        """Move log time to a record with this timestamp. It never goes back."""
        if timestamp_us > self.log_time:
            self.log_time = LogTime(timestamp_us)
        return self.log_time

    def read(self, codec: Codec, value: bytes | None) -> c.Command | Undecodable:
        """The command in a record of this partition, or why it cannot be decided here."""
        return command_in(codec, value, self.number, self.of)

    def watch(self, event_id: EventId, deadline: int | None) -> None:
        """Note that the event has something due at `deadline`; None changes nothing."""
        if deadline is not None and self._queued.get(event_id, deadline + 1) > deadline:
            self._queued[event_id] = deadline
            heapq.heappush(self._deadlines, (deadline, event_id))

    def due_events(self, wall_us: int, limit: int, *, steady_us: int) -> list[EventId]:
        """Events that need a tick now, at most `limit`. Not again until an event's last tick is read or lost.

        `wall_us` is the time by which something is due. `steady_us` is of a clock that is never set: it spaces ticks.
        """
        heap = self._deadlines
        due: list[EventId] = []
        later: list[tuple[int, EventId]] = []
        while heap and heap[0][0] <= wall_us and len(due) < limit:
            deadline, event_id = heapq.heappop(heap)
            if self._queued.get(event_id) != deadline:
                continue
            del self._queued[event_id]
            state = self.states.get(event_id)
            actual = deadline if state is None else state.next_deadline()
            if actual is None:
                self._ticked.pop(event_id, None)
            elif actual > wall_us:
                later.append((actual, event_id))
            else:
                later.append((actual, event_id))
                ticked = self._ticked.get(event_id)
                if ticked is None or steady_us - ticked.sent_us >= ticked.wait_us:
                    read_us = 0 if ticked is None else ticked.read_us
                    self._ticked[event_id] = _Ticked(steady_us, self.log_time, TICK_LOST_US, read_us)
                    due.append(event_id)
        for deadline, event_id in later:
            self.watch(event_id, deadline)
        return due

    def settle(self, groups: Iterable[Group]) -> None:
        """After the commit: watch the events' new deadlines, and forget events that do not exist."""
        for group in groups:
            state = group.state
            if state.details is None and not state.unfolded:
                self.states.pop(state.event_id, None)
                continue
            self.known_events.add(state.event_id)
            deadline, ticked = state.next_deadline(), self._ticked.get(state.event_id)
            if ticked is not None:
                ticked.read_us = self._wait_us(deadline, ticked)
                # If the rules raise, the work may stay due. So the next tick is as late as after a lost one.
                ticked.wait_us = TICK_LOST_US if group.failures else ticked.read_us
            self.watch(state.event_id, deadline)

    def _wait_us(self, deadline: int | None, ticked: _Ticked) -> int:
        """The wait after a tick that was read: until its event's next deadline by log time, within bounds.

        Log time stands still when another broker leads whose clock is behind the former one's: then waits grow.
        """
        if deadline is None or deadline == NOW:
            return 0
        stands_us = ticked.read_us * 2 if self.log_time == ticked.log_time else 0
        return min(max(deadline - self.log_time, stands_us, TICK_AGAIN_US), TICK_AGAIN_US_MAX)


def command_in(codec: Codec, value: bytes | None, partition: int, partitions: int | None) -> c.Command | Undecodable:
    """The command in a record of the commands topic, or why it cannot be decided on this partition of `partitions`."""
    command = codec.decode(value)
    if isinstance(command, c.Command):
        why = misplaced(command.event_id, partition, partitions) if partitions is not None else ""
        if isinstance(command, c.ReserveInTurn):
            why = why or flaw_of(command)
        return Undecodable(why) if why else command
    if isinstance(command, Undecodable):
        return command
    return Undecodable(f"a {type(command).__name__}, no command")


def grouped(placed: Iterable[Placed], states: Mapping[EventId, EventState]) -> list[Group]:
    """The readable commands by event, each event's in offset order."""
    groups: dict[EventId, Group] = {}
    for one in placed:
        command = one.command
        if isinstance(command, Undecodable):
            continue
        group = groups.get(command.event_id)
        if group is None:
            group = groups[command.event_id] = Group(states[command.event_id], [])
        group.placed.append(one)
    return list(groups.values())


_CLAIM_OF: dict[str, Literal[ClaimStatus.HELD, ClaimStatus.CONFIRMED]] = {
    ReservationStatus.HELD: ClaimStatus.HELD,
    ReservationStatus.CONFIRMED: ClaimStatus.CONFIRMED,
}


def live_claims(state: EventState) -> Claims:
    """Every live claim of an event, as `Group.claims` has them."""
    claims: Claims = {}
    for one in state.reservations.values():
        if one.status in s.LIVE:
            for place in places(one.ticket_type_id, one.id, one.seats):
                claims[place] = (_CLAIM_OF[one.status], one.id)
    for block in state.blocks.values():
        for place in places(block.ticket_type_id, block.id, block.seats):
            claims[place] = (ClaimStatus.BLOCKED, block.id)
    return claims


def places(ticket_type_id: TicketTypeId, owner: ReservationId | BlockId, seats: list[str]) -> list[str]:
    """The places that a reservation or a block claims: its seats, or one place of its own for general admission."""
    if seats:
        return [f"{ticket_type_id}/{seat}" for seat in seats]
    return [f"{ticket_type_id}/#{owner}"]


def _claim(claims: Claims, fact: f.TicketsHeld | f.HoldReacquired) -> None:
    claim: Claim = (HELD, fact.reservation_id)  # one for all its places, so that its text is made once
    for place in places(fact.ticket_type_id, fact.reservation_id, fact.seats):
        claims[place] = claim


def _sell(claims: Claims, fact: f.ReservationConfirmed) -> None:
    claim: Claim = (ClaimStatus.CONFIRMED, fact.reservation_id)
    for place in places(fact.ticket_type_id, fact.reservation_id, fact.seats):
        claims[place] = claim


def _end(claims: Claims, fact: f.HoldExpired | f.HoldReleased | f.ReservationCancelled) -> None:
    for place in places(fact.ticket_type_id, fact.reservation_id, fact.seats):
        claims[place] = None


def _some_end(claims: Claims, fact: f.TicketsCancelled) -> None:
    for seat in fact.seats:  # a general admission keeps its one place while any ticket of it is left
        claims[f"{fact.ticket_type_id}/{seat}"] = None


def _block(claims: Claims, fact: f.SeatsBlocked) -> None:
    for place in places(fact.ticket_type_id, fact.block_id, fact.seats):
        claims[place] = (ClaimStatus.BLOCKED, fact.block_id)


_CLAIMED_ANEW = (f.HoldExtended, f.SeatsUnblocked)
_CLAIMS: dict[type[f.Fact], Callable[..., None]] = {
    f.TicketsHeld: _claim,
    f.HoldReacquired: _claim,
    f.ReservationConfirmed: _sell,
    f.HoldExpired: _end,
    f.HoldReleased: _end,
    f.ReservationCancelled: _end,
    f.TicketsCancelled: _some_end,
    f.SeatsBlocked: _block,
}
