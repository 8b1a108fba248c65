"""A stream looks for news at a fixed pace: what a look takes is part of its tick, not added to it."""

from __future__ import annotations

import pytest

from api.http.streaming import REST_S, TICK_S, rest_s

NEWS_S_MAX = 0.25  # the promise to a watcher


@pytest.mark.parametrize("used_s", [0.0, 0.01, 0.05, 0.1, 0.15, 0.199])
def test_the_time_of_a_look_does_not_lengthen_the_pause_between_two_news(used_s: float) -> None:
    assert used_s + rest_s(used_s) <= NEWS_S_MAX
    assert used_s + rest_s(used_s) >= TICK_S


def test_a_stream_that_is_late_looks_again_soon_and_still_rests() -> None:
    assert rest_s(0.3) == rest_s(3.0) == REST_S > 0
