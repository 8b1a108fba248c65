"""Decides a drop again under other rules: who would have won, and what would have been sold. Pure.

The same `step` decides both worlds, from the same commands at the same log times. The log does not say how people would
act under other rules. So the program makes assumptions, and the report names them:
* no buyer asks again, asks for less, or stays away because of the other rules;
* of the buyers who get places only in the other world, the share `newcomers_pay` pays at once (default: the share on
  the log). A digest of the reservation's id chooses them. The others let their hold run out;
* a payment that exists only in the other world is captured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec

from pipelines.history.seat_map import SectionMap, seat_map
from pipelines.reservations.core import state as s
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import At, EventState
from schemas import commands as c
from schemas import facts as f
from schemas.ids import (
    NOBODY,
    AttemptId,
    CommandId,
    EventId,
    LogTime,
    PaymentId,
    ReservationId,
    SubjectId,
    TicketTypeId,
    UserId,
)
from schemas.requests_in_turn import in_turn, requests_of
from schemas.statuses import ChargeOutcome, LayoutKind, ReservationStatus

EVENT_RULES = ("max_tickets_per_user", "hold_ttl_s", "sales_open_at", "sales_close_at")
SEATED_RULES, GENERAL_RULES = ("rows", "seats_per_row", "price_minor"), ("capacity", "price_minor")
RULES_THAT_CAN_CHANGE = tuple(dict.fromkeys((*EVENT_RULES, *SEATED_RULES, *GENERAL_RULES)))
NAMED_MAX = 100  # pseudonyms in a report
ASSUMPTIONS = [
    "no buyer asks again, asks for less, or stays away because of the other rules",
    "a payment that only the other world asks for is captured",
]


class BadRule(ValueError):
    """This rule cannot have this value, or cannot be changed."""


class ReplayedCommand(msgspec.Struct, frozen=True, gc=False):
    """One of the event's commands at its position, with the foreign locks observed there."""

    offset: int
    log_time: int
    command: c.Command
    locks: f.SeatLocksObserved | None = None


@dataclass(frozen=True, kw_only=True)
class OtherRules:
    """The differences of the other world."""

    values: Mapping[str, int] = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in self.values:
            if name not in RULES_THAT_CAN_CHANGE:
                raise BadRule(f"{name} is no rule that can be changed; these can: {', '.join(RULES_THAT_CAN_CHANGE)}")

    def applied(self, command: c.Command) -> c.Command | None:
        """The command in the other world; None when its user does not take part there."""
        if isinstance(command, c.ReserveInTurn):
            left = [one for one in requests_of(command) if one.user_id not in self.excluded]
            return in_turn(command.event_id, command.command_id, left) if left else None
        if command.user_id in self.excluded and isinstance(
            command, c.ReserveTickets | c.ConfirmReservation | c.ReleaseReservation
        ):
            return None
        if isinstance(command, c.CreateEvent):
            return msgspec.structs.replace(command, **self._those(EVENT_RULES))
        if isinstance(command, c.UpdateEvent):
            return msgspec.structs.replace(command, **dict.fromkeys(self._those(EVENT_RULES)))
        if isinstance(command, c.AddTicketType):
            rules = SEATED_RULES if command.kind == LayoutKind.SEATED else GENERAL_RULES
            return msgspec.structs.replace(command, **self._those(rules))
        return command

    def _those(self, names: Iterable[str]) -> dict[str, int]:
        return {name: self.values[name] for name in names if name in self.values}


class WorldOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One world at the end of the log. Money is in minor units, by currency."""

    asked: int
    buyers_asking: int
    granted: int
    buyers_served: int
    places: int
    places_sold: int
    places_held: int
    places_free: int
    singles_left_alone: int
    sold_minor: dict[str, int]
    refused: dict[str, int]
    holds_expired: int
    holds_released: int
    cancelled: int


class WorldDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The first NAMED_MAX buyers, by pseudonym, who have places in only one world."""

    would_have_won: int
    would_have_lost: int
    winners: list[str]
    losers: list[str]


class WhatIfReport(msgspec.Struct, frozen=True, kw_only=True):
    """Both worlds and their differences."""

    event_id: EventId
    title: str
    rules: dict[str, int]
    excluded_users: int
    newcomers_pay: float
    assumptions: list[str]
    as_it_was: WorldOutcome
    what_if: WorldOutcome
    difference: WorldDifference


UNSENT = CommandId("")
"""The id of a command that is on no log."""


class World:
    """One world: the event's state under some rules, and a tally."""

    def __init__(
        self,
        event_id: EventId,
        rules: OtherRules | None = None,
        *,
        as_it_was: World | None = None,
        newcomers_pay: float = 0,
    ) -> None:
        self.state = EventState(event_id)
        self.granted: set[str] = set()
        self.charged: set[int] = set()  # offsets of commands whose payment was requested
        self._rules, self._as_it_was, self._newcomers_pay = rules or OtherRules(), as_it_was, newcomers_pay
        self._tally: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._asking: set[str] = set()

    def read(self, asked: ReplayedCommand) -> None:
        """Decide one command. Raises BadRule when the other rules make the event itself impossible."""
        command = self._rules.applied(asked.command)
        at = At(0, asked.offset, LogTime(asked.log_time))
        if asked.locks is not None:
            evolve(self.state, asked.locks if self._as_it_was is None else self._possible(asked.locks), at)
        if command is None:
            return
        facts = self._step(self._as_charged_here(command), at)
        if isinstance(command, c.CreateEvent | c.AddTicketType | c.UpdateEvent) and self._rules.values:
            for fact in facts:
                if isinstance(fact, f.CommandRefused) and fact.reason in (
                    f.Reason.INVALID_SCHEDULE,
                    f.Reason.INVALID_TICKET_TYPE,
                ):
                    raise BadRule(fact.detail)
        if self._as_it_was is None:
            return
        for fact in facts:
            if isinstance(fact, f.PaymentRequested) and asked.offset not in self._as_it_was.charged:
                self._capture(fact, at)
            elif isinstance(fact, f.TicketsHeld) and fact.reservation_id not in self._as_it_was.granted:
                self._newcomer(fact, at)

    def end(self, log_time: int) -> None:
        """End the world at this log time: what is due by then runs out."""
        at = At(0, -1, LogTime(log_time))
        while self.state.due(at.log_time, 1):
            self._step(c.Tick(self.state.event_id, NOBODY, UNSENT), at)

    @property
    def served(self) -> set[UserId]:
        """The users with places at the end."""
        return {one.user_id for one in self.state.reservations.values() if one.status in s.LIVE}

    @property
    def share_paid(self) -> float:
        """The paid share of the granted reservations."""
        return self._tally["ReservationConfirmed"] / max(1, len(self.granted))

    def outcome(self) -> WorldOutcome:
        """The tally."""
        sections = self.state.sections.values()
        money: Counter[str] = Counter()
        for one in self.state.reservations.values():
            if one.status == ReservationStatus.CONFIRMED:
                money[one.currency] += one.amount_minor
        return WorldOutcome(
            asked=self._tally["ReserveTickets"],
            buyers_asking=len(self._asking),
            granted=len(self.granted),
            buyers_served=len(self.served),
            places=sum(section.total for section in sections),
            places_sold=sum(section.sold for section in sections),
            places_held=sum(section.held for section in sections),
            places_free=sum(section.available for section in sections),
            singles_left_alone=sum(
                singles(row) for one in sections if one.seating is not None for row in one.seating.free_rows()
            ),
            sold_minor=dict(sorted(money.items())),
            refused=dict(self._refused.most_common()),
            holds_expired=self._tally["HoldExpired"],
            holds_released=self._tally["HoldReleased"],
            cancelled=self._tally["ReservationCancelled"],
        )

    def sections(self) -> list[SectionMap]:
        """The seats at the end."""
        return seat_map(self.state, None).sections

    def _step(self, command: c.Command, at: At) -> list[f.Fact]:
        facts = step(self.state, command, at)
        if isinstance(command, c.ReserveTickets) and not isinstance(facts[-1], f.CommandDuplicated):
            self._asked([command])
        elif isinstance(command, c.ReserveInTurn):
            self._asked(_asked_first(command, facts))
        for fact in facts:
            self._tally[type(fact).__name__] += 1
            if isinstance(fact, f.TicketsHeld):
                self.granted.add(fact.reservation_id)
            elif isinstance(fact, f.ReservationRejected | f.ConfirmationRefused):
                self._refused[str(fact.reason)] += 1
            elif isinstance(fact, f.PaymentRequested):
                self.charged.add(at.offset)
        return facts

    def _asked(self, requests: list[c.ReserveTickets]) -> None:
        self._tally["ReserveTickets"] += len(requests)
        self._asking.update(one.user_id for one in requests)

    def _as_charged_here(self, command: c.Command) -> c.Command:
        """A payment with the right amount on the log has the right amount here, at any price here."""
        if self._as_it_was is None or not isinstance(command, c.RecordPayment):
            return command
        here = self.state.reservations.get(command.reservation_id)
        there = self._as_it_was.state.reservations.get(command.reservation_id)
        if here is None or there is None or command.payment_id != there.payment_id:
            return command
        return msgspec.structs.replace(command, amount_minor=here.amount_minor, currency=here.currency)

    def _newcomer(self, held: f.TicketsHeld, at: At) -> None:
        if share_of(held.reservation_id) >= self._newcomers_pay:
            return
        event, user, attempt = self.state.event_id, held.user_id, AttemptId("what-if")
        confirm = c.ConfirmReservation(
            event_id=event,
            user_id=user,
            command_id=UNSENT,
            reservation_id=held.reservation_id,
            attempt_id=attempt,
            payment_token="what-if",  # noqa: S106 — no secret: nothing is charged
        )
        for fact in self._step(confirm, at):
            if isinstance(fact, f.PaymentRequested):
                self._capture(fact, at)

    def _capture(self, asked: f.PaymentRequested, at: At) -> None:
        paid = c.RecordPayment(
            event_id=self.state.event_id,
            user_id=NOBODY,
            command_id=UNSENT,
            reservation_id=asked.reservation_id,
            attempt_id=asked.attempt_id,
            payment_id=PaymentId(f"what-if/{asked.attempt_id}"),
            outcome=ChargeOutcome.CAPTURED,
            reason="",
            amount_minor=asked.amount_minor,
        )
        self._step(paid, at)

    def _possible(self, locks: f.SeatLocksObserved) -> f.SeatLocksObserved:
        """The foreign locks that are possible in this world: none on a seat that a buyer has here."""
        locked = []
        for place in locks.locked:
            ticket_type_id, _, seat = place.partition("/")
            section = self.state.sections.get(TicketTypeId(ticket_type_id))
            if (
                section is None
                or section.seating is None
                or seat not in section.seating
                or section.seating.is_free(seat)
            ):
                locked.append(place)
        return f.SeatLocksObserved(locked, locks.freed)


def _asked_first(command: c.ReserveInTurn, facts: list[f.Fact]) -> list[c.ReserveTickets]:
    """The requests that are no repetitions. A repetition comes after the request that it repeats."""
    repeated = Counter(fact.subject_id for fact in facts if isinstance(fact, f.CommandDuplicated))
    first = []
    for request in reversed(requests_of(command)):
        if repeated[SubjectId(request.reservation_id)]:
            repeated[SubjectId(request.reservation_id)] -= 1
        else:
            first.append(request)
    return first


def report(as_it_was: World, what_if: World, *, rules: OtherRules, newcomers_pay: float) -> WhatIfReport:
    """Both worlds, compared."""
    before, after = as_it_was.served, what_if.served
    event_id = as_it_was.state.event_id
    winners = sorted(pseudonym(user, event_id) for user in after - before)
    losers = sorted(pseudonym(user, event_id) for user in before - after)
    details = as_it_was.state.details
    share = f"{newcomers_pay:.0%} of those granted only in the other world pay, at once"
    return WhatIfReport(
        event_id=event_id,
        title=details.title if details is not None else "",
        rules=dict(rules.values),
        excluded_users=len(rules.excluded),
        newcomers_pay=round(newcomers_pay, 4),
        assumptions=[*ASSUMPTIONS, share],
        as_it_was=as_it_was.outcome(),
        what_if=what_if.outcome(),
        difference=WorldDifference(
            would_have_won=len(winners),
            would_have_lost=len(losers),
            winners=winners[:NAMED_MAX],
            losers=losers[:NAMED_MAX],
        ),
    )


def pseudonym(user_id: UserId, event_id: EventId) -> str:
    """A buyer's pseudonym: the same in all reports on this event, another one for other events."""
    key = blake2b(event_id.encode(), digest_size=32).digest()
    return "buyer-" + blake2b(user_id.encode(), digest_size=5, key=key).hexdigest()


def share_of(reservation_id: ReservationId) -> float:
    """A number from 0 to 1 that belongs to a reservation."""
    return int.from_bytes(blake2b(reservation_id.encode(), digest_size=8).digest(), "big") / 2**64


def singles(row: int) -> int:
    """The number of free seats of a row without a free neighbour."""
    return (row & ~(row << 1) & ~(row >> 1)).bit_count()
