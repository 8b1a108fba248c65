"""A dataflow that dies again and again is named with its last error; a few deaths, or old ones, do not count."""

from __future__ import annotations

import msgspec

from connectors.flow_health import DEATHS_MIN, STEADY_S, WINDOW_S, Death, Dying, dying

NOW = 1_000_000.0


def deaths(*ago: float) -> list[bytes]:
    return [msgspec.json.encode(Death(NOW - seconds, "payments", "ValueError")) for seconds in ago]


def test_a_few_deaths_are_no_dying() -> None:
    assert dying([], None, NOW) is None
    assert dying(deaths(*range(DEATHS_MIN - 1, 0, -1)), None, NOW) is None


def test_deaths_one_after_the_other_are_named_with_the_last_error() -> None:
    assert dying(deaths(30, 20, 10), None, NOW) == Dying(deaths=3, last_error="ValueError", last_death_s_ago=10.0)


def test_deaths_of_long_ago_do_not_count() -> None:
    assert dying(deaths(WINDOW_S + 2, WINDOW_S + 1, 10), None, NOW) is None


def test_who_was_ready_for_some_time_since_lives() -> None:
    ended = deaths(90, 80, 60)
    assert dying(ended, repr(NOW - STEADY_S).encode(), NOW) is None
    assert dying(ended, repr(NOW - STEADY_S + 1).encode(), NOW) is not None, "not long enough"
    assert dying(ended, repr(NOW - 70).encode(), NOW) is not None, "ready, and dead again"
