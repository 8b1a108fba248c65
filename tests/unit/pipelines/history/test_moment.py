"""Earlier states and explanations: they agree with the state of that time, and name no user."""

from __future__ import annotations

import msgspec
import pytest

from pipelines.history.explain import SPLIT, TIDY, TOGETHER, Explanation
from pipelines.history.moment import EventFold, moment
from pipelines.history.seat_map import picture, seat_map
from pipelines.reservations.core.digest import digest
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import At, EventState
from schemas import facts as f
from schemas.ids import US_PER_S
from schemas.placement import partition_of
from tests.harness.command_logs import BothLogs
from tests.harness.words import (
    ALICE,
    BOB,
    EVENT,
    R1,
    R2,
    R3,
    STALLS,
    T,
    add_type,
    confirm,
    create,
    paid,
    publish,
    release,
    reserve,
)


def drop(*commands, **layout) -> BothLogs:
    log = BothLogs(partition=0, seed=1)
    for command in (create(), add_type(**layout), publish(), *commands):
        log.now += US_PER_S
        log.put(command)
    return log


def explained(log: BothLogs, reservation_id: str) -> Explanation:
    found = Explanation(reservation_id=reservation_id, event_id=EVENT)
    commands = [command for _, command in log.commands]
    EventFold(EVENT).take(
        enumerate(log.facts), lambda state, fact: found.hear(state, fact, commands[fact.envelope.offset])
    )
    return found


def at(log: BothLogs, text: str | None) -> EventFold:
    past = EventFold(EVENT, moment(text))
    past.take(enumerate(log.facts))
    return past


def rows(log: BothLogs, text: str | None) -> str:
    past = at(log, text)
    return picture(seat_map(past.state, past.last).sections[0])


def test_the_seat_map_at_a_position_and_at_a_time() -> None:
    log = drop(reserve(2), reserve(1, ["C-6"], rid=R2, by=BOB), confirm(), paid(amount=5_000), release(R2, by=BOB))
    assert rows(log, "0-3") == "A  ..hh..\nB  ......\nC  ......"
    assert rows(log, "0-4") == "A  ..hh..\nB  ......\nC  .....h"
    assert rows(log, "0-6") == "A  ..ss..\nB  ......\nC  .....h"
    assert rows(log, None) == "A  ..ss..\nB  ......\nC  ......"
    assert rows(log, "2027-01-15T08:00:05Z") == rows(log, "0-4")
    assert rows(log, "2027-01-15T09:00:05.999+01:00") == rows(log, "0-4")
    assert T == 1_800_000_000 * US_PER_S  # 2027-01-15T08:00:00Z


def test_a_moment_within_a_command_and_before_everything() -> None:
    log = drop(reserve(1))
    log.now += 3600 * US_PER_S
    log.put(reserve(2, rid=R2, by=BOB))
    assert rows(log, "0-4-0") == "A  ......\nB  ......\nC  ......"  # expired, and not yet sold again
    assert rows(log, "0-4-1") == "A  ..hh..\nB  ......\nC  ......"
    before = at(log, "2020-01-01T00:00:00Z")
    found = seat_map(before.state, before.last)
    assert (found.exists, found.position, found.sections) == (False, "", [])


@pytest.mark.parametrize("text", ["yesterday", "2026-05-01T20:00:00", "1-2-3-4", "-1"])
def test_what_is_no_moment_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        moment(text)


@pytest.mark.parametrize("seed", range(4))
def test_the_past_is_the_fold_of_the_facts_until_then(seed: int) -> None:
    log = BothLogs(partition=0, seed=seed, events=1)
    log.take(200)
    event_id = next(iter(log.states))
    for cut in (0, 17, 100, 199):
        state = EventState(event_id)
        for one in log.facts:
            if one.envelope.offset <= cut:
                evolve(state, one.fact, At(0, one.envelope.offset, one.envelope.log_time))
        past = EventFold(event_id, moment(f"0-{cut}"))
        past.take(enumerate([one for fact in log.facts for one in (fact, fact)]))  # repeated, but folded once
        assert digest(past.state) == digest(state)


def test_locked_seats_of_other_sellers_are_shown() -> None:
    log = drop()
    log.put(reserve(1), f.SeatLocksObserved([f"{STALLS}/A-1", f"{STALLS}/Z-9", "gone/A-1"], []))
    assert rows(log, None) == "A  x..h..\nB  ......\nC  ......"


def test_a_grant_is_explained_by_the_rule_that_chose_the_seats() -> None:
    log = drop(reserve(2), reserve(5, rid=R2, by=BOB), rows=1, seats_per_row=6)
    first = explained(log, R1).decisions[0]
    assert (first.outcome, first.rule, first.seats_granted) == ("held", TIDY, ["A-3", "A-4"])
    assert first.free_then is not None
    assert (first.free_then.available, first.free_then.longest_together) == (6, 6)
    alone = drop(reserve(5), rows=1, seats_per_row=6)
    assert explained(alone, R1).decisions[0].rule == TOGETHER
    split = drop(reserve(2), reserve(3, rid=R2, by=BOB), rows=1, seats_per_row=6)
    assert explained(split, R2).decisions[0].rule == SPLIT


def test_a_taken_seat_is_explained_by_the_position_that_has_it_and_nobody_is_named() -> None:
    log = drop(reserve(2, ["B-1", "B-2"]), reserve(1, ["B-2"], rid=R2, by=BOB))
    found = explained(log, R2)
    one = found.decisions[0]
    assert (one.position, one.reason, one.seats_asked) == ("0-4-0", "seat-taken", ["B-2"])
    assert [(other.place, other.position, other.status) for other in one.had_by] == [("B-2", "0-3", "held")]
    text = msgspec.json.encode(found).decode()
    assert ALICE not in text
    assert R1 not in text


def test_a_sold_out_house_is_explained_by_the_positions_before() -> None:
    log = drop(reserve(4), reserve(3, rid=R2, by=BOB), rows=1, seats_per_row=6)
    one = explained(log, R2).decisions[0]
    assert (one.reason, [other.position for other in one.had_by]) == ("sold-out", ["0-3"])
    assert one.free_then is not None
    assert one.free_then.available == 2


def test_a_buyers_limit_is_explained_by_their_own_positions() -> None:
    log = drop(reserve(8), reserve(1, rid=R2))
    one = explained(log, R2).decisions[0]
    assert (one.reason, one.own_positions, one.had_by) == ("limit-exceeded", ["0-3"], [])


def test_what_became_of_a_reservation_follows_in_order() -> None:
    log = drop(reserve(2), reserve(2), confirm(), paid(amount=5_000), release(), release(R3))
    later = explained(log, R1).later
    assert [one.what for one in later] == [
        "CommandDuplicated",
        "PaymentRequested",
        "ReservationConfirmed",
        "ReservationCancelled",
        "RefundRequested",
    ]
    assert later[3].reason == "buyer-cancelled"


def test_keys_are_placed_as_javas_clients_place_them() -> None:
    # From Kafka's own UtilsTest.testMurmur2, as 32-bit hashes.
    from schemas.placement import murmur2

    for key, signed in {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536,
                        b"a-little-bit-longer-string": -1486304829, b"abc": 479470107,
                        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971}.items():  # fmt: skip
        assert murmur2(key) == signed & 0xFFFFFFFF
    assert 0 <= partition_of("anything", 8) < 8
