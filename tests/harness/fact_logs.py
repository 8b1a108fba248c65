"""Logs of facts as the reservations dataflow would write them, made from random commands, for readers of facts.

Seeded: the same seed gives the same facts. `FactLog` keeps the states of the facts, to compare rows with them.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.reservations.core.decide import step
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import At, EventState
from schemas import commands as c
from schemas import facts as f
from schemas.facts import RULES_VERSION, Envelope, RecordedFact
from schemas.ids import US_PER_S, CommandId, EventId, LogTime
from schemas.recorded_facts import envelopes
from schemas.requests_in_turn import in_turn
from tests.harness import words


def recorded(
    fact: f.Fact, *, offset: int, index: int = 0, count: int = 1, partition: int = 0, event: str = words.EVENT
) -> RecordedFact:
    """A fact at a place on the log."""
    return RecordedFact(
        Envelope(
            event_id=event,
            partition=partition,
            offset=offset,
            index=index,
            count=count,
            log_time=words.T + offset,
            rules_version=RULES_VERSION,
        ),
        fact,
    )


def recorded_at(at: At, event_id: str, facts: Sequence[f.Fact], *, partition: int | None = None) -> list[RecordedFact]:
    """The facts of one command as a worker records them, on the command's partition or on another."""
    numbered = envelopes(
        len(facts),
        event_id=event_id,
        partition=at.partition if partition is None else partition,
        offset=at.offset,
        log_time=at.log_time,
        rules_version=RULES_VERSION,
    )
    return [RecordedFact(envelope, fact) for envelope, fact in zip(numbered, facts, strict=True)]


def log_of(*commands: list[f.Fact] | f.Fact, partition: int = 0, first: int = 0) -> list[RecordedFact]:
    """The facts of commands at offsets `first`, `first` + 1 …: one fact each, or a list of them."""
    facts = []
    for offset, decided in enumerate(commands, first):
        of_command = decided if isinstance(decided, list) else [decided]
        facts += [
            recorded(fact, offset=offset, index=index, count=len(of_command), partition=partition)
            for index, fact in enumerate(of_command)
        ]
    return facts


@dataclass
class FactLog:
    """One partition's commands decided one after the other, with requests in turn among them if asked for."""

    partition: int
    seed: int
    events: int = 3
    in_turn: bool = False
    offset: int = 0
    now: int = words.T
    states: dict[str, EventState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(f"{self.seed}/{self.partition}")
        self._ids = [self._id() for _ in range(self.events)]
        self._users = [self._id() for _ in range(12)]
        self._reservations: list[tuple[str, str, str]] = []

    def take(self, commands: int) -> list[RecordedFact]:
        """The facts of the next `commands` commands."""
        return [fact for _ in range(commands) for fact in self._decide(self._command())]

    def _decide(self, command: c.Command) -> list[RecordedFact]:
        self.now += self._random.choice([0, 1, 1_000, 2 * US_PER_S, 15 * US_PER_S])
        at = At(self.partition, self.offset, LogTime(self.now))
        state = self.states.setdefault(command.event_id, EventState(command.event_id))
        facts: list[f.Fact] = []
        if self._random.random() < 0.03:
            facts.append(self._locks(state))
            evolve(state, facts[0], at)
        facts += step(state, command, at)
        self.offset += 1
        return recorded_at(at, command.event_id, facts)

    def _command(self) -> c.Command:
        choose, event = self._random.choice, self._random.choice(self._ids)
        state = self.states.get(event)
        if state is None or state.details is None:
            return c.CreateEvent(event, words.ORGANIZER, self._id(), **words.DETAILS | {"title": f"N\x00o {event}"})
        if len(state.sections) < 2:
            if not state.sections:
                return c.AddTicketType(event, words.ORGANIZER, self._id(), "seated", **words.LAYOUT)
            hall = {"kind": "general", "rows": 0, "seats_per_row": 0, "capacity": 30}
            return c.AddTicketType(event, words.ORGANIZER, self._id(), "general", **words.LAYOUT | hall)
        if state.status != "published":
            return c.PublishEvent(event, words.ORGANIZER, self._id())
        if self.in_turn and self._random.random() < 0.1:
            return self._requests_in_turn(event)
        if not self._reservations or self._random.random() < 0.45:
            user, key = choose(self._users), self._random.choice([self._id(), "again"])
            reservation = str(uuid.uuid5(uuid.UUID(user), event + key))
            self._reservations.append((event, user, reservation))
            seats = [f"A-{self._random.randint(1, 6)}"] if self._random.random() < 0.3 else []
            kind = "seated" if seats else choose(["seated", "general"])
            quantity = len(seats) or self._random.randint(1, 4)
            return c.ReserveTickets(
                event_id=event,
                user_id=user,
                command_id=self._id(),
                reservation_id=reservation,
                ticket_type_id=kind,
                quantity=quantity,
                seats=seats,
                fingerprint=quantity,
            )
        event, user, reservation = choose(self._reservations[-40:])
        found = self.states[event].reservations.get(reservation)
        if found is not None and found.payment == "requested":
            outcome = choose(["captured", "captured", "declined"])
            payment = "pay-" + found.attempt_id if outcome == "captured" else ""
            return c.RecordPayment(
                event_id=event,
                user_id="",
                command_id=self._id(),
                reservation_id=reservation,
                attempt_id=found.attempt_id,
                payment_id=payment,
                outcome=outcome,
                reason="no funds",
                amount_minor=found.amount_minor,
            )
        if found is not None and found.payment == "refund-requested":
            return c.RecordRefund(
                event_id=event,
                user_id="",
                command_id=self._id(),
                reservation_id=reservation,
                payment_id=found.payment_id,
                refund_id="ref",
                amount_minor=found.amount_minor,
            )
        if found is not None and found.status == "held" and self._random.random() < 0.6:
            return c.ConfirmReservation(
                event_id=event,
                user_id=user,
                command_id=self._id(),
                reservation_id=reservation,
                attempt_id=self._id(),
                payment_token="tok_ok",
            )
        rest: list[c.Command] = [
            c.ReleaseReservation(event, user, self._id(), reservation),
            c.ConfirmReservation(
                event_id=event,
                user_id=user,
                command_id=self._id(),
                reservation_id=reservation,
                attempt_id=self._id(),
                payment_token="tok_ok",
            ),
            c.UpdateEvent(event, words.ORGANIZER, self._id(), description=self._id()),
            c.Tick(event, "", self._id()),
        ]
        return choose(rest)

    def _requests_in_turn(self, event: str) -> c.ReserveInTurn:
        """Several buyers' requests in one record, the same key twice among them now and then."""
        requests = []
        for _ in range(self._random.randint(2, 6)):
            user, key = self._random.choice(self._users), self._random.choice([self._id(), "again"])
            reservation = str(uuid.uuid5(uuid.UUID(user), event + key))
            self._reservations.append((event, user, reservation))
            quantity = self._random.randint(1, 3)
            requests.append(
                c.ReserveTickets(
                    event_id=event,
                    user_id=user,
                    command_id=self._id(),
                    reservation_id=reservation,
                    ticket_type_id=self._random.choice(["seated", "general"]),
                    quantity=quantity,
                    seats=[],
                    fingerprint=quantity,
                )
            )
        return in_turn(EventId(event), CommandId(self._id()), requests)

    def _locks(self, state: EventState) -> f.SeatLocksObserved:
        places = {f"seated/C-{self._random.randint(1, 6)}"}
        return f.SeatLocksObserved(sorted(places - state.locked_places), sorted(places & state.locked_places))

    def _id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
