"""A drop decided again under other rules. Under the same rules both worlds are equal."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import msgspec
import pytest

from ops.what_if.picture import svg
from ops.what_if.worlds import BadRule, OtherRules, ReplayedCommand, World, pseudonym, report, singles
from pipelines.reservations.core.digest import digest
from schemas import commands as c
from schemas import facts as f
from schemas.ids import US_PER_S
from tests.harness.command_logs import BothLogs
from tests.harness.words import (
    ALICE,
    BOB,
    EVENT,
    R1,
    R2,
    R3,
    add_type,
    confirm,
    create,
    in_turn,
    paid,
    publish,
    reserve,
    tick,
)


def asked(log: BothLogs, event_id: str) -> list[ReplayedCommand]:
    locks = {one.envelope.offset: one.fact for one in log.facts if isinstance(one.fact, f.SeatLocksObserved)}
    return [
        ReplayedCommand(offset, stamp * 1_000, command, locks.get(offset))
        for offset, (stamp, command) in enumerate(log.commands)
        if command.event_id == event_id
    ]


def worlds(log: BothLogs, rules: OtherRules, pay: float = 0.0, event_id: str = EVENT) -> tuple[World, World]:
    commands = asked(log, event_id)
    as_it_was = World(event_id)
    for one in commands:
        as_it_was.read(one)
    other = World(event_id, rules, as_it_was=as_it_was, newcomers_pay=pay)
    for one in commands:
        other.read(one)
    for world in (as_it_was, other):
        world.end(log.now)
    return as_it_was, other


def drop(*commands: c.Command, gap_s: int = 1, **layout: object) -> BothLogs:
    log = BothLogs(partition=0, seed=1)
    for command in (create(), add_type(**layout), publish(), *commands):
        log.now += gap_s * US_PER_S
        log.put(command)
    return log


@pytest.mark.parametrize("seed", range(5))
def test_under_the_same_rules_both_worlds_are_the_log(seed: int) -> None:
    log = BothLogs(partition=0, seed=seed, events=1)
    log.take(300)
    event_id = next(iter(log.states))
    as_it_was, other = worlds(log, OtherRules(), event_id=event_id)
    found = report(as_it_was, other, rules=OtherRules(), newcomers_pay=0)
    assert found.as_it_was == found.what_if
    assert (found.difference.would_have_won, found.difference.would_have_lost) == (0, 0)
    log.put(c.Tick(event_id, "", ""))  # as `end` does
    assert digest(as_it_was.state) == digest(other.state) == digest(log.states[event_id])


def test_a_lower_limit_takes_places_from_one_buyer_and_gives_them_to_another() -> None:
    log = drop(reserve(6), reserve(2, rid=R2, by=BOB), rows=1, seats_per_row=6)
    as_it_was, other = worlds(log, OtherRules(values={"max_tickets_per_user": 2}))
    found = report(as_it_was, other, rules=OtherRules(values={"max_tickets_per_user": 2}), newcomers_pay=0)
    assert found.as_it_was.refused == {"sold-out": 1}
    assert found.what_if.refused == {"limit-exceeded": 1}
    assert found.difference.winners == [pseudonym(BOB, EVENT)]
    assert found.difference.losers == [pseudonym(ALICE, EVENT)]
    text = msgspec.json.encode(found).decode()
    assert ALICE not in text
    assert BOB not in text


def test_a_longer_hold_lives_where_it_had_run_out_and_its_payment_is_captured() -> None:
    log = drop(reserve(2), confirm(), tick(), gap_s=100)
    as_it_was, other = worlds(log, OtherRules(values={"hold_ttl_s": 300}))
    assert as_it_was.outcome().refused == {"hold-expired": 1}
    assert as_it_was.outcome().sold_minor == {}
    assert other.outcome().sold_minor == {"EUR": 5_000}
    assert other.outcome().places_sold == 2


def test_without_some_users_their_places_are_free() -> None:
    log = drop(reserve(2), confirm(), paid(amount=5_000), reserve(1, rid=R2, by=BOB))
    rules = OtherRules(excluded=frozenset({ALICE}))
    as_it_was, other = worlds(log, rules)
    assert as_it_was.outcome().places_sold == 2
    assert (other.outcome().places_sold, other.outcome().buyers_asking, other.outcome().buyers_served) == (0, 1, 1)


@pytest.mark.parametrize(("pay", "sold"), [(1.0, 2), (0.0, 0)])
def test_newcomers_pay_as_many_as_is_assumed(pay: float, sold: int) -> None:
    log = drop(reserve(6), reserve(2, rid=R2, by=BOB), rows=1, seats_per_row=6)
    _, other = worlds(log, OtherRules(values={"max_tickets_per_user": 2}), pay)
    assert other.outcome().places_sold == sold


def test_another_layout_and_price() -> None:
    log = drop(reserve(2), confirm(), paid(amount=5_000), rows=1, seats_per_row=6)
    _, other = worlds(log, OtherRules(values={"rows": 2, "price_minor": 100}))
    assert other.outcome().places == 12
    assert other.outcome().sold_minor == {"EUR": 200}


def test_a_foreign_lock_does_not_take_what_a_buyer_has_only_there() -> None:
    log = drop(reserve(6), rows=1, seats_per_row=6)
    log.now += 100 * US_PER_S
    log.put(tick(), f.SeatLocksObserved(["stalls/A-1"], []))
    log.put(reserve(5, rid=R3, by=BOB))
    as_it_was, other = worlds(log, OtherRules(values={"hold_ttl_s": 600}))
    assert as_it_was.served == {BOB}
    assert other.served == {ALICE}
    assert other.outcome().places_held == 6


def test_rules_that_do_not_exist_or_contradict_the_event_are_named() -> None:
    with pytest.raises(BadRule, match="colour is no rule"):
        OtherRules(values={"colour": 1})
    with pytest.raises(BadRule, match="hold_ttl_s must be"):
        worlds(drop(), OtherRules(values={"hold_ttl_s": 10**6}))


def test_single_seats_left_alone_are_those_without_a_free_neighbour() -> None:
    assert [singles(row) for row in (0b0, 0b1, 0b11, 0b101, 0b10110101)] == [0, 1, 0, 2, 3]


def test_the_picture_is_an_svg_with_nothing_from_elsewhere() -> None:
    log = drop(reserve(2), reserve(1, rid=R1 + "x", by=BOB))
    as_it_was, other = worlds(log, OtherRules())
    text = svg("A & <B>", [("as it was", as_it_was.sections()), ("what if", other.sections())], [("a", "1", "2", "+1")])
    root = ET.fromstring(text)
    colours = [node.get("fill") for node in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert "#f59e0b" in colours
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_requests_in_one_record_are_asked_granted_and_excluded_one_by_one() -> None:
    log = drop(reserve(5), in_turn(reserve(rid=R2, by=BOB), reserve(rid=R3, by=ALICE), reserve(rid=R2, by=BOB)), rows=1)
    as_it_was, other = worlds(log, OtherRules(excluded=frozenset({ALICE})))
    assert (as_it_was.outcome().asked, as_it_was.outcome().granted, as_it_was.outcome().refused) == (
        3, 2, {"sold-out": 1}
    )  # fmt: skip
    assert (other.outcome().asked, other.outcome().granted, other.served) == (1, 1, {BOB})
    _, without = worlds(drop(in_turn(reserve())), OtherRules(excluded=frozenset({ALICE})))
    assert without.outcome().asked == 0
