"""Explains the answer to a reservation: position, rule, free places at that time, and the positions of earlier buyers.

Pure. An explanation never identifies other buyers: they appear as positions on the log, which only say who was first.
It is made from the state before the fact, so it shows what the decision knew, not what is known now.
"""

from __future__ import annotations

import msgspec

from pipelines.history import aftermath
from pipelines.reservations.core import state as s
from pipelines.reservations.core.state import EventState, Reservation, Section
from schemas import facts as f
from schemas.commands import Command, ReserveTickets
from schemas.facts import Reason, RecordedFact
from schemas.ids import NO_RESERVATION, EventId, ReservationId, TicketTypeId, position_text
from schemas.statuses import ReservationStatus, WaitlistStatus
from schemas.times import rfc3339

POSITIONS_MAX = 20  # of other buyers: the latest before this one; further ones are counted

RULES_IN_WORDS: dict[str, str] = {
    Reason.SOLD_OUT: "fewer places are free than were asked for, at this position of the log",
    Reason.SEAT_TAKEN: "a buyer gets all named seats or none, and one of them was not free",
    Reason.SEAT_UNKNOWN: "a seat was named that the layout does not have",
    Reason.LIMIT_EXCEEDED: "one buyer's held and bought tickets may not exceed the event's limit",
    Reason.HOLDS_EXHAUSTED: "a buyer who let so many holds of the event run out unpaid has to wait for a time",
    Reason.SALES_NOT_OPEN: "log time is before the opening of sales, or the event is not published",
    Reason.SALES_CLOSED: "log time is at or after the close of sales",
    Reason.EVENT_CANCELLED: "the event was cancelled",
    Reason.EVENT_NOT_FOUND: "there was no such event at this position of the log",
    Reason.TICKET_TYPE_NOT_FOUND: "the event had no such ticket type at this position of the log",
    Reason.INVALID_QUANTITY: "the number of tickets is outside what one order may have",
    Reason.INVALID_SEATS: "the named seats contradict the quantity or the layout",
    Reason.EVENT_ENDED: "the event was over",
    Reason.CODE_INVALID: "a code works for its own ticket types, between its times and while it is enabled",
    Reason.CODE_USED_UP: "a code works for a number of orders and places, and they had been used before this position",
    Reason.ACCESS_CODE_REQUIRED: "this ticket type is sold with an access code only",
}
UNSEEN = frozenset({Reason.EVENT_NOT_FOUND, Reason.TICKET_TYPE_NOT_FOUND})
OFFERED_FIRST = "free places are offered to the waiting list first"
NAMED = "seats that were asked for by name, all of them free"
GENERAL = "general admission: as many places were free as were asked for"
TIDY = "best available: together, no single seat left alone, in the row nearest the front, nearest its middle"
TOGETHER = "best available: together, in the row nearest the front that had room"
SPLIT = "best available: nothing together was left, so the largest blocks there were"


class Other(msgspec.Struct, frozen=True):
    """A place that was taken: the position of its buyer's request ("" for an outside seller), and its status."""

    place: str
    position: str
    status: str


class FreeThen(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket type before the decision."""

    total: int
    available: int
    held: int
    sold: int
    blocked: int
    waiting: int
    longest_together: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a reservation."""

    position: str
    log_time: int
    time: str
    rules_version: int
    outcome: str
    reason: str
    detail: str
    rule: str
    ticket_type_id: TicketTypeId
    quantity: int
    seats_asked: list[str]
    seats_granted: list[str]
    free_then: FreeThen | None
    had_by: list[Other]
    had_by_more: int
    own_positions: list[str]


class Later(msgspec.Struct, frozen=True):
    """A later fact about the reservation, its reason, and the free places if they influenced it."""

    position: str
    time: str
    what: str
    reason: str
    rule: str
    free_then: FreeThen | None


class Explanation(msgspec.Struct, kw_only=True):
    """All that the log has about a reservation.

    `decisions` has a second entry if its key was used again after a day. `offer` says why the waiting list offered it.
    """

    reservation_id: ReservationId
    event_id: EventId
    decisions: list[Decision] = msgspec.field(default_factory=list)
    later: list[Later] = msgspec.field(default_factory=list)
    offer: str = ""

    def hear(self, state: EventState, recorded: RecordedFact, command: Command | None) -> None:
        """Add a fact, with the state before it. `command` is the record at its position, None when it is gone."""
        fact, at = recorded.fact, recorded.envelope
        if not about(fact, self.reservation_id):
            return
        if isinstance(fact, f.TicketsHeld | f.ReservationRejected):
            asked = command if isinstance(command, ReserveTickets) else None
            self.decisions.append(_decision(state, recorded, fact, asked, self.offer))
            return
        if isinstance(fact, f.WaitlistOffered):  # the next fact is the offered hold
            self.offer = aftermath.offered(state, fact)
        section = _section(state, fact) if aftermath.counts_what_is_free(fact) else None
        self.later.append(
            Later(
                position=position_text(at.partition, at.offset, at.index),
                time=rfc3339(at.log_time),
                what=type(fact).__name__,
                reason=str(getattr(fact, "reason", "")),
                rule=aftermath.in_words(state, recorded),
                free_then=None if section is None else _free_then(state, section),
            )
        )


def about(fact: f.Fact, reservation_id: ReservationId) -> bool:
    """Whether a fact is about this reservation."""
    return reservation_id in (getattr(fact, "reservation_id", None), getattr(fact, "subject_id", None))


def _decision(
    state: EventState,
    recorded: RecordedFact,
    fact: f.TicketsHeld | f.ReservationRejected,
    command: ReserveTickets | None,
    offered: str,
) -> Decision:
    at, section = recorded.envelope, state.sections.get(fact.ticket_type_id)
    if isinstance(fact, f.ReservationRejected) and fact.reason in UNSEEN:
        section = None  # for this buyer the section does not exist
    seats_asked = command.seats if command is not None else []
    granted = fact.seats if isinstance(fact, f.TicketsHeld) else []
    reason, detail = ("", "") if isinstance(fact, f.TicketsHeld) else (fact.reason, fact.detail)
    others, own = [], []
    if reason in (Reason.SEAT_TAKEN, Reason.SOLD_OUT) and section is not None:
        others = _others(state, section, seats_asked if reason == Reason.SEAT_TAKEN else [])
    rule = RULES_IN_WORDS.get(reason, str(reason)) if reason else _rule_of(section, granted, bool(seats_asked))
    if reason == Reason.SOLD_OUT and section is not None and fact.quantity <= section.available:
        rule = OFFERED_FIRST
    elif offered and not reason:
        rule = f"{offered}; {rule}"
    if reason == Reason.LIMIT_EXCEEDED:
        own = [_position(one) for one in _live(state) if one.user_id == fact.user_id]
    return Decision(
        position=position_text(at.partition, at.offset, at.index),
        log_time=at.log_time,
        time=rfc3339(at.log_time),
        rules_version=at.rules_version,
        outcome=ReservationStatus.REJECTED if reason else ReservationStatus.HELD,
        reason=str(reason),
        detail=detail,
        rule=rule,
        ticket_type_id=fact.ticket_type_id,
        quantity=fact.quantity,
        seats_asked=seats_asked,
        seats_granted=granted,
        free_then=None if section is None else _free_then(state, section),
        had_by=others[:POSITIONS_MAX],
        had_by_more=max(0, len(others) - POSITIONS_MAX),
        own_positions=own,
    )


def _others(state: EventState, section: Section, seats: list[str]) -> list[Other]:
    """The earlier buyers of these seats, or (without seats) of the section, as positions; the latest first."""
    others = []
    wanted = set(seats)
    for one in sorted(_live(state), key=lambda one: -one.offset):
        if one.ticket_type_id != section.ticket_type_id:
            continue
        mine = [seat for seat in one.seats if seat in wanted] if wanted else one.seats
        if mine or not wanted:
            others.append(Other(", ".join(mine) or f"{one.quantity} places", _position(one), one.status))
    if section.seating is not None:
        locked = [seat for seat in seats if seat in section.seating and section.seating.is_locked(seat)]
        others += [Other(seat, "", "another seller's") for seat in locked]
    for block in state.blocks.values():
        held_back = [seat for seat in block.seats if seat in wanted]
        if held_back and block.ticket_type_id == section.ticket_type_id:
            others.append(Other(", ".join(held_back), "", "held back by the organizer"))
    return others


def _live(state: EventState) -> list[Reservation]:
    return [one for one in state.reservations.values() if one.status in s.LIVE]


def _position(one: Reservation) -> str:
    return position_text(one.partition, one.offset)


def _section(state: EventState, fact: f.Fact) -> Section | None:
    """The ticket type that a fact about a reservation is about."""
    named = getattr(fact, "ticket_type_id", None)
    if named is None:
        reservation = state.reservations.get(getattr(fact, "reservation_id", NO_RESERVATION))
        named = None if reservation is None else reservation.ticket_type_id
    return None if named is None else state.sections.get(named)


def _free_then(state: EventState, section: Section) -> FreeThen:
    longest = section.available
    if section.seating is not None:
        longest = max((_longest_run(row) for row in section.seating.free_rows()), default=0)
    return FreeThen(
        total=section.total,
        available=section.available,
        held=section.held,
        sold=section.sold,
        blocked=sum(one.quantity for one in state.blocks.values() if one.ticket_type_id == section.ticket_type_id),
        waiting=sum(
            one.status == WaitlistStatus.WAITING and one.ticket_type_id == section.ticket_type_id
            for one in state.waitlist.values()
        ),
        longest_together=longest,
    )


def _rule_of(section: Section | None, granted: list[str], named: bool) -> str:
    """The rule that chose these seats, derived from their places among the seats that were free."""
    if section is None or section.seating is None:
        return GENERAL
    if named:
        return NAMED
    rows = {seat.rpartition("-")[0] for seat in granted}
    numbers = sorted(int(seat.rpartition("-")[2]) for seat in granted)
    if len(rows) > 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return SPLIT
    row = _row_number(rows.pop())
    left = section.seating.free_rows()[row] & ~(((1 << len(numbers)) - 1) << (numbers[0] - 1))
    beside = (numbers[0] - 2, numbers[-1])
    alone = [bit for bit in beside if bit >= 0 and left >> bit & 1 and not _neighbour(left, bit)]
    return TOGETHER if alone else TIDY


def _neighbour(row: int, bit: int) -> bool:
    return bool(row >> (bit + 1) & 1 or (bit > 0 and row >> (bit - 1) & 1))


def _row_number(label: str) -> int:
    number = 0
    for letter in label:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _longest_run(row: int) -> int:
    length = 0
    while row:
        row &= row >> 1
        length += 1
    return length
