"""A seeded partition with all kinds of events, run through the real core, watched by the model.

One `Simulation` is one partition's log: `run(operations)` makes records (duplicates, forged, unreadable, late and early
ones among them), reads them in batches cut at random, lets foreign locks change during decisions, drops states and
rebuilds them from facts or from rows, and checks every fact against the model.
"""

from __future__ import annotations

import random
import uuid
from collections import deque
from hashlib import blake2b
from typing import Any

import msgspec

from pipelines.reservations.batch import Batch
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.digest import canonical
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import At, EventState
from pipelines.reservations.outgoing import RawRecord
from pipelines.reservations.partition import Partition
from pipelines.reservations.snapshot import state_from
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec, Undecodable
from schemas.ids import LogTime
from schemas.notifications import Notification
from schemas.requests_in_turn import in_turn, is_plain, requests_of
from tests.harness.fact_logs import recorded_at
from tests.harness.seating_model import best_available
from tests.simulation.model import Expected, Model
from tests.simulation.rows import Rows

START_MS = 1_800_000_000_000
EVENTS_AT_ONCE = 5
EVENT_LIFE = 2_500  # about so many commands until a new event replaces one
BUYERS = 150
AFTER_ALL = 9 * 10**15  # µs: an event that begins when the simulation is over


class Simulation:
    """See the module."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.codec = Codec()
        self.partition = Partition(0, 1, LogTime(0), set())
        self.models: dict[str, Model] = {}
        self.rows = Rows()
        self.history: dict[str, list[tuple[f.Fact, At]]] = {}
        self.foreign: dict[str, set[str]] = {}
        self.log: list[tuple[int, bytes]] = []
        self.observed: dict[int, f.SeatLocksObserved] = {}
        self.counts: dict[str, int] = {}
        self._facts = blake2b(digest_size=16)
        self._clock_ms = START_MS
        self._alive: list[str] = []
        self._age: dict[str, int] = {}
        self._answers: deque[c.Command] = deque()
        self._recent: deque[bytes] = deque(maxlen=400)
        self._holds: dict[str, deque[tuple[str, str]]] = {}
        self._next_id = 0
        self._misplaced = self.codec.encode(
            Notification(
                user_id="u",
                event_id="e",
                reservation_id="r",
                partition=0,
                offset=0,
                index=0,
                kind="k",
                channel="c",
                template="t",
                created_at=0,
                data="{}",
            )
        )

    # --- running --------------------------------------------------------------------------------------------------

    def run(self, operations: int) -> None:
        """Read `operations` commands."""
        while len(self.log) < operations:
            size = self.rng.choice((1, 1, 2, 3, 7, 20, 60, 150))
            start = len(self.log)
            records = [self._record() for _ in range(min(size, operations - start))]
            self.log += records
            raw = [
                RawRecord(partition=0, offset=start + number, timestamp_ms=stamp, key=b"key", value=value, headers=None)
                for number, (stamp, value) in enumerate(records)
            ]
            self._batch(raw)
            if self.rng.random() < 0.005:
                self._reload()

    @property
    def digest(self) -> bytes:
        """Of the bytes of every fact, in the order of the log."""
        return self._facts.digest()

    def _batch(self, raw: list[RawRecord]) -> None:
        batch = Batch(raw)
        if self.rng.random() < 0.006:  # the batch is decided, never committed, and read again by a new owner
            before = self.partition.log_time
            batch.place(self.codec, {0: self.partition})
            batch.decide(self._states_of(batch))
            for group in batch.groups:
                self.partition.states.pop(group.state.event_id)
            self.partition.log_time = before
            self._load({group.state.event_id for group in batch.groups})
            batch = Batch(raw)
        batch.place(self.codec, {0: self.partition})
        batch.decide(self._states_of(batch))
        self._guard(batch)
        self._check(batch)
        for encoded in batch.encoded(self.codec):
            self._facts.update(encoded.value)
        batch.settle({0: self.partition})

    def _guard(self, batch: Batch) -> None:
        """The work of the seat locks: an event with other foreign locks than its state's is decided again."""
        for group in batch.groups:
            state = group.state
            if state.details is None:
                continue
            tries = self.rng.choice((0, 0, 0, 0, 0, 0, 0, 1, 2))
            for _ in range(tries):
                self._foreign_owner_acts(state)
            foreign = self.foreign.setdefault(state.event_id, set())
            if (group.asks_for_seats or group.claims) and foreign != state.locked_places:
                group.decide(set(foreign))

    def _foreign_owner_acts(self, state: EventState) -> None:
        """Take or free places as `circle locks` may: never a place with a committed claim."""
        foreign, model = self.foreign.setdefault(state.event_id, set()), self.models.get(state.event_id, Model())
        if foreign and self.rng.random() < 0.5:
            foreign.discard(self.rng.choice(sorted(foreign)))
            return
        kind = model.kinds.get("seated")
        if kind is not None and len(foreign) < 8:
            seat = f"{self.rng.choice('ABCDEF')}-{self.rng.randint(1, 9)}"
            if seat not in kind.taken:
                foreign.add(f"seated/{seat}")

    def _states_of(self, batch: Batch) -> dict[str, EventState]:
        return {
            event_id: self.partition.states.setdefault(event_id, EventState(event_id)) for event_id in batch.events()
        }

    # --- checking -------------------------------------------------------------------------------------------------

    def _check(self, batch: Batch) -> None:
        recorded = []
        for _, placed, facts in batch.facts():
            at, command = placed.at, placed.command
            if isinstance(command, Undecodable):
                assert [type(fact) for fact in facts] == [f.CommandUnreadable]
                self._count("unreadable")
                continue
            event_id = command.event_id
            model = self.models.setdefault(event_id, Model())
            rest = facts
            if isinstance(facts[0], f.SeatLocksObserved):
                self.observed[at.offset] = facts[0]
                model.learn(facts[0], at.log_time)
                rest = facts[1:]
            for one in requests_of(command) if isinstance(command, c.ReserveInTurn) else [command]:
                expected = model.expect(one, at.log_time)
                part, rest = rest[: len(expected)], rest[len(expected) :]
                assert [told(fact) for fact in part] == expected, (at, one, part, expected)
                self._learn(model, one, part, at)
                self._react(part[-1], command)
            assert not rest, (at, command, rest)
            if isinstance(command, c.ReserveInTurn):
                self._count("in turn")
            assert model.captured - model.refunded - model.refunds_due == model.confirmed
            if model.owner:
                history = self.history.setdefault(event_id, [])
                history += [(fact, at) for fact in facts]
            recorded += recorded_at(at, event_id, facts)
        self.rows.apply(recorded)

    def _learn(self, model: Model, command: c.Command, facts: list[f.Fact], at: At) -> None:
        for fact in facts:
            if fact is facts[-1] and isinstance(fact, f.TicketsHeld) and isinstance(command, c.ReserveTickets):
                self._check_seats(model, command, fact)
            model.learn(fact, at.log_time)

    def _check_seats(self, model: Model, command: c.ReserveTickets, fact: f.TicketsHeld) -> None:
        """Named seats are the requested ones; some of the other choices are compared with every possible choice."""
        kind = model.kinds[fact.ticket_type_id]
        if command.seats:
            assert fact.seats == command.seats
        elif kind.seats and self.rng.random() < 0.04:
            locked = {place.partition("/")[2] for place in model.locked}
            free = set(kind.seats) - kind.taken.keys() - locked
            assert fact.seats == best_available(*kind.shape, free, fact.quantity)

    def _reload(self) -> None:
        """A new owner: the states of all events on sale are dropped and rebuilt, from facts or from rows."""
        events = {event for event in self._alive if event in self.partition.states and event in self.history}
        before = {event: canonical(self.partition.states[event]) for event in events}
        self._load(events)
        for event, wanted in before.items():
            assert canonical(self.partition.states[event]) == wanted, event
        self._count("reloads")

    def _load(self, events: set[str]) -> None:
        for event in sorted(events):
            if self.rng.random() < 0.5:
                state = state_from(self.rows.snapshot(event))
            else:
                state = EventState(event)
                for fact, at in self.history.get(event, []):
                    evolve(state, fact, at)
            self.partition.states[event] = state

    def replayed(self) -> bytes:
        """The digest of the facts when the same log is read one record at a time, without Redis."""
        codec, states, log_time = Codec(), dict[str, EventState](), 0
        digest = blake2b(digest_size=16)
        for offset, (stamp, value) in enumerate(self.log):
            log_time = max(log_time, stamp * 1_000)
            command = codec.decode(value)
            at = At(0, offset, LogTime(log_time))
            facts: list[f.Fact] = []
            event_id = ""
            if isinstance(command, c.Command):
                event_id = command.event_id
                state = states.setdefault(event_id, EventState(event_id))
                seen = self.observed.get(offset)
                if seen is not None:
                    facts = [seen]
                    evolve(state, seen, at)
                facts += step(state, command, at)
            else:
                facts = [
                    f.CommandUnreadable(command.error if isinstance(command, Undecodable) else _no_command(command))
                ]
            for recorded in recorded_at(at, event_id, facts):
                digest.update(codec.encode_fact(recorded.envelope, recorded.fact))
        return digest.digest()

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # --- making records -------------------------------------------------------------------------------------------

    def _record(self) -> tuple[int, bytes]:
        rng = self.rng
        jump = rng.random()
        if jump < 0.003:
            self._clock_ms += rng.randint(5_000, 90_000)
        elif jump < 0.00302:
            self._clock_ms += 90_000_000  # longer than the core remembers a key
        else:
            self._clock_ms += rng.randint(0, 40)
        stamp = self._clock_ms
        if jump > 0.98:
            stamp -= rng.randint(1, 30_000)  # a record with an earlier timestamp than its predecessors
        if rng.random() < 0.03 and self._recent:
            return stamp, rng.choice(self._recent)
        value = self._unreadable() if rng.random() < 0.004 else self.codec.encode(self._command())
        self._recent.append(value)
        return stamp, value

    def _unreadable(self) -> bytes:
        rng = self.rng
        good = rng.choice(self._recent) if self._recent else b"\0\0\0\0\1"
        return rng.choice(
            (b"", self._misplaced, good[:-1], good + b"x", rng.randbytes(40), b"\0\0\0\x7f\x7f" + good[5:])
        )

    def _command(self) -> c.Command:
        rng = self.rng
        if self._answers and rng.random() < 0.3:
            answer = self._answers.popleft()
            if rng.random() < 0.1:
                self._answers.append(answer)  # the provider's answer comes twice
            return answer
        if len(self._alive) < EVENTS_AT_ONCE:
            return self._organize()
        event = rng.choice(self._alive)
        self._age[event] -= 1
        if self._age[event] <= 0:
            self._retire(event)
            return c.Tick(event, "", "tick")
        if rng.random() < 0.012:
            return self._organizer(event)
        return self._buyer(event)

    def _organize(self) -> c.Command:
        """The opening of an event, one command at a time, with some orders that come too early."""
        rng = self.rng
        event = str(uuid.UUID(int=rng.getrandbits(128)))
        self._alive.append(event)
        self._age[event] = rng.randint(EVENT_LIFE // 2, EVENT_LIFE * 3 // 2)
        self._holds[event] = deque(maxlen=40)
        paid = rng.choice((0, 1_999, 5_000))
        now = self._clock_ms * 1_000
        seated = c.AddTicketType(
            event_id=event,
            user_id="owner",
            command_id="o",
            ticket_type_id="seated",
            name="Seats",
            price_minor=paid,
            currency="EUR",
            kind="seated",
            rows=rng.randint(3, 8),
            seats_per_row=rng.randint(3, 12),
            capacity=0,
            sales_open_at=0,
            sales_close_at=0,
        )
        opens, closes = (0, 0) if rng.random() < 0.7 else (now + 2_000_000, now + 30_000_000)
        floor = c.AddTicketType(
            event_id=event,
            user_id="owner",
            command_id="o",
            ticket_type_id="floor",
            name="Floor",
            price_minor=paid,
            currency="EUR",
            kind="general",
            rows=0,
            seats_per_row=0,
            capacity=rng.randint(5, 60),
            sales_open_at=opens,
            sales_close_at=closes,
        )
        self._answers.extendleft(reversed((seated, c.PublishEvent(event, "owner", "o"), floor)))
        return self._create(event, rng.choice((3, 8, 20)))

    def _create(self, event: str, ttl_s: int) -> c.CreateEvent:
        limit = self.rng.choice((4, 8, 12))
        return c.CreateEvent(
            event_id=event,
            user_id="owner",
            command_id="o",
            title="T",
            description="",
            category_id="",
            venue="",
            starts_at=AFTER_ALL,
            ends_at=AFTER_ALL + 1,
            timezone="UTC",
            sales_open_at=0,
            sales_close_at=0,
            hold_ttl_s=ttl_s,
            max_tickets_per_user=limit,
        )

    def _organizer(self, event: str) -> c.Command:
        rng = self.rng
        who = rng.choice(("owner", "owner", "stranger"))
        return rng.choice(
            (
                c.UpdateEvent(event, who, "o", max_tickets_per_user=rng.randint(1, 12)),
                c.UpdateEvent(event, who, "o", hold_ttl_s=rng.randint(0, 20)),
                c.UpdateEvent(event, who, "o", description=rng.choice("TU")),
                c.PublishEvent(event, who, "o"),
                self._create(event, 5),
                c.AddTicketType(
                    event_id=event,
                    user_id=who,
                    command_id="o",
                    ticket_type_id="seated",
                    name="again",
                    price_minor=1,
                    currency="EUR",
                    kind="general",
                    rows=0,
                    seats_per_row=0,
                    capacity=1,
                    sales_open_at=0,
                    sales_close_at=0,
                ),
            )
        )

    def _buyer(self, event: str) -> c.Command:
        rng = self.rng
        holds = self._holds[event]
        act = rng.random()
        if act < 0.68 or not holds:
            return self._reserve(event) if rng.random() < 0.97 else self._in_turn(event)
        reservation, user = holds[-1 - min(int(rng.expovariate(0.4)), len(holds) - 1)]
        if rng.random() < 0.01:
            user = "stranger"
        if act < 0.88:
            attempt = f"{reservation[:8]}-{rng.choice('1112')}"
            return c.ConfirmReservation(
                event_id=event,
                user_id=user,
                command_id="b",
                reservation_id=reservation,
                attempt_id=attempt,
                payment_token=rng.choice(("tok_ok",) * 20 + ("x",)),
            )
        if act < 0.97:
            return c.ReleaseReservation(event, user, "b", reservation)
        return c.Tick(event, "", "tick")

    def _reserve(self, event: str) -> c.ReserveTickets:
        rng = self.rng
        number = rng.randint(1, BUYERS)
        user, mailbox = f"buyer-{number}", number // 2 if number % 3 else None
        self._next_id += 1
        reservation = f"{self._next_id:08}-r"
        kind = rng.choice(("seated",) * 7 + ("floor",) * 4 + ("nothing",) * 1) if rng.random() < 0.5 else "seated"
        quantity = rng.choice((1, 2, 2, 3, 4)) if rng.random() < 0.99 else rng.choice((0, 11, -3, 10, 8))
        seats: list[str] = []
        if rng.random() < 0.2:
            row, seat = rng.choice("ABCDEFG" if rng.random() < 0.1 else "AB"), rng.randint(1, 9)
            seats = [f"{row}-{seat + step}" for step in range(max(1, min(quantity, 3)))]
            if rng.random() < 0.02:
                seats.append(seats[0])
            quantity = len(seats)
        return c.ReserveTickets(
            event_id=event,
            user_id=user,
            command_id="b",
            reservation_id=reservation,
            ticket_type_id=kind,
            quantity=quantity,
            seats=seats,
            fingerprint=self._next_id,
            mailbox=mailbox,
        )

    def _in_turn(self, event: str) -> c.Command:
        """Requests that travel together; some come twice, and some with a key that was used before."""
        rng = self.rng
        requests = [self._reserve(event) for _ in range(rng.choice((1, 2, 5, 12)))]
        requests = [one for one in requests if is_plain(one) and one.quantity >= 0]
        if not requests:
            return self._reserve(event)
        if rng.random() < 0.3:
            requests.append(rng.choice(requests))
        if rng.random() < 0.3 and self._holds[event]:
            reservation, user = rng.choice(self._holds[event])
            requests.append(msgspec.structs.replace(requests[0], reservation_id=reservation, user_id=user))
        return in_turn(event, "t", requests)

    def _react(self, fact: f.Fact, command: c.Command) -> None:
        """The payments dataflow, and buyers who remember what they hold."""
        rng, event = self.rng, command.event_id
        self._count(type(fact).__name__)
        match fact:
            case f.TicketsHeld() | f.ReservationRejected() if event in self._holds:
                if isinstance(fact, f.TicketsHeld) or rng.random() < 0.03:
                    self._holds[event].append((fact.reservation_id, fact.user_id))
            case f.PaymentRequested() if rng.random() < 0.97:
                ok = rng.random() < 0.8
                self._answers.append(
                    c.RecordPayment(
                        event_id=event,
                        user_id="",
                        command_id="p",
                        reservation_id=fact.reservation_id,
                        attempt_id=fact.attempt_id,
                        payment_id=f"pay-{fact.attempt_id}" if ok else "",
                        outcome="captured" if ok else "declined",
                        reason="" if ok else "no funds",
                        amount_minor=fact.amount_minor if ok else 0,
                    )
                )
                if rng.random() < 0.05:
                    self._answers.rotate(rng.randint(1, 5))
            case f.RefundRequested():
                self._answers.append(
                    c.RecordRefund(
                        event_id=event,
                        user_id="",
                        command_id="p",
                        reservation_id=fact.reservation_id,
                        payment_id=fact.payment_id,
                        refund_id="ref",
                        amount_minor=fact.amount_minor,
                    )
                )

    def _retire(self, event: str) -> None:
        self._alive.remove(event)
        del self._holds[event]


def told(fact: f.Fact) -> Expected:
    """A fact in the model's words."""
    name = type(fact).__name__
    if isinstance(fact, f.CommandRefused | f.CommandDuplicated):
        return name, fact.command_type, str(getattr(fact, "reason", ""))
    subject = getattr(fact, "reservation_id", "") or getattr(fact, "ticket_type_id", "")
    return name, subject, str(getattr(fact, "reason", None) or "")


def _no_command(record: Any) -> str:
    return f"a {type(record).__name__}, no command"
