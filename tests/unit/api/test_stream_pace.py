"""A stream looks for news at a fixed pace: what a look takes is part of its tick, not added to it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from api.http.streaming import EARLY_S, REST_S, TICK_S, StreamPace

NEWS_S_MAX = 0.25  # the promise to a watcher


@pytest.mark.parametrize("late_s", [0.0, 0.02, 0.1])
def test_a_streams_looks_are_a_tick_apart_also_when_each_is_late(late_s: float) -> None:
    pace, now = StreamPace(), 1_000.0
    looks = []
    for _ in range(10):
        now += pace.rest_s(now) + late_s
        looks.append(now)
    first, *others = [after - before for before, after in pairwise(looks)]
    assert REST_S <= first <= TICK_S + EARLY_S, "it comes to its moment"
    assert others == pytest.approx([TICK_S] * 8)


def test_a_timer_that_is_a_little_early_makes_no_look_more() -> None:
    pace, now = StreamPace(), 1_000.0
    now += pace.rest_s(now)  # a rest of REST_S at least, so it may end after the stream's moment
    now += pace.rest_s(now) - EARLY_S / 2
    assert pace.rest_s(now) == pytest.approx(TICK_S + EARLY_S / 2)


def test_streams_whose_news_come_rarely_look_one_after_the_other_and_each_as_late_as_before() -> None:
    paces = [StreamPace() for _ in range(1_000)]
    rests = sorted(pace.rest_until_s(0.7) for pace in paces)
    assert 0.7 <= rests[0] < 0.701
    assert 0.7 + REST_S - 0.001 < rests[-1] <= 0.7 + REST_S
    assert max(after - before for before, after in pairwise(rests)) < 0.001
    assert [pace.rest_until_s(1.5) - pace.rest_until_s(0.7) for pace in paces] == pytest.approx([0.8] * 1_000)


def test_streams_that_one_message_wakes_look_again_at_different_moments() -> None:
    rests = sorted(StreamPace().rest_s(1_000.0) for _ in range(1_000))
    assert rests[0] == REST_S
    assert rests[-1] <= TICK_S + EARLY_S <= NEWS_S_MAX
    even = 10 / TICK_S  # of the thousand, in ten milliseconds
    for moment in range(int(REST_S * 1_000) + 1, int(TICK_S * 1_000) - 10, 10):
        assert 0.8 * even <= sum(moment <= rest * 1_000 < moment + 10 for rest in rests) <= 1.2 * even
