"""The baselines of conditional updates and of a counter sell each place once, or a comparison would mean nothing."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from ops.proof.bench.baselines.conditional import ConditionalLedger
from ops.proof.bench.baselines.counter import CounterLedger
from ops.proof.bench.baselines.terms import Baseline, FurnishedEvent, SalesLedger, SeatRequest
from ops.run.services.stack import Stack

EVENT, SECTIONS = "event", ["stalls", "balcony"]
HOUSE = FurnishedEvent(event_id=EVENT, sections=SECTIONS, rows=4, width=25, tickets_per_user_max=7, hold_ttl_s=600)
PLACES = HOUSE.section_places * len(SECTIONS)


@pytest.fixture(params=[Baseline.CONDITIONAL_UPDATE, Baseline.REDIS_COUNTER])
async def ledger(request: pytest.FixtureRequest, stack: Stack) -> AsyncIterator[SalesLedger]:
    stack.fresh()
    made: SalesLedger
    if request.param is Baseline.CONDITIONAL_UPDATE:
        made = await ConditionalLedger.open(stack.postgres.create_database("conditional"), connections=8)
    else:
        made = await CounterLedger.open(stack.valkey.url, connections=8)
    await made.create()
    await made.furnish(HOUSE)
    yield made
    await made.close()


def wanted(number: int, user: str, quantity: int, *, section: str = "stalls", key: str = "") -> SeatRequest:
    return SeatRequest(
        event_id=EVENT,
        section_id=section,
        user_id=user,
        reservation_id=key or f"r-{number}",
        quantity=quantity,
        seats=[],
        fingerprint=quantity,
    )


async def test_a_crowd_at_once_sells_each_place_once_and_nobody_has_more_than_the_limit(ledger: SalesLedger) -> None:
    rng = random.Random(7)
    asked = [wanted(n, f"u-{rng.randrange(40)}", rng.randint(1, 4), section=rng.choice(SECTIONS)) for n in range(300)]
    given = await asyncio.gather(*map(ledger.reserve, asked))
    held = [(one, outcome) for one, outcome in zip(asked, given, strict=True) if not outcome.reason]
    seats = [(one.section_id, seat) for one, outcome in held for seat in outcome.seats]
    assert len(seats) == len(set(seats)) == sum(one.quantity for one, _ in held) <= PLACES
    tickets = Counter[str]()
    for one, _ in held:
        tickets[one.user_id] += one.quantity
    assert max(tickets.values()) <= HOUSE.tickets_per_user_max
    assert {outcome.reason for outcome in given} >= {"", "sold-out", "limit-exceeded"}
    assert await ledger.persisted([EVENT]) == await ledger.notified([EVENT]) == len(asked)
    assert await ledger.oversold([EVENT]) == 0


async def test_a_section_is_sold_to_its_last_place(ledger: SalesLedger) -> None:
    given = await asyncio.gather(*(ledger.reserve(wanted(n, f"u-{n}", 1)) for n in range(HOUSE.section_places + 5)))
    assert Counter(outcome.reason for outcome in given) == {"": HOUSE.section_places, "sold-out": 5}


async def test_one_key_has_one_answer(ledger: SalesLedger) -> None:
    given = await asyncio.gather(*(ledger.reserve(wanted(0, "ada", 2)) for _ in range(6)))
    assert len({tuple(outcome.seats) for outcome in given}) == 1
    assert sorted(outcome.duplicate for outcome in given) == [False] + [True] * 5
    assert (await ledger.reserve(wanted(0, "ada", 3))).reason == "idempotency-key-reused"
    assert (await ledger.reserve(wanted(0, "bob", 2))).reason == "idempotency-key-reused"
    assert await ledger.persisted([EVENT]) == 1


async def test_a_section_of_another_event_is_not_found(ledger: SalesLedger) -> None:
    missing = await ledger.reserve(wanted(0, "ada", 1, section="gallery"))
    assert missing.reason == "ticket-type-not-found"


async def test_named_seats_are_claimed_by_one_buyer_alone(stack: Stack) -> None:
    stack.fresh()
    made = await ConditionalLedger.open(stack.postgres.create_database("named"), connections=8)
    await made.create()
    await made.furnish(HOUSE)
    asked = [wanted(n, f"u-{n}", 2)._replace(seats=["A-3", "A-4"]) for n in range(10)]
    given = await asyncio.gather(*map(made.reserve, asked))
    assert Counter(outcome.reason for outcome in given) == {"": 1, "seat-taken": 9}
    assert [outcome.seats for outcome in given if outcome.seats] == [["A-3", "A-4"]]
    assert await made.oversold([EVENT]) == 0
    await made.close()
