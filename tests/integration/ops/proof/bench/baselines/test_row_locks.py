"""The row-lock baseline sells by the platform's rules: otherwise a comparison would mean nothing."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from ops.proof.bench.baselines.row_locks import RowLockLedger
from ops.proof.bench.baselines.terms import FurnishedEvent, SeatRequest
from ops.run.services.stack import Stack
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.state import At
from schemas import commands as c
from schemas import facts as f
from schemas.ids import LogTime, fingerprint
from tests.harness.words import EVENT, STALLS, T, add_type, create, folded, publish

ROWS, WIDTH, LIMIT, COMMANDS = 12, 15, 7, 400
BOTH = [STALLS, "balcony"]
HOUSE = FurnishedEvent(
    event_id=EVENT,
    sections=BOTH,
    rows=ROWS,
    width=WIDTH,
    tickets_per_user_max=LIMIT,
    hold_ttl_s=3_600,
    price_minor=2_500,
)


@pytest.fixture
async def ledger(stack: Stack) -> AsyncIterator[RowLockLedger]:
    stack.fresh()
    made = await RowLockLedger.open(stack.postgres.create_database("ledger"), connections=8)
    await made.create()
    await made.furnish(HOUSE)
    yield made
    await made.close()


def commands(seed: int) -> list[c.ReserveTickets]:
    """A crowd's requests: best and named seats, some unknown seats, repeated keys."""
    rng = random.Random(seed)
    users = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(60)]
    made: list[c.ReserveTickets] = []
    for number in range(COMMANDS):
        if made and rng.random() < 0.1:
            made.append(rng.choice(made))
            continue
        seats = list[str]()
        if rng.random() < 0.3:
            row, seat = chr(65 + rng.randrange(ROWS + 1)), rng.randint(1, WIDTH)
            seats = [f"{row}-{seat + more}" for more in range(rng.randint(1, 3))]
        quantity = len(seats) or rng.randint(1, 5)
        user, key = rng.choice(users), f"r-{number}"
        if made and rng.random() < 0.05:
            user, key = made[-1].user_id, made[-1].reservation_id  # a key that was used, with another body
        digest = fingerprint(STALLS, quantity, seats)
        made.append(
            c.ReserveTickets(
                event_id=EVENT,
                user_id=user,
                command_id=f"c-{number}",
                reservation_id=key,
                ticket_type_id=STALLS,
                quantity=quantity,
                seats=seats,
                fingerprint=digest,
            )
        )
    return made


def wanted(command: c.ReserveTickets, section: str = STALLS) -> SeatRequest:
    return SeatRequest(
        event_id=EVENT,
        section_id=section,
        user_id=command.user_id,
        reservation_id=command.reservation_id,
        quantity=command.quantity,
        seats=command.seats,
        fingerprint=command.fingerprint,
    )


@pytest.mark.parametrize("seed", [1, 2])
async def test_it_answers_every_command_as_the_core_does(ledger: RowLockLedger, seed: int) -> None:
    state = folded()
    layout = {"rows": ROWS, "seats_per_row": WIDTH}
    for number, opening in enumerate(
        (create(max_tickets_per_user=LIMIT, hold_ttl_s=3_600), add_type(**layout), publish())
    ):
        step(state, opening, At(0, number, LogTime(T)))
    seen: Counter[str] = Counter()
    for number, command in enumerate(commands(seed), 10):
        (fact,) = step(state, command, At(0, number, LogTime(T)))
        given = await ledger.reserve(wanted(command))
        match fact:
            case f.TicketsHeld():
                assert (given.reason, given.seats, given.amount_minor) == ("", fact.seats, fact.amount_minor), command
                assert not given.duplicate
                seen["held"] += 1
            case f.ReservationRejected():
                assert (given.reason, given.seats, given.duplicate) == (fact.reason, [], False), command
                seen[fact.reason] += 1
            case f.CommandDuplicated():
                assert given.duplicate, command
                seen["again"] += 1
            case f.CommandRefused():
                assert given.reason == fact.reason == "idempotency-key-reused"
                seen[fact.reason] += 1
            case _:
                raise AssertionError(fact)
    assert min(seen[name] for name in ("held", "again", "seat-taken", "seat-unknown", "limit-exceeded", "sold-out")) > 2
    assert seen["idempotency-key-reused"] > 2
    claimed, reserved = await ledger.sold([EVENT])
    assert claimed == reserved == ROWS * WIDTH - state.sections[STALLS].available


async def test_a_crowd_at_once_sells_each_seat_once_and_nobody_has_more_than_the_limit(ledger: RowLockLedger) -> None:
    asked = commands(3)
    sections = [random.Random(command.reservation_id).choice(BOTH) for command in asked]
    given = await asyncio.gather(*(ledger.reserve(wanted(*one)) for one in zip(asked, sections, strict=True)))
    all_of_it = zip(asked, sections, given, strict=True)
    held = [one for one in all_of_it if not one[2].reason and not one[2].duplicate]
    seats = [(section, seat) for _, section, one in held for seat in one.seats]
    assert len(seats) == len(set(seats)) == sum(command.quantity for command, _, _ in held)
    tickets = Counter[str]()
    for command, _, _ in held:
        tickets[command.user_id] += command.quantity
    assert max(tickets.values()) <= LIMIT
    assert await ledger.sold([EVENT]) == (len(seats), len(seats))


async def test_one_buyer_in_two_sections_at_once_has_no_more_than_the_limit(ledger: RowLockLedger) -> None:
    asked = [
        SeatRequest(
            event_id=EVENT,
            section_id=BOTH[number % 2],
            user_id="somebody",
            reservation_id=f"r-{number}",
            quantity=1,
            seats=[],
            fingerprint=number,
        )
        for number in range(40)
    ]
    given = await asyncio.gather(*map(ledger.reserve, asked))
    assert Counter(one.reason for one in given) == {"": LIMIT, "limit-exceeded": len(asked) - LIMIT}
