"""Every wait has a bound: a caller's for an outcome, a refused client's, a read's for its own write; memory too."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from contextvars import copy_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.fairness.limits import REMEMBERED_MAX
from api.fairness.owner import Lane, Who, asking
from api.fairness.pools import STREAMS
from api.fairness.rate_limits import KEYS_MAX, PAUSE_MAX_S, REFUSALS, Rate, RateLimiter
from api.http import cursors, prefer
from api.http.problem import Problem
from api.log.watermarks import Memory, Watermarks
from api.reads.listeners import Live


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 2.0),
        ("", 2.0),
        ("respond-async", 0.0),
        ("Respond-Async", 0.0),
        ("wait=5", 5.0),
        ("wait = 5", 5.0),
        ('wait="5"', 5.0),
        ("wait=0", 0.0),
        ("wait=31", 30.0),
        ("wait=999999999", 30.0),
        ("respond-async, wait=10", 10.0),
        ("wait=10, respond-async", 10.0),
        ("return=minimal", 2.0),
        ("wait=-1", 2.0),
        ("wait=x", 2.0),
        ("wait=1e3", 2.0),
        ("wait=٣", 2.0),
        ("wait=99999999999999999999999999", 2.0),
        ("respond-async; foo=bar", 0.0),
    ],
)
def test_prefer_says_how_long_to_wait(header: str | None, seconds: float) -> None:
    assert prefer.wait_s(header) == seconds


@given(st.text())
def test_no_prefer_header_waits_longer_than_allowed(header: str) -> None:
    assert 0 <= prefer.wait_s(header) <= 30


RATE = Rate(name="things", per_s=2, burst=3)


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    limiter = RateLimiter(1)
    assert [limiter.try_take(RATE, "ada", 100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limiter.try_take(RATE, "ada", 100.0) == pytest.approx(0.5)
    assert limiter.try_take(RATE, "bob", 100.0) == 0.0
    assert limiter.try_take(RATE, "ada", 100.5) == 0.0
    assert limiter.try_take(RATE, "ada", 100.5) > 0
    assert [limiter.try_take(RATE, "ada", 200.0) for _ in range(4)][:3] == [0.0, 0.0, 0.0]


def test_a_dear_request_takes_as_many_tokens_as_it_costs() -> None:
    limiter, rate = RateLimiter(1), Rate(name="reads", per_s=10, burst=20)
    assert limiter.try_take(rate, "ada", 0.0, 15) == 0.0
    assert limiter.try_take(rate, "ada", 0.0, 15) == pytest.approx(1.0)
    assert limiter.try_take(rate, "ada", 0.0, 5) == 0.0
    assert limiter.try_take(rate, "ada", 1.0, 50) == pytest.approx(1.0), "a larger cost waits for a full bucket"
    assert limiter.try_take(rate, "bob", 0.0, 50) == 0.0


def test_refusals_of_one_client_leave_at_their_rate_and_wait_a_bounded_time() -> None:
    limiter, refusals = RateLimiter(1), 1_000
    pauses = [limiter.pause_s("greedy", 0.0) for _ in range(refusals)]
    assert pauses[: REFUSALS.burst] == [0.0] * REFUSALS.burst
    steps = int(PAUSE_MAX_S * REFUSALS.per_s)
    growing = pauses[REFUSALS.burst : REFUSALS.burst + steps]
    assert growing == pytest.approx([(number + 1) / REFUSALS.per_s for number in range(steps)])
    assert pauses[REFUSALS.burst + steps :] == pytest.approx([PAUSE_MAX_S] * (refusals - REFUSALS.burst - steps))
    assert limiter.pause_s("modest", 0.0) == 0.0
    over = PAUSE_MAX_S + REFUSALS.burst / REFUSALS.per_s
    assert limiter.pause_s("greedy", over) == 0.0, "what waited the longest leaves no debt"
    assert [RateLimiter(0).pause_s("greedy", 0.0) for _ in range(refusals)] == [0.0] * refusals


def test_the_scale_multiplies_and_zero_switches_off() -> None:
    wide, off = RateLimiter(10), RateLimiter(0)
    assert sum(wide.try_take(RATE, "ada", 0.0) == 0.0 for _ in range(100)) == 30
    assert all(off.try_take(RATE, "ada", 0.0) == 0.0 for _ in range(100))


def test_past_the_limit_the_answer_is_429_with_retry_after() -> None:
    limiter = RateLimiter(1)
    for _ in range(3):
        limiter.take(RATE, "ada")
    with pytest.raises(Problem) as caught:
        limiter.take(RATE, "ada")
    assert (caught.value.status, caught.value.headers) == (429, {"retry-after": "1"})


def test_the_limiter_forgets_the_oldest_key_first() -> None:
    limiter = RateLimiter(1)
    for number in range(KEYS_MAX + 10):
        limiter.try_take(RATE, str(number), 0.0)
    assert len(limiter._times) == KEYS_MAX


async def nothing() -> list[tuple[int, int]]:
    return []


async def test_a_read_waits_until_the_projection_is_there() -> None:
    watermarks = Watermarks(nothing)
    waiting = asyncio.create_task(watermarks.wait(1, 10, 5))
    await asyncio.sleep(0)
    watermarks.message(b'[{"partition":1,"offset":9,"index":0},{"partition":2,"offset":50,"index":0}]')
    await asyncio.sleep(0)
    assert not waiting.done()
    watermarks.message(b'{"partition":1,"offset":10}')
    assert await waiting
    assert watermarks.applied(1) == 10


async def test_a_position_never_goes_back() -> None:
    watermarks = Watermarks(nothing)
    watermarks.advance(0, 7)
    watermarks.advance(0, 3)
    assert watermarks.applied(0) == 7


async def test_a_wait_ends_and_is_forgotten() -> None:
    watermarks = Watermarks(nothing)
    assert not await watermarks.wait(0, 1, 0.01)
    assert not watermarks._waiting[0]


async def test_a_lost_message_is_made_up_for_from_postgres() -> None:
    async def ask() -> list[tuple[int, int]]:
        return [(0, 5)]

    assert await Watermarks(ask).wait(0, 5, 5)


def test_memory_is_bounded_and_keeps_what_is_used() -> None:
    memory = Memory()
    memory.reserved("first", "u", "e", 0, 1)
    for number in range(REMEMBERED_MAX - 1):
        memory.reserved(str(number), "u", "e", 0, number)
        memory.wrote(str(number), 0, number)
    memory.reserved("first", "u", "e", 0, 2)
    memory.reserved("one more", "u", "e", 0, 3)
    assert memory.asked("first") is not None
    assert memory.asked("0") is None
    assert memory.last_written("1") == (0, 1)


@given(st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1), st.uuids())
def test_a_cursor_reads_back(value: int, identity: object) -> None:
    assert cursors.decode(cursors.encode("events", value, str(identity)), "events") == (value, str(identity))


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", min_size=1))
def test_any_other_cursor_is_a_problem(text: str) -> None:
    with pytest.raises(Problem) as caught:
        cursors.decode(text, "events")
    assert (caught.value.status, caught.value.field) == (422, "cursor")


def test_a_cursor_of_another_list_is_a_problem() -> None:
    with pytest.raises(Problem):
        cursors.decode(cursors.encode("tickets", 1, "x"), "events")


def test_a_message_wakes_those_it_concerns() -> None:
    live = Live()
    with live.stream("ada") as ada, live.stream("bob") as bob:
        live.message(b'{"user_ids":["ada"],"partition":0,"offset":1}')
        assert (ada.is_set(), bob.is_set()) == (True, False)
        live.message(b'[{"partition":0,"offset":1}]')
        assert bob.is_set()
        assert live.clients == 2
    assert live.clients == 0


def test_one_client_does_not_take_all_streams_and_watchers_leave_some_to_buyers() -> None:
    copy_context().run(one_client_watches)  # this caller is of this test alone


def one_client_watches() -> None:
    live, eve = Live(), Who("eve", ("n1",))
    with ExitStack() as open_streams:

        def watch(who: Who, lane: Lane = Lane.READ) -> None:
            asking.set(who)
            open_streams.enter_context(live.stream(who.user, lane))

        for _ in range(STREAMS.user):
            watch(eve)
        with pytest.raises(Problem, match="you have too many live streams") as refused:
            watch(eve)
        assert (refused.value.status, refused.value.headers) == (429, {"retry-after": "1"})
        for _ in range(STREAMS.network):
            watch(Who("", ("n1",)))
        with pytest.raises(Problem):
            watch(Who("", ("n1",)))
        watch(Who("ada", ("n1",)))  # signed in, of the same network
        for number in range(STREAMS.places - STREAMS.kept[Lane.READ] - live.clients):
            watch(Who(f"user-{number}", (f"network-{number}",)))
        with pytest.raises(Problem, match="too many live streams are under way") as full:
            watch(Who("bob", ("n2",)))
        assert full.value.status == 503
        watch(Who("bob", ("n2",)), Lane.SALE)  # notifications
    assert live.clients == 0
