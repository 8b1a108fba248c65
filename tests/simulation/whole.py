"""A partition with every feature of the platform, watched by the checker's own books.

`Town` makes commands with a seeded generator, most of them sensible for the present state, and runs them through the
real core: batches cut at random, groups decided, taken back and decided again, states dropped and folded again.
"""

from __future__ import annotations

import random
from hashlib import blake2b

from ops.proof.checker.event_ledger import EventLedger
from pipelines.reservations.batch import Group
from pipelines.reservations.core.digest import canonical
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import EventState
from pipelines.reservations.partition import Partition, Placed
from pipelines.reservations.snapshot import state_from
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.ids import US_PER_S, LogTime
from schemas.requests_in_turn import in_turn, is_plain
from schemas.statuses import ReservationStatus
from tests.harness.fact_logs import recorded_at
from tests.simulation.bank import Bank, due
from tests.simulation.rows import Rows

EVENT, OWNER = "event", "owner"
USERS = [f"user{number}" for number in range(12)]
START_US = 1_800_000_000 * US_PER_S
LENGTH_US = 2_600 * US_PER_S
CODES = ("SPRING", "TENNER", "DOOR")


class Town:
    """One event's growing log. `facts` are the decided facts; `replayed` can read `log` again."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.codec = Codec()
        self.log: list[tuple[int, c.Command]] = []
        self.facts: list[tuple[At, f.Fact]] = []
        self.ledger = EventLedger(EVENT)
        self.violations: list[str] = []
        self.state = EventState(EVENT)
        self.rows = Rows()
        self.bank = Bank(EVENT, self.rng)
        self._partition = Partition(0, 1, LogTime(START_US), set())
        self._now = START_US
        self._next = 0

    def run(self, commands: int) -> None:
        """Read commands, in batches."""
        while len(self.log) < commands:
            placed: list[Placed] = []
            for _ in range(self.rng.choice((1, 1, 2, 5, 20))):
                self._now += self.rng.choice((0, 0, 1, 1, 2, 4, 8, 30)) * US_PER_S
                command = self._command()
                self.log.append((self._now, command))
                placed.append(self._placed(len(self.log) - 1))
            self._batch(placed)
            if self.rng.random() < 0.05:
                self._reload()

    def finish(self) -> None:
        """Ticks and the bank's remaining news, until no work is left."""
        for _ in range(2_000):
            deadline = self.state.next_deadline()
            if self.bank.untold:
                command = self.bank.untold.pop()
            elif asked := due(self.state):
                command = self.bank.asked(*asked[0])
            elif deadline is None or deadline > self._now:
                return
            else:
                command = c.Tick(EVENT, "", "tick")
            self.log.append((self._now, command))
            self._batch([self._placed(len(self.log) - 1)])
        raise AssertionError("there is no end to it")

    def digest(self) -> str:
        """Of every fact's bytes."""
        return digest_of(self.codec, self.facts)

    def _placed(self, offset: int) -> Placed:
        time_us, command = self.log[offset]
        return Placed(At(0, offset, LogTime(time_us)), None, command)

    def _batch(self, placed: list[Placed]) -> None:
        group = Group(self.state, placed)
        group.decide()
        for _ in range(self.rng.choice((0, 0, 0, 1, 2))):
            before = [list(facts) for facts in group.facts]
            group.decide(set(self.state.locked_places))
            assert group.facts == before, "what was taken back is decided again as it was"
        recorded: list[RecordedFact] = []
        for one, facts in zip(placed, group.facts, strict=True):
            of_command = recorded_at(one.at, EVENT, facts)
            recorded += of_command
            for envelope, fact in ((noted.envelope, noted.fact) for noted in of_command):
                self.facts.append((one.at, fact))
                self.ledger.apply(envelope, fact, lambda rule, what: self.violations.append(f"{rule}: {what}"))
            if self.ledger.imbalance:
                self.violations.append(f"money at {one.at.offset}: {self.ledger.imbalance}")
        cut = self.rng.randint(0, len(recorded))
        self.rows.apply(recorded[:cut])
        self.rows.apply(recorded[cut:])
        self._partition.settle(group.state, failed=bool(group.failures))

    def _reload(self) -> None:
        """Go on with a state that is folded from the facts, or made from the projection's present rows."""
        folded = fold(self.facts)
        assert canonical(folded) == canonical(self.state), "the live state is the fold of the facts"
        loaded = state_from(self.rows.snapshot(EVENT))
        assert canonical(loaded) == canonical(self.state), "the rows are enough to rebuild the state"
        self.state = self.rng.choice((folded, loaded))

    # --- commands -------------------------------------------------------------------------------------------------

    def _command(self) -> c.Command:
        if not self.log:
            return c.CreateEvent(
                event_id=EVENT,
                user_id=OWNER,
                command_id="id",
                title="Title",
                description="",
                category_id="",
                venue="Hall",
                starts_at=START_US + LENGTH_US // 2,
                ends_at=START_US + LENGTH_US,
                timezone="UTC",
                sales_open_at=0,
                sales_close_at=0,
                hold_ttl_s=240,
                max_tickets_per_user=6,
                refund_until_at=None,
                refund_percent=self.rng.choice((100, 50, 0)),
                hold_extension_s=self.rng.choice((0, 120)),
                offer_ttl_s=self.rng.choice((0, 90)),
                max_tickets_per_order=None,
                reminder_at=START_US + LENGTH_US // 4,
            )
        if len(self.log) == 1:
            return c.SetPool(event_id=EVENT, user_id=OWNER, command_id="id", pool_id="pool", name="House", capacity=14)
        if len(self.log) == 2:
            return self._type("stalls", "seated", 3, 5, 0)
        if len(self.log) == 3:
            return self._type("floor", "general", 0, 0, 12)
        if len(self.log) == 4:
            return c.PublishEvent(EVENT, OWNER, "id")
        kinds = list(_MAKERS)
        make = self.rng.choices(kinds, list(_MAKERS.values()))[0]
        return make(self)

    def _type(self, key: str, kind: str, rows: int, width: int, capacity: int) -> c.AddTicketType:
        hidden, pool = self.rng.choice((0, 0, 1)), self.rng.choice(("", "pool"))
        return c.AddTicketType(
            event_id=EVENT,
            user_id=OWNER,
            command_id="id",
            ticket_type_id=key,
            name=key,
            price_minor=1_000,
            currency="EUR",
            kind=kind,
            rows=rows,
            seats_per_row=width,
            capacity=capacity,
            sales_open_at=0,
            sales_close_at=0,
            max_per_order=self.rng.choice((0, 3)),
            max_per_user=self.rng.choice((0, 5)),
            hidden=hidden,
            pool_id=pool,
        )

    def _id(self, kind: str) -> str:
        if self._next and self.rng.random() < 0.1:
            return f"{kind}{self.rng.randrange(self._next)}"
        self._next += 1
        return f"{kind}{self._next}"

    def _some_seats(self, most: int) -> list[str]:
        return self.rng.sample([f"{row}-{seat}" for row in "ABCD" for seat in range(1, 7)], self.rng.randint(1, most))

    def _reserve(self) -> c.ReserveTickets:
        seats = self._some_seats(2) if self.rng.random() < 0.3 else []
        kind = self.rng.choice(("stalls", "floor")) if not seats else "stalls"
        promo, access = self.rng.choice((None, None, None, *CODES)), self.rng.choice((None, "DOOR"))
        quantity = len(seats) or self.rng.randint(1, 4)
        user = self.rng.choice(USERS)
        return c.ReserveTickets(
            event_id=EVENT,
            user_id=user,
            command_id="id",
            reservation_id=self._id("r"),
            ticket_type_id=kind,
            quantity=quantity,
            seats=seats,
            fingerprint=1,
            promo_code=promo,
            access_code=access,
            mailbox=_mailbox(user),
        )

    def _in_turn(self) -> c.Command:
        """Several buyers' requests in one record; some come twice in it."""
        requests = [one for _ in range(self.rng.randint(1, 8)) if is_plain(one := self._reserve())]
        if not requests:
            return self._reserve()
        if self.rng.random() < 0.3:
            requests.append(self.rng.choice(requests))
        return in_turn(EVENT, "id", requests)

    def _reservation(self, *statuses: str) -> tuple[str, str]:
        """A reservation of one of these statuses, if there is one, and its buyer; sometimes a stranger."""
        found = [one for one in self.state.reservations.values() if one.status in statuses]
        if not found:
            return "r0", USERS[0]
        one = self.rng.choice(found)
        return one.id, one.user_id if self.rng.random() < 0.95 else self.rng.choice(USERS)

    def _confirm(self) -> c.Command:
        key, user = self._reservation(ReservationStatus.HELD)
        return c.ConfirmReservation(
            event_id=EVENT,
            user_id=user,
            command_id="id",
            reservation_id=key,
            attempt_id=f"{key}-{self.rng.randint(1, 3)}",
            payment_token="tok",
        )

    def _pay(self) -> c.Command:
        paying = [one for one in self.state.reservations.values() if one.payment == "requested"]
        if not paying:
            return c.Tick(EVENT, "", "id")
        one = self.rng.choice(paying)
        outcome = self.rng.choice(("captured", "captured", "captured", "declined"))
        amount = one.amount_minor if outcome == "captured" else 0
        return self.bank.captured(
            c.RecordPayment(
                event_id=EVENT,
                user_id="",
                command_id="id",
                reservation_id=one.id,
                attempt_id=one.attempt_id,
                payment_id=f"pay-{one.attempt_id}",
                outcome=outcome,
                reason="",
                amount_minor=amount,
            )
        )

    def _refunded(self) -> c.Command:
        asked = due(self.state)
        return self.bank.asked(*self.rng.choice(asked)) if asked else c.Tick(EVENT, "", "id")

    def _bank(self) -> c.Command:
        return self.bank.moves()

    def _ticket(self) -> tuple[str, str]:
        """A reservation and a ticket of it."""
        key, _ = self._reservation(ReservationStatus.CONFIRMED)
        one = self.state.reservations.get(key)
        tickets = list(one.tickets()) if one is not None else []
        return key, self.rng.choice(tickets) if tickets else "t0"

    def _cancel_tickets(self) -> c.Command:
        key, ticket = self._ticket()
        _, user = self._reservation(ReservationStatus.CONFIRMED)
        one = self.state.reservations.get(key)
        by = self.rng.choice((OWNER, one.user_id if one is not None else user))
        return c.CancelTickets(event_id=EVENT, user_id=by, command_id="id", reservation_id=key, ticket_ids=[ticket])

    def _give_back(self) -> c.Command:
        key, _ = self._reservation(ReservationStatus.CONFIRMED, "cancelled")
        amount, number = self.rng.choice((0, 1, 150, 900, 5_000)), self.rng.randint(1, 3)
        by = OWNER if self.rng.random() < 0.9 else USERS[0]
        return c.RefundAmount(
            event_id=EVENT,
            user_id=by,
            command_id="id",
            reservation_id=key,
            amount_minor=amount,
            refund_key=f"refund-{key}-gift-{number}",
        )

    def _transfer(self) -> c.Command:
        key, ticket = self._ticket()
        one = self.state.reservations.get(key)
        holder = self.state.holder_of(one, ticket) if one is not None else USERS[0]
        return c.TransferTicket(
            event_id=EVENT,
            user_id=holder,
            command_id=f"id{len(self.log)}",
            reservation_id=key,
            ticket_id=ticket,
            to_user_id=self.rng.choice(USERS),
        )

    def _answer(self) -> c.Command:
        if not self.state.transfers or self.rng.random() < 0.05:
            return c.AnswerTransfer(
                event_id=EVENT,
                user_id=self.rng.choice(USERS),
                command_id="id",
                reservation_id="r0",
                ticket_id="t0",
                transfer_id="nothing",
                answer="accept",
            )
        offer = self.state.transfers[self.rng.choice(sorted(self.state.transfers))]
        answer = self.rng.choice(("accept", "accept", "decline", "withdraw"))
        by = offer.user_id if answer == "withdraw" else offer.to_user_id
        by = by if self.rng.random() < 0.95 else self.rng.choice(USERS)
        return c.AnswerTransfer(
            event_id=EVENT,
            user_id=by,
            command_id="id",
            reservation_id=offer.reservation_id,
            ticket_id=offer.ticket_id,
            transfer_id=offer.id,
            answer=answer,
        )

    def _answer_invitation(self) -> c.Command:
        return c.AnswerInvitation(EVENT, USERS[0], "id", self.rng.choice(("accept", "accept", "decline")))

    def _check_in(self) -> c.Command:
        key, ticket = self._ticket()
        known = self.state.tickets.get(ticket)
        version = self.rng.choice((1, 1, known.version if known is not None else 1))
        by = self.rng.choice((OWNER, USERS[0], USERS[1]))
        return c.CheckIn(
            event_id=EVENT,
            user_id=by,
            command_id="id",
            reservation_id=key,
            ticket_id=ticket,
            version=version,
            gate=self.rng.choice("NS"),
            scanner="",
            scanned_at=self._now,
        )

    def _undo(self) -> c.Command:
        inside = sorted(key for key, one in self.state.tickets.items() if one.checked_in_at) or ["t0"]
        return c.UndoCheckIn(
            event_id=EVENT, user_id=OWNER, command_id="id", reservation_id="", ticket_id=self.rng.choice(inside)
        )

    def _wait(self) -> c.Command:
        kind = self.rng.choice(("stalls", "floor"))
        user = self.rng.choice(USERS)
        return c.JoinWaitlist(
            event_id=EVENT,
            user_id=user,
            command_id="id",
            entry_id=self._id("w"),
            ticket_type_id=kind,
            quantity=self.rng.randint(1, 3),
            mailbox=_mailbox(user),
        )

    def _leave(self) -> c.Command:
        entry = self.rng.choice(sorted(self.state.waitlist)) if self.state.waitlist else "w0"
        known = self.state.waitlist.get(entry)
        return c.LeaveWaitlist(EVENT, known.user_id if known is not None else USERS[0], "id", entry)

    def _code(self) -> c.Command:
        text = self.rng.choice(CODES)
        kind, value = {"SPRING": ("percent", 20), "TENNER": ("amount", 1_500), "DOOR": ("access", 0)}[text]
        types = self.rng.choice(([], [], ["stalls"]))
        uses, places = self.rng.choice((0, 2)), self.rng.choice((None, 0, 3))
        return c.AddCode(
            event_id=EVENT,
            user_id=OWNER,
            command_id="id",
            code_id=f"id-{text}",
            code=text,
            kind=kind,
            value=value,
            uses_max=uses,
            ticket_type_ids=types,
            valid_from_at=0,
            valid_until_at=0,
            places_max=places,
        )

    def _block(self) -> c.Command:
        until = self.rng.choice((0, self._now + self.rng.randint(1, 900) * US_PER_S))
        if self.rng.random() < 0.5:
            return c.BlockSeats(
                event_id=EVENT,
                user_id=OWNER,
                command_id="id",
                block_id=self._id("b"),
                ticket_type_id="floor",
                seats=[],
                quantity=self.rng.randint(1, 3),
                until_at=until,
                label="",
            )
        return c.BlockSeats(
            event_id=EVENT,
            user_id=OWNER,
            command_id="id",
            block_id=self._id("b"),
            ticket_type_id="stalls",
            seats=self._some_seats(3),
            quantity=0,
            until_at=until,
            label="",
        )

    def _unblock(self) -> c.Command:
        block = self.rng.choice(sorted(self.state.blocks)) if self.state.blocks else "b0"
        known = self.state.blocks.get(block)
        some = known is not None and self.rng.random() < 0.5
        seats = known.seats[:1] if known is not None and some else []
        quantity = 1 if some and not seats else 0
        release = self.rng.choice((None, self._id("f")))
        return c.UnblockSeats(
            event_id=EVENT,
            user_id=OWNER,
            command_id="id",
            block_id=block,
            seats=seats,
            quantity=quantity,
            release_id=release,
        )

    def _grow(self) -> c.Command:
        if self.rng.random() < 0.5:
            rows, width = self.rng.randint(2, 4), self.rng.randint(4, 6)
            return c.UpdateTicketType(EVENT, OWNER, "id", "stalls", rows=rows, seats_per_row=width)
        price, limit = self.rng.choice((800, 1_000)), self.rng.choice((0, 4))
        capacity = self.rng.randint(8, 16)
        return c.UpdateTicketType(
            EVENT, OWNER, "id", "floor", price_minor=price, capacity=capacity, max_per_user=limit, hidden=0
        )

    def _staff(self) -> c.Command:
        return self.rng.choice((c.AddStaff, c.AddStaff, c.RemoveStaff))(EVENT, OWNER, "id", USERS[0])

    def _update(self) -> c.Command:
        return c.UpdateEvent(
            EVENT, OWNER, "id", venue=self.rng.choice(("Hall", "Garden")), max_tickets_per_user=self.rng.choice((5, 6))
        )

    def _again(self) -> c.Command:
        if self.rng.random() < 0.3:  # much later, too: after the block was freed, after the check-in was undone
            asked = [
                command for _, command in self.log if isinstance(command, c.BlockSeats | c.UnblockSeats | c.CheckIn)
            ]
            return self.rng.choice(asked or [self.log[-1][1]])
        return self.rng.choice(self.log[-40:])[1]

    def _rare(self) -> c.Command:
        if self.rng.random() < 0.02:
            return c.CancelEvent(EVENT, OWNER, "id", "rain")
        return self.rng.choice(
            (
                c.DeleteEvent(EVENT, OWNER, "id"),
                c.DisableCode(EVENT, OWNER, "id", f"id-{self.rng.choice(CODES)}"),
                c.SetSchedule(EVENT, OWNER, "id", [self.rng.choice("ab")]),
                c.SetPool(
                    event_id=EVENT,
                    user_id=OWNER,
                    command_id="id",
                    pool_id="pool",
                    name="House",
                    capacity=self.rng.randint(8, 20),
                ),
            )
        )


_MAKERS = {
    Town._reserve: 30,
    Town._in_turn: 3,
    Town._confirm: 18,
    Town._pay: 18,
    Town._refunded: 6,
    Town._bank: 4,
    lambda town: _release(town): 5,
    lambda town: _extend(town): 3,
    Town._cancel_tickets: 4,
    Town._transfer: 5,
    Town._give_back: 2,
    Town._answer: 8,
    Town._answer_invitation: 3,
    Town._check_in: 5,
    Town._undo: 1,
    Town._wait: 8,
    Town._leave: 1,
    Town._code: 2,
    Town._block: 2,
    Town._unblock: 2,
    Town._grow: 2,
    Town._staff: 3,
    Town._update: 1,
    Town._again: 4,
    Town._rare: 1,
    lambda _: c.Tick(EVENT, "", "tick"): 4,
}


def _release(town: Town) -> c.Command:
    key, user = town._reservation(ReservationStatus.HELD, ReservationStatus.CONFIRMED)
    return c.ReleaseReservation(EVENT, user, "id", key)


def _extend(town: Town) -> c.Command:
    key, user = town._reservation(ReservationStatus.HELD)
    return c.ExtendHold(EVENT, user, "id", key)


def _mailbox(user: str) -> int | None:
    """Two accounts each share a mailbox; the last two have none."""
    pair = USERS.index(user) // 2
    return None if user in USERS[-2:] else pair + 1


def replayed(log: list[tuple[int, c.Command]], batch: int) -> list[tuple[At, f.Fact]]:
    """The facts of a log, read in batches of `batch`."""
    state, facts = EventState(EVENT), []
    for start in range(0, len(log), batch):
        placed = [
            Placed(At(0, offset, LogTime(time_us)), None, command)
            for offset, (time_us, command) in enumerate(log[start : start + batch], start)
        ]
        group = Group(state, placed)
        group.decide()
        for one, decided in zip(placed, group.facts, strict=True):
            facts += [(one.at, fact) for fact in decided]
    return facts


def fold(facts: list[tuple[At, f.Fact]]) -> EventState:
    """The fold of the facts."""
    state = EventState(EVENT)
    for at, fact in facts:
        evolve(state, fact, at)
    return state


def digest_of(codec: Codec, facts: list[tuple[At, f.Fact]]) -> str:
    """Of every fact's bytes."""
    digest = blake2b(digest_size=16)
    for at, fact in facts:
        digest.update(
            codec.encode_fact(
                f.Envelope(
                    event_id=EVENT,
                    partition=0,
                    offset=at.offset,
                    index=0,
                    count=1,
                    log_time=at.log_time,
                    rules_version=f.RULES_VERSION,
                ),
                fact,
            )
        )
    return digest.hexdigest()
