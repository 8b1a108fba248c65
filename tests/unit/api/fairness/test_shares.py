"""Fair shares: no user has more than the share, no place stays empty, all get their turn, nothing is remembered."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.fairness.owner import PLATFORM, Lane, Who
from api.fairness.shares import GONE, IN, PASSED_OVER_MAX, WAITING, FairShare, Full, Line, Places, Why
from api.fairness.waiting_turns import Turn
from api.http.problem import Problem

SHARE = FairShare(
    name="test", places=8, user=2, network=4, line=12, user_line=3, network_line=6, kept={Lane.HEAVY: 5, Lane.READ: 2},
    line_kept={Lane.HEAVY: 8, Lane.READ: 4},
)  # fmt: skip
WHO = st.one_of(
    st.builds(Who, st.sampled_from(["", "ada", "bob", "eve"]), st.sampled_from([("n1", "w"), ("n2", "w"), ("n3", "v")]),
              st.sampled_from(Lane)),
    st.just(PLATFORM),
)  # fmt: skip
STEPS = st.lists(st.one_of(WHO, st.integers(0, 30)), max_size=120)


def caps(who: Who) -> dict[str, int]:
    """The caps of places for each key of a caller."""
    kind = "s" if who.user else "n"
    user = {"u" + who.user: SHARE.user} if who.user else {}
    return user | {kind + network: SHARE.network << place for place, network in enumerate(who.networks)}


@given(STEPS)
def test_whatever_comes_and_goes_no_share_is_exceeded_and_no_place_stands_empty(steps: list[Who | int]) -> None:
    line, turns = Line(SHARE), list[tuple[Who, Turn]]()
    for step in steps:
        if isinstance(step, Who):
            try:
                turns.append((step, line.ask(step)))
            except Full as full:
                waiting = [who for who, turn in turns if turn.state == WAITING]
                mine = Counter(key for who in waiting for key in caps(who))
                first = next((key for key, limit in line_caps(step).items() if mine[key] >= limit), "all")
                assert str(full.why) == {"u": "user", "s": "network", "n": "network", "a": "all"}[first[0]]  # noqa: PT017
        elif turns:
            who, turn = turns.pop(step % len(turns))
            let_in = line.leave(turn)
            assert all(other.state == IN for other in let_in)
            assert line.leave(turn) == []  # twice is once
        running = [who for who, turn in turns if turn.state == IN]
        waiting = [who for who, turn in turns if turn.state == WAITING]
        assert (line.running, line.waiting) == (len(running), len(waiting))
        assert len(running) <= SHARE.places
        assert len(waiting) <= SHARE.line
        used = Counter(key for who in running for key in caps(who))
        for who in running:
            assert all(used[key] <= cap for key, cap in caps(who).items())
        assert line.keys_known() == len({key for who in running + waiting for key in caps(who)})
        for who in waiting:  # each one has a reason to wait
            at_ceiling = len(running) >= SHARE.places - SHARE.kept.get(who.lane, 0)
            assert at_ceiling or any(used[key] >= cap for key, cap in caps(who).items())
    for _, turn in turns:
        line.leave(turn)
    assert (line.running, line.waiting, line.keys_known()) == (0, 0, 0)


def line_caps(who: Who) -> dict[str, int]:
    """The caps of places in line for each key of a caller, in the caller's lane."""
    kind = "s" if who.user else "n"
    user = {"u" + who.user: SHARE.user_line} if who.user else {}
    whole = user | {kind + network: SHARE.network_line << place for place, network in enumerate(who.networks)}
    open_to_lane = SHARE.line - SHARE.line_kept.get(who.lane, 0)
    return {key: cap * open_to_lane // SHARE.line for key, cap in whole.items()}


def test_a_lane_leaves_of_a_networks_line_what_it_leaves_of_the_whole_line() -> None:
    share = FairShare(
        name="x", places=1, user=1, network=1, line=128, user_line=4, network_line=64, line_kept={Lane.READ: 64}
    )
    line = Line(share)
    line.ask(Who("", ("n",)))  # is in
    for _ in range(32):
        line.ask(Who("", ("n",)))
    with pytest.raises(Full, match="network"):
        line.ask(Who("", ("n",)))
    for _ in range(32):
        line.ask(Who("", ("n",), Lane.SALE))
    with pytest.raises(Full, match="network"):
        line.ask(Who("", ("n",), Lane.SALE))


ONE = FairShare(name="one", places=1, user=1, network=1, line=64, user_line=32, network_line=64)


def order_of(asked: list[Who]) -> list[Who]:
    """The order in which one place serves the callers that asked while it was taken."""
    line = Line(ONE)
    turn, order = line.ask(PLATFORM), list[Who]()
    waiting = {line.ask(who): who for who in asked}
    while line.waiting:
        (turn,) = line.leave(turn)
        order.append(waiting[turn])
    line.leave(turn)
    return order


def test_who_asks_thirty_times_has_every_second_turn_beside_one_who_asks_once_at_a_time() -> None:
    greedy, modest = Who("eve", ("n1",), Lane.SALE), Who("ada", ("n2",), Lane.SALE)
    order = order_of([greedy] * 30 + [modest] * 3)
    assert [who.user for who in order[:6]] == ["eve", "ada"] * 3


def test_the_door_is_let_in_before_all_others_and_the_sale_before_reads() -> None:
    lanes = [Lane.HEAVY, Lane.READ, Lane.SALE, Lane.DOOR]
    assert [who.lane for who in order_of([Who(f"u{lane}", ("n",), lane) for lane in lanes])] == lanes[::-1]


def test_a_lower_lane_has_its_turn_beside_a_flood_from_above() -> None:
    sales = [Who(f"u{number}", (f"n{number}",), Lane.SALE) for number in range(20)]
    order = order_of([Who("reader", ("n",), Lane.READ), Who("heavy", ("n",), Lane.HEAVY), *sales])
    assert [who.lane for who in order].index(Lane.READ) < PASSED_OVER_MAX
    assert [who.lane for who in order].index(Lane.HEAVY) <= PASSED_OVER_MAX


def test_signed_in_users_find_a_place_where_strangers_of_their_network_have_taken_theirs() -> None:
    line = Line(FairShare(name="x", places=10, user=2, network=4))
    for _ in range(4):
        line.ask(Who("", ("n",)))
    with pytest.raises(Full) as full:
        line.ask(Who("", ("n",)))
    assert full.value.why is Why.NETWORK
    assert line.ask(Who("ada", ("n",))).state == IN


async def test_a_users_share_used_up_is_429_a_networks_or_no_room_503_all_with_a_time_to_come_again() -> None:
    places = Places(FairShare(name="x", places=2, user=1, network=2), "things")
    places.take(Who("ada", ("n",)))
    with pytest.raises(Problem, match="you have too many things under way") as own:
        places.take(Who("ada", ("n",)))
    places.take(Who("bob", ("n",)))
    with pytest.raises(Problem, match="too many things are under way") as everybody:
        places.take(Who("eve", ("m",)))
    assert (own.value.status, own.value.slug, own.value.headers) == (429, "too-many-at-once", {"retry-after": "1"})
    assert (everybody.value.status, everybody.value.slug) == (503, "busy")
    assert everybody.value.headers == {"retry-after": "1"}


async def test_who_goes_away_while_waiting_leaves_the_place_to_the_next() -> None:
    places, order = Places(ONE, "things"), list[str]()

    async def use(name: str) -> None:
        async with places.of(Who(name, (name,))):
            order.append(name)
            await asyncio.sleep(0)

    first = places.line.ask(PLATFORM)
    tasks = [asyncio.create_task(use(name)) for name in ("ada", "bob", "eve")]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    places.give_back(first)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["bob", "eve"]
    assert (places.line.running, places.line.waiting, places.line.keys_known()) == (0, 0, 0)


async def test_who_is_cancelled_just_when_let_in_gives_the_place_back() -> None:
    places = Places(ONE, "things")
    first = places.line.ask(PLATFORM)

    async def use() -> None:
        async with places.of(Who("ada", ("n",))):
            pytest.fail("was cancelled before")

    task = asyncio.create_task(use())
    await asyncio.sleep(0)
    places.give_back(first)  # the place is ada's now, and before she can use it …
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (places.line.running, places.line.keys_known()) == (0, 0)


async def test_patience_ends_with_busy_and_the_place_in_line_is_free() -> None:
    places = Places(ONE, "things")
    first = places.line.ask(PLATFORM)
    with pytest.raises(Problem) as refused:
        async with places.of(Who("ada", ("n",)), patience_s=0.001):
            pytest.fail("there is no place")
    assert refused.value.slug == "busy"
    assert places.line.waiting == 0
    places.give_back(first)
    assert first.state == GONE
