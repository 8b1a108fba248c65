"""Waits between tries double up to a bound and stay there, and spread waits differ from try to try."""

from __future__ import annotations

from connectors.backoff import Backoff


def test_waits_double_from_the_first_to_the_bound_and_stay_there() -> None:
    backoff = Backoff(first_s=0.1, max_s=5.0)
    assert [backoff.wait_s(doublings) for doublings in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_wait_is_the_same_after_any_number_of_tries_beyond_the_last_doubling() -> None:
    endless = Backoff(first_s=1.0, max_s=1e9)
    assert [endless.wait_s(doublings) for doublings in (9, 10, 11, 100_000)] == [512.0, 1024.0, 1024.0, 1024.0]


def test_a_spread_wait_is_between_half_the_wait_and_all_of_it_and_differs_from_try_to_try() -> None:
    backoff = Backoff(first_s=0.1, max_s=5.0)
    waits = [backoff.spread_s(3) for _ in range(1_000)]
    assert 0.4 <= min(waits) < 0.45
    assert 0.75 < max(waits) <= 0.8
